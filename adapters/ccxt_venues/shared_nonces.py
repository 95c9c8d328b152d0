"""Nonces of signers that several workers sign for: one allocator for all, and numbers of one's own without it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from adapters.ccxt_venues.nonces import Nonces
from normalization.venue_failures import Reason, VenueNotReached

PERIOD: Final = 64
"""Of so many numbers in a row, the allocator gives out the first ``SHARED``; each of the others is one worker's."""
SHARED: Final = 32
OWN: Final = PERIOD - SHARED


class SharedNonces(Nonces):
    """``ask(signer, above)`` is the allocator: the signer's next number, over ``above``; None if it is out of reach.

    ``slot`` is this worker's among ``OWN``, which nobody else has; None while it has none. Who gives out which numbers
    is fixed for ever, so no number is given out twice, whoever was out of reach for whom. A worker's numbers for one
    signer only rise, and the allocator's rise above all that the worker who asks has given out by itself.
    """

    def __init__(
        self,
        now_ms: Callable[[], int],
        *,
        ask: Callable[[str, int], Awaitable[int | None]],
        slot: Callable[[], int | None],
    ) -> None:
        super().__init__(now_ms)
        self._ask = ask
        self._own_slot = slot

    async def take(self, signer: str) -> int:
        nonce = await self._ask(signer, self._last.get(signer, 0))
        if nonce is not None:
            with self._one_at_a_time:
                # Meanwhile one of its own may have been given out.
                if nonce > self._last.get(signer, 0):
                    self._last[signer] = nonce
                    return nonce
        return self.next(signer)

    def next(self, signer: str) -> int:
        """One of this worker's own.

        :raises VenueNotReached: it has none: nothing may be signed.
        """
        slot = self._own_slot()
        if slot is None:
            raise VenueNotReached(
                Reason.VENUE_UNAVAILABLE, "nothing was sent: this gateway has no number to sign with just now"
            )
        with self._one_at_a_time:
            at_least = max(self._now_ms(), self._last.get(signer, 0) + 1)
            nonce = at_least + (SHARED + slot - at_least) % PERIOD
            self._last[signer] = nonce
            return nonce
