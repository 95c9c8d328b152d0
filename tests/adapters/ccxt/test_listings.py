from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from adapters.ccxt_venues.markets import FRESH_FOR_S, Listings
from normalization.errors import ServiceUnavailable
from normalization.venue_failures import Reason, VenueNotReached, VenueUnclear


class Venue:
    """A venue's list of markets, here a number in text; it may be down."""

    def __init__(self) -> None:
        self.now = 0.0
        self.raw = b"1"
        self.down: Exception | None = None
        self.asked = 0
        self.parsed = 0

    async def fetch(self) -> bytes:
        self.asked += 1
        await asyncio.sleep(0)
        if self.down:
            raise self.down
        return self.raw

    def parse(self, raw: bytes) -> int:
        self.parsed += 1
        return int(raw)


Open = Callable[[Venue], Listings[int]]


@pytest.fixture
async def listings(tmp_path: Path) -> AsyncIterator[Open]:
    opened: list[Listings[int]] = []

    def build(venue: Venue) -> Listings[int]:
        found = Listings(
            "venue",
            fetch=venue.fetch,
            parse=venue.parse,
            store=tmp_path / "markets" / "venue.json",
            monotonic=lambda: venue.now,
        )
        opened.append(found)
        return found

    yield build
    for each in opened:
        await each.close()


async def renewed() -> None:
    """Wait for what runs in the background."""
    async with asyncio.timeout(5):
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)


async def test_many_who_ask_at_once_cause_one_load(listings: Open) -> None:
    venue = Venue()
    table = listings(venue)
    assert await asyncio.gather(*(table.get() for _ in range(50))) == [1] * 50
    assert (venue.asked, venue.parsed) == (1, 1)


async def test_a_stale_list_serves_while_it_is_renewed(listings: Open) -> None:
    venue = Venue()
    table = listings(venue)
    await table.get()
    venue.now, venue.raw = FRESH_FOR_S, b"2"
    assert await table.get() == 1
    await renewed()
    assert await table.get() == 2
    assert venue.asked == 2


async def test_a_list_that_did_not_change_is_not_parsed_again(listings: Open) -> None:
    venue = Venue()
    table = listings(venue)
    await table.get()
    venue.now = FRESH_FOR_S
    await table.get()
    await renewed()
    assert (venue.asked, venue.parsed) == (2, 1)


async def test_a_venue_that_is_down_leaves_the_old_list_standing(listings: Open) -> None:
    venue = Venue()
    table = listings(venue)
    await table.get()
    venue.now, venue.down = FRESH_FOR_S, VenueUnclear(Reason.VENUE_TIMEOUT, "no answer")
    assert await table.get() == 1
    await renewed()
    assert await table.get() == 1
    assert venue.asked == 2


async def test_after_a_restart_the_list_on_disk_serves_at_once(listings: Open) -> None:
    await listings(Venue()).get()
    later = Venue()
    later.raw = b"2"
    restarted = listings(later)
    assert await restarted.get() == 1
    await renewed()
    assert await restarted.get() == 2


@pytest.mark.parametrize("stored", [b"", b"not a number"])
async def test_a_damaged_list_on_disk_is_loaded_anew(listings: Open, tmp_path: Path, stored: bytes) -> None:
    (tmp_path / "markets").mkdir()
    (tmp_path / "markets" / "venue.json").write_bytes(stored)
    assert await listings(Venue()).get() == 1


@pytest.mark.parametrize("down", [VenueNotReached(Reason.VENUE_UNREACHABLE, "down"), ValueError("not a list")])
async def test_without_any_list_the_gateway_says_that_it_cannot_serve(listings: Open, down: Exception) -> None:
    venue = Venue()
    venue.down = down
    table = listings(venue)
    with pytest.raises(ServiceUnavailable):
        await table.get()
    venue.down = None
    assert await table.get() == 1
