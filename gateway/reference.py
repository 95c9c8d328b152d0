"""The API reference as one HTML page, rendered from the table of operations and the OpenAPI document made of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from gateway import openapi
from gateway.endpoint import MAX_BODY_BYTES
from gateway.limits import LIMITS
from gateway.operations.table import Operation
from storage.ports import Tier

Json = dict[str, Any]

# What the page says until its script has put in the address it was loaded from.
DEFAULT_ORIGIN: Final = "http://127.0.0.1:8080"

_SPAN: Final = Markup('<span class="{}">{}</span>')
_TOKEN: Final = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d[\d.eE+-]*|true|false|null)')
_SHORT_LIST: Final = re.compile(r"\[\s+([^\[\]{}]{1,40}?)\s+\]")
_CODE: Final = re.compile(r"`([^`]+)`")


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One field of a request. ``fields`` are those of the objects in a list."""

    name: str
    type: str
    required: bool
    default: str | None
    description: str
    fields: Sequence[Parameter] = ()


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One operation as the page shows it."""

    operation: Operation
    parameters: Sequence[Parameter]
    request: str
    reply: str
    reply_note: str
    may_be_unknown: bool


class Section(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    anchor: str
    entries: Sequence[Entry]


def render(operations: Mapping[str, Operation], document: Json) -> str:
    """The page for these operations; ``document`` is the OpenAPI document of the same."""
    environment = Environment(
        loader=PackageLoader("gateway", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"json": highlighted, "prose": with_code}
    sections = _sections(operations, document)
    every = [entry for section in sections for entry in section.entries]
    return environment.get_template("reference.html").render(
        sections=sections,
        first=next((entry for entry in every if not entry.parameters), every[0]),
        errors=[(e.code, e.status, openapi.summary(e)) for e in openapi.error_classes()],
        headers=openapi.HEADERS,
        limits=LIMITS,
        body_kib=MAX_BODY_BYTES // 1024,
        free=Tier.FREE,
        origin=DEFAULT_ORIGIN,
        version=version("venuegate"),
    )


def _sections(operations: Mapping[str, Operation], document: Json) -> list[Section]:
    groups = dict.fromkeys(operation.group for operation in operations.values())
    return [
        Section(
            title=group,
            anchor=group.lower().replace(" ", "-"),
            entries=[_entry(o, document) for o in operations.values() if o.group == group],
        )
        for group in groups
    ]


def _entry(operation: Operation, document: Json) -> Entry:
    components: Json = document["components"]["schemas"]
    post = document["paths"]["/v1"]["post"]
    row = next(row for row in post["x-operations"] if row["name"] == operation.name)
    examples = post["responses"]["200"]["content"]["application/json"]["examples"]
    return Entry(
        operation=operation,
        parameters=_parameters(_followed(row["request"], components), components),
        request=pretty({"operation": operation.name, **operation.example}),
        reply=pretty(examples[operation.name]["value"]),
        reply_note=_followed(row["reply"], components).get("description", ""),
        may_be_unknown=openapi.may_be_unknown(operation),
    )


def _parameters(schema: Json, components: Json) -> list[Parameter]:
    return [
        _parameter(name, field, name in schema.get("required", ()), components)
        for name, field in schema["properties"].items()
        if name != "operation"
    ]


def _parameter(name: str, field: Json, required: bool, components: Json) -> Parameter:
    schema = _followed(field, components)
    item = _followed(schema["items"], components) if isinstance(schema.get("items"), dict) else {}
    default = field.get("default")
    return Parameter(
        name=name,
        type=type_words(schema),
        required=required,
        default=None if default is None else default if isinstance(default, str) else json.dumps(default),
        description=str(field.get("description", schema.get("description", ""))),
        fields=_parameters(item, components) if "properties" in item else (),
    )


def _followed(schema: Json, components: Json) -> Json:
    """The schema behind references and behind "or null"."""
    while "$ref" in schema or "anyOf" in schema:
        schema = components[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema["anyOf"][0]
    return schema


def type_words(schema: Json) -> str:
    """What may be written there, in a word or two."""
    if "enum" in schema:
        return " | ".join(dict.fromkeys(str(value) for value in schema["enum"] if value is not None))
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    kinds = [kind for kind in types if kind != "null"]
    if kinds == ["string", "number"]:
        return "decimal"
    if kinds == ["array"]:
        return f"array, {schema.get('minItems', 0)} to {schema['maxItems']}" if "maxItems" in schema else "array"
    if kinds == ["integer"] and "maximum" in schema:
        return f"integer, {schema.get('minimum', 0)} to {schema['maximum']}"
    return "UUID" if schema.get("format") == "uuid" else " | ".join(kinds)


def pretty(value: Json) -> str:
    """JSON over several lines, with short lists of plain values on one."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return _SHORT_LIST.sub(lambda found: "[" + re.sub(r",\s+", ", ", found[1]) + "]", text)


def highlighted(text: str) -> Markup:
    """JSON with its names, strings and other values marked up for the style sheet."""
    parts = []
    end = 0
    for token in _TOKEN.finditer(text):
        string, colon, other = token.groups()
        kind = "name" if colon else "string" if string else "value"
        parts += [escape(text[end : token.start()]), _SPAN.format(kind, string or other), colon or ""]
        end = token.end()
    return Markup("").join([*parts, escape(text[end:])])


def with_code(text: str) -> Markup:
    """Prose with what stands between backticks as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped first
