"""Rounds: every load in turn, again and again, so that whatever else the machine does hits all of them alike."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.load import Load, connect, run_load
from benchmarks.server import Cores, Server, started
from benchmarks.wire import (
    Accounts,
    Gaps,
    NewOrders,
    Requests,
    batch_of_ten,
    called_limit_order,
    called_reads,
    limit_order,
    reads,
    same_orders,
)

_BUSY: Final = 16
_PER_CALLER: Final = 30
"""Most requests of a caller in one turn, or a fast machine would use up the limits of a minute."""


class Loading(msgspec.Struct, frozen=True, kw_only=True):
    """One way to use one server. ``proof`` is what its answers must have in them, in small letters."""

    name: str
    server: str
    requests: Requests
    connections: int = _BUSY
    proof: tuple[bytes, ...] = ()


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One load in one round. CPU is the server process's, all of its threads.

    ``first_cpu_us`` is per request of the lead-in, where each caller comes once. ``gaps`` are the worst of the event
    loop, where the server watches it.
    """

    cpu_us: float
    per_second: float
    commits: float
    first_cpu_us: float
    gaps: Gaps = Gaps()


_HEADERS: Final = (b"x-request-id: ", b"x-ratelimit-remaining-minute: ", b"x-ratelimit-remaining-day: ")
_new_orders: Final = NewOrders(limit_order)
_called_orders: Final = NewOrders(called_limit_order)
_new_batches: Final = NewOrders(batch_of_ten)
_OPEN: Final = (*_HEADERS, b'"status":"open"')
_PLACED: Final = (b'\r\n\r\n{"success":true}',)

LOADS: Final[Sequence[Loading]] = (
    Loading(name="aiohttp", server="aiohttp", requests=same_orders, proof=(b'\r\n\r\n{"success":true}',)),
    Loading(name="path", server="path", requests=same_orders, proof=(*_HEADERS, b'"status":"open"')),
    Loading(name="read", server="path", requests=reads, proof=(*_HEADERS, b'"markprice":')),
    Loading(name="order", server="order", requests=_new_orders, proof=(*_HEADERS, b'"status":"open"')),
    Loading(name="order_alone", server="order", requests=_new_orders, connections=1, proof=(b'"status":"open"',)),
    Loading(name="mcp_order", server="order", requests=_called_orders, proof=_OPEN),
    Loading(name="mcp_read", server="path", requests=called_reads, proof=(*_HEADERS, b'"markprice":')),
    Loading(name="fastapi", server="fastapi", requests=same_orders, proof=(*_HEADERS, b'"status":"open"')),
    Loading(name="path_redis", server="path_redis", requests=same_orders, proof=(*_HEADERS, b'"status":"open"')),
    Loading(name="fastapi_redis", server="fastapi_redis", requests=same_orders, proof=(*_HEADERS, b'"status":"open"')),
    Loading(name="hyperliquid_order", server="hyperliquid", requests=_new_orders, proof=_OPEN),
    Loading(name="hyperliquid_ccxt", server="hyperliquid_ccxt", requests=_new_orders, proof=_PLACED),
    Loading(name="paradex_order", server="paradex", requests=_new_orders, proof=_OPEN),
    Loading(name="paradex_ccxt", server="paradex_ccxt", requests=_new_orders, connections=4, proof=_PLACED),
    Loading(name="paradex_batch", server="paradex_watched", requests=_new_batches, connections=4, proof=_OPEN),
)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """``callers`` is how many accounts share each load: their limits are counted, and must not be reached."""

    rounds: int
    seconds: float
    warm_up_s: float
    callers: int


class WrongAnswer(Exception):
    """A server answered 200 with something else than it should have."""


async def measure(
    plan: Plan, loads: Sequence[Loading], directory: Path, cores: Cores, tell: Callable[[str], None]
) -> Mapping[str, list[Measurement]]:
    """Every load's measurements, round by round. Servers are started fresh and kept for all rounds."""
    async with AsyncExitStack() as stack:
        servers: dict[str, Server] = {}
        for name in dict.fromkeys(load.server for load in loads):
            tell(f"starting {name}")
            servers[name] = await stack.enter_async_context(
                started(name, directory / name, cores, callers=plan.callers)
            )
        for load in loads:
            tell(f"warming up {load.name}")
            await _turn(load, servers[load.server], plan.callers, plan.warm_up_s)
        found: dict[str, list[Measurement]] = {load.name: [] for load in loads}
        for number, load in itertools.product(range(plan.rounds), loads):
            tell(f"round {number + 1} of {plan.rounds}: {load.name}")
            found[load.name].append(await _turn(load, servers[load.server], plan.callers, plan.seconds))
        return found


async def _turn(load: Loading, server: Server, callers: int, seconds: float) -> Measurement:
    """One load for ``seconds``, after a lead-in.

    A gateway remembers keys and credentials for seconds. In service a caller comes again and again; here its next turn
    is later, and nothing of it would be remembered.
    """
    _, first = await _answered(load, server, len(server.callers), seconds)
    done, used = await _answered(load, server, callers * _PER_CALLER, seconds)
    return Measurement(
        cpu_us=used.cpu_s / done.answers * 1e6,
        per_second=done.answers / done.seconds,
        commits=used.commits / done.answers,
        first_cpu_us=first.cpu_s / len(server.callers) * 1e6,
        gaps=used.gaps,
    )


async def _answered(load: Loading, server: Server, most: int, seconds: float) -> tuple[Load, Accounts]:
    """What came of at most ``most`` requests in about ``seconds``, and what the server used for them."""
    requests = itertools.islice(load.requests(server.callers), most)
    connections = await connect(server.port, requests, load.connections)
    before = await server.accounts()
    done = await run_load(connections, seconds)
    after = await server.accounts()
    _require_proof(load, connections[0].first_answer)
    used = {"cpu_s": after.cpu_s - before.cpu_s, "commits": after.commits - before.commits}
    return done, msgspec.structs.replace(after, **used)


def _require_proof(load: Loading, answer: bytes) -> None:
    missing = [part for part in load.proof if part not in answer.lower()]
    if missing:
        raise WrongAnswer(f"{load.name}: {missing} not in {answer!r}")
