from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normalization.orders import Limit, Market, Order, OrderStatus, Side
from normalization.venue_failures import Reason, VenueDeferred, VenueDuplicate, VenueFailure, VenueNotReached
from sandbox.durable import DurableEngine
from sandbox.engine import (
    CancelAll,
    CancelByClientId,
    CancelOrder,
    Command,
    NewOrder,
    OpenAccount,
    PlaceOrders,
    encoded,
)
from sandbox.store import Entry, Store
from tests.sandbox.sequences import LISTINGS, Answer, Step, commands_of, steps, told
from tests.sandbox.trading import FLAT, START_MS, flat, intent


class Clock:
    def __init__(self) -> None:
        self.ms = START_MS

    def __call__(self) -> int:
        return self.ms


def durable(path: Path | None, clock: Clock, **more: int) -> DurableEngine:
    return DurableEngine(seed=3, path=path, now_ms=clock, instruments=[flat()], **more)


@contextmanager
def opened(path: Path | None, clock: Clock | None = None, **more: int) -> Iterator[DurableEngine]:
    exchange = durable(path, clock or Clock(), **more)
    try:
        yield exchange
    finally:
        exchange.close()


def funded(exchange: DurableEngine) -> DurableEngine:
    exchange.execute([OpenAccount(account="ann", cash=Decimal(100_000))])
    return exchange


def placing(client_id: str, *, price: int | None = None) -> PlaceOrders:
    execution = Market() if price is None else Limit(price=Decimal(price))
    return PlaceOrders(account="ann", orders=(NewOrder(intent=intent(Side.BUY, "1", execution), client_id=client_id),))


def place(exchange: DurableEngine, client_id: str, *, price: int | None = None) -> Order:
    (answer,) = exchange.execute([placing(client_id, price=price)])
    assert not isinstance(answer, Exception)
    (order,) = answer
    if isinstance(order, VenueFailure):
        raise order
    return order


def failure(exchange: DurableEngine, command: Command) -> Exception:
    (answer,) = exchange.execute([command])
    assert isinstance(answer, Exception)
    return answer


def state(exchange: DurableEngine) -> bytes:
    return exchange.read(lambda engine: encoded(engine.state()))


def test_an_exchange_goes_on_after_a_restart_where_it_stopped(tmp_path: Path) -> None:
    clock = Clock()
    with opened(tmp_path / "paper.db", clock) as exchange:
        filled = place(funded(exchange), "filled")
        resting = place(exchange, "resting", price=99)
        before = state(exchange)
    clock.ms += 0
    with opened(tmp_path / "paper.db", clock) as exchange:
        assert state(exchange) == before
        assert exchange.order_by_client_id("ann", "filled") == filled
        assert exchange.order_by_id("ann", resting.order_id) == resting
        assert [fill.order_id for fill in exchange.fills("ann", FLAT, 10)] == [filled.order_id]
        assert place(exchange, "next").order_id not in (filled.order_id, resting.order_id)


def test_what_happens_while_the_process_is_away_has_happened_when_it_is_back(tmp_path: Path) -> None:
    clock = Clock()
    with opened(tmp_path / "paper.db", clock) as exchange:
        place(funded(exchange), "x")
        before = exchange.read(lambda engine: engine.account("ann").cash)
    clock.ms += 86_400_000
    with opened(tmp_path / "paper.db", clock) as exchange:
        assert exchange.read(lambda engine: engine.account("ann").cash) != before


@settings(max_examples=12, deadline=None)
@given(steps, st.integers(1, 9), st.lists(st.integers(1, 50), max_size=3))
def test_a_process_killed_at_any_time_loses_nothing_it_answered_for(
    sequence: list[Step], snapshot_every: int, kills: list[int]
) -> None:
    commands = commands_of(sequence)
    with TemporaryDirectory() as directory:
        through = _answers(commands, None, snapshot_every=1_000, kills=[])
        killed = _answers(commands, Path(directory), snapshot_every=snapshot_every, kills=kills)
    assert killed == through


