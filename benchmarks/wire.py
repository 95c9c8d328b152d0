"""What the benchmark and the servers it starts say to each other, and the requests that are sent to them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Final

import msgspec

from mcp_server.catalog import snake_case
from mcp_server.protocol import HANDSHAKE_VERSIONS

_MCP_ACCEPT: Final = "Accept: application/json, text/event-stream\r\n"
FAR_BELOW_THE_MARKET: Final = "20000"


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """An account with a key and a credential, as a client knows them."""

    key: str
    credential_id: str


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """A server's first line: it listens on ``port``."""

    port: int
    callers: list[Caller]


class Gaps(msgspec.Struct, frozen=True, kw_only=True):
    """How late a 1 ms ticker of an event loop was at worst, and the most CPU its thread used between two ticks."""

    late_ms: float = 0.0
    busy_ms: float = 0.0


class Accounts(msgspec.Struct, frozen=True, kw_only=True):
    """A server's own accounting: CPU seconds of all its threads, resident bytes, database commits since start.

    ``open_files`` and ``threads`` are how many it has. ``gaps`` are those of its event loop since the last accounts,
    where somebody looks.
    """

    cpu_s: float
    rss_bytes: int
    commits: int
    open_files: int
    threads: int
    gaps: Gaps = Gaps()


Requests = Callable[[Sequence[Caller]], Iterator[bytes]]


def post(caller: Caller, body: dict[str, Any]) -> bytes:
    """The bytes of one ``POST /v1``, with the headers that an ordinary client sends."""
    return _posted("/v1", f"Accept: */*\r\nX-API-Key: {caller.key}\r\n", body)


def call(caller: Caller, body: dict[str, Any]) -> bytes:
    """The same operation as an MCP client calls its tool, one that holds no session."""
    headers = f"{_MCP_ACCEPT}Authorization: Bearer {caller.key}\r\nMCP-Protocol-Version: {HANDSHAKE_VERSIONS[0]}\r\n"
    arguments = {name: value for name, value in body.items() if name != "operation"}
    params = {"name": snake_case(body["operation"]), "arguments": arguments}
    return _posted("/mcp", headers, {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})


def hello() -> bytes:
    """An MCP client without a key opens a session."""
    client = {"name": "benchmark", "version": "1"}
    params = {"protocolVersion": HANDSHAKE_VERSIONS[0], "capabilities": {}, "clientInfo": client}
    return _posted("/mcp", _MCP_ACCEPT, {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})


def _posted(path: str, headers: str, body: dict[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\n"
        "Host: 127.0.0.1\r\n"
        "Accept-Encoding: gzip, deflate\r\n"
        "User-Agent: benchmark/1.0\r\n"
        "Connection: keep-alive\r\n"
        f"{headers}"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


_RESTING: Final = {
    "market": "BTC-USD-PERP",
    "side": "BUY",
    "size": "0.001",
    "price": FAR_BELOW_THE_MARKET,
    "postOnly": True,
}


def limit_order(caller: Caller, client_order_id: str) -> bytes:
    """A post-only order that rests far from the market."""
    return post(caller, _limit_order(caller, client_order_id))


def called_limit_order(caller: Caller, client_order_id: str) -> bytes:
    return call(caller, _limit_order(caller, client_order_id))


def _limit_order(caller: Caller, client_order_id: str) -> dict[str, Any]:
    addressed = {"credentialId": caller.credential_id, "clientOrderId": client_order_id}
    return {"operation": "placeLimitOrder", **addressed, **_RESTING}


def batch_of_ten(caller: Caller, client_order_id: str) -> bytes:
    """Ten of the same at once."""
    addressed = {"credentialId": caller.credential_id, "clientOrderId": client_order_id}
    legs = [{"orderType": "LIMIT", **_RESTING}] * 10
    return post(caller, {"operation": "placeBatchOrder", **addressed, "orders": legs})


def mark_price(caller: Caller) -> bytes:
    return post(caller, _mark_price(caller))


def _mark_price(caller: Caller) -> dict[str, Any]:
    return {"operation": "getMarkPrice", "credentialId": caller.credential_id, "market": "BTC-USD-PERP"}


def round_trip(caller: Caller, client_order_id: str) -> Sequence[bytes]:
    """What leaves a caller as it found him: an order placed, looked for and canceled; a purchase, sold again."""
    addressed = {"credentialId": caller.credential_id, "market": "BTC-USD-PERP"}
    trade = {"operation": "placeMarketOrder", **addressed, "size": "0.001"}
    return (
        limit_order(caller, client_order_id),
        post(caller, {"operation": "getOrders", "credentialId": caller.credential_id}),
        mark_price(caller),
        post(
            caller,
            {"operation": "cancelOrder", "credentialId": caller.credential_id, "clientOrderId": client_order_id},
        ),
        post(caller, {**trade, "side": "BUY", "clientOrderId": f"{client_order_id}-b"}),
        post(caller, {**trade, "side": "SELL", "clientOrderId": f"{client_order_id}-s"}),
    )


def same_orders(callers: Sequence[Caller]) -> Iterator[bytes]:
    """One order per caller, over and over: for servers that keep none."""
    return itertools.cycle([limit_order(caller, "benchmark-order-1") for caller in callers])


def reads(callers: Sequence[Caller]) -> Iterator[bytes]:
    return itertools.cycle([mark_price(caller) for caller in callers])


def called_reads(callers: Sequence[Caller]) -> Iterator[bytes]:
    return itertools.cycle([call(caller, _mark_price(caller)) for caller in callers])


class NewOrders:
    """Orders whose ids never come again, however many loads ask for some."""

    _numbers: ClassVar[Iterator[int]] = itertools.count()

    def __init__(self, make: Callable[[Caller, str], bytes]) -> None:
        self._make = make

    def __call__(self, callers: Sequence[Caller]) -> Iterator[bytes]:
        for caller in itertools.cycle(callers):
            yield self._make(caller, f"benchmark-{next(self._numbers):09d}")
