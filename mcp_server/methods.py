"""The methods that are no calls: what the server says of itself and of its tools. Results are JSON objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.auth import Principal
from mcp_server.catalog import Catalog, Groups
from mcp_server.protocol import HANDSHAKE_VERSIONS, INVALID_PARAMS, SUPPORTED_VERSIONS, Message, RpcError
from mcp_server.results import SERVER_INFO

_LIST_MAY_BE_KEPT_MS: Final = 60_000
_DISCOVERY_MAY_BE_KEPT_MS: Final = 3_600_000
_CAPABILITIES: Final[Mapping[str, Mapping[str, bool]]] = {"tools": {}}
# A session that signs up has other tools afterwards.
_IN_SESSIONS: Final[Mapping[str, Mapping[str, bool]]] = {"tools": {"listChanged": True}}
# What a key may use is its own business, what the server is everybody's.
_LIST_HINTS: Final = f',"ttlMs":{_LIST_MAY_BE_KEPT_MS},"cacheScope":"private"'.encode()


class Methods:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._instructions = catalog.instructions()
        self._discovered = msgspec.json.encode(
            {
                "supportedVersions": SUPPORTED_VERSIONS,
                "capabilities": _CAPABILITIES,
                "serverInfo": SERVER_INFO,
                "instructions": self._instructions,
                "ttlMs": _DISCOVERY_MAY_BE_KEPT_MS,
                "cacheScope": "public",
            }
        )

    def initialize(self, message: Message) -> bytes:
        """:raises RpcError: the client does not say which version it speaks."""
        asked = message.text("protocolVersion")
        if asked is None:
            raise RpcError(INVALID_PARAMS, "Invalid params: protocolVersion must be a string", id=message.id)
        return msgspec.json.encode(
            {
                # A client that cannot speak this one ends the connection, as the protocol has it.
                "protocolVersion": asked if asked in HANDSHAKE_VERSIONS else HANDSHAKE_VERSIONS[0],
                "capabilities": _IN_SESSIONS,
                "serverInfo": SERVER_INFO,
                "instructions": self._instructions,
            }
        )

    def discover(self) -> bytes:
        return self._discovered

    def list_tools(
        self, message: Message, principal: Principal | None, groups: Groups | None, *, modern: bool
    ) -> bytes:
        """:raises RpcError: it asks for a second page; there is one."""
        cursor = message.params.get("cursor")
        if cursor is not None and bytes(cursor) != b"null":
            raise RpcError(INVALID_PARAMS, "Invalid params: the list has one page, so no cursor", id=message.id)
        listed = self._catalog.listed(principal, groups)
        return b'{"tools":' + listed + (_LIST_HINTS if modern else b"") + b"}"
