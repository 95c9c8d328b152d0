"""More than the venues take: what is under way is bounded, the rest is told to come back, and cancels come first."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from normalization.accounts import Position
from normalization.instruments import Instrument
from storage.ports import Tier
from tests.support.scripted_venue import ScriptedVenue
from tests.support.served import Reply, Served, served

pytestmark = pytest.mark.harness

ROOM: Final = 20
FOR_READS: Final = 16
FOR_PLACEMENTS: Final = 18
VENUE_TAKES_S: Final = 0.1
OVERLOAD: Final = 5
SHORT_S: Final = 1.5
LONG_S: Final = 60.0
RECOVERS_WITHIN_S: Final = 5.0
# Of every hundred requests.
MIX: Final = {"getPositions": 70, "placeLimitOrder": 25, "cancelOrder": 5}
PARAMETERS: Final = {
    "getMarkPrice": {"market": "BTC"},
    "placeLimitOrder": {"market": "BTC", "side": "BUY", "size": "0.01", "price": "94000"},
    "cancelOrder": {"market": "BTC", "orderId": "ord_1"},
}
PER_CALLER: Final = 400


class BusyVenue(ScriptedVenue):
    """Everything there waits for ``gate``, or takes a while."""

    def __init__(self, takes_s: float = 0.0) -> None:
        super().__init__()
        self._takes_s = takes_s
        self.here = 0
        self.most_here = 0

    async def _wait(self) -> None:
        self.here += 1
        self.most_here = max(self.most_here, self.here)
        if self.gate is not None:
            await self.gate.wait()
        await asyncio.sleep(self._takes_s)
        self.here -= 1

    async def get_positions(self, instrument: Instrument | None) -> Sequence[Position]:
        await self._wait()
        return []

    async def place_order(self, submission: Any) -> Any:
        await self._wait()
        return await super().place_order(submission)

    async def cancel_order(self, order_id: str, instrument: Instrument | None) -> None:
        await self._wait()


class Crowd:
    """Callers without limits to speak of: each account asks only so often."""

    def __init__(self, gateway: Served) -> None:
        self._gateway = gateway
        self._asked = 0
        self._callers: list[tuple[str, str]] = []

    async def gather(self, requests: int) -> None:
        """Enough of them for so many requests."""
        for _ in range(requests // PER_CALLER + 1):
            account = await self._gateway.account(Tier.PRO)
            credential = await self._gateway.credential(account)
            self._callers.append((await self._gateway.key(account), credential.credential_id))

    async def ask(self, operation: str) -> Reply:
        key, credential_id = self._callers[self._asked // PER_CALLER]
        self._asked += 1
        body = {"operation": operation, "credentialId": credential_id, **PARAMETERS.get(operation, {})}
        return await self._gateway.post(body, key)


@asynccontextmanager
async def crowded(directory: Path, venue: BusyVenue, requests: int = PER_CALLER - 1) -> AsyncIterator[Crowd]:
    async with served(directory, {"scripted": venue}, max_in_flight=ROOM) as gateway:
        crowd = Crowd(gateway)
        await crowd.gather(requests)
        # So that nobody waits for what is only done once.
        assert (await crowd.ask("getMarkPrice")).status == 200
        yield crowd


def is_refusal(reply: Reply) -> bool:
    return reply.status == 503 and reply.json["code"] == "SERVICE_UNAVAILABLE" and reply.headers["Retry-After"] == "1"


async def refused(asked: Sequence[asyncio.Task[Reply]]) -> int:
    """How many of those that were asked have been turned away, once that is settled for all of them."""
    done, _ = await asyncio.wait(asked, timeout=0.5)
    assert all(is_refusal(task.result()) for task in done)
    return len(done)


async def test_the_last_of_the_room_is_for_placements_and_the_very_last_for_cancels(tmp_path: Path) -> None:
    venue = BusyVenue()
    gate = venue.gate = asyncio.Event()
    async with crowded(tmp_path, venue) as crowd, asyncio.timeout(30):

        def ask(operation: str, times: int) -> list[asyncio.Task[Reply]]:
            return [asyncio.create_task(crowd.ask(operation)) for _ in range(times)]

        reads = ask("getPositions", 40)
        assert await refused(reads) == 40 - FOR_READS
        placements = ask("placeLimitOrder", 10)
        assert await refused(placements) == 10 - (FOR_PLACEMENTS - FOR_READS)
        cancels = ask("cancelOrder", 10)
        assert await refused(cancels) == 10 - (ROOM - FOR_PLACEMENTS)
        assert await refused(ask("getPositions", 1)) == 1
        assert venue.most_here == ROOM
        gate.set()
        replies = await asyncio.gather(*reads, *placements, *cancels)
        assert Counter(reply.status for reply in replies) == {200: ROOM, 503: 60 - ROOM}
        assert (await crowd.ask("getPositions")).status == 200


async def test_a_request_that_is_turned_away_is_not_counted_against_its_limits(tmp_path: Path) -> None:
    venue = BusyVenue()
    gate = venue.gate = asyncio.Event()
    async with crowded(tmp_path, venue) as crowd, asyncio.timeout(30):
        asked = [asyncio.create_task(crowd.ask("getPositions")) for _ in range(FOR_READS + 5)]
        assert await refused(asked) == 5
        gate.set()
        await asyncio.gather(*asked)
        reply = await crowd.ask("getPositions")
        # With the one at the beginning.
        assert int(reply.headers["X-RateLimit-Remaining-Minute"]) == 600 - FOR_READS - 2


async def test_at_five_times_what_it_takes_the_gateway_still_serves_what_it_can(tmp_path: Path, soak: bool) -> None:
    venue = BusyVenue(VENUE_TAKES_S)
    seconds = LONG_S if soak else SHORT_S
    rate = OVERLOAD * ROOM / VENUE_TAKES_S
    total = int(rate * seconds)
    order = [operation for operation, share in MIX.items() for _ in range(share)]
    async with crowded(tmp_path, venue, total + 1_000) as crowd:
        asked: dict[str, list[asyncio.Task[Reply]]] = {operation: [] for operation in MIX}
        began = time.monotonic()
        for number in range(total):
            # Open loop: each has an instant at which it is due, whatever became of those before it.
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            operation = order[number * 37 % len(order)]
            asked[operation].append(asyncio.create_task(crowd.ask(operation)))
        ended = time.monotonic()
        while (await crowd.ask("getPositions")).status != 200:
            assert time.monotonic() - ended < RECOVERS_WITHIN_S
        recovered_s = time.monotonic() - ended
        served_shares = {}
        for operation, tasks in asked.items():
            replies = await asyncio.gather(*tasks)
            assert {reply.text for reply in replies if reply.status != 200 and not is_refusal(reply)} == set()
            served_shares[operation] = sum(reply.status == 200 for reply in replies) / len(replies)
    print(
        f"overload: {total} requests in {ended - began:.1f} s, at most {venue.most_here} at the venue,"
        f" served {', '.join(f'{name} {share:.1%}' for name, share in served_shares.items())},"
        f" reads again after {recovered_s:.2f} s"
    )
    assert venue.most_here <= ROOM
    assert served_shares["cancelOrder"] > served_shares["placeLimitOrder"] > served_shares["getPositions"]
