"""Nonces that are timestamps: one allocator per process, one number never given twice to a signer."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Nonces:
    """Milliseconds of the epoch, strictly rising per signer.

    A venue takes each nonce of a signer once, whichever process made it: of ``slots`` processes that share signers each
    gives out only the numbers that are its ``slot`` modulo ``slots``, so that none of them has to ask the others.
    """

    def __init__(self, now_ms: Callable[[], int], *, slot: int = 0, slots: int = 1) -> None:
        if not 0 <= slot < slots:
            raise ValueError(f"slot {slot} of {slots}")
        self._now_ms = now_ms
        self._slot = slot
        self._slots = slots
        self._last: dict[str, int] = {}
        # Some signatures are made in threads.
        self._one_at_a_time = threading.Lock()

    async def take(self, signer: str) -> int:
        """The next one of all that are given to the signer, by whomever: where there is time to ask."""
        return self.next(signer)

    def next(self, signer: str) -> int:
        with self._one_at_a_time:
            now = self._now_ms()
            nonce = now - now % self._slots + self._slot
            last = self._last.get(signer, 0)
            if nonce <= last:
                nonce = last + self._slots
            self._last[signer] = nonce
            return nonce
