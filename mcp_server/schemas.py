"""JSON Schemas of tools, made of the requests and replies of the table, as short as they can be and still help a model.

A client hands every schema to its model with every prompt. So references are written out, types are plain, and limits
that a refusal explains better (lengths, patterns) are left out: the gateway checks them all the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, get_args, get_origin

import msgspec

from gateway.openapi import prose
from gateway.operations.placement import Size, SlippageBps
from gateway.operations.wire import (
    ClientOrderId,
    CredentialId,
    DecimalText,
    EpochSeconds,
    MarketName,
    OrderId,
    Reply,
    Request,
)

Json = dict[str, Any]

_REF: Final = "#/{name}"
_IN_REQUESTS: Final = (
    "type",
    "enum",
    "default",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "description",
    "examples",
)
_IN_REPLIES: Final = ("type", "description")
# Tools have no HTTP status of their own: a clause about it says nothing here.
_ABOUT_HTTP: Final = re.compile(r"(?:(?<=\. )|(?<=; )|,? and |,? as UNKNOWN with )[^.;]*\bHTTP\b[^.;,]*[.,]?")


def _said_of(annotated: Any) -> str:
    if get_origin(annotated) is not Annotated:
        raise TypeError(f"{annotated!r} has no description")
    return str(get_args(annotated)[1].description)


# What stands in almost every tool, in as few words as do it; the server's instructions have the whole of it.
_SHORTER: Final[Mapping[str, str]] = {
    _said_of(CredentialId): "From listCredentials",
    _said_of(ClientOrderId): "Your id; the same for a retry",
    _said_of(MarketName): "",
    _said_of(OrderId): "The exchange's id",
    _said_of(Size): "Base units",
    _said_of(SlippageBps): "Furthest from the best price; 100 = 1%",
    _said_of(DecimalText): "",
    _said_of(EpochSeconds): "epoch seconds",
}


def input_schema(request: type[Request]) -> Json:
    """What a call takes. Sizes and prices are strings; what is not listed is refused."""
    schema = _Schemas(request, _IN_REQUESTS).whole()
    del schema["properties"]["operation"]
    schema["required"].remove("operation")
    schema.pop("description", None)
    return schema if schema["properties"] else {"type": "object", "additionalProperties": False}


def output_schema(reply: type[Reply]) -> Json:
    """What a call returns, as far as it is always there. Nothing is required: an error is an answer too."""
    return _Schemas(reply, _IN_REPLIES).whole()


class _Schemas:
    """One Struct's schema with everything it refers to written out; of each part the keywords that are ``shown``."""

    def __init__(self, struct: type[msgspec.Struct], shown: tuple[str, ...]) -> None:
        (self._root,), self._components = msgspec.json.schema_components([struct], ref_template=_REF)
        self._shown = shown
        self._is_reply = shown is _IN_REPLIES

    def whole(self) -> Json:
        return self._plain(self._root)

    def _plain(self, schema: Json) -> Json:
        if "$ref" in schema:
            component = self._components[schema["$ref"].removeprefix("#/")]
            return self._plain(component | {key: value for key, value in schema.items() if key != "$ref"})
        if "anyOf" in schema:
            return self._optional(schema)
        found = {key: schema[key] for key in self._shown if key in schema}
        if found.get("default") is False:
            del found["default"]
        if "enum" in schema:
            found["type"] = "string"
        if "examples" in found:
            found["examples"] = [str(example) for example in found["examples"]]
        if "enum" in found:
            found["enum"] = _words(schema["enum"])
        if "properties" in schema:
            required = list(schema.get("required", ()))
            names = required if self._is_reply else schema["properties"]
            found["properties"] = {name: self._plain(schema["properties"][name]) for name in names}
            if not self._is_reply:
                found["required"] = required
        if found.get("type") == "array":
            # Pairs are lists of one type here: older validators know no others.
            found["items"] = self._plain(schema["prefixItems"][0] if "prefixItems" in schema else schema["items"])
        return _in_few_words(found)

    def _optional(self, schema: Json) -> Json:
        """Something or null: in a request it may just be left out, in a reply it may be null."""
        outer = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
        found = self._plain(schema["anyOf"][0] | outer)
        return found | {"type": [found["type"], "null"]} if self._is_reply else found


def _in_few_words(schema: Json) -> Json:
    said = schema.get("description")
    if said is None:
        return schema
    short = _SHORTER[said] if said in _SHORTER else _ABOUT_HTTP.sub("", prose(said)).strip(" ;")
    if not short:
        # There is nothing to say of it, nor to show.
        return {key: value for key, value in schema.items() if key not in ("description", "examples")}
    return schema | {"description": short}


def _words(values: list[Any]) -> list[str]:
    """Every value once, numbers in their order: one that may also be written as a string is offered as that."""
    return sorted({str(value) for value in values}, key=lambda word: (int(word) if word.isdecimal() else 0, word))
