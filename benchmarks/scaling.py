"""``python -m benchmarks.scaling``: what a million accounts at 100,000 requests a second would need, by simulation.

Unit costs come from measurements (``Costs``), the shape of the load from assumptions that are stated (``Demand``).
What is simulated is what an average hides: the few accounts that send most of the requests, the shard that happens to
have them, and orders that wait for a flush which they share.
"""

from __future__ import annotations

import argparse
import binascii
import math
import uuid
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.plots import figure
from gateway.limits import LIMITS
from storage.ports import Tier

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

REDIS_SLOTS: Final = 16_384
SEED: Final = 20_260_101
_TIERS: Final = {Tier.PRO: 0.05, Tier.BUILDER: 0.15}
"""What part of the accounts pays; the rest has the free tier."""
_PARTS: Final = (0.01, 0.03, 0.1, 0.3, 1.0)


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """What one unit of work takes, as ``python -m benchmarks.units`` measures it.

    ``read_cpu_us`` and ``order_cpu_us`` are a gateway's, limits checked in Redis and orders journaled in PostgreSQL.
    ``check_cpu_us`` is Redis's own per limit check. ``flush_ms`` is what PostgreSQL waits for its disk at a commit,
    ``row_ms`` the CPU that each order takes of it, later changes included; ``order_bytes`` is what an order leaves
    behind there, indexes and events included.
    """

    read_cpu_us: float
    order_cpu_us: float
    check_cpu_us: float
    account_bytes: float
    flush_ms: float
    row_ms: float
    order_bytes: float


MEASURED: Final = Costs(
    read_cpu_us=79,
    order_cpu_us=433,
    check_cpu_us=13.7,
    account_bytes=220,
    flush_ms=0.42,
    row_ms=0.22,
    order_bytes=2_320,
)
"""On the machine of ``docs/performance.md``."""


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """``skew`` is Zipf's exponent. ``busiest`` is how much of a unit may be in use at the busiest moment.

    ``signing_cpu_us`` is what an order takes at a real venue over what it takes on paper. Each PostgreSQL has
    ``database_cores``. A venue takes ``orders_per_address_s`` from one network address.
    """

    accounts: int = 1_000_000
    requests_per_s: float = 100_000
    order_share: float = 0.05
    skew: float = 0.8
    busiest: float = 0.6
    signing_cpu_us: float = 500
    database_cores: int = 8
    orders_per_address_s: float = 10


class Limited(msgspec.Struct, frozen=True, kw_only=True):
    """A minute of all accounts: requests wanted and admitted, and how many accounts met their limit."""

    wanted: int
    admitted: int
    accounts_refused: int


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """Orders on one PostgreSQL: how long they waited for their commit, and how many shared one."""

    per_s: float
    orders_per_flush: float
    p50_ms: float
    p99_ms: float


def wanted_by_account(demand: Demand, random: np.random.Generator) -> Floats:
    """Each account's share of the requests, in no order. Who wants more than its tier admits is simply refused."""
    ranks = np.arange(1, demand.accounts + 1, dtype=np.float64)
    shares: Floats = ranks**-demand.skew
    random.shuffle(shares)
    shares /= shares.sum()
    return shares


def limits_by_account(demand: Demand, shares: Floats) -> Ints:
    """Requests a minute: those who want most pay for most."""
    limits = np.full(demand.accounts, LIMITS[Tier.FREE].per_minute, dtype=np.int64)
    by_want = np.argsort(-shares)
    first = 0
    for tier, share in _TIERS.items():
        last = first + round(share * demand.accounts)
        limits[by_want[first:last]] = LIMITS[tier].per_minute
        first = last
    return limits


def minute(demand: Demand, shares: Floats, limits: Ints, random: np.random.Generator) -> tuple[Limited, Ints]:
    """One minute, and what was admitted by account."""
    wanted = random.poisson(shares * demand.requests_per_s * 60)
    admitted = np.minimum(wanted, limits)
    told = Limited(
        wanted=int(wanted.sum()), admitted=int(admitted.sum()), accounts_refused=int((wanted > limits).sum())
    )
    return told, admitted


def slot(tag: str) -> int:
    """The slot that Redis Cluster gives a key: CRC16 of what stands in its braces."""
    return binascii.crc_hqx(tag.encode(), 0) % REDIS_SLOTS


