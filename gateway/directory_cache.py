"""What the directory says, remembered for a short while and no longer than a change of it.

Three bounds hold. A change anywhere (``Directory.revision``) is noticed within two seconds of serving anything from a
cache. An idle gateway asks nothing. With the directory unreachable, what is known serves for half a minute more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

import structlog

from gateway.clock import Clock
from gateway.single_flight import SingleFlight
from normalization.errors import ServiceUnavailable
from storage.ports import Directory, StorageUnavailable

_log = structlog.get_logger(__name__)

K = TypeVar("K", bytes, str)
V = TypeVar("V")

LOOK_EVERY_S: Final = 1.0
TRUST_FOR_S: Final = 2.0
FRESH_FOR_S: Final = 5.0
ABSENT_FOR_S: Final = 2.0
USABLE_FOR_S: Final = 30.0
ANSWER_WITHIN_S: Final = 0.9
MOMENT_S: Final = 0.1


class RevisionWatch:
    """Reads the directory's revision at most once a second, and only when somebody asks for something.

    The last look is trusted for two seconds: from its first second on a new one runs beside the requests, after its
    second one they wait for it. ``down`` is whether the last look, or a load, failed; one that takes longer than
    ``answer_within_s`` has.
    """

    def __init__(self, directory: Directory, clock: Clock, *, answer_within_s: float = ANSWER_WITHIN_S) -> None:
        self._directory = directory
        self._clock = clock
        self.answer_within_s = answer_within_s
        self._looking: asyncio.Task[None] | None = None
        self._look_began = float("-inf")
        self._forgetters: list[Callable[[], None]] = []
        self._revision: int | None = None
        self._trusted_until = float("-inf")
        self._hurried_at = float("-inf")
        self.due_at = float("-inf")
        self.down = False

    def on_change(self, forget: Callable[[], None]) -> None:
        """Call ``forget`` whenever the revision is another one."""
        self._forgetters.append(forget)

    def hurry(self) -> None:
        """Somebody says that the revision is another one: look before anything more is served from a cache."""
        self._hurried_at = self._clock.monotonic()
        self._trusted_until = self.due_at = float("-inf")

    async def follow(self) -> None:
        """Return when what is cached may be served, as far as a revision can tell."""
        now = self._clock.monotonic()
        if now < self.due_at:
            return
        look = self._looking
        if look is None or look.done():
            look = self._looking = asyncio.create_task(self._look(now))
            self._look_began = now
        if now < self._trusted_until:
            return
        # A look that hangs used up its time before this request came. But a process that was stopped for a while only
        # seems to have one, so it gets a moment in any case.
        patience_s = max(MOMENT_S, self._look_began + self.answer_within_s - now)
        await asyncio.wait({look}, timeout=patience_s)
        if look.done():
            look.result()
        else:
            self.failed()

    def failed(self) -> None:
        """The directory did not answer: rest for a second before it is asked again."""
        if not self.down:
            _log.warning("the directory does not answer: known keys and credentials still serve", for_s=USABLE_FOR_S)
        self.down = True
        self._schedule(self._clock.monotonic())

    async def _look(self, began: float) -> None:
        try:
            revision = await self._directory.revision()
        except StorageUnavailable:
            self.failed()
            return
        if revision != self._revision:
            self._revision = revision
            for forget in self._forgetters:
                forget()
        self.down = False
        if began >= self._hurried_at:
            self._schedule(began)

    def _schedule(self, looked_at: float) -> None:
        self.due_at = looked_at + LOOK_EVERY_S
        self._trusted_until = looked_at + TRUST_FOR_S


class _Entry(Generic[V]):
    __slots__ = ("fresh_until", "usable_until", "value")

    def __init__(self, value: V, loaded_at: float) -> None:
        self.value = value
        self.fresh_until = loaded_at + FRESH_FOR_S
        self.usable_until = loaded_at + USABLE_FOR_S


class DirectoryCache(Generic[K, V]):
    """Values by key, at most ``capacity``; keys known to be absent, at most ``absent_capacity``, for two seconds."""

    def __init__(self, watch: RevisionWatch, clock: Clock, *, capacity: int, absent_capacity: int) -> None:
        self._watch = watch
        # Asked several times a request: every step on the way to it shows.
        self._now = clock.monotonic
        self._capacity = capacity
        self._absent_capacity = absent_capacity
        # In the order in which they were loaded, which is anew every few seconds for what is in use.
        self._found: dict[K, _Entry[V]] = {}
        self._absent: dict[K, float] = {}
        self._flights: SingleFlight[tuple[int, K], V | None] = SingleFlight()
        self._generation = 0
        watch.on_change(self._forget)

    def fresh(self, key: K) -> V | None:
        """The value if it is known and may be served as it is; None says nothing but "ask ``get``"."""
        now = self._now()
        entry = self._found.get(key)
        if entry is None or now >= entry.fresh_until or now >= self._watch.due_at:
            return None
        return entry.value

    def knows(self, key: K) -> bool:
        """Whether it was found before, however long ago."""
        return key in self._found

    async def get(self, key: K, load: Callable[[], Awaitable[V | None]]) -> V | None:
        """The value, or None where the directory has none. Concurrent callers share one ``load``.

        :raises ServiceUnavailable: the directory does not answer, and what is known is too old.
        """
        await self._watch.follow()
        now = self._now()
        entry = self._found.get(key)
        if entry is not None and now < entry.fresh_until:
            return entry.value
        if now < self._absent.get(key, now):
            return None
        if not self._watch.down:
            try:
                # A load from before a change must not answer those who came after it.
                flight = (self._generation, key)
                return await self._flights.run(
                    flight, lambda: self._load(key, load), timeout_s=self._watch.answer_within_s
                )
            except (StorageUnavailable, TimeoutError):
                self._watch.failed()
        entry = self._found.get(key)
        if entry is None or self._now() >= entry.usable_until:
            raise ServiceUnavailable("The gateway's store does not answer. Nothing was sent.", retry_after_s=1)
        return entry.value

    async def _load(self, key: K, load: Callable[[], Awaitable[V | None]]) -> V | None:
        generation, started = self._generation, self._now()
        value = await load()
        if generation == self._generation:
            self._keep(key, value, started)
        return value

    def _keep(self, key: K, value: V | None, loaded_at: float) -> None:
        self._found.pop(key, None)
        self._absent.pop(key, None)
        if value is None:
            self._absent[key] = loaded_at + ABSENT_FOR_S
            if len(self._absent) > self._absent_capacity:
                del self._absent[next(iter(self._absent))]
        else:
            self._found[key] = _Entry(value, loaded_at)
            if len(self._found) > self._capacity:
                del self._found[next(iter(self._found))]

    def _forget(self) -> None:
        """Nothing is served any more of what was found. That it was found is still known."""
        self._generation += 1
        for entry in self._found.values():
            entry.fresh_until = entry.usable_until = float("-inf")
        self._absent.clear()