def _answers(
    commands: Sequence[tuple[int, Command]], directory: Path | None, *, snapshot_every: int, kills: list[int]
) -> tuple[list[Answer], bytes, list[str]]:
    """Every answer, the last state and all fills; killed before the commands with the numbers ``kills``."""
    clock, answers = Clock(), list[Answer]()

    def start(path: Path | None) -> DurableEngine:
        return DurableEngine(seed=3, path=path, now_ms=clock, snapshot_every=snapshot_every, instruments=LISTINGS)

    life = 0
    exchange = start(directory and directory / "0.db")
    for number, (at_ms, command) in enumerate(commands):
        clock.ms = at_ms
        if directory is not None and number in kills:
            # What a killed process leaves behind: its files as they are, and no clean close.
            for suffix in ("", "-wal"):
                shutil.copyfile(directory / f"{life}.db{suffix}", directory / f"{life + 1}.db{suffix}")
            exchange.close()
            life += 1
            exchange = start(directory / f"{life}.db")
        answers.append(told(exchange.execute([command])[0]))
    fills = [
        fill.fill_id
        for account in ("ann", "bob", "cat")
        for symbol in (LISTINGS[0].instrument.symbol, FLAT)
        for fill in exchange.fills(account, symbol, 10_000)
    ]
    last = state(exchange)
    exchange.close()
    return answers, last, fills


_PLACE_FOR_EVER = """
import sys
from decimal import Decimal
from pathlib import Path
from normalization.orders import Market, Limit, OrderIntent, Side
from sandbox.durable import DurableEngine
from sandbox.engine import NewOrder, OpenAccount, PlaceOrders

exchange = DurableEngine(seed=3, path=Path(sys.argv[1]), now_ms=lambda: 1_800_000_000_000, snapshot_every=50)
exchange.execute([OpenAccount(account="ann", cash=Decimal(10_000_000))])
for number in range(1_000_000):
    execution = Market() if number % 2 else Limit(price=Decimal(50_000))
    intent = OrderIntent(symbol="BTC-USD-PERP", side=Side.BUY, size=Decimal("0.001"), execution=execution)
    new = NewOrder(intent=intent, client_id=str(number))
    ((order,),) = exchange.execute([PlaceOrders(account="ann", orders=(new,))])
    print(order.order_id, number, flush=True)
"""


