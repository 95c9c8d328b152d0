"""Limits are exact however many workers count, whatever their clocks say, and when Redis's own clock is set.

In the short form Redis goes by a clock that the test moves: minutes and midnight pass within a second. In the long form
it goes by its own.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from storage.sql import open_sqlite
from tests.support.limiter_process import Done, LimiterProcess, Work, limiter_processes
from tests.support.redis_clock import RedisClock
from tests.support.redis_server import RedisProcess, running_redis

pytestmark = pytest.mark.harness

DAY_MS: Final = 86_400_000
MINUTE_MS: Final = 60_000
NOON: Final = 20_000 * DAY_MS + DAY_MS // 2
BEFORE_MIDNIGHT: Final = 20_001 * DAY_MS - 3 * MINUTE_MS
# An hour ahead, a day behind: nodes need not agree.
OFFSETS_S: Final = (0.0, 3_600.0, -86_400.0, 41.5)


@pytest.fixture
async def database(tmp_path: Path) -> Path:
    path = tmp_path / "venuegate.db"
    await (await open_sqlite(path)).close()
    return path


@pytest.fixture
async def workers(redis_process: RedisProcess, database: Path) -> AsyncIterator[Sequence[LimiterProcess]]:
    """Four processes, with Redis at noon until somebody sets its clock."""
    RedisClock(redis_process, NOON)
    async with limiter_processes(redis_process.url, database, OFFSETS_S, test_time=True) as running:
        yield running


async def all_do(workers: Sequence[LimiterProcess], work: Work) -> tuple[Counter[int], Counter[int]]:
    """Admitted and refused by minute, of all workers together."""
    done: Sequence[Done] = await asyncio.gather(*(worker.do(work) for worker in workers))
    admitted, refused = Counter[int](), Counter[int]()
    for one in done:
        admitted.update(one.admitted)
        refused.update(one.refused)
    return admitted, refused


async def test_limits_are_exact_over_processes_minutes_midnight_and_clocks_that_jump(
    redis_process: RedisProcess, database: Path, workers: Sequence[LimiterProcess]
) -> None:
    # One minute.
    admitted, refused = await all_do(workers, Work(account_id="exact", requests=1_500))
    assert (sum(admitted.values()), sum(refused.values())) == (1_000, 5_000)
    print(f"\n{len(workers)} processes, 6,000 requests against 1,000 a minute: {sum(admitted.values()):,} admitted")

    # Minutes and midnight pass, four seconds every ten milliseconds.
    clock = RedisClock(redis_process, BEFORE_MIDNIGHT)
    crossing = asyncio.create_task(all_do(workers, Work(account_id="edges", seconds=1.0, per_minute=100)))
    while not crossing.done():
        await asyncio.wait({crossing}, timeout=0.01)
        clock.set_redis(clock.redis_ms + 4_000)
    admitted, refused = crossing.result()
    minutes = sorted(admitted)
    assert minutes[0] < 20_001 * 1_440 <= minutes[-1], "midnight was not crossed"
    overshoot = sum(max(0, count - 100) for count in admitted.values())
    denied_falsely = [minute for minute in minutes if admitted[minute] < 100 and refused[minute]]
    print(
        f"{len(minutes)} minutes and midnight crossed under load: overshoot {overshoot}, false denials"
        f" {sum(refused[minute] for minute in denied_falsely)}"
    )
    assert (overshoot, denied_falsely) == (0, [])

    # The database has every one of them, under its day.
    stores = await open_sqlite(database)
    stored = {day: (await stores.usage.day(day)).get("edges", 0) for day in ("2024-10-04", "2024-10-05")}
    await stores.close()
    assert list(stored.values()) == [
        sum(count for minute, count in admitted.items() if minute // 1_440 == day) for day in (20_000, 20_001)
    ]

    # Redis's clock goes back an hour, and comes again.
    last = clock.redis_ms
    await all_do(workers, Work(account_id="jump", requests=100, per_minute=100))
    reopened = 0
    for at_ms in (last - 3_600_000, last - 60_000, last):
        clock.set_redis(at_ms)
        admitted, _ = await all_do(workers, Work(account_id="jump", requests=100, per_minute=100))
        reopened += sum(admitted.values())
    clock.set_redis(last + MINUTE_MS)
    admitted, _ = await all_do(workers, Work(account_id="jump", requests=100, per_minute=100))
    print(f"clock set back an hour and forward again: {reopened} admitted in windows that were full")
    assert (reopened, sum(admitted.values())) == (0, 100)


async def test_eight_processes_by_the_clock_of_redis_itself(database: Path, soak: bool) -> None:
    if not soak:
        pytest.skip("in the long form: it waits for minutes to pass")
    with running_redis() as redis:
        async with limiter_processes(redis.url, database, OFFSETS_S * 2, test_time=False) as workers:
            await _until_a_minute_begins()
            began = time.monotonic()
            admitted, refused = await all_do(workers, Work(account_id="exact", requests=3_000))
            print(
                f"\n8 processes, 24,000 requests against 1,000 a minute in {time.monotonic() - began:.1f} s:"
                f" {dict(admitted)} admitted, {sum(refused.values()):,} refused"
            )
            assert set(admitted.values()) == {1_000}
            edges, _ = await all_do(workers, Work(account_id="edges", seconds=130))
            print(f"minute edges under load: {dict(edges)}")
            assert len(edges) >= 2
            assert all(count == 1_000 for count in edges.values())


async def _until_a_minute_begins() -> None:
    await asyncio.sleep(60 - time.time() % 60 + 0.2)
