"""What a caller is told when several things happen in one request and some of them go wrong."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.base import OpenCredential
from gateway.codec import Codec
from gateway.operations.table import OPERATIONS
from normalization.accounts import Position
from normalization.errors import InvalidJson, InvalidParameter
from normalization.instruments import Instrument
from normalization.orders import Order, OrderStatus, PositionSide
from normalization.venue_failures import Reason, VenueFailure, VenueNotReached, VenueRejected, VenueUnclear
from tests.support.scripted_venue import ScriptedVenue, accept, accept_then, fail
from tests.support.served import Reply, Served, served

UNREACHED = VenueNotReached(Reason.VENUE_UNREACHABLE, "connection refused")
NO_FUNDS = VenueRejected(Reason.INSUFFICIENT_FUNDS, "not enough margin")
ORDER = {"market": "BTC", "side": "BUY", "size": "0.01", "price": "94000"}
PROTECTION = {
    "market": "BTC",
    "side": "LONG",
    "size": "0.01",
    "entryPrice": "94000",
    "tpPercent": 5,
    "slPercent": 2,
}


class Venue(ScriptedVenue):
    """One whose sessions may not open, whose cancels may hang, and which may fall silent after any number of reads."""

    def __init__(self) -> None:
        super().__init__()
        self.opening_fails: VenueFailure | None = None
        self.cancel_hangs = False
        self.positions: list[Position] = []
        self.reads_left = 1_000

    def _read(self) -> None:
        self.reads_left -= 1
        if self.reads_left < 0:
            raise UNREACHED

    async def open(self, credential: OpenCredential) -> Venue:
        if self.opening_fails is not None:
            raise self.opening_fails
        return self

    async def get_positions(self, instrument: Instrument | None) -> Sequence[Position]:
        self._read()
        return self.positions

    async def get_open_orders(self, instrument: Instrument | None) -> Sequence[Order]:
        self._read()
        return await super().get_open_orders(instrument)

    async def cancel_all(self, instrument: Instrument) -> None:
        for client_id in self.orders:
            self.set_status(client_id, OrderStatus.CANCELED)

    async def cancel_order(self, order_id: str, instrument: Instrument | None) -> None:
        if self.cancel_hangs:
            self.arrived.set()
            await asyncio.Event().wait()
        await super().cancel_order(order_id, instrument)


class Desk:
    def __init__(self, gateway: Served, venue: Venue, key: str, credential_id: str) -> None:
        self.venue = venue
        self._gateway = gateway
        self._key = key
        self._credential_id = credential_id

    async def ask(self, operation: str, **parameters: Any) -> Reply:
        body = {"operation": operation, "credentialId": self._credential_id, **parameters}
        return await self._gateway.post(body, self._key)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    venue = Venue()
    async with served(tmp_path, {"scripted": venue}) as gateway:
        account = await gateway.account()
        credential = await gateway.credential(account)
        yield Desk(gateway, venue, await gateway.key(account), credential.credential_id)


def a_position(side: PositionSide) -> Position:
    return Position(
        symbol="BTC-USD-PERP",
        side=side,
        size=Decimal("0.01"),
        entry_price=Decimal(94000),
        mark_price=Decimal(94000),
        unrealized_pnl=Decimal(0),
        leverage=10,
    )


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [(UNREACHED, "not_sent"), (VenueRejected(Reason.AUTHENTICATION_FAILED, "no such account"), "rejected")],
)
@pytest.mark.parametrize(("operation", "parameters"), [("getBalance", {}), ("placeLimitOrder", ORDER)])
async def test_a_session_that_the_venue_does_not_open_is_an_exchange_error(
    desk: Desk, operation: str, parameters: dict[str, Any], failure: VenueFailure, outcome: str
) -> None:
    desk.venue.opening_fails = failure
    reply = await desk.ask(operation, **parameters)
    assert (reply.status, reply.json["code"]) == (502, "EXCHANGE_ERROR")
    assert reply.json["details"]["outcome"] == outcome


async def test_a_closed_position_is_told_even_when_the_venue_is_gone_afterwards(desk: Desk) -> None:
    desk.venue.positions, desk.venue.reads_left = [a_position(PositionSide.LONG)], 1
    reply = await desk.ask("closeAllPositions", market="BTC")
    assert reply.status == 200
    assert (reply.json["closedSize"], reply.json["remainingSize"]) == ("0.01", None)


async def test_a_position_that_was_closed_is_not_hidden_by_one_that_was_not(desk: Desk) -> None:
    desk.venue.positions = [a_position(PositionSide.LONG), a_position(PositionSide.SHORT)]
    desk.venue.script.extend([accept, fail(NO_FUNDS)])
    reply = await desk.ask("closeAllPositions", market="BTC")
    assert (reply.status, reply.json["closedSize"]) == (200, "0.01")


async def test_closing_that_was_refused_altogether_is_an_exchange_error(desk: Desk) -> None:
    desk.venue.positions = [a_position(PositionSide.LONG)]
    desk.venue.script.append(fail(NO_FUNDS))
    reply = await desk.ask("closeAllPositions", market="BTC")
    assert reply.json["details"]["reason"] == "INSUFFICIENT_FUNDS"


async def test_cancels_that_were_sent_are_not_said_to_be_not_sent(desk: Desk) -> None:
    await desk.ask("placeLimitOrder", **ORDER)
    desk.venue.reads_left = 1
    reply = await desk.ask("cancelAllOrders", market="BTC")
    assert (reply.status, reply.json["details"]["outcome"]) == (502, "unknown")


async def test_a_venue_that_hangs_over_a_cancel_is_answered_for(desk: Desk) -> None:
    desk.venue.cancel_hangs = True
    loop: Any = asyncio.get_running_loop()
    real = loop.time
    canceling = asyncio.create_task(desk.ask("cancelOrder", orderId="ord_1"))
    await desk.venue.arrived.wait()
    loop.time = lambda: real() + 11
    try:
        reply = await canceling
    finally:
        del loop.time
    assert (reply.status, reply.json["details"]["outcome"]) == (502, "unknown")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (accept, "The stop-loss stands."),
        (accept_then(VenueUnclear(Reason.VENUE_TIMEOUT, "")), "The stop-loss may stand"),
        (lambda venue, submission: venue.execute(submission, OrderStatus.CANCELED), "The stop-loss is over."),
    ],
)
async def test_half_a_protection_says_how_the_other_half_stands(desk: Desk, other: Any, words: str) -> None:
    desk.venue.script.extend([fail(NO_FUNDS), other])
    reply = await desk.ask("placeProtectionOrders", **PROTECTION)
    assert reply.status == 502
    assert words in reply.json["error"]


async def test_a_leg_whose_id_another_leg_would_be_given_is_refused(desk: Desk) -> None:
    reply = await desk.ask("placeBatchOrder", clientOrderId="b", orders=[ORDER, {**ORDER, "clientOrderId": "b-0"}])
    assert (reply.status, reply.json["code"]) == (400, "INVALID_PARAMETER")
    assert desk.venue.sent == []


async def test_every_leg_of_a_batch_with_the_longest_id_can_be_asked_for(desk: Desk) -> None:
    reply = await desk.ask("placeBatchOrder", clientOrderId="b" * 61, orders=[ORDER] * 10)
    assert reply.status == 200
    for leg in reply.json["results"]:
        assert (await desk.ask("getOrder", clientOrderId=leg["clientOrderId"])).status == 200
    longer = await desk.ask("placeBatchOrder", clientOrderId="b" * 62, orders=[ORDER])
    assert longer.json["details"]["expected"] == "1 to 61 printable ASCII characters without spaces"


async def test_what_a_venue_says_of_a_read_is_cut(desk: Desk) -> None:
    desk.venue.lookup_failure = VenueUnclear(Reason.OTHER, "<html>" * 20_000)
    reply = await desk.ask("getOrder", orderId="ord_1")
    assert reply.status == 502
    assert len(reply.text) < 1_000


def test_one_body_of_many_fields_does_not_hold_up_everybody_else() -> None:
    names = ",".join(f'"{number:x}":1' for number in range(7_000))
    compared = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal compared
        compared += event == "c_call" and getattr(argument, "__name__", "") == "count"

    sys.setprofile(count)
    try:
        with pytest.raises(InvalidJson, match="'zz' stands twice"):
            Codec(OPERATIONS).read(f'{{{names},"zz":1,"zz":2}}'.encode())
    finally:
        sys.setprofile(None)
    # Looking through all names for each of them took seconds.
    assert compared < 10


def test_a_fields_name_that_looks_like_a_path_is_not_repeated_in_full() -> None:
    body = b'{"operation":"getBalance","' + b" - at `$." * 5_000 + b'":1}'
    with pytest.raises(InvalidParameter) as refused:
        Codec(OPERATIONS).read(body).request()
    assert len(refused.value.message) < 300
