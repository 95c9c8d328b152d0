"""A venue in a process of its own, which executes whatever reaches it and writes every execution to disk first.

It knows no duplicates: an order that is sent twice is executed twice, and the ledger shows it. Its faults come from a
seed: replies that are lost, late or broken, before and after the order was executed. ``LedgerVenue`` is its adapter.
As a program, it is the venue: ``python -m tests.support.ledger_venue PORT LEDGER``; ``PUT /faults`` sets their rates.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
from aiohttp import web

from adapters.base import (
    Capabilities,
    Capability,
    CredentialField,
    Grouping,
    LegOutcome,
    Network,
    OpenCredential,
    Submission,
    VenueSession,
)
from adapters.registry import Venue, VenueContext
from normalization.instruments import Instrument
from normalization.orders import Order, OrderStatus, OrderType
from normalization.resolver import Markets
from normalization.venue_failures import (
    Reason,
    VenueDeferred,
    VenueNotReached,
    VenueRejected,
    VenueUnclear,
)
from sandbox.engine.noise import uniforms
from tests.support.end_with_parent import end_with_parent
from tests.support.scripted_venue import instrument

EXCHANGE: Final = "ledger"
MARKETS: Final = Markets(EXCHANGE, [instrument("BTC", "0.1", "0.00001", EXCHANGE)])
CAPABILITIES: Final = Capabilities(
    supports=frozenset({Capability.LIMIT_ORDER, Capability.ORDER, Capability.OPEN_ORDERS, Capability.CANCEL}),
    request_expiry=True,
    lookup_includes_finished=True,
    visibility_lag_ms=0,
)
TAKES_S: Final = 0.02
_HANGS_S: Final = 3.0
_HTML: Final = b"<html><body>502 Bad Gateway</body></html>"


class Fault(StrEnum):
    """What becomes of a placement. Of the first three it is true that it was not executed."""

    RESET_BEFORE = "reset_before"
    REFUSED = "refused"
    DEFERRED = "deferred"
    RESET_AFTER = "reset_after"
    HANG_AFTER = "hang_after"
    ERROR_AFTER = "error_after"
    HTML_AFTER = "html_after"
    CUT_SHORT = "cut_short"
    SLOW = "slow"
    NO_LOOKUP = "no_lookup"


class Execution(msgspec.Struct, frozen=True):
    """A line of the ledger."""

    account: str
    client_id: str
    order_id: str
    price: str


class Placement(msgspec.Struct, frozen=True):
    account: str
    client_id: str
    side: str
    size: str
    price: str
    valid_until_ms: int


class _Venue:
    def __init__(self, ledger: Path) -> None:
        self._file = ledger.open("ab")
        self._rates: Mapping[Fault, float] = {}
        self._orders: dict[tuple[str, str], tuple[str, Placement]] = {}
        self._seen: dict[str, int] = {}
        self._number = 0
        self._writes = asyncio.Lock()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/orders", self._place)
        app.router.add_get("/orders/{account}/{client_id}", self._find)
        app.router.add_put("/faults", self._set_faults)
        return app

    async def _set_faults(self, request: web.Request) -> web.Response:
        self._rates = msgspec.json.decode(await request.read(), type=dict[Fault, float])
        return web.Response()

    def _drawn(self, client_id: str, faults: Sequence[Fault]) -> Fault | None:
        seen = self._seen[client_id] = self._seen.get(client_id, 0) + 1
        for fault in faults:
            if uniforms(fault, client_id, seen)[0] < self._rates.get(fault, 0.0):
                return fault
        return None

    async def _place(self, request: web.Request) -> web.StreamResponse:
        placement = msgspec.json.decode(await request.read(), type=Placement)
        fault = self._drawn(placement.client_id, [fault for fault in Fault if fault is not Fault.NO_LOOKUP])
        match fault:
            case Fault.RESET_BEFORE:
                return _reset(request)
            case Fault.REFUSED:
                return web.json_response({"code": "INSUFFICIENT_FUNDS"}, status=400)
            case Fault.DEFERRED:
                return web.json_response({"code": "RATE_LIMITED"}, status=429)
            case Fault.SLOW:
                await asyncio.sleep(0.3)
        await asyncio.sleep(TAKES_S)
        if time.time() * 1000 > placement.valid_until_ms:
            return web.json_response({"code": "EXPIRED"}, status=400)
        order_id = await self._execute(placement)
        return await self._answer(request, fault, _order_json(order_id, placement))

    async def _execute(self, placement: Placement) -> str:
        """Written and flushed before anybody hears of it."""
        async with self._writes:
            self._number += 1
            order_id = f"x{self._number}"
            line = Execution(placement.account, placement.client_id, order_id, placement.price)
            self._file.write(msgspec.json.encode(line) + b"\n")
            self._file.flush()
            await asyncio.to_thread(os.fsync, self._file.fileno())
            self._orders[placement.account, placement.client_id] = (order_id, placement)
            return order_id

    async def _answer(self, request: web.Request, fault: Fault | None, answer: dict[str, Any]) -> web.StreamResponse:
        match fault:
            case Fault.RESET_AFTER:
                return _reset(request)
            case Fault.HANG_AFTER:
                await asyncio.sleep(_HANGS_S)
                return _reset(request)
            case Fault.ERROR_AFTER:
                return web.json_response({"code": "INTERNAL"}, status=500)
            case Fault.HTML_AFTER:
                return web.Response(body=_HTML, content_type="text/html")
            case Fault.CUT_SHORT:
                return web.Response(body=json.dumps(answer).encode()[:20], content_type="application/json")
            case _:
                return web.json_response(answer)

    async def _find(self, request: web.Request) -> web.StreamResponse:
        account, client_id = request.match_info["account"], request.match_info["client_id"]
        if self._drawn(f"{client_id}?", [Fault.NO_LOOKUP]) is not None:
            return web.json_response({"code": "INTERNAL"}, status=500)
        found = self._orders.get((account, client_id))
        return web.json_response(None if found is None else _order_json(*found))


def _reset(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def _order_json(order_id: str, placement: Placement) -> dict[str, Any]:
    return {"order_id": order_id, **msgspec.structs.asdict(placement)}


def executions(ledger: Path) -> list[Execution]:
    return [msgspec.json.decode(line, type=Execution) for line in ledger.read_bytes().splitlines()]


# The adapter.


class LedgerVenue:
    """Says "rejected" for two codes in a whole reply, and leaves every other word of the venue's in doubt."""

    def __init__(self, url: str) -> None:
        self.exchange = EXCHANGE
        self.networks = frozenset({Network.PAPER})
        self.capabilities = CAPABILITIES
        self.credential_fields: Sequence[CredentialField] = ()
        self._http = aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0))

    async def markets(self, network: Network) -> Markets:
        return MARKETS

    async def open(self, credential: OpenCredential) -> VenueSession:
        session: Any = LedgerSession(self._http, credential.credential_id)
        found: VenueSession = session
        return found

    def client_id(self, token: bytes) -> str:
        return token.hex()

    def describe(self, secrets: Mapping[str, str]) -> str:
        return ""

    async def close(self) -> None:
        await self._http.close()