def test_kill_minus_9_loses_no_order_that_was_answered_for(tmp_path: Path) -> None:
    path = tmp_path / "paper.db"
    with subprocess.Popen([sys.executable, "-c", _PLACE_FOR_EVER, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        answered = [process.stdout.readline().decode().split() for _ in range(130)]
        process.send_signal(signal.SIGKILL)
        answered += [line.decode().split() for line in process.stdout.readlines() if line.endswith(b"\n")]
    assert process.returncode == -signal.SIGKILL
    exchange = DurableEngine(seed=3, path=path, now_ms=lambda: START_MS)
    for order_id, client_id in answered:
        order = exchange.order_by_client_id("ann", client_id)
        assert order is not None
        assert order.order_id == order_id
    filled = [number for _, number in answered if int(number) % 2]
    assert len(exchange.fills("ann", "BTC-USD-PERP", 10_000)) - len(filled) in (0, 1)
    exchange.close()


def test_orders_that_ended_are_found_in_the_archive_and_their_ids_stay_used(tmp_path: Path) -> None:
    with opened(tmp_path / "paper.db", snapshot_every=1) as exchange:
        filled = place(funded(exchange), "x")
        canceled = place(exchange, "y", price=99)
        exchange.execute([CancelAll(account="ann")])
        assert exchange.read(lambda engine: engine.ended) == ((), ())
        assert exchange.order_by_client_id("ann", "x") == filled
        found = exchange.order_by_id("ann", canceled.order_id)
        assert found is not None
        assert found.status is OrderStatus.CANCELED
        with pytest.raises(VenueDuplicate):
            place(exchange, "x")
        for command in (
            CancelOrder(account="ann", order_id=filled.order_id),
            CancelByClientId(account="ann", client_id="y"),
        ):
            refused = failure(exchange, command)
            assert isinstance(refused, VenueFailure)
            assert refused.reason is Reason.ORDER_ALREADY_CLOSED
        assert exchange.order_by_id("bob", filled.order_id) is None


def test_fills_run_from_memory_into_the_archive_newest_first() -> None:
    with opened(None, snapshot_every=3) as exchange:
        funded(exchange)
        placed = [place(exchange, str(number)).order_id for number in range(7)]
        assert [fill.order_id for fill in exchange.fills("ann", FLAT, 100)] == placed[::-1]
        assert [fill.order_id for fill in exchange.fills("ann", FLAT, 4)] == placed[:-5:-1]
        assert exchange.fills("ann", "OTHER-USD-PERP", 100) == []


def test_a_full_disk_refuses_commands_and_changes_nothing(tmp_path: Path) -> None:
    clock = Clock()
    exchange = funded(durable(tmp_path / "paper.db", clock))
    before = state(exchange)
    _limit_pages(exchange, 1)
    number, refused = 0, None
    while refused is None:
        number += 1
        (answer,) = exchange.execute([placing(f"x{number}", price=99)])
        refused = answer if isinstance(answer, Exception) else None
        if refused is None:
            before = state(exchange)
    assert isinstance(refused, VenueDeferred)
    assert refused.reason is Reason.VENUE_UNAVAILABLE
    assert state(exchange) == before
    assert exchange.order_by_client_id("ann", f"x{number}") is None
    _limit_pages(exchange, 1_000_000)
    place(exchange, f"x{number}", price=99)
    after = state(exchange)
    exchange.close()
    with opened(tmp_path / "paper.db", clock) as exchange:
        assert state(exchange) == after


def _limit_pages(exchange: DurableEngine, pages: int) -> None:
    """Let the file grow no further, as on a full disk."""
    store, _ = exchange._open()
    store._db.execute(f"PRAGMA max_page_count={pages}")


def test_one_file_serves_one_exchange_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "paper.db"
    with opened(path) as first:
        before = state(funded(first))
        second = durable(path, Clock())
        with pytest.raises(VenueNotReached) as refused:
            second.execute([CancelAll(account="ann")])
        assert str(path) not in refused.value.text
    assert state(second) == before
    second.close()


def test_a_file_of_another_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "paper.db"
    store = Store(path)
    store.save(0, b"\x81\xa7version\x63", (), ())
    store.close()
    with pytest.raises(VenueNotReached):
        state(durable(path, Clock()))
    store = Store(path)
    assert store.snapshot() == (0, b"\x81\xa7version\x63")
    store.close()


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "paper.db"
    path.write_bytes(b"not a database, but somebody's" * 100)
    with pytest.raises(VenueNotReached):
        state(durable(path, Clock()))
    assert path.read_bytes() == b"not a database, but somebody's" * 100


def test_a_clock_that_goes_back_does_not_take_the_exchange_with_it(tmp_path: Path) -> None:
    clock = Clock()
    with opened(tmp_path / "paper.db", clock) as exchange:
        clock.ms += 60_000
        first = place(funded(exchange), "x")
        clock.ms -= 3_600_000
        second = place(exchange, "y")
        assert second.created_at_ms == first.created_at_ms == START_MS + 60_000
    with opened(tmp_path / "paper.db", clock) as exchange:
        assert place(exchange, "z").created_at_ms == START_MS + 60_000


def test_a_file_goes_on_with_the_seed_it_was_made_with(tmp_path: Path) -> None:
    def price(seed: int) -> Decimal:
        exchange = DurableEngine(seed=seed, path=tmp_path / "paper.db", now_ms=lambda: START_MS)
        mark = exchange.read(lambda engine: engine.views.mark_price("BTC-USD-PERP").mark_price)
        exchange.close()
        return mark

    assert price(1) == price(2)


def test_one_bad_command_in_a_commit_leaves_the_others_be() -> None:
    with opened(None) as exchange:
        answers = funded(exchange).execute(
            [placing("x"), CancelOrder(account="ann", order_id="nope"), CancelAll(account="eve"), placing("y")]
        )
        assert [isinstance(answer, Exception) for answer in answers] == [False, True, True, False]


def test_a_log_entry_written_by_a_failed_commit_is_replaced_by_the_next(tmp_path: Path) -> None:
    store = Store(tmp_path / "paper.db")
    store.append([Entry(1, 5, CancelAll(account="a")), Entry(2, 5, CancelAll(account="b"))])
    store.append([Entry(2, 6, CancelAll(account="c"))])
    assert [(entry.number, entry.command) for entry in store.log()] == [
        (1, CancelAll(account="a")),
        (2, CancelAll(account="c")),
    ]
    store.close()


def test_a_command_that_was_logged_and_not_yet_carried_out_is_carried_out_by_the_next_process(tmp_path: Path) -> None:
    path = tmp_path / "paper.db"
    with opened(path) as exchange:
        funded(exchange)
    store = Store(path)
    store.append([Entry(2, START_MS, placing("x"))])
    store.close()
    with opened(path) as exchange:
        order = exchange.order_by_client_id("ann", "x")
        assert order is not None
        assert order.status is OrderStatus.FILLED
        with pytest.raises(VenueDuplicate):
            place(exchange, "x")


def test_a_commit_is_all_or_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "paper.db")
    with pytest.raises(sqlite3.IntegrityError):
        store.append([Entry(1, 5, CancelAll(account="a")), Entry(1, 5, CancelAll(account="b"))])
    assert list(store.log()) == []
    store.close()
