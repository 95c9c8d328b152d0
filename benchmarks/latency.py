"""The gateway's own part of a placed order at half of what it can do: everything but the venue."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.load import connect, run_load
from benchmarks.open_loop import Schedule, Timed
from benchmarks.server import Cores, started
from benchmarks.wire import NewOrders, limit_order

CALLERS: Final = 400
_CONNECTIONS: Final = 64
_FULL_LOAD_S: Final = 2.0
_PERCENTILES: Final = (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Of orders sent at ``per_second``, sorted milliseconds of the gateway's own part."""

    per_second: float
    own_ms: Sequence[float]

    def at(self, share: float) -> float:
        """The figure that ``share`` of all orders do not pass."""
        return self.own_ms[min(int(share * len(self.own_ms)), len(self.own_ms) - 1)]

    def summary(self, name: str) -> dict[str, Any]:
        figures = {f"{name}_own_{label}_ms": round(self.at(share), 3) for label, share in _PERCENTILES}
        return {**figures, f"{name}_own_at_per_second": round(self.per_second)}


async def measure(server_name: str, directory: Path, cores: Cores, *, orders: int) -> Latency:
    """``orders`` orders at half the rate that the server keeps up with when it is always busy."""
    async with started(server_name, directory, cores, callers=CALLERS) as server:
        requests = NewOrders(limit_order)(server.callers)
        full = await run_load(await connect(server.port, requests, _CONNECTIONS), _FULL_LOAD_S)
        rate = full.answers / full.seconds / 2
        answers = await Schedule(itertools.islice(requests, orders), rate=rate, count=orders).run(
            server.port, _CONNECTIONS
        )
    return Latency(per_second=rate, own_ms=sorted(map(_own_ms, answers)))


def _own_ms(answer: Timed) -> float:
    return answer.own_ms
