from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.orders.ledger import Ledger
from storage.ports import JournalRow, OrderState
from storage.sql import open_sqlite
from tests.storage.samples import order
from tests.support.command_line import Said, venuegate
from tests.support.manual_clock import ManualClock
from tests.support.memory_journal import MemoryJournal


class Desk:
    """The command line beside a journal that holds one order."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.data_dir.mkdir(mode=0o700)

    def keep(self, row: JournalRow) -> None:
        async def stored() -> None:
            stores = await open_sqlite(self.data_dir / "venuegate.db")
            await stores.journal.insert([row])
            await stores.close()

        asyncio.run(stored())

    def run(self, *args: str) -> Said:
        return venuegate("orders", *args, env={"VENUEGATE_DATA_DIR": str(self.data_dir)})

    def shown(self) -> Any:
        return msgspec.json.decode(self.run("show", "order-1", "--json").stdout)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path / "var")
    desk.keep(order(state=OrderState.NEEDS_OPERATOR, next_check_ms=1))
    return desk


def test_an_order_that_the_venue_has_is_decided_with_its_id(desk: Desk) -> None:
    said = desk.run("decide", "order-1", "--order-id", "v-77", "--because", "in the order history")

    assert (said.exit_code, said.stdout) == (0, "Order mine-1 is ACKED.\n")
    shown = desk.shown()
    assert (shown["order"]["state"], shown["order"]["orderId"]) == ("ACKED", "v-77")
    assert shown["order"]["nextCheckMs"] is None
    assert shown["events"][-1]["note"] == "decided by a person: in the order history"


def test_an_order_that_the_venue_never_had_is_decided_as_not_placed(desk: Desk) -> None:
    assert desk.run("decide", "order-1", "--not-placed", "--because", "asked support").exit_code == 0

    shown = desk.shown()["order"]
    assert (shown["state"], shown["reason"]) == ("NOT_PLACED", "NOT_PLACED")
    assert shown["evidence"] == "decided by a person: asked support"


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ((), "Give one of --order-id ID and --not-placed"),
        (("--order-id", "v-1", "--not-placed"), "Give one of --order-id ID and --not-placed"),
        (("--not-placed", "--because", " "), "Say what you saw at the venue"),
    ],
)
def test_half_a_decision_is_none(desk: Desk, given: tuple[str, ...], advice: str) -> None:
    said = desk.run("decide", "order-1", "--because", "x", *given)
    assert said.exit_code == 1
    assert advice in said.stderr
    assert desk.shown()["order"]["state"] == "NEEDS_OPERATOR"


@pytest.mark.parametrize("state", [OrderState.UNKNOWN, OrderState.FILLED, OrderState.REJECTED])
def test_what_the_gateway_decides_itself_is_not_for_a_person(tmp_path: Path, state: OrderState) -> None:
    desk = Desk(tmp_path / "other")
    desk.keep(order(state=state))
    said = desk.run("decide", "order-1", "--not-placed", "--because", "x")
    assert said.exit_code == 1
    assert f"The order is {state}" in said.stderr
    assert desk.shown()["order"]["state"] == state


def test_a_decided_order_is_over_for_a_second_decision(desk: Desk) -> None:
    desk.run("decide", "order-1", "--not-placed", "--because", "first")
    assert "The order is NOT_PLACED" in desk.run("decide", "order-1", "--order-id", "1", "--because", "second").stderr


def test_what_is_left_of_an_old_order_is_shown_and_not_listed(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "other")
    desk.keep(order(state=OrderState.FILLED, request=b""))
    shown = desk.shown()["order"]
    assert (shown["state"], shown["request"], shown["clientOrderId"]) == ("FILLED", None, "mine-1")
    assert "no longer kept" in desk.run("show", "order-1").stdout
    assert "No order is FILLED" in desk.run("list", "--state", "FILLED").stdout


async def test_a_gateway_stops_counting_what_was_decided_elsewhere() -> None:
    journal = MemoryJournal()
    ledger = Ledger(journal, ManualClock())
    rows = [order(number, state=OrderState.UNKNOWN) for number in (1, 2)]
    await journal.insert(rows)
    ledger.remember_undecided(rows)

    await ledger.forget_decided()
    assert ledger.undecided_total() == 2
    journal.rows["order-1"] = msgspec.structs.replace(rows[0], state=OrderState.NOT_PLACED)
    await ledger.forget_decided()
    assert ledger.undecided_total() == 1
    assert ledger.undecided_of("credential-1") == 1
