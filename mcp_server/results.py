"""What tools return, as bytes: the very body that ``POST /v1`` has, once as an object and once as its text."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

import msgspec

from normalization.errors import GatewayError

SERVER_INFO: Final = {"name": "venuegate", "title": "Venuegate", "version": version("venuegate")}
_MODERN: Final = (
    b'{"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":' + msgspec.json.encode(SERVER_INFO) + b"}"
)


_WITH_META: Final = b'{"_meta":{'


def complete(value: bytes, *, modern: bool) -> bytes:
    """A result, a JSON object, with what the later era wants to be in each."""
    if not modern:
        return value
    if value.startswith(_WITH_META):
        return _MODERN[:-1] + b"," + value.removeprefix(_WITH_META)
    return _MODERN + (b"}" if value == b"{}" else b"," + value[1:])


def of_body(body: bytes, *, is_error: bool) -> bytes:
    """A call's result. Some clients show only the text, others only the object."""
    return (
        b'{"content":[{"type":"text","text":'
        + msgspec.json.encode(body.decode())
        + b'}],"structuredContent":'
        + body
        + (b',"isError":true}' if is_error else b',"isError":false}')
    )


def with_meta(value: bytes, name: str, told: bytes) -> bytes:
    """A result with one more thing to tell beside it; ``told`` is JSON."""
    return _WITH_META + msgspec.json.encode(name) + b":" + told + b"}," + value[1:]


def of_error(error: GatewayError) -> bytes:
    """A refusal as the result of a call: what a model can read and act on."""
    return of_body(msgspec.json.encode(envelope(error)), is_error=True)


def envelope(error: GatewayError) -> dict[str, Any]:
    """The envelope of ``POST /v1``, with what stands there in a header: how long to wait."""
    details = dict(error.details or {})
    if error.retry_after_s is not None:
        details["retryAfterSeconds"] = error.retry_after_s
    body = {"success": False, "code": error.code, "error": error.message}
    return body | ({"details": details} if details else {})
