"""One clock for Redis and for those who use it, which moves only when told to."""

from __future__ import annotations

import asyncio
from typing import Final

from tests.support.manual_clock import START_MS, ManualClock
from tests.support.redis_server import RedisProcess

_KEY: Final = "test:now_ms"
TEST_TIME: Final = (
    f"(function() local ms = tonumber(redis.call('GET', '{_KEY}'))"
    " return {math.floor(ms / 1000), (ms % 1000) * 1000} end)()"
)
"""In the place of ``SERVER_TIME``."""


class RedisClock(ManualClock):
    """``advance`` moves both; ``set_redis`` sets the clock of Redis alone, ``jump`` the wall clock of this process.

    Whoever sleeps on it wakes when it has been moved far enough.
    """

    def __init__(self, server: RedisProcess, start_ms: int = START_MS) -> None:
        super().__init__(start_ms)
        self._server = server
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self.redis_ms = start_ms
        self.set_redis(start_ms)

    def set_redis(self, now_ms: int) -> None:
        self.redis_ms = now_ms
        self.put_back()

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        self.redis_ms += round(seconds * 1000)
        self.put_back()
        due = [sleeper for until, sleeper in self._sleepers if until <= self.monotonic()]
        self._sleepers = [(until, sleeper) for until, sleeper in self._sleepers if until > self.monotonic()]
        for sleeper in due:
            if not sleeper.done():
                sleeper.set_result(None)

    async def sleep(self, seconds: float) -> None:
        sleeper = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.monotonic() + seconds, sleeper))
        await sleeper

    def put_back(self) -> None:
        """Tell Redis the time, if it is there: also when it has forgotten everything."""
        self._server.ask("SET", _KEY, self.redis_ms)
