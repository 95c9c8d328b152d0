"""``python -m benchmarks.growth``: how a request's cost grows with what a gateway has stored and knows.

Keys in its database, instruments of its venue, orders a second, rows in its journal: each from few to many. Written to
``benchmarks/out``: ``growth.json``, and a plot for each.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sqlite3
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import uvloop
from rich.console import Console

from benchmarks.load import connect, run_load
from benchmarks.memory import add_keys
from benchmarks.open_loop import Schedule
from benchmarks.plots import figure
from benchmarks.report import OUT
from benchmarks.server import Cores, Server, started
from benchmarks.servers.settings import DATABASE
from benchmarks.wire import NewOrders, limit_order, mark_price, same_orders

CALLERS: Final = 400
_CONNECTIONS: Final = 16
_TURNS: Final = 5
_TURN_S: Final = 1.0
# A fast machine must not use up the limits of a minute.
_PER_TURN: Final = 15 * CALLERS
_ORDERS_PER_S: Final = 100.0
_ORDERS: Final = 500
_RATES: Final = (50, 100, 200, 400, 600, 800)
_RATE_S: Final = 5.0
_PART: Final = 50_000

# Copies of an order that was really placed, as it stands when it is over, with the events that it left behind.
_ADD_ORDERS: Final = """
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
    INSERT INTO journal ({columns})
    SELECT {values} FROM numbers, (SELECT * FROM journal ORDER BY created_at_ms LIMIT 1)
"""
_ADD_EVENTS: Final = """
    INSERT INTO journal_events (order_key, number, at_ms, state, fence, note)
    SELECT order_key, number, created_at_ms, state, fence, ''
    FROM journal, (SELECT 1 AS number UNION ALL SELECT 2) WHERE order_key LIKE 'made-%' AND created_at_ms = ?
"""
_OWN: Final = {
    "order_key": "'made-' || lower(hex(randomblob(13)))",
    "client_order_id": "lower(hex(randomblob(12)))",
    "venue_client_id": "lower(hex(randomblob(16)))",
    "venue_order_id": "lower(hex(randomblob(8)))",
    "state": "'FILLED'",
    "created_at_ms": "?",
    "next_check_ms": "NULL",
}


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """``ys`` by the name of a line, one for each of ``xs``."""

    name: str
    x: str
    y: str
    xs: Sequence[int]
    ys: dict[str, list[float]]


async def by_keys(directory: Path, cores: Cores, steps: Sequence[int], tell: Callable[[str], None]) -> Curve:
    """An order through the whole path, for keys that are remembered and for keys that must be looked up."""
    known, first = [], []
    async with started("path", directory, cores, callers=CALLERS) as server:
        stored = CALLERS
        for step in steps:
            tell(f"{step:,} keys")
            strangers = await add_keys(directory / DATABASE, server.callers, max(step - stored, CALLERS), CALLERS)
            stored = max(step, stored + CALLERS)
            first.append(await _cpu_us(server, map(mark_price, strangers)))
            known.append(await _median_cpu_us(server))
    lines = {"a key that is remembered": known, "a key that is looked up": first}
    return Curve(name="growth-keys", x="keys in the database", y="CPU µs a request", xs=steps, ys=lines)


async def by_instruments(directory: Path, cores: Cores, steps: Sequence[int], tell: Callable[[str], None]) -> Curve:
    """An order through the whole path, on a venue with so many instruments."""
    known = []
    for step in steps:
        tell(f"{step:,} instruments")
        async with started("path", directory / str(step), cores, callers=CALLERS, instruments=step) as server:
            known.append(await _median_cpu_us(server))
    ys = {"an order": known}
    return Curve(name="growth-instruments", x="instruments of the venue", y="CPU µs a request", xs=steps, ys=ys)


async def by_orders(directory: Path, cores: Cores, steps: Sequence[int], tell: Callable[[str], None]) -> Curve:
    """The gateway's own part of a journaled order, a hundred of them a second."""
    new_orders = NewOrders(limit_order)
    p50, p99 = [], []
    async with started("order", directory, cores, callers=CALLERS) as server:
        await run_load(await connect(server.port, new_orders(server.callers), _CONNECTIONS), _TURN_S)
        for at, step in enumerate(steps):
            tell(f"{step:,} orders in the journal")
            await asyncio.to_thread(_add_orders, directory / DATABASE, (steps[at - 1] if at else 0), step)
            requests = itertools.islice(new_orders(server.callers), _ORDERS)
            own = await _own_ms(server, requests, rate=_ORDERS_PER_S, count=_ORDERS)
            p50.append(own.p50)
            p99.append(own.p99)
    ys = {"p50": p50, "p99": p99}
    return Curve(name="growth-orders", x="orders in the journal", y="ms, the gateway's own part", xs=steps, ys=ys)


