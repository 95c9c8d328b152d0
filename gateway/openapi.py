"""The gateway's OpenAPI 3.1 document, derived from the table of operations and the tree of errors.

``POST /v1`` is one path with one body per operation, told apart by ``operation``. OpenAPI has no way to say which reply
belongs to which body, so every reply is listed and ``x-operations`` pairs them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

import msgspec

from gateway.operations.table import Operation
from gateway.operations.wire import Reply
from gateway.reply_examples import example_of
from normalization import errors
from normalization.errors import GatewayError

Json = dict[str, Any]

_REF: Final = "#/components/schemas/{name}"
_NUMBER: Final = r"^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_QUOTED: Final = re.compile(r"``(.+?)``")

HEADERS: Final[Mapping[str, str]] = {
    "X-Request-Id": "UUID of this request. Give it when you report a problem.",
    "X-Request-Duration-Ms": "How long the gateway took, in milliseconds.",
    "Server-Timing": "Where that time went: auth, limits, journal, sign, venue.",
    "X-RateLimit-Limit-Minute": "Requests per minute that the account may make. On every answer to a known key.",
    "X-RateLimit-Remaining-Minute": "How many of them are left in this UTC minute.",
    "X-RateLimit-Limit-Day": "Requests per day that the account may make.",
    "X-RateLimit-Remaining-Day": "How many of them are left until midnight UTC.",
    "Retry-After": "Seconds to wait before trying again. On 429, and where a 502 or 503 can tell.",
}

_RETRY_STATUSES: Final = frozenset({429, 502, 503})
_INTRODUCTION: Final = (
    "One JSON contract for many crypto venues. Every request is a POST to /v1 whose operation field says what to do. "
    "Numbers are decimal strings both ways; a JSON number is accepted and read exactly. An order that may have reached "
    "an exchange without an answer is reported as UNKNOWN with HTTP 202, never as failed, and the same clientOrderId "
    "sent again never places a second order."
)


def document(operations: Mapping[str, Operation], *, server_url: str | None) -> Json:
    """OpenAPI 3.1 for these operations. ``server_url`` is None where callers use the host they got it from."""
    requests, replies, schemas = _schemas(list(operations.values()))
    found: Json = {
        "openapi": "3.1.0",
        "info": {
            "title": "Venuegate",
            "version": version("venuegate"),
            "description": _INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": _tags(operations.values()),
        "security": [{"ApiKey": []}, {"Bearer": []}],
        "paths": {
            "/v1": {"post": _v1(operations, requests, replies, schemas)},
            "/healthz": {"get": _healthz()},
            "/readyz": {"get": _readyz()},
        },
        "components": {
            "securitySchemes": {
                "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "Preferred."},
                "Bearer": {"type": "http", "scheme": "bearer", "description": "The same key as a bearer token."},
            },
            "headers": {name: {"description": text, "schema": _header(name)} for name, text in HEADERS.items()},
            "schemas": {**schemas, "Error": _error()},
        },
    }
    if server_url is not None:
        found["servers"] = [{"url": server_url}]
    return found


def error_classes() -> list[type[GatewayError]]:
    """Every error with a code of its own, by status, then as ``normalization.errors`` has them."""
    found = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, GatewayError)]
    return sorted((e for e in found if "code" in vars(e)), key=lambda e: e.status)


def summary(error: type[GatewayError]) -> str:
    """The first line of its docstring, as prose for callers."""
    return prose((error.__doc__ or "").strip().partition("\n")[0])


def prose(docstring: str) -> str:
    """A docstring with its names as they are on the wire: ````trigger_price```` is `triggerPrice`."""
    return _QUOTED.sub(lambda quoted: f"`{_camel(quoted[1])}`", " ".join(docstring.split()))


def _camel(name: str) -> str:
    return re.sub(r"(?<=[a-z])_([a-z])", lambda letter: letter[1].upper(), name)


def _schemas(operations: Sequence[Operation]) -> tuple[list[Json], list[Json], Json]:
    """A reference to each operation's request and reply, and the components that they refer to."""
    types = [*(o.request for o in operations), *(o.reply for o in operations)]
    refs, raw = msgspec.json.schema_components(types, ref_template=_REF)
    components: Json = {name: tidied(schema) for name, schema in raw.items()}
    requests, replies = list(refs[: len(operations)]), list(refs[len(operations) :])
    for operation, ref in zip(operations, requests, strict=True):
        schema = _resolved(ref, components)
        schema["properties"]["operation"] = {"const": operation.name}
        schema["description"] = " ".join(filter(None, (operation.description, schema.get("description"))))
        schema["examples"] = [{"operation": operation.name, **operation.example}]
    for ref in replies:
        schema = _resolved(ref, components)
        # What has a default is always in a reply; what may be absent has none.
        always = [name for name, field in schema["properties"].items() if "default" in field]
        for name in always:
            del schema["properties"][name]["default"]
        schema["properties"]["success"] = {"const": True}
        schema["required"] = [*always, *(n for n in schema.get("required", ()) if n not in always)]
    return requests, replies, components


