"""A served gateway with a scripted venue, an account and a key, spoken to as an MCP client speaks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import msgspec
from multidict import CIMultiDictProxy

from gateway.operations.table import OPERATIONS
from mcp_server.catalog import snake_case
from storage.ports import Account, Scopes, Tier
from tests.support.scripted_venue import ScriptedVenue
from tests.support.served import Served

MODERN = "2026-07-28"
BOTH = "application/json, text/event-stream"
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"


class Answered(msgspec.Struct, frozen=True):
    status: int
    headers: CIMultiDictProxy[str]
    text: str

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Every JSON-RPC message, whether the answer is one or a stream of events."""
        if self.headers["Content-Type"] == "text/event-stream":
            lines = (line for line in self.text.splitlines() if line.startswith("data: "))
            return [json.loads(line.removeprefix("data: ")) for line in lines]
        return [json.loads(self.text)]

    @property
    def message(self) -> dict[str, Any]:
        return self.messages[-1]

    @property
    def result(self) -> dict[str, Any]:
        result = self.message["result"]
        assert isinstance(result, dict)
        return result

    @property
    def error(self) -> dict[str, Any]:
        error = self.message["error"]
        assert isinstance(error, dict)
        return error

    @property
    def structured(self) -> dict[str, Any]:
        structured = self.result["structuredContent"]
        assert isinstance(structured, dict)
        return structured


class McpDesk:
    def __init__(self, gateway: Served, venue: ScriptedVenue, account: Account, key: str, credential_id: str) -> None:
        self.gateway = gateway
        self.venue = venue
        self.account = account
        self.key = key
        self.credential_id = credential_id

    @property
    def url(self) -> str:
        return f"{self.gateway.url}/mcp"

    async def send(
        self, body: bytes | Mapping[str, Any], *, method: str = "POST", query: str = "", **headers: str
    ) -> Answered:
        """Whatever it is. Underscores of header names stand for hyphens."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", "Accept": BOTH}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        async with (
            asyncio.timeout(20),
            self.gateway.client.request(method, self.url + query, data=data or None, headers=sent) as response,
        ):
            return Answered(response.status, response.headers, await response.text())

    async def ask(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        key: str | None = "",
        query: str = "",
        **headers: str,
    ) -> Answered:
        """A request of the handshake era, with this desk's key unless another, or None, is given."""
        shown = self._shown(key)
        return await self.send(
            {"jsonrpc": "2.0", "id": 7, "method": method, "params": params or {}}, query=query, **shown, **headers
        )

    async def ask_alone(
        self, method: str, params: Mapping[str, Any] | None = None, *, key: str | None = "", **headers: str
    ) -> Answered:
        """A request of the later era, as its clients send it; ``headers`` replace theirs."""
        whole = {
            **(params or {}),
            "_meta": {VERSION_KEY: MODERN, CAPABILITIES_KEY: {}, **(params or {}).get("_meta", {})},
        }
        sent = {"MCP_Protocol_Version": MODERN, "Mcp_Method": method}
        if "name" in whole:
            sent["Mcp_Name"] = str(whole["name"])
        body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": whole}
        return await self.send(body, **(sent | self._shown(key) | headers))

    async def call(self, tool: str, arguments: Mapping[str, Any] | None = None, **more: Any) -> Answered:
        return await self.ask("tools/call", {"name": tool, "arguments": arguments or {}}, **more)

    async def session(self, key: str | None = None, **headers: str) -> str:
        """The id of a new session, nobody's unless a key is given."""
        answer = await self.ask("initialize", HELLO, key=key, **headers)
        assert answer.status == 200, answer.text
        return answer.headers["Mcp-Session-Id"]

    def with_credential(self, **fields: Any) -> dict[str, Any]:
        return {"credentialId": self.credential_id, **fields}

    def limit(self, **fields: Any) -> dict[str, Any]:
        return self.with_credential(market="BTC", side="BUY", size="0.01", price="94000", **fields)

    def market(self, **fields: Any) -> dict[str, Any]:
        return self.with_credential(market="BTC", side="BUY", size="0.01", **fields)

    async def another_key(self, tier: Tier = Tier.BUILDER, scopes: Scopes | None = None) -> str:
        """Of an account of its own."""
        return await self.gateway.key(await self.gateway.account(tier), scopes=scopes)

    def _shown(self, key: str | None) -> dict[str, str]:
        return {} if key is None else {"Authorization": f"Bearer {key or self.key}"}


# What a key is shown that is not told more: an operation that has to be named to a key is not among it.
SHOWN = [snake_case(name) for name, operation in OPERATIONS.items() if not operation.explicit_only]
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
