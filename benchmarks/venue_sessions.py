"""What an open venue session costs: the memory of each, and how long it takes until one more is open."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.load import connect, run_load
from benchmarks.server import Cores, Server, started
from benchmarks.wire import Caller, balance

VENUES: Final = ("hyperliquid", "paradex")
PROMISED: Final = 200
_MIB: Final = 2**20
_WARM_UP: Final = 10
_MORE: Final = 11
_WITHIN_S: Final = 120.0


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """``mib`` is that of ``PROMISED`` sessions."""

    mib: float
    open_ms: float


async def measure(directory: Path, cores: Cores, *, sessions: int) -> dict[str, Any]:
    """With so many open, on each of the local venues; what it costs on the dearer one."""
    costs = [await _at(exchange, directory / exchange, cores, sessions) for exchange in VENUES]
    return {
        "venue_sessions_mib": round(max(cost.mib for cost in costs), 1),
        "venue_session_open_ms": round(max(cost.open_ms for cost in costs), 2),
    }


async def _at(exchange: str, directory: Path, cores: Cores, sessions: int) -> Cost:
    accounts = _WARM_UP + sessions + _MORE
    async with started(exchange, directory, cores, callers=accounts, accounts=accounts) as server:
        first, many, more = _cut(server.callers, _WARM_UP, sessions)
        # Markets are loaded by then, and whatever is imported late.
        await _ask(server, first)
        before = await server.accounts()
        await _ask(server, many)
        after = await server.accounts()
        opened_ms = [await _opening_ms(server, caller) for caller in more]
    mib = (after.rss_bytes - before.rss_bytes) / _MIB / sessions * PROMISED
    return Cost(mib=mib, open_ms=statistics.median(opened_ms))


async def _opening_ms(server: Server, caller: Caller) -> float:
    """How much longer the first question takes, which opens the session and signs in, than the same again."""
    first, again = await _ask(server, [caller]), await _ask(server, [caller])
    return (first - again) * 1e3


async def _ask(server: Server, callers: Sequence[Caller]) -> float:
    """Seconds until all were told their balance, one after the other."""
    return (await run_load(await connect(server.port, map(balance, callers), 1), _WITHIN_S)).seconds


def _cut(callers: Sequence[Caller], *sizes: int) -> list[Sequence[Caller]]:
    parts = []
    for size in sizes:
        parts.append(callers[:size])
        callers = callers[size:]
    return [*parts, callers]
