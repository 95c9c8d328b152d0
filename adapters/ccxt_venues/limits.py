"""Our own pace towards a venue: a budget per address or account, spent on cancels before placements before reads."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import Final, Protocol

from normalization.venue_failures import Reason, VenueDeferred


class Priority(IntEnum):
    CANCEL = 0
    PLACE = 1
    READ = 2


MAX_WAIT_S: Final = {Priority.CANCEL: 5.0, Priority.PLACE: 0.8, Priority.READ: 5.0}
"""How long a request may wait for its turn before it is refused. A placement has to leave within a second."""


class Turns(Protocol):
    """What has to let a request through before it is sent."""

    async def take(self, weight: float, priority: Priority) -> None: ...
    def hold(self, seconds: float) -> None: ...
    def has_to_spare(self) -> bool: ...


class Budget:
    """``capacity`` units, refilled evenly over ``period_s``. A second's worth of it is kept back from reads.

    What does not fit waits its turn, the more urgent first; ``hold`` stops everything for a while, as a venue may ask.
    """

    def __init__(
        self,
        capacity: float,
        period_s: float,
        *,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._capacity = capacity
        self._per_s = capacity / period_s
        self._monotonic = monotonic
        self._sleep = sleep
        self._level = capacity
        self._at = monotonic()
        self._waiting: list[tuple[Priority, int, float, asyncio.Future[None]]] = []
        self._arrivals = itertools.count()
        self._pump: asyncio.Task[None] | None = None

    def try_take(self, weight: float, priority: Priority) -> bool:
        """Take it now, or take nothing."""
        if self._waiting and self._waiting[0][0] <= priority:
            return False
        if self._until(weight, priority) > 0:
            return False
        self._level -= weight
        return True

    async def take(self, weight: float, priority: Priority) -> None:
        """:raises VenueDeferred: when its turn would come too late. Nothing was taken, and nothing was sent."""
        if self.try_take(weight, priority):
            return
        limit_s = MAX_WAIT_S[priority]
        ahead = sum(w for other, _, w, turn in self._waiting if other <= priority and not turn.done())
        wait_s = self._until(weight + ahead, priority)
        if wait_s > limit_s:
            raise _too_late(wait_s)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, next(self._arrivals), weight, turn))
        if self._pump is not None and self._waiting[0][3] is turn:
            # It sleeps for somebody less urgent.
            self._pump.cancel()
            self._pump = None
        if self._pump is None:
            self._pump = asyncio.create_task(self._serve())
        try:
            async with asyncio.timeout(limit_s):
                await turn
        except TimeoutError:
            raise _too_late(limit_s) from None

    def has_to_spare(self) -> bool:
        """Whether more than half of it is left and nobody waits."""
        self._refill()
        return not self._waiting and self._level > self._capacity / 2

    def hold(self, seconds: float) -> None:
        """Let nothing through for that long: the venue said that it was too much."""
        self._refill()
        self._level = min(self._level, 0.0) - seconds * self._per_s

    async def _serve(self) -> None:
        while self._waiting:
            priority, _, weight, turn = self._waiting[0]
            if turn.done():
                heapq.heappop(self._waiting)
            elif (pause := self._until(weight, priority)) > 0:
                await self._sleep(pause)
            else:
                heapq.heappop(self._waiting)
                self._level -= weight
                turn.set_result(None)
        self._pump = None

    def _until(self, weight: float, priority: Priority) -> float:
        """Seconds until so much may be taken."""
        self._refill()
        reserve = min(self._per_s, self._capacity / 4) if priority is Priority.READ else 0.0
        missing = min(weight, self._capacity - reserve) + reserve - self._level
        return max(missing, 0.0) / self._per_s

    def _refill(self) -> None:
        now = self._monotonic()
        self._level = min(self._capacity, self._level + (now - self._at) * self._per_s)
        self._at = now


def _too_late(wait_s: float) -> VenueDeferred:
    return VenueDeferred(
        Reason.VENUE_RATE_LIMITED,
        "the gateway keeps to the venue's rate limit, and this would have to wait too long",
        retry_after_s=max(math.ceil(wait_s), 1),
    )
