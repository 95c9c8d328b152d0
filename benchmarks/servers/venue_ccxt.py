"""ccxt called directly, as shipped, for every order that a benchmark asks for over a socket.

What takes the order from the socket is a bare protocol, so that nearly all that is counted is ccxt's. Its own rate
limiter is off, which only lets it be measured faster, and no Hyperliquid builder is approved for it to pay.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import ccxt.async_support as ccxt  # type: ignore[import-untyped]

from benchmarks.servers.local_venue import AtVenue, local_venue
from benchmarks.servers.serving import Serving
from benchmarks.wire import Caller

ACCOUNTS: Final = 4
_HEAD_END: Final = b"\r\n\r\n"

Place = Callable[[Mapping[str, Any]], Awaitable[None]]


class Front(asyncio.Protocol):
    """One order at a time: its body is read, ccxt places it, and 16 bytes are answered."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(_HEAD_END)
        if found and len(body) == int(head.rpartition(b"Content-Length: ")[2].partition(b"\r\n")[0]):
            self._buffer = b""
            task = asyncio.get_running_loop().create_task(self._answer(json.loads(body)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, order: Mapping[str, Any]) -> None:
        try:
            await self._place(order)
        except Exception as failure:
            answer = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nX-Why: " + repr(failure)[:300].encode()
        else:
            answer = b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"success":true}'
        if self._transport is not None:
            self._transport.write(answer)


def _hyperliquid(venue: AtVenue, account: Mapping[str, str]) -> Any:
    exchange: Any = ccxt.hyperliquid(
        {
            "walletAddress": account["account_address"],
            "privateKey": account["private_key"],
            "enableRateLimit": False,
            "options": {"sandboxMode": True, "approvedBuilderFee": False, "builderFee": False},
        }
    )
    exchange.urls["api"] = {"public": venue.url, "private": venue.url}
    return exchange


def _paradex(venue: AtVenue, account: Mapping[str, str]) -> Any:
    exchange: Any = ccxt.paradex({"enableRateLimit": False})
    exchange.urls["api"] = {"v1": f"{venue.url}/v1", "v2": f"{venue.url}/v2"}
    exchange.options["paradexAccount"] = {
        "privateKey": account["private_key"],
        "address": account["account_address"],
        "publicKey": "0x0",
    }
    return exchange


@asynccontextmanager
async def _serving(
    exchange: str, symbol: str, connect: Callable[[AtVenue, Mapping[str, str]], Any], directory: Path, callers: int
) -> AsyncIterator[Serving]:
    async with local_venue(exchange, directory / "venue", ACCOUNTS) as venue:
        clients = [connect(venue, account) for account in venue.accounts]
        for client in clients:
            await client.load_markets()
        turns: Iterator[Any] = itertools.cycle(clients)

        async def place(order: Mapping[str, Any]) -> None:
            params = {"postOnly": True}
            await next(turns).create_order(
                symbol, "limit", order["side"].lower(), order["size"], order["price"], params
            )

        server = await asyncio.get_running_loop().create_server(lambda: Front(place), "127.0.0.1", 0)
        try:
            nobody = Caller(key="mt_test_" + 43 * "0", credential_id="00000000-0000-4000-8000-000000000000")
            yield Serving(port=server.sockets[0].getsockname()[1], callers=[nobody])
        finally:
            server.close()
            for client in clients:
                await client.close()


hyperliquid = partial(_serving, "hyperliquid", "BTC/USDC:USDC", _hyperliquid)
paradex = partial(_serving, "paradex", "BTC/USD:USDC", _paradex)
