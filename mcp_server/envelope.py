"""Which era a message belongs to, and the rules of the later one: what ``_meta`` and the headers must say."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Final

import msgspec
from multidict import CIMultiDict, CIMultiDictProxy, istr

from mcp_server.protocol import (
    HANDSHAKE_VERSIONS,
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    MODERN_VERSION,
    SUPPORTED_VERSIONS,
    UNSUPPORTED_VERSION,
    Kind,
    Message,
    RpcError,
    text_of,
)

VERSION_HEADER: Final = istr("MCP-Protocol-Version")
_METHOD_HEADER: Final = istr("Mcp-Method")
_NAME_HEADER: Final = istr("Mcp-Name")
_VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"
_CAPABILITIES_KEY: Final = "io.modelcontextprotocol/clientCapabilities"
_NAMED: Final[Mapping[str, str]] = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_ENCODED: Final = re.compile(r"=\?base64\?(.*)\?=")

Headers = CIMultiDictProxy[str]


def envelope_headers(headers: Headers) -> Headers:
    """Those of ``headers`` that say what a message is, and nothing of whose it is."""
    ours = (VERSION_HEADER, _METHOD_HEADER, _NAME_HEADER)
    return CIMultiDictProxy(CIMultiDict([(name, value) for name in ours for value in headers.getall(name, [])]))


def is_modern(message: Message, headers: Headers) -> bool:
    """Whether it stands alone, as every request from 2026-07-28 on does; checked as far as its kind needs it.

    :raises RpcError: its version is none of ours, or it breaks a rule of its era; with HTTP status 400.
    """
    version = headers.get(VERSION_HEADER)
    meta = message.meta()
    if version != MODERN_VERSION and _VERSION_KEY not in meta:
        require_handshake_version(version, message.id)
        return False
    if message.kind is Kind.RESPONSE:
        raise RpcError(INVALID_REQUEST, "Invalid request: this version takes no responses", status=400)
    if message.kind is Kind.REQUEST:
        _require_envelope(message, meta, headers)
    return True


def client_capabilities(message: Message) -> msgspec.Raw | None:
    """What a client of the later era can do, which it says with every request."""
    return message.meta().get(_CAPABILITIES_KEY)


def require_handshake_version(version: str | None, id: bytes = b"") -> None:
    """:raises RpcError: unless it is one of ours, or absent, which says 2025-03-26."""
    if version is not None and version not in HANDSHAKE_VERSIONS:
        raise _unsupported(version, id)


def _require_envelope(message: Message, meta: Mapping[str, msgspec.Raw], headers: Headers) -> None:
    missing = [key for key in (_VERSION_KEY, _CAPABILITIES_KEY) if key not in meta]
    if missing:
        raise RpcError(INVALID_PARAMS, f"params._meta is missing {' and '.join(missing)}", status=400, id=message.id)
    version = text_of(meta[_VERSION_KEY])
    if version is None or not bytes(meta[_CAPABILITIES_KEY]).startswith(b"{"):
        raise RpcError(
            INVALID_PARAMS,
            f"params._meta: expected a string in {_VERSION_KEY} and an object in {_CAPABILITIES_KEY}",
            status=400,
            id=message.id,
        )
    _require_header(headers, VERSION_HEADER, version, message.id)
    _require_header(headers, _METHOD_HEADER, message.method, message.id)
    if (parameter := _NAMED.get(message.method)) is not None:
        _require_header(headers, _NAME_HEADER, message.text(parameter) or "", message.id, may_be_encoded=True)
    if version != MODERN_VERSION:
        raise _unsupported(version, message.id)


def _require_header(headers: Headers, name: str, expected: str, id: bytes, *, may_be_encoded: bool = False) -> None:
    values = headers.getall(name, [])
    if len(values) == 1:
        value: str | None = values[0].strip(" \t")
        if may_be_encoded:
            value = _plain(values[0].strip(" \t"))
        if value == expected:
            return
    problem = "is missing" if not values else "stands twice" if len(values) > 1 else "does not match the body"
    raise RpcError(HEADER_MISMATCH, f"Header mismatch: {name} {problem}", status=400, id=id)


def _plain(value: str) -> str | None:
    """A header's value without its encoding; None where that is broken, so that it matches nothing."""
    encoded = _ENCODED.fullmatch(value)
    if encoded is None:
        return value
    try:
        found = base64.b64decode(encoded[1], validate=True)
        # Python reads encodings that nobody writes; two spellings of one name must not both pass.
        return found.decode() if base64.b64encode(found).decode() == encoded[1] else None
    except (binascii.Error, UnicodeDecodeError):
        return None


def _unsupported(requested: str, id: bytes) -> RpcError:
    return RpcError(
        UNSUPPORTED_VERSION,
        f"Unsupported protocol version: expected one of {', '.join(SUPPORTED_VERSIONS)}",
        status=400,
        data={"supported": list(SUPPORTED_VERSIONS), "requested": requested[:64]},
        id=id or b"null",
    )
