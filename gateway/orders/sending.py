"""Getting submissions to the venue once, inside the deadline, and bringing back what came of each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from adapters.base import Capabilities, Grouping, LegOutcome, Submission, VenueSession
from gateway.clock import Clock
from gateway.orders.classification import Next, classify
from normalization.venue_failures import Reason, VenueFailure, VenueNotReached

SEND_DEADLINE_S: Final = 1.0
RESEND_WINDOW_S: Final = 1.5
VENUE_TIMEOUT_S: Final = 10.0
_RESEND_PAUSES_S: Final = (0.1, 0.5)
_ANEW_PAUSE_S: Final = 0.2

Outcome = LegOutcome | BaseException


class Sender:
    """Sends each submission once. Again only what provably never left, or was refused before it was accepted."""

    def __init__(self, clock: Clock, *, timeout_s: float = VENUE_TIMEOUT_S) -> None:
        self._clock = clock
        self._timeout_s = timeout_s

    async def send(
        self,
        session: VenueSession,
        submissions: Sequence[Submission],
        grouping: Grouping,
        started: float,
        capabilities: Capabilities,
    ) -> Sequence[Outcome]:
        """One outcome per submission, in order. ``started`` is when, on the monotonic clock, they were drafted.

        Never raises but for cancellation: what a venue call raises is its outcome.
        """
        if len(submissions) == 1 and grouping is Grouping.NONE:
            return [await self._one(session, submissions[0], started)]
        size = capabilities.native_batch_size
        if size == 1 and grouping is Grouping.NONE:
            return await self._one_by_one(session, submissions, started)
        outcomes: list[Outcome] = []
        for first in range(0, len(submissions), max(size, 2)):
            if first:
                started = self._clock.monotonic()
            outcomes += await self._together(session, submissions[first : first + max(size, 2)], grouping, started)
        return outcomes

    async def _one(self, session: VenueSession, submission: Submission, started: float) -> Outcome:
        (outcome,) = await self._until_settled(submission, started, lambda: _as_list(session.place_order(submission)))
        return outcome

    async def _one_by_one(
        self, session: VenueSession, submissions: Sequence[Submission], started: float
    ) -> Sequence[Outcome]:
        outcomes: list[Outcome] = []
        for submission in submissions:
            outcomes.append(await self._one(session, submission, started))
            # The deadline guards against a stall between commit and send; a slow leg before this one is no stall.
            started = self._clock.monotonic()
        return outcomes

    async def _together(
        self, session: VenueSession, submissions: Sequence[Submission], grouping: Grouping, started: float
    ) -> Sequence[Outcome]:
        outcomes = await self._until_settled(
            submissions[0], started, lambda: session.place_orders(submissions, grouping)
        )
        if len(outcomes) == len(submissions):
            return outcomes
        one_for_all = outcomes[0] if len(outcomes) == 1 else ValueError("a batch reply without all of its legs")
        return [one_for_all if isinstance(one_for_all, BaseException) else ValueError("no outcome")] * len(submissions)

    async def _until_settled(
        self, submission: Submission, started: float, send: Callable[[], Awaitable[Sequence[LegOutcome]]]
    ) -> Sequence[Outcome]:
        resends = 0
        while True:
            outcomes = await self._attempt(started if resends == 0 else None, submission, send)
            pause = self._pause_before_next(submission, outcomes, resends, started)
            if pause is None:
                return outcomes
            await self._clock.sleep(pause)
            resends += 1

    def _pause_before_next(
        self, submission: Submission, outcomes: Sequence[Outcome], resends: int, started: float
    ) -> float | None:
        """How long to wait before sending the same again, or None where that must not happen."""
        if len(outcomes) != 1 or not isinstance(outcomes[0], VenueFailure) or _is_late(outcomes[0]):
            return None
        elapsed = self._clock.monotonic() - started
        match classify(submission, outcomes[0]).next:
            case Next.SEND_AGAIN if resends < len(_RESEND_PAUSES_S):
                pause = _RESEND_PAUSES_S[resends]
                return pause if elapsed + pause < RESEND_WINDOW_S else None
            case Next.SEND_ONCE_ANEW if resends == 0:
                return _ANEW_PAUSE_S if elapsed + _ANEW_PAUSE_S < SEND_DEADLINE_S else None
            case _:
                return None

    async def _attempt(
        self, started: float | None, submission: Submission, send: Callable[[], Awaitable[Sequence[LegOutcome]]]
    ) -> Sequence[Outcome]:
        """The outcome of each leg, or the one failure of all of them."""
        now_ms, monotonic = self._clock.now_ms(), self._clock.monotonic()
        stalled = started is not None and monotonic - started > SEND_DEADLINE_S
        if stalled or now_ms >= submission.valid_until_ms:
            return [VenueNotReached(Reason.SEND_DEADLINE_PASSED, "the gateway was held up for too long to send it")]
        try:
            async with asyncio.timeout(self._timeout_s):
                return await send()
        except Exception as failure:
            return [failure]


async def _as_list(placing: Awaitable[LegOutcome]) -> Sequence[LegOutcome]:
    return [await placing]


def _is_late(outcome: VenueFailure) -> bool:
    return outcome.reason is Reason.SEND_DEADLINE_PASSED
