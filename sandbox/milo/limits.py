"""The reference's rate limits: per group of endpoints, a window of sixty seconds that opens with its first request.

Windows are counted in memory: a restart opens new ones.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from sandbox.milo.errors import ApiError, rate_limited

WINDOW_S: Final = 60
_WINDOW_MS: Final = WINDOW_S * 1_000
# Windows that have ended are dropped once so many are kept, or twice as many as were left the last time.
_KEPT: Final = 10_000


class Per(Enum):
    """Whose requests a group counts together."""

    IP = "IP"
    WALLET = "wallet"
    KEY = "API key"


class Group(Enum):
    """A row of the reference's table: its name there, requests in a window, and whose."""

    SIGNUP = ("Signup", 5, Per.IP)
    SIGNUP_WALLET = ("Signup", 1, Per.WALLET)
    SIWX_MESSAGE = ("SIWX message", 5, Per.IP)
    ME = ("Me", 60, Per.KEY)
    PORTFOLIO_READ = ("Portfolio reads", 60, Per.KEY)
    AUTO_TRADE_WRITE = ("Auto-trade settings (write)", 10, Per.KEY)
    STRATEGIES_WRITE = ("Strategies (write)", 10, Per.KEY)
    STRATEGIES_READ = ("Strategies (read)", 60, Per.KEY)
    CONVERSATIONS_WRITE = ("Conversations (write)", 2, Per.KEY)
    CONVERSATIONS_READ = ("Conversations (read)", 30, Per.KEY)
    ARENA_WRITE = ("Arena write", 5, Per.KEY)
    ARENA_READ = ("Arena read", 30, Per.KEY)
    QUESTS_READ = ("Quests read", 60, Per.KEY)
    QUESTS_WRITE = ("Quests write", 10, Per.KEY)
    WALLET_ACTIONS = ("Wallet actions", 10, Per.KEY)
    ORDERS_CREATE = ("Orders create", 5, Per.KEY)
    ORDERS_WRITE = ("Orders write", 10, Per.KEY)
    ORDERS_READ = ("Orders (read)", 60, Per.KEY)
    POSITION_CLOSE = ("Position close", 10, Per.KEY)
    CLOSE_ALL = ("Position close-all", 1, Per.KEY)

    def __init__(self, title: str, limit: int, per: Per) -> None:
        self.title = title
        self.limit = limit
        self.per = per


class Allowance(NamedTuple):
    """What a window says to one more request. ``resets_at_ms`` is when it ends."""

    group: Group
    is_allowed: bool
    remaining: int
    resets_at_ms: int

    def headers(self) -> dict[str, str]:
        """On every answer of a group. ``X-RateLimit-Reset`` is in seconds since the epoch."""
        return {
            "X-RateLimit-Limit": str(self.group.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(-(-self.resets_at_ms // 1_000)),
        }

    def refusal(self, now_ms: int) -> ApiError:
        """429, and when to come back."""
        wait_s = max(1, -(-(self.resets_at_ms - now_ms) // 1_000))
        group = self.group
        return rate_limited(
            f"{group.title}: {group.limit} in {WINDOW_S} seconds per {group.per.value}. Try again in {wait_s} s",
            {**self.headers(), "Retry-After": str(wait_s)},
        )


class Limiter:
    def __init__(self) -> None:
        # By group and whose: when the window opened, and the requests in it.
        self._windows: dict[tuple[Group, str], tuple[int, int]] = {}
        self._most = _KEPT

    def take(self, group: Group, whose: str, now_ms: int) -> Allowance:
        """Count one request, unless the window is full: a request that is refused is not counted."""
        opened_ms, count = self._windows.get((group, whose), (now_ms, 0))
        if now_ms - opened_ms >= _WINDOW_MS:
            opened_ms, count = now_ms, 0
        is_allowed = count < group.limit
        if is_allowed:
            count += 1
            self._remember(group, whose, opened_ms, count, now_ms)
        return Allowance(group, is_allowed, group.limit - count, opened_ms + _WINDOW_MS)

    def _remember(self, group: Group, whose: str, opened_ms: int, count: int, now_ms: int) -> None:
        if len(self._windows) >= self._most:
            self._windows = {key: window for key, window in self._windows.items() if now_ms - window[0] < _WINDOW_MS}
            self._most = max(_KEPT, 2 * len(self._windows))
        self._windows[group, whose] = (opened_ms, count)