class LedgerSession:
    """As much of a session as its capabilities name."""

    def __init__(self, http: aiohttp.ClientSession, account: str) -> None:
        self._http = http
        self._account = account

    async def place_order(self, submission: Submission) -> Order:
        placement = Placement(
            self._account,
            submission.client_id,
            submission.intent.side,
            str(submission.intent.size),
            str(submission.intent.price),
            submission.valid_until_ms,
        )
        status, body = await self._ask("POST", "/orders", msgspec.json.encode(placement))
        if status == 200 and isinstance(body, dict):
            return _order(body)
        match status, body.get("code") if isinstance(body, dict) else None:
            case 400, "INSUFFICIENT_FUNDS":
                raise VenueRejected(Reason.INSUFFICIENT_FUNDS, "too little")
            case 400, "EXPIRED":
                raise VenueRejected(Reason.REQUEST_EXPIRED, "too late")
            case 429, "RATE_LIMITED":
                raise VenueDeferred(Reason.VENUE_RATE_LIMITED, "too many", retry_after_s=1)
            case _:
                raise VenueUnclear(Reason.VENUE_UNAVAILABLE, f"HTTP {status}")

    async def place_orders(self, submissions: Sequence[Submission], grouping: Grouping) -> Sequence[LegOutcome]:
        raise NotImplementedError

    async def find_order(self, client_id: str, instrument: Instrument) -> Order | None:
        status, body = await self._ask("GET", f"/orders/{self._account}/{client_id}")
        if status != 200 or not (body is None or isinstance(body, dict)):
            raise VenueUnclear(Reason.VENUE_UNAVAILABLE, f"HTTP {status}")
        return None if body is None else _order(body)

    async def get_order(self, order_id: str, instrument: Instrument | None) -> Order:
        raise VenueUnclear(Reason.VENUE_UNAVAILABLE, "ask by client id")

    async def close(self) -> None:
        pass

    async def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        try:
            async with self._http.request(method, path, data=body) as answer:
                text = await answer.read()
                return answer.status, msgspec.json.decode(text)
        except aiohttp.ClientConnectorError as error:
            raise VenueNotReached(Reason.VENUE_UNREACHABLE, type(error).__name__) from error
        except (aiohttp.ClientError, OSError, msgspec.DecodeError) as error:
            raise VenueUnclear(Reason.VENUE_UNAVAILABLE, type(error).__name__) from error


def _order(body: Mapping[str, Any]) -> Order:
    return msgspec.convert(
        {
            "order_id": body["order_id"],
            "client_id": body["client_id"],
            "symbol": "BTC-USD-PERP",
            "side": body["side"],
            "type": OrderType.LIMIT,
            "size": Decimal(body["size"]),
            "filled_size": Decimal(0),
            "price": Decimal(body["price"]),
            "trigger_price": None,
            "average_price": None,
            "fee": None,
            "reduce_only": False,
            "status": OrderStatus.OPEN,
            "created_at_ms": 1_800_000_000_000,
        },
        Order,
    )


def venue_at(url: str) -> Venue:
    """Its row among the venues."""

    async def open_it(context: VenueContext) -> LedgerVenue:
        return LedgerVenue(url)

    return Venue(
        exchange=EXCHANGE,
        networks=frozenset({Network.PAPER}),
        capabilities=CAPABILITIES,
        credential_fields=(),
        open=open_it,
    )


async def _main(port: int, ledger: Path) -> None:
    runner = web.AppRunner(_Venue(ledger).app(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    end_with_parent()
    asyncio.run(_main(int(sys.argv[1]), Path(sys.argv[2])))
