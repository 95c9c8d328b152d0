"""JSON-RPC as MCP uses it: bytes to a ``Message``, results and errors to bytes.

Two eras are spoken. Up to 2025-11-25 a client shakes hands with ``initialize`` and may hold a session; from 2026-07-28
on every request stands alone and says in ``_meta`` and headers what it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, Final, Literal

import msgspec

from normalization.errors import GatewayError

MODERN_VERSION: Final = "2026-07-28"
HANDSHAKE_VERSIONS: Final = ("2025-11-25", "2025-06-18", "2025-03-26")
SUPPORTED_VERSIONS: Final = (MODERN_VERSION, *HANDSHAKE_VERSIONS)

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
HEADER_MISMATCH: Final = -32020
MISSING_CAPABILITY: Final = -32021
UNSUPPORTED_VERSION: Final = -32022

_NO_PARAMS: Final[Mapping[str, msgspec.Raw]] = {}


class _Usual(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request with what nearly every client puts into one, and nothing else."""

    jsonrpc: Literal["2.0"]
    id: msgspec.Raw
    method: str
    params: dict[str, msgspec.Raw]


_usual: Final = msgspec.json.Decoder(_Usual)
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_id: Final = msgspec.json.Decoder(str | int)
_word: Final = msgspec.json.Decoder(str)


class RpcError(Exception):
    """An answer that is an error of the protocol, or of the gateway outside a call: then ``cause`` says which.

    ``status`` is HTTP's; ``id`` the request's, as JSON, where known.
    """

    def __init__(
        self,
        code: int,
        message: str,
        *,
        status: int = 200,
        data: Any = None,
        id: bytes = b"null",
        cause: GatewayError | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.data = data
        self.id = id
        self.cause = cause

    def body(self) -> bytes:
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.data is not None:
            error["data"] = self.data
        return b'{"jsonrpc":"2.0","id":' + self.id + b',"error":' + msgspec.json.encode(error) + b"}"


class Kind(Enum):
    REQUEST = auto()
    NOTIFICATION = auto()
    RESPONSE = auto()


class Message(msgspec.Struct, frozen=True):
    """One JSON-RPC message. ``id`` is JSON, empty where there is none.

    ``params`` are those of a request, or the members of a response's result; they are not decoded yet.
    """

    kind: Kind
    id: bytes
    method: str
    params: Mapping[str, msgspec.Raw]

    def meta(self) -> Mapping[str, msgspec.Raw]:
        """``params._meta``, empty where it is absent or not an object."""
        return members_of(self.params.get("_meta"))

    def progress_token(self) -> bytes | None:
        """What the client calls the progress of this request, as JSON; None where it wants to hear of none."""
        raw = self.meta().get("progressToken")
        if raw is None:
            return None
        try:
            _id.decode(raw)
        except msgspec.DecodeError:
            return None
        return bytes(raw)

    def text(self, name: str) -> str | None:
        """A parameter that should be a string; None where it is absent or something else."""
        return text_of(self.params.get(name))


def members_of(raw: msgspec.Raw | None) -> Mapping[str, msgspec.Raw]:
    """The members of an object; none where it is absent or something else."""
    if raw is None:
        return _NO_PARAMS
    try:
        return _members.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return _NO_PARAMS


def text_of(raw: msgspec.Raw | None) -> str | None:
    if raw is None:
        return None
    try:
        return _word.decode(raw)
    except msgspec.DecodeError:
        return None


def read(body: bytes) -> Message:
    """:raises RpcError: it is not JSON, or not one JSON-RPC 2.0 message; with HTTP status 400."""
    return _read_usual(body) or _read_any(body)


def _read_usual(body: bytes) -> Message | None:
    """None where it is not beyond doubt: then it is for ``_read_any`` to say what it is."""
    if not body.isascii():
        return None
    try:
        usual = _usual.decode(body)
        _id.decode(usual.id)
    except (msgspec.DecodeError, RecursionError):
        return None
    params = usual.params
    inside = sum([bytes(raw).count(b":") for raw in params.values()])
    if body.count(b":") != len(usual.__struct_fields__) + len(params) + inside:
        # A name stands twice, or has a colon in it.
        return None
    return Message(Kind.REQUEST, bytes(usual.id), usual.method, params)


def _read_any(body: bytes) -> Message:
    members = _decoded(body)
    method = text_of(members.get("method"))
    id = _read_id(members.get("id"))
    if text_of(members.get("jsonrpc")) != "2.0":
        raise _invalid('jsonrpc must be "2.0"', id)
    if "method" not in members and ("result" in members or "error" in members):
        return Message(Kind.RESPONSE, id, "", members_of(members.get("result")))
    if method is None:
        raise _invalid("method must be a string", id)
    params = _read_params(members.get("params"), id)
    _refuse_duplicate_names(body, members, params, id)
    return Message(Kind.REQUEST if id else Kind.NOTIFICATION, id, method, params)


def result(id: bytes, value: bytes) -> bytes:
    return b'{"jsonrpc":"2.0","id":' + id + b',"result":' + value + b"}"


def request(id: str, method: str, params: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode({"jsonrpc": "2.0", "id": id, "method": method, "params": params})


def notification(method: str, params: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode({"jsonrpc": "2.0", "method": method, "params": params})


def event(message: bytes) -> bytes:
    """A message as one server-sent event. JSON from here has no line ends in it."""
    return b"event: message\ndata: " + message + b"\n\n"


def _decoded(body: bytes) -> Mapping[str, msgspec.Raw]:
    try:
        if not body.isascii():
            body.decode()
        return _members.decode(body)
    except msgspec.ValidationError:
        raise _invalid("the body must be one JSON-RPC message: a batch is not taken", b"") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RpcError(PARSE_ERROR, "Parse error: the body is not JSON", status=400) from None


def _read_id(raw: msgspec.Raw | None) -> bytes:
    if raw is None:
        return b""
    try:
        _id.decode(raw)
    except msgspec.DecodeError:
        raise _invalid("id must be a string or an integer", b"") from None
    return bytes(raw)


def _read_params(raw: msgspec.Raw | None, id: bytes) -> Mapping[str, msgspec.Raw]:
    if raw is None:
        return _NO_PARAMS
    try:
        return _members.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        raise RpcError(INVALID_PARAMS, "Invalid params: expected an object", status=400, id=id or b"null") from None


def _refuse_duplicate_names(
    body: bytes, members: Mapping[str, msgspec.Raw], params: Mapping[str, msgspec.Raw], id: bytes
) -> None:
    """A name that stands twice is read one way here and another way by whatever else looks at the message.

    Every member brings a colon of its own; the rest of them are inside values. The arguments of a call are checked
    where they are decoded.
    """
    inside = sum(bytes(raw).count(b":") for name, raw in members.items() if name != "params")
    inside += sum(bytes(raw).count(b":") for raw in params.values())
    if body.count(b":") == len(members) + len(params) + inside:
        return

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) != len(pairs):
            raise _invalid("a name stands twice in one object", id)
        return dict(pairs)

    try:
        json.loads(body, object_pairs_hook=unique, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        raise RpcError(PARSE_ERROR, "Parse error: the body is not JSON", status=400) from None


def _invalid(problem: str, id: bytes) -> RpcError:
    return RpcError(INVALID_REQUEST, f"Invalid request: {problem}", status=400, id=id or b"null")