def _resolved(ref: Json, components: Json) -> Json:
    schema: Json = components[ref["$ref"].rpartition("/")[2]]
    return schema


def tidied(schema: Any) -> Any:
    """msgspec's schema in the words of callers: decimals as strings or numbers, portable patterns, names in prose."""
    if isinstance(schema, list):
        return [tidied(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: tidied(value) for key, value in schema.items()}
    if found.get("format") == "decimal":
        del found["format"]
        found |= {"type": ["string", "number"], "pattern": _NUMBER, "exclusiveMinimum": 0}
    if isinstance(found.get("pattern"), str):
        found["pattern"] = found["pattern"].replace(r"\Z", "$").replace(r"\d", "[0-9]")
    if isinstance(found.get("description"), str):
        found["description"] = prose(found["description"])
    if isinstance(found.get("enum"), list):
        found["enum"] = sorted(found["enum"], key=lambda v: (str(type(v)), float(v) if str(v).isdecimal() else 0))
    if "default" in found and found["default"] is None:
        del found["default"]
    return _without_null_branch(found)


def _without_null_branch(schema: Json) -> Json:
    """``anyOf`` a typed schema and null, as that schema with two types."""
    branches = schema.get("anyOf")
    if not isinstance(branches, list) or len(branches) != 2 or branches[1] != {"type": "null"}:
        return schema
    typed = branches[0]
    if "type" not in typed or "enum" in typed:
        return schema
    types = typed["type"] if isinstance(typed["type"], list) else [typed["type"]]
    outer = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**typed, **outer, "type": [*types, "null"]}


def _tags(operations: Iterable[Operation]) -> list[Json]:
    names: dict[str, list[str]] = defaultdict(list)
    for operation in operations:
        names[operation.group].append(operation.name)
    return [
        *({"name": group, "description": ", ".join(members)} for group, members in names.items()),
        {"name": "Health", "description": "For load balancers and supervisors; no key needed."},
    ]


def _v1(operations: Mapping[str, Operation], requests: list[Json], replies: list[Json], components: Json) -> Json:
    rows = list(zip(operations.values(), requests, replies, strict=True))
    return {
        "operationId": "v1",
        "summary": "Carry out one operation",
        "description": "The operation field says which. " + _INTRODUCTION,
        "tags": list(dict.fromkeys(str(operation.group) for operation in operations.values())),
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "oneOf": requests,
                        "discriminator": {
                            "propertyName": "operation",
                            "mapping": {operation.name: ref["$ref"] for operation, ref, _ in rows},
                        },
                    },
                    "examples": {
                        operation.name: {
                            "summary": operation.description,
                            "value": {"operation": operation.name, **operation.example},
                        }
                        for operation, _, _ in rows
                    },
                }
            },
        },
        "responses": {**_successes(rows, components), **_failures()},
        "x-operations": [_row(*row) for row in rows],
    }


def _row(operation: Operation, request: Json, reply: Json) -> Json:
    return {
        "name": operation.name,
        "group": operation.group,
        "description": operation.description,
        "minimumTier": operation.minimum_tier,
        "readOnly": operation.read_only,
        "destructive": operation.destructive,
        "idempotent": operation.idempotent,
        "request": request,
        "reply": reply,
    }


