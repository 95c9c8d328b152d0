"""How many workers there are."""

from __future__ import annotations

from typing import Final

import structlog

from gateway.clock import Clock
from storage.ports import StorageUnavailable, WorkerBeats

BEAT_EVERY_S: Final = 5.0
MISSED_BY_THE_DEAD: Final = 3
MISSED_BY_THE_GONE: Final = 12
# Less than it takes the others to give its slot away.
SLOT_FOR_S: Final = MISSED_BY_THE_GONE * BEAT_EVERY_S / 2

_log = structlog.get_logger(__name__)


class LiveWorkers:
    """This worker beats every five seconds, and at each beat looks whose numbers have risen since the last one.

    Who is not seen to beat three times running is dead; after a minute without it is removed. A newcomer counts at
    once. While the store does not answer, the last number holds: then nobody could be seen to beat.

    Each worker has one of ``slots`` that no other has.
    """

    def __init__(self, store: WorkerBeats, worker_id: str, clock: Clock, *, slots: int) -> None:
        self._store = store
        self._worker_id = worker_id
        self._clock = clock
        self._slots = slots
        self._slot: int | None = None
        self._beaten_at = float("-inf")
        self._numbers: dict[str, int] = {}
        self._missed: dict[str, int] = {}
        self.count = 1

    @property
    def slot(self) -> int | None:
        """This worker's slot; None while it has none, or may have lost it because it was not seen for too long."""
        return self._slot if self._clock.monotonic() - self._beaten_at < SLOT_FOR_S else None

    async def beat(self) -> None:
        began = self._clock.monotonic()
        try:
            beat = await self._store.beat(self._worker_id, self._clock.now_ms(), slots=self._slots)
        except StorageUnavailable as error:
            _log.warning("this worker could not be seen to be alive", problem=error.problem)
            return
        numbers = beat.numbers
        self._slot, self._beaten_at = beat.slot, began
        self._missed = {
            worker_id: 0 if self._numbers.get(worker_id) != number else self._missed[worker_id] + 1
            for worker_id, number in numbers.items()
        }
        self._numbers = numbers
        self.count = sum(missed < MISSED_BY_THE_DEAD for missed in self._missed.values())
        gone = [worker_id for worker_id, missed in self._missed.items() if missed >= MISSED_BY_THE_GONE]
        if gone:
            await self._remove(gone)

    async def run(self) -> None:
        """Beat until cancelled. The first beat is the caller's."""
        while True:
            await self._clock.sleep(BEAT_EVERY_S)
            await self.beat()

    async def leave(self) -> None:
        """Count no longer, from the others' next beat on."""
        await self._remove([self._worker_id])

    async def _remove(self, worker_ids: list[str]) -> None:
        try:
            await self._store.remove(worker_ids)
        except StorageUnavailable as error:
            _log.warning("workers that have gone could not be removed", problem=error.problem)
