"""Orders of ours that live on a venue and that the journal lost: found, told from strangers', never placed twice."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, delete

from adapters.base import Network
from adapters.registry import VENUES, VenueContext
from adapters.transport import Transport
from gateway.clock import SystemClock
from gateway.local_venues import served as venue_served
from gateway.orders.client_ids import ClientIds
from gateway.orders.orphans import REST_S, TRIES_AFTER_S, Orphans
from normalization.errors import ClientOrderIdConflict, OrderNoLongerKept
from normalization.orders import Execution, Limit, OrderStatus, PostOnly, Stop, TimeInForce
from sandbox.wires.local import OPENERS
from storage.ports import JournalRow, OrderState
from storage.sql.schema import journal, journal_events
from tests.support.manual_clock import ManualClock
from tests.support.order_machine import CREDENTIAL, Machine, OneSession
from tests.support.scripted_venue import ScriptedVenue
from tests.support.served import Served, served

PRICE = Decimal(90_000)
STOP = Stop(trigger_price=PRICE)


class Shop:
    """An order machine on a venue that would execute a repeated id, and whoever looks for orphans there."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.venue = self.machine.venue
        self.venue.dedupes = False
        self.found: list[JournalRow] = []
        self.has_found = asyncio.Event()
        self.orphans = self.finder()

    def finder(self, clock: ManualClock | None = None) -> Orphans:
        return Orphans(
            journal=self.machine.journal,
            sessions=OneSession(self.venue),
            adapters={"scripted": self.venue},
            client_ids=ClientIds(b"k" * 32),
            clock=clock or self.machine.clock,
            owner="node-1",
            on_found=self._note,
        )

    def _note(self, row: JournalRow) -> None:
        self.found.append(row)
        self.has_found.set()

    @property
    def rows(self) -> dict[str, JournalRow]:
        rows: dict[str, JournalRow] = self.machine.journal.rows
        return rows

    async def sweep(self) -> None:
        await self.orphans.sweep(CREDENTIAL)


@pytest.fixture
def shop() -> Shop:
    return Shop()


async def test_an_order_that_the_journal_lost_gets_a_row_that_says_how_it_was_found(shop: Shop) -> None:
    await shop.machine.place("a", size="0.10")
    lost = await shop.machine.row("a")
    shop.rows.clear()
    await shop.sweep()
    (row,) = shop.found
    assert shop.rows == {row.order_key: row}
    assert row.client_order_id == f"recovered-{lost.venue_client_id}"
    assert (row.state, row.venue_order_id, row.symbol) == (OrderState.WORKING, "ord_1", "BTC-USD-PERP")
    assert (row.operation, row.request) == ("recovered", lost.request)
    assert (row.venue_order, row.venue_client_id) == (lost.venue_order, lost.venue_client_id)
    assert "the journal did not have it" in (row.evidence or "")
    await shop.sweep()
    assert len(shop.found) == 1


async def test_its_owner_finds_it_by_its_own_id_and_a_retry_places_nothing(shop: Shop) -> None:
    await shop.machine.place("a", execution=STOP)
    shop.rows.clear()
    await shop.sweep()
    again = await shop.machine.place("a", execution=STOP)
    asked = await shop.machine.desk.look_up(shop.machine.call(), order_id=None, client_order_id="a")
    for told in (again, asked):
        assert (told.client_order_id, told.order and told.order.order_id) == ("a", "ord_1")
    assert again.replayed
    assert len(shop.venue.sent) == 1
    await shop.machine.desk.cancel(shop.machine.call(), order_id=None, client_order_id="a")
    assert [order.status for order in shop.venue.orders.values()] == [OrderStatus.CANCELED]


@pytest.mark.parametrize(
    "execution", [Limit(price=PRICE), Limit(price=PRICE, time_in_force=TimeInForce.IOC), PostOnly(price=PRICE), STOP]
)
async def test_a_retry_is_known_by_what_the_venue_shows_of_it(shop: Shop, execution: Execution) -> None:
    await shop.machine.place("a", execution=execution)
    shop.rows.clear()
    await shop.sweep()
    assert (await shop.machine.place("a", execution=execution)).replayed
    shop.machine.clock.advance(1)
    (row,) = shop.rows.values()
    shop.rows[row.order_key] = msgspec.structs.replace(row, state=OrderState.CANCELED)
    await shop.machine.journal.shed(before_ms=shop.machine.clock.now_ms(), limit=1)
    told = (await shop.machine.place("a", execution=execution)).failure
    assert isinstance(told, OrderNoLongerKept)
    assert len(shop.venue.sent) == 1


async def test_another_request_under_its_id_is_a_conflict(shop: Shop) -> None:
    await shop.machine.place("a", size="0.10")
    shop.rows.clear()
    await shop.sweep()
    with pytest.raises(ClientOrderIdConflict, match="'a' was used before with other parameters"):
        await shop.machine.place("a", size="0.20")
    assert len(shop.venue.sent) == 1


async def test_orders_of_strangers_and_of_other_credentials_are_left_alone(shop: Shop) -> None:
    ours = ClientIds(b"k" * 32).token("acc", "another-credential", "a", 0).hex()
    strangers = [
        None,
        "",
        "17",
        "0x" + "ab" * 16,
        "not hex at all",
        ours,
        ClientIds(b"x" * 32).token("", "", "", 0).hex(),
    ]
    await shop.machine.place("a")
    (order,) = shop.venue.orders.values()
    shop.venue.orders = {str(n): msgspec.structs.replace(order, client_id=id) for n, id in enumerate(strangers)}
    shop.rows.clear()
    await shop.sweep()
    assert (shop.found, shop.rows) == ([], {})