def _successes(rows: Sequence[tuple[Operation, Json, Json]], components: Json) -> Json:
    examples = {
        operation.name: {"value": example_of(reply, components, operation.example)} for operation, _, reply in rows
    }
    doubtful = [ref for operation, _, ref in rows if may_be_unknown(operation)]
    return {
        "200": {
            "description": "Done. Which of these it is follows from the operation.",
            "headers": _headers(200),
            "content": {
                "application/json": {"schema": {"anyOf": _once(ref for *_, ref in rows)}, "examples": examples}
            },
        },
        "202": {
            "description": "Sent, but the exchange has not said what became of it: status is UNKNOWN. Ask getOrder, or "
            "send the same request with the same clientOrderId again; never place it under another id.",
            "headers": _headers(202),
            "content": {"application/json": {"schema": {"anyOf": _once(doubtful)}}},
        },
    }


def may_be_unknown(operation: Operation) -> bool:
    """Whether it may be answered with 202: its reply decides on the status itself."""
    return operation.reply.http_status is not Reply.http_status


def _once(refs: Iterable[Json]) -> list[Json]:
    return list({ref["$ref"]: ref for ref in refs}.values())


def _failures() -> Json:
    by_status: dict[int, list[type[GatewayError]]] = defaultdict(list)
    for error in error_classes():
        # It is about every other path.
        if error is not errors.NotFound:
            by_status[error.status].append(error)
    return {str(status): _failure(status, classes) for status, classes in by_status.items()}


def _failure(status: int, classes: Sequence[type[GatewayError]]) -> Json:
    return {
        "description": "\n".join(f"- `{error.code}`: {summary(error)}" for error in classes),
        "headers": _headers(status),
        "content": {
            "application/json": {
                "schema": {
                    "allOf": [
                        {"$ref": _REF.format(name="Error")},
                        {"properties": {"code": {"enum": [error.code for error in classes]}}},
                    ]
                },
                "examples": {
                    error.code: {"value": {"success": False, "code": error.code, "error": summary(error)}}
                    for error in classes
                },
            }
        },
    }


def _error() -> Json:
    return {
        "title": "Error",
        "description": "What every refusal looks like. `code` is stable; `error` is for people and may change.",
        "type": "object",
        "properties": {
            "success": {"const": False},
            "code": {"enum": [error.code for error in error_classes()]},
            "error": {"type": "string"},
            "details": {
                "type": "object",
                "description": "What a program can act on: `field` and `expected` of a wrong parameter, `suggestions`, "
                "`outcome`, `reason` and `retryable` of an exchange's refusal.",
            },
        },
        "required": ["success", "code", "error"],
    }


def _headers(status: int) -> Json:
    names = (name for name in HEADERS if name != "Retry-After" or status in _RETRY_STATUSES)
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _header(name: str) -> Json:
    if name == "X-Request-Id":
        return {"type": "string", "format": "uuid"}
    if name == "Server-Timing":
        return {"type": "string"}
    return {"type": "number" if name.endswith("-Ms") else "integer", "minimum": 0}


def _healthz() -> Json:
    return {
        "operationId": "healthz",
        "summary": "Whether the process answers",
        "tags": ["Health"],
        "security": [],
        "responses": {"200": _plain("It does.", {"status": {"const": "ok"}})},
    }


def _readyz() -> Json:
    by_part = {"type": "object", "additionalProperties": {"type": "string"}}
    return {
        "operationId": "readyz",
        "summary": "Whether it can take requests",
        "tags": ["Health"],
        "security": [],
        "responses": {
            "200": _plain(
                "It can; degraded says what it does without, by part.",
                {"status": {"const": "ready"}, "problems": by_part, "degraded": by_part},
            ),
            "503": _plain(
                "It cannot: problems say why, by part.",
                {"status": {"const": "not ready"}, "problems": by_part, "degraded": by_part},
            ),
        },
    }


def _plain(description: str, properties: Json) -> Json:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"description": description, "content": {"application/json": {"schema": schema}}}