async def by_rate(directory: Path, cores: Cores, rates: Sequence[int], tell: Callable[[str], None]) -> Curve:
    """The same at so many orders a second."""
    requests = NewOrders(limit_order)
    p50, p99 = [], []
    async with started("order", directory, cores, callers=CALLERS) as server:
        await run_load(await connect(server.port, requests(server.callers), _CONNECTIONS), _TURN_S)
        for rate in rates:
            tell(f"{rate} orders a second")
            count = round(rate * _RATE_S)
            orders = itertools.islice(requests(server.callers), count)
            own = await _own_ms(server, orders, rate=rate, count=count)
            p50.append(own.p50)
            p99.append(own.p99)
    ys = {"p50": p50, "p99": p99}
    return Curve(name="growth-rate", x="orders a second", y="ms, the gateway's own part", xs=rates, ys=ys)


async def _own_ms(server: Server, requests: Iterator[bytes], *, rate: float, count: int) -> _OwnMs:
    answers = await Schedule(requests, rate=rate, count=count).run(server.port, _CONNECTIONS)
    own = sorted(answer.own_ms for answer in answers)
    return _OwnMs(p50=round(own[len(own) // 2], 3), p99=round(own[len(own) * 99 // 100], 3))


class _OwnMs(NamedTuple):
    p50: float
    p99: float


def _add_orders(database: Path, before: int, after: int) -> None:
    """Past the gateway, as it runs; in parts, told apart by their time, so that it can write in between."""
    with closing(sqlite3.connect(database, timeout=60)) as connection:
        columns = [str(row[1]) for row in connection.execute("PRAGMA table_info(journal)")]
        values = [_OWN.get(column, column) for column in columns]
        statement = _ADD_ORDERS.format(columns=", ".join(columns), values=", ".join(values))
        for made_at in range(before, after, _PART):
            with connection:
                connection.execute(statement, (min(_PART, after - made_at), made_at))
                connection.execute(_ADD_EVENTS, (made_at,))


async def _median_cpu_us(server: Server) -> float:
    """What an order costs a key that has been there before."""
    orders = same_orders(server.callers)
    await _cpu_us(server, itertools.islice(orders, CALLERS))
    turns = [await _cpu_us(server, itertools.islice(orders, _PER_TURN)) for _ in range(_TURNS)]
    return round(statistics.median(turns), 1)


async def _cpu_us(server: Server, requests: Iterator[bytes]) -> float:
    connections = await connect(server.port, requests, _CONNECTIONS)
    before = await server.accounts()
    done = await run_load(connections, _TURN_S)
    after = await server.accounts()
    return round((after.cpu_s - before.cpu_s) / done.answers * 1e6, 1)


def draw(curve: Curve, directory: Path) -> None:
    with figure(directory / f"{curve.name}.png", curve.x, curve.y) as axes:
        for label, ys in curve.ys.items():
            axes.semilogx(curve.xs, ys, "o-", label=label)
        axes.set_ylim(bottom=0)


async def measure(most_keys: int, most_orders: int, tell: Callable[[str], None]) -> Sequence[Curve]:
    cores = Cores()
    cores.pin_load()
    with tempfile.TemporaryDirectory(prefix="venuegate-growth-") as temporary:
        directory = Path(temporary)
        return (
            await by_keys(directory / "keys", cores, _steps(1_000, most_keys), tell),
            await by_instruments(directory / "instruments", cores, (1, 10, 100, 1_000, 10_000), tell),
            await by_rate(directory / "rate", cores, _RATES, tell),
            await by_orders(directory / "orders", cores, _steps(10, most_orders), tell),
        )


def _steps(first: int, last: int) -> list[int]:
    """Powers of ten apart."""
    return list(itertools.takewhile(lambda step: step <= last, (first * 10**power for power in itertools.count())))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000, help="at most so many")
    parser.add_argument("--orders", type=int, default=100_000, help="at most so many in the journal")
    given = parser.parse_args()
    with (
        Console(stderr=True).status("") as status,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        curves = runner.run(measure(given.keys, given.orders, status.update))
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "growth.json").write_text(json.dumps(msgspec.to_builtins(curves), indent=2) + "\n")
    for curve in curves:
        draw(curve, OUT)
        print(
            curve.name,
            *(
                f"\n  {x:>12,}  " + "  ".join(f"{ys[at]:g}" for ys in curve.ys.values())
                for at, x in enumerate(curve.xs)
            ),
        )


if __name__ == "__main__":
    main()