async def test_what_is_being_placed_at_that_moment_is_no_orphan(shop: Shop) -> None:
    shop.venue.gate = asyncio.Event()
    placing = asyncio.create_task(shop.machine.place("a"))
    await shop.venue.arrived.wait()
    (submission,) = shop.venue.sent
    shop.venue.execute(submission)
    await shop.sweep()
    assert shop.found == []
    shop.venue.orders.clear()
    shop.venue.gate.set()
    assert (await placing).client_order_id == "a"


async def test_two_nodes_that_find_it_at_once_make_one_row(shop: Shop) -> None:
    await shop.machine.place("a")
    shop.rows.clear()
    await asyncio.gather(shop.sweep(), shop.finder().sweep(CREDENTIAL))
    assert (len(shop.found), len(shop.rows)) == (1, 1)


class Pausing(ManualClock):
    """Everybody who sleeps waits to be let on."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: asyncio.Queue[float] = asyncio.Queue()
        self.on = asyncio.Semaphore(0)

    async def sleep(self, seconds: float) -> None:
        await self.asked.put(seconds)
        await self.on.acquire()


async def test_a_credential_is_looked_at_once_and_after_the_request_that_opened_it(shop: Shop) -> None:
    await shop.machine.place("a")
    shop.rows.clear()
    clock = Pausing()
    orphans = shop.finder(clock)
    for _ in range(3):
        orphans.opened(CREDENTIAL)
    assert await clock.asked.get() == TRIES_AFTER_S[0]
    assert shop.found == []
    clock.on.release()
    async with asyncio.timeout(5):
        await shop.has_found.wait()
        assert await clock.asked.get() == REST_S
    assert clock.asked.empty()
    await orphans.close()


class Mute(ScriptedVenue):
    async def get_open_orders(self, instrument: Any) -> Any:
        raise TimeoutError


async def test_a_venue_that_does_not_answer_is_asked_again_a_few_times(shop: Shop) -> None:
    shop.venue = Mute()
    clock = Pausing()
    orphans = shop.finder(clock)
    orphans.opened(CREDENTIAL)
    async with asyncio.timeout(5):
        for pause in TRIES_AFTER_S:
            assert await clock.asked.get() == pause
            clock.on.release()
    await orphans.close()
    assert shop.found == []


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_a_backup_lacks_no_open_order_is_doubled_or_forgotten(seed: int) -> None:
    shop, chance = Shop(), random.Random(seed)
    ids = [f"order-{n}" for n in range(12)]
    for client_order_id in ids:
        await shop.machine.place(client_order_id)
    for key in chance.sample(sorted(shop.rows), chance.randint(1, len(ids))):
        del shop.rows[key]
    lost = len(ids) - len(shop.rows)
    await shop.sweep()
    assert len(shop.found) == lost
    for client_order_id in chance.choices(ids, k=20):
        assert (await shop.machine.place(client_order_id)).replayed
    assert sorted(shop.venue.executions) == sorted(shop.venue.orders)
    assert {row.venue_client_id for row in shop.rows.values()} == set(shop.venue.orders)


@contextlib.asynccontextmanager
async def on_a_real_wire(exchange: str, directory: Path) -> AsyncIterator[tuple[Served, dict[str, str]]]:
    """A gateway before one local venue, and the secrets of an account there."""
    clock = SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        urls: dict[str, str] = {}
        secrets: dict[str, str] = {}
        if exchange in OPENERS:
            local = OPENERS[exchange](directory, clock.now_ms)
            urls[exchange] = await stack.enter_async_context(venue_served(local.app))
            secrets = await local.enroll()
        transport = Transport()
        stack.push_async_callback(transport.close)
        context = VenueContext(data_dir=directory, clock=clock, transport=transport, paper_urls=urls)
        adapter = await VENUES[exchange].open(context)
        stack.push_async_callback(adapter.close)
        yield await stack.enter_async_context(served(directory, {exchange: adapter})), secrets


@pytest.mark.parametrize("exchange", ["paper", "hyperliquid"])
async def test_an_order_that_a_real_database_lost_is_found_on_a_real_wire(exchange: str, tmp_path: Path) -> None:
    async with on_a_real_wire(exchange, tmp_path) as (gateway, secrets):
        account = await gateway.account()
        credential = await gateway.credential(account, exchange, Network.PAPER, secrets)
        key = await gateway.key(account)

        async def ask(operation: str, **fields: Any) -> dict[str, Any]:
            body = {"operation": operation, "credentialId": credential.credential_id, **fields}
            reply = await gateway.post(body, key)
            assert reply.status == 200, reply.text
            return reply.json

        mark = float((await ask("getMarkPrice", market="BTC-USD-PERP"))["markPrice"])
        order = {"market": "BTC-USD-PERP", "side": "BUY", "size": "0.01", "price": str(round(mark * 0.8))}
        placed = await ask("placeLimitOrder", clientOrderId="a", **order)
        await _lose_everything(gateway)
        await gateway.gateway.orphans.sweep(credential)
        again = await ask("placeLimitOrder", clientOrderId="a", **order)
        assert (again["orderId"], again["clientOrderId"], again["replayed"]) == (placed["orderId"], "a", True)
        assert [o["id"] for o in (await ask("getOrders"))["orders"]] == [placed["orderId"]]
        metrics = gateway.gateway.metrics.exposition().decode()
        assert f'venuegate_orphans_total{{exchange="{exchange}"}} 1.0' in metrics


async def _lose_everything(gateway: Served) -> None:
    def lose(connection: Connection) -> None:
        for table in (journal_events, journal):
            connection.execute(delete(table))

    await gateway.gateway.stores.database.write(lose)