@cache
def slots_of(accounts: int, seed: int) -> Ints:
    """The slot of each account's counters."""
    random = Random(seed)
    ids = (str(uuid.UUID(int=random.getrandbits(128), version=4)) for _ in range(accounts))
    return np.fromiter(map(slot, ids), dtype=np.int64, count=accounts)


def hottest_shard(load: NDArray[Any], slots: Ints, shards: int) -> float:
    """The load of the busiest shard against an even share of all; slots are dealt out in ranges of equal length."""
    by_shard = np.bincount(slots * shards // REDIS_SLOTS, weights=load, minlength=shards)
    return float(by_shard.max() / by_shard.mean())


def hottest_partition(load: NDArray[Any], partitions: int, random: np.random.Generator) -> float:
    """The same where each account is on any one of so many databases."""
    by_partition = np.bincount(random.integers(0, partitions, len(load)), weights=load, minlength=partitions)
    return float(by_partition.max() / by_partition.mean())


def group_commit(
    costs: Costs, cores: int, orders_per_s: float, random: np.random.Generator, *, orders: int = 50_000
) -> Queue:
    """Orders that come when they like; a commit takes all that wait, and the next begins when it is through."""
    row_ms = costs.row_ms / cores
    arrivals = np.cumsum(random.exponential(1000 / orders_per_s, orders))
    waited = np.empty(orders)
    free_at, first, flushes = 0.0, 0, 0
    while first < orders:
        begins = max(free_at, float(arrivals[first]))
        last = int(np.searchsorted(arrivals, begins, side="right"))
        free_at = begins + costs.flush_ms + row_ms * (last - first)
        waited[first:last] = free_at - arrivals[first:last]
        first, flushes = last, flushes + 1
    p50, p99 = np.quantile(waited, (0.5, 0.99))
    return Queue(per_s=orders_per_s, orders_per_flush=orders / flushes, p50_ms=float(p50), p99_ms=float(p99))


def most_orders_per_s(costs: Costs, cores: int, random: np.random.Generator, *, p99_ms: float = 5.0) -> Queue:
    """The most that one PostgreSQL takes with the durable commit within ``p99_ms``, to five percent."""
    low, high = 10.0, 1000 * cores / costs.row_ms
    best = group_commit(costs, cores, low, random)
    while high / low > 1.05:
        middle = math.sqrt(low * high)
        found = group_commit(costs, cores, middle, random)
        if found.p99_ms <= p99_ms:
            low, best = middle, found
        else:
            high = middle
    return best


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What it takes. Workers are cores of gateways."""

    limited: Limited
    workers: int
    redis_shards: int
    redis_memory_mib: float
    hottest_shard: float
    journal: Queue
    partitions: int
    hottest_partition: float
    order_gib_per_day: float
    addresses: int


def plan(costs: Costs, demand: Demand, seed: int = SEED) -> Plan:
    random = np.random.default_rng(seed)
    shares = wanted_by_account(demand, random)
    limited, admitted = minute(demand, shares, limits_by_account(demand, shares), random)
    reads_per_s = limited.admitted / 60 * (1 - demand.order_share)
    orders_per_s = limited.admitted / 60 * demand.order_share
    order_cpu_us = costs.order_cpu_us + demand.signing_cpu_us
    cpu_s = (reads_per_s * costs.read_cpu_us + orders_per_s * order_cpu_us) / 1e6
    checks_cpu_s = limited.wanted / 60 * costs.check_cpu_us / 1e6
    slots = slots_of(demand.accounts, seed)
    shards, shard_heat = _enough(checks_cpu_s, demand.busiest, lambda n: hottest_shard(admitted, slots, n))
    journal = most_orders_per_s(costs, demand.database_cores, random)
    partitions, partition_heat = _enough(
        orders_per_s / journal.per_s, demand.busiest, lambda n: hottest_partition(admitted, n, random)
    )
    return Plan(
        limited=limited,
        workers=math.ceil(cpu_s / demand.busiest),
        redis_shards=shards,
        redis_memory_mib=demand.accounts * costs.account_bytes / 2**20,
        hottest_shard=shard_heat,
        journal=journal,
        partitions=partitions,
        hottest_partition=partition_heat,
        order_gib_per_day=orders_per_s * 86_400 * costs.order_bytes / 2**30,
        addresses=math.ceil(orders_per_s / demand.orders_per_address_s),
    )


def _enough(units: float, busiest: float, hottest: Callable[[int], float]) -> tuple[int, float]:
    """How many shards keep the hottest of them at ``busiest``, and how hot that one is."""
    count = max(1, math.ceil(units / busiest))
    while units / count * (heat := hottest(count)) > busiest:
        count += 1
    return count, heat


def rows(made: Plan) -> Sequence[tuple[str, str]]:
    limited, journal = made.limited, made.journal
    refused = 1 - limited.admitted / limited.wanted
    return (
        ("requests wanted in the minute", f"{limited.wanted:,}"),
        ("refused by the limits", f"{refused:.1%} of them, of {limited.accounts_refused:,} accounts"),
        ("gateway workers (cores)", f"{made.workers:,}"),
        ("Redis shards", f"{made.redis_shards:,} (the hottest has {made.hottest_shard:.2f} of an even share)"),
        ("memory of all counters", f"{made.redis_memory_mib:,.0f} MiB"),
        ("orders a second on one PostgreSQL", f"{journal.per_s:,.0f} with p99 {journal.p99_ms:.1f} ms to commit"),
        ("orders that share a flush there", f"{journal.orders_per_flush:.1f}"),
        (
            "PostgreSQL partitions",
            f"{made.partitions:,} (the hottest has {made.hottest_partition:.2f} of an even share)",
        ),
        ("journal growth", f"{made.order_gib_per_day:,.0f} GiB a day"),
        ("addresses to call venues from", f"{made.addresses:,}, if all orders went to one venue"),
    )


def draw(costs: Costs, demand: Demand, directory: Path) -> None:
    """``scaling-flushes.png``: waiting for a shared flush; ``scaling-plan.png``: what more requests need."""
    random = np.random.default_rng(SEED)
    cores = demand.database_cores
    most = 0.98 * 1000 * cores / costs.row_ms
    queues = [group_commit(costs, cores, rate, random) for rate in np.geomspace(50, most, 24)]
    with figure(directory / "scaling-flushes.png", "Orders a second on one PostgreSQL", "ms until committed") as axes:
        rates = [queue.per_s for queue in queues]
        axes.loglog(rates, [queue.p50_ms for queue in queues], label="p50")
        axes.loglog(rates, [queue.p99_ms for queue in queues], label="p99")
        axes.loglog(rates, [queue.orders_per_flush for queue in queues], "--", label="orders per flush")
    steps = [msgspec.structs.replace(demand, requests_per_s=demand.requests_per_s * part) for part in _PARTS]
    plans = [plan(costs, step) for step in steps]
    with figure(directory / "scaling-plan.png", "Requests a second", "How many") as axes:
        wanted = [step.requests_per_s for step in steps]
        axes.loglog(wanted, [made.workers for made in plans], "o-", label="gateway cores")
        axes.loglog(wanted, [made.partitions for made in plans], "o-", label="PostgreSQL partitions")
        axes.loglog(wanted, [made.redis_shards for made in plans], "o-", label="Redis shards")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--accounts", type=int, default=Demand().accounts)
    parser.add_argument("--requests", type=float, default=Demand().requests_per_s, help="a second, over all accounts")
    parser.add_argument("--orders", type=float, default=Demand().order_share, help="what part of them places an order")
    parser.add_argument("--costs", type=Path, help="JSON with measured costs, by the names of benchmarks.scaling.Costs")
    parser.add_argument("--plots", type=Path, help="draw into this folder")
    given = parser.parse_args()
    costs = MEASURED if given.costs is None else msgspec.json.decode(given.costs.read_bytes(), type=Costs)
    demand = Demand(accounts=given.accounts, requests_per_s=given.requests, order_share=given.orders)
    console = Console()
    with console.status("simulating"):
        made = plan(costs, demand)
        if given.plots is not None:
            draw(costs, demand, given.plots)
    table = Table(
        title=f"{demand.accounts:,} accounts, {demand.requests_per_s:,.0f} requests a second", show_header=False
    )
    for row in rows(made):
        table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    main()
