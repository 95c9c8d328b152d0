from __future__ import annotations

import asyncio
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.ports import UsageStore
from tests.storage.conftest import OpenNode


async def test_a_day_without_use_is_empty(usage: UsageStore) -> None:
    assert await usage.day("2026-01-31") == {}
    assert await usage.history("a", 5) == []


async def test_counts_add_up_by_account_and_day(usage: UsageStore) -> None:
    await usage.add("2026-01-31", {"a": 3, "b": 1})
    await usage.add("2026-01-31", {"a": 2, "c": 4})
    await usage.add("2026-02-01", {"a": 7})
    await usage.add("2026-02-01", {})
    assert await usage.day("2026-01-31") == {"a": 5, "b": 1, "c": 4}
    assert await usage.day("2026-02-01") == {"a": 7}


async def test_history_is_the_last_days_with_any_use_newest_first(usage: UsageStore) -> None:
    for day, count in (("2026-01-01", 1), ("2026-02-03", 2), ("2026-02-01", 0), ("2025-12-31", 4)):
        await usage.add(day, {"a": count, "b": 9})
    assert await usage.history("a", 2) == [("2026-02-03", 2), ("2026-01-01", 1)]
    assert await usage.history("a", 9) == [("2026-02-03", 2), ("2026-01-01", 1), ("2025-12-31", 4)]


async def test_the_counts_of_some_accounts_are_told_without_the_others(usage: UsageStore) -> None:
    await usage.add("2026-01-31", {"a": 3, "b": 1, "c": 2})
    await usage.add("2026-02-01", {"a": 9})
    assert await usage.counts("2026-01-31", {"a", "c", "unknown"}) == {"a": 3, "c": 2}
    assert await usage.counts("2026-01-31", ()) == {}


async def test_two_nodes_lose_no_counts(open_node: OpenNode) -> None:
    stores, other = await open_node(), await open_node()
    await asyncio.gather(*(node.usage.add("2026-01-31", {"a": 1, "b": 2}) for node in [stores, other] * 10))
    assert await other.usage.day("2026-01-31") == {"a": 20, "b": 40}


Added = list[tuple[str, dict[str, int]]]
DAYS = ("2026-01-30", "2026-01-31")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    added=st.lists(
        st.tuples(st.sampled_from(DAYS), st.dictionaries(st.sampled_from("abc"), st.integers(0, 2**40))), max_size=6
    )
)
async def test_what_was_added_is_what_is_counted(usage: UsageStore, added: Added) -> None:
    before = {day: Counter(await usage.day(day)) for day in DAYS}
    await asyncio.gather(*(usage.add(day, counts) for day, counts in added))
    for day in DAYS:
        total = before[day]
        for its_day, counts in added:
            if its_day == day:
                total.update(counts)
        assert await usage.day(day) == dict(total)
