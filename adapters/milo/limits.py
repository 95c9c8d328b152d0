"""Milo's limits, and our pace within them.

Milo counts in windows that open with their first request. Nobody but Milo knows when that was, so no more than a
window's number leaves in any stretch of a window's length, with a little room for the way there.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Final

from adapters.ccxt_venues.limits import MAX_WAIT_S, Priority
from normalization.venue_failures import Reason, VenueDeferred

WINDOW_S: Final = 60.0
MARGIN_S: Final = 0.5
_KEPT: Final = 4_096


class Group(Enum):
    """A row of the reference's table, and how many requests a window has."""

    SIGNUP = ("Signup", 5)
    SIWX_MESSAGE = ("SIWX message", 5)
    ME = ("Me", 60)
    PORTFOLIO_READ = ("Portfolio reads", 60)
    AUTO_TRADE_WRITE = ("Auto-trade settings (write)", 10)
    STRATEGIES_WRITE = ("Strategies (write)", 10)
    STRATEGIES_READ = ("Strategies (read)", 60)
    CONVERSATIONS_WRITE = ("Conversations (write)", None)  # two are free, and Milo says what the others cost
    CONVERSATIONS_READ = ("Conversations (read)", 30)
    ARENA_WRITE = ("Arena write", 5)
    ARENA_READ = ("Arena read", 30)
    QUESTS_READ = ("Quests read", 60)
    QUESTS_WRITE = ("Quests write", 10)
    WALLET_ACTIONS = ("Wallet actions", 10)
    ORDERS_CREATE = ("Orders create", 5)
    ORDERS_WRITE = ("Orders write", 10)
    ORDERS_READ = ("Orders (read)", 60)
    POSITION_CLOSE = ("Position close", 10)
    CLOSE_ALL = ("Position close-all", 1)

    def __init__(self, title: str, limit: int | None) -> None:
        self.title = title
        self.limit = limit


class Window:
    """At most ``limit`` requests in any ``WINDOW_S``. One that would wait too long for its turn is refused."""

    def __init__(
        self,
        title: str,
        limit: int,
        *,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._title = title
        self._limit = limit
        self._monotonic = monotonic
        self._sleep = sleep
        self._taken: deque[float] = deque(maxlen=limit)
        self._closed_until = -math.inf

    async def take(self, weight: float, priority: Priority) -> None:
        """:raises VenueDeferred: nothing was sent; with the time after which it may be."""
        now = self._monotonic()
        free_at = max(now, self._closed_until)
        if len(self._taken) == self._limit:
            free_at = max(free_at, self._taken[0] + WINDOW_S + MARGIN_S)
        wait_s = free_at - now
        if wait_s > MAX_WAIT_S[priority]:
            raise VenueDeferred(
                Reason.VENUE_RATE_LIMITED,
                f"{self._title}: {self._limit} in {WINDOW_S:.0f} seconds, and the gateway keeps to that",
                retry_after_s=max(math.ceil(wait_s), 1),
            )
        self._taken.append(free_at)
        if wait_s > 0:
            await self._sleep(wait_s)

    def hold(self, seconds: float) -> None:
        """Let nothing through for that long: Milo said that it was too much."""
        self._closed_until = max(self._closed_until, self._monotonic() + seconds)

    def has_to_spare(self) -> bool:
        now = self._monotonic()
        return sum(at > now - WINDOW_S for at in self._taken) * 2 < self._limit and now >= self._closed_until


class Pace:
    """The windows of one API key, or of our own address."""

    def __init__(self, *, monotonic: Callable[[], float], sleep: Callable[[float], Awaitable[None]]) -> None:
        self._monotonic = monotonic
        self._sleep = sleep
        self._windows: dict[Group, Window] = {}

    def of(self, group: Group) -> tuple[Window, ...]:
        """None where Milo alone decides."""
        if group.limit is None:
            return ()
        if group not in self._windows:
            self._windows[group] = Window(group.title, group.limit, monotonic=self._monotonic, sleep=self._sleep)
        return (self._windows[group],)


class Paces:
    """One for each key, shared by the sessions that use it; of too many, the longest unused are forgotten."""

    def __init__(self, *, monotonic: Callable[[], float], sleep: Callable[[float], Awaitable[None]]) -> None:
        self._monotonic = monotonic
        self._sleep = sleep
        self._known: OrderedDict[str, Pace] = OrderedDict()

    def of(self, whose: str) -> Pace:
        if whose not in self._known:
            self._known[whose] = Pace(monotonic=self._monotonic, sleep=self._sleep)
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        self._known.move_to_end(whose)
        return self._known[whose]
