"""What a full venue costs: by what it asks of its database, which is the same on every machine.

With ``-s`` it prints the CPU time too, which is not.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from sandbox.milo.core import Core
from sandbox.milo.handling import Request
from sandbox.milo.limits import Limiter
from sandbox.milo.machine import Answer
from sandbox.milo.routes import ROUTES, Route
from sandbox.milo.tokens import SOL
from sandbox.milo.trading import triggers
from sandbox.milo.trading.book import OrderBook
from sandbox.milo.trading.desk import Desk
from sandbox.milo.trading.orders import AbsoluteTrigger, OrderStatus
from tests.support.milo_full import DEPLOYMENTS, TRADERS, FullMilo, buy
from tests.support.sqlite_work import Work, counted

TRIGGERS = 100_000
READS = [route for route in ROUTES if route.method == "GET"]
BOARD = "/users/{userId}/arena/leaderboard"


@pytest.fixture
def full(tmp_path: Path) -> Iterator[FullMilo]:
    venue = FullMilo(tmp_path / "milo.db")
    yield venue
    venue.machine.close()


def ids_of_demo(full: FullMilo) -> dict[str, str]:
    wallet, db = full.demo.wallet, full.machine.core.db

    def first(column: str, table: str) -> str:
        return str(db.value(f"SELECT {column} FROM {table} WHERE user_id = ?", wallet.user_id))  # noqa: S608

    return {
        "userId": wallet.user_id,
        "walletId": wallet.wallet_id,
        "orderId": first("order_id", "orders"),
        "conversationId": first("conversation_id", "conversations"),
        "strategyId": first("strategy_id", "strategies"),
    }


def read(full: FullMilo, route: Route, ids: dict[str, str], query: dict[str, str]) -> Answer:
    full.machine.core.limiter = Limiter()
    key = {"x-api-key": full.demo.api_key}
    answer = full.machine.answer(Request(route=route, path=ids, query=query, headers=key, body=b"", remote=""))
    assert answer.status == 200, answer.body
    return answer


def work_of_reads(full: FullMilo, query: dict[str, str]) -> dict[str, Work]:
    ids, found = ids_of_demo(full), dict[str, Work]()
    for route in READS:
        with counted(full.db) as work:
            read(full, route, ids, query)
        found[route.path] = work
    return found


def cpu_of_reads_ms(full: FullMilo, query: dict[str, str]) -> dict[str, float]:
    ids, found = ids_of_demo(full), dict[str, float]()
    for route in READS:
        taken = []
        for _ in range(5):
            full.clock.advance(1)
            full.machine.run(lambda core: None)
            started = time.thread_time()
            read(full, route, ids, query)
            taken.append((time.thread_time() - started) * 1_000)
        found[route.path] = sorted(taken)[len(taken) // 2]
    return found


def test_a_read_looks_at_no_row_of_others_and_the_leaderboard_at_few_of_each(full: FullMilo) -> None:
    most = {"pageSize": "100", "limit": "200"}
    assert len(READS) == 17
    alone = work_of_reads(full, most)
    full.fill()
    crowded = work_of_reads(full, most)
    # The end of what is theirs is found at a neighbour's row instead of at nothing: a step or two.
    assert {path for path, work in crowded.items() if work.steps > alone[path].steps + 5} == set()
    assert {path: work.statements for path, work in crowded.items()} == {
        path: work.statements for path, work in alone.items()
    }
    assert max(work.statements for work in crowded.values()) < 15
    full.deploy()
    traded = full.machine.core.db.value("SELECT count(*) FROM trades")
    assert traded > 5 * DEPLOYMENTS
    board = work_of_reads(full, most)[BOARD]
    assert board.statements < 15
    assert board.steps < 150 * DEPLOYMENTS
    for path, ms in cpu_of_reads_ms(full, most).items():
        print(f"{ms:7.2f} ms  GET {path}")


def test_a_tick_that_fires_ten_of_a_hundred_thousand_triggers_looks_at_those_ten(full: FullMilo) -> None:
    full.fill()
    few = work_of_a_tick(full)
    full.rest(TRIGGERS)
    many = work_of_a_tick(full)
    # Whatever else rests costs nothing: neither a statement nor a row.
    assert many == few
    assert many.statements < 30 * TRADERS
    assert many.steps < 600 * TRADERS
    taken = []
    for _ in range(7):
        arm(full)
        taken.append(tick_ms(full))
    print(f"{sorted(taken)[3]:7.2f} ms  a tick that fires {TRADERS} of {TRIGGERS:,} triggers, each a swap on the chain")


def work_of_a_tick(full: FullMilo) -> Work:
    arm(full)
    with counted(full.db) as work:
        tick_ms(full)
    return work


def arm(full: FullMilo) -> None:
    """Orders of ten users that wait for a price a little above."""

    def rest(core: Core) -> None:
        price = core.market.price(SOL, core.now_ms // 1_000) * Decimal("1.0003")
        for wallet in full.wallets[:TRADERS]:
            Desk(core).place(wallet, buy(5, AbsoluteTrigger(operator="gte", value=price)))

    full.machine.run(rest)


def tick_ms(full: FullMilo) -> float:
    """The second at which the price reaches them: found, and what it fires carried out. The CPU time."""
    core = full.machine.core
    started = time.thread_time()
    due_ms = triggers.next_due(core, core.now_ms, core.now_ms + 86_400_000)
    assert due_ms is not None
    core.now_ms = due_ms
    with core.transaction():
        triggers.run_due(core, due_ms)
    taken_ms = (time.thread_time() - started) * 1_000
    book, number = OrderBook(core.db, core.market), core.db.value("SELECT max(number) FROM orders")
    assert {book.numbered(number - place).status for place in range(TRADERS)} == {OrderStatus.FULFILLED}
    return taken_ms
