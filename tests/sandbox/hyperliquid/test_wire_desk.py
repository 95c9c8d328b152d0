"""What a killed process leaves behind between writing an order down and hearing of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import msgspec
import pytest

from normalization.orders import Limit, OrderIntent, Side
from sandbox.engine import NewOrder, PlaceOrders
from sandbox.hyperliquid.orders import Record, Terms
from sandbox.hyperliquid.universe import hyperliquid_listings
from sandbox.wires.desk import Desk
from sandbox.wires.exchange import WireExchange
from sandbox.wires.records import Phase, Records, Trigger

NOON_MS = 1_795_262_400_000
ACCOUNT = "0xabc"


@pytest.fixture
async def exchange() -> AsyncIterator[WireExchange]:
    exchange = WireExchange(seed=5, path=None, now_ms=lambda: NOON_MS, instruments=hyperliquid_listings())
    await exchange.open_account(ACCOUNT, Decimal(10_000))
    yield exchange
    await exchange.close()


@pytest.fixture
async def records() -> AsyncIterator[Records[Terms]]:
    records: Records[Terms] = Records(None, Record, 1)
    yield records
    await records.close()


def being_sent(records: Records[Terms], trigger: Trigger | None = None) -> Record:
    price = Decimal(80_000)
    return Record(
        number=records.next_number(),
        account=ACCOUNT,
        client_id=None,
        intent=OrderIntent(symbol="BTC-USD-PERP", side=Side.BUY, size=Decimal("0.01"), execution=Limit(price=price)),
        terms=Terms(
            coin="BTC",
            is_buy=True,
            price=price,
            size=Decimal("0.01"),
            reduce_only=False,
            tif="Gtc",
            trigger=None,
            grouping="na",
        ),
        phase=Phase.SENDING,
        created_at_ms=NOON_MS,
        changed_at_ms=NOON_MS,
        trigger=trigger,
    )


async def started(exchange: WireExchange, records: Records[Terms]) -> Desk[Terms]:
    desk = Desk(exchange, records, lambda: NOON_MS)
    await desk.start()
    return desk


async def test_an_order_that_the_exchange_has_is_found_again(exchange: WireExchange, records: Records[Terms]) -> None:
    record = being_sent(records)
    await records.commit([record])
    order = NewOrder(intent=record.intent, client_id=record.exchange_client_id)
    await exchange.execute(PlaceOrders(account=ACCOUNT, orders=(order,)))
    (standing,) = await (await started(exchange, records)).open_orders(ACCOUNT)
    assert (standing.record.number, standing.record.phase) == (record.number, Phase.LIVE)
    assert await records.waiting() == []


async def test_an_order_that_never_reached_the_exchange_never_was(
    exchange: WireExchange, records: Records[Terms]
) -> None:
    record = being_sent(records)
    await records.commit([record])
    desk = await started(exchange, records)
    assert await desk.open_orders(ACCOUNT) == []
    assert await records.by_number(ACCOUNT, [record.number]) == {}


async def test_a_held_order_whose_time_had_just_come_is_tried_again(
    exchange: WireExchange, records: Records[Terms]
) -> None:
    record = being_sent(records, Trigger(Decimal(1), rising=True))
    await records.commit([record])
    desk = await started(exchange, records)
    await desk.settle(ACCOUNT)
    (standing,) = await desk.open_orders(ACCOUNT)
    assert standing.record.phase is Phase.LIVE
    assert standing.record.triggered_at_ms == NOON_MS


async def test_records_come_back_as_they_were_written(records: Records[Terms]) -> None:
    record = msgspec.structs.replace(
        being_sent(records, Trigger(Decimal("1.50"), rising=False)), client_id="0xff", siblings=(7, 8)
    )
    await records.commit([record])
    assert await records.by_client_id(ACCOUNT, "0xff") == record
    assert await records.by_client_id("somebody", "0xff") is None
