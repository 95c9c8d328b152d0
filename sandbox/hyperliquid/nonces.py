"""The venue's replay rule: per signer, the hundred highest nonces; a new one is above the least of them and unused."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import Final

KEPT: Final = 100
OLDEST_MS: Final = 2 * 86_400_000
NEWEST_MS: Final = 86_400_000


class NonceWindow:
    """The nonces of one signer."""

    def __init__(self, used: Iterable[int] = ()) -> None:
        self._used = sorted(used)[-KEPT:]

    @property
    def used(self) -> tuple[int, ...]:
        """Ascending."""
        return tuple(self._used)

    def complaint(self, nonce: int, now_ms: int) -> str | None:
        """Why ``nonce`` is refused, in the venue's words."""
        at = bisect_left(self._used, nonce)
        if at < len(self._used) and self._used[at] == nonce:
            return f"Invalid nonce: duplicate nonce {nonce}"
        lowest = now_ms - OLDEST_MS
        if len(self._used) == KEPT:
            lowest = max(lowest, self._used[0])
        if nonce <= lowest:
            return f"Invalid nonce: nonce too low {nonce} < {lowest}"
        if nonce >= now_ms + NEWEST_MS:
            return f"Invalid nonce: nonce too high {nonce} > {now_ms + NEWEST_MS}"
        return None

    def use(self, nonce: int) -> None:
        insort(self._used, nonce)
        del self._used[:-KEPT]
