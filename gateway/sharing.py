"""What this worker shares with others, through one Redis and one database."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

import structlog

from adapters.ccxt_venues.shared_nonces import OWN, PERIOD, SHARED, SharedNonces
from gateway.clock import Clock
from gateway.metrics import LimitChecks, Metrics
from gateway.shared_limits.limiter import SharedLimiter
from gateway.shared_limits.live_workers import LiveWorkers
from storage.ports import StorageUnavailable
from storage.redis_store.address import ANSWER_WITHIN_S, RedisAddress
from storage.sql import Stores

if TYPE_CHECKING:
    from storage.redis_store.stores import RedisStores

_log = structlog.get_logger(__name__)


class Sharing:
    """Limits, nonces, word of changes in the directory. ``join`` before anything is served, ``leave`` afterwards."""

    def __init__(self, redis: RedisStores, stores: Stores, clock: Clock) -> None:
        self._redis = redis
        worker_id = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
        self.workers = LiveWorkers(stores.workers, worker_id, clock, slots=OWN)
        self.limiter = SharedLimiter(redis.counters, stores.usage, clock, workers=lambda: self.workers.count)
        self.nonces = SharedNonces(clock.now_ms, ask=self._next_nonce, slot=lambda: self.workers.slot)
        self.sessions = redis.sessions
        stores.directory.on_change = redis.news.announce

    def measured_by(self, metrics: Metrics) -> None:
        metrics.registry.register(LimitChecks(self.limiter.checks))
        metrics.limits_away.set_function(lambda: self.limiter.is_away)
        metrics.redis_failures.set_function(lambda: self.limiter.failures)
        metrics.redis_lost.set_function(lambda: self.limiter.times_lost)
        metrics.live_workers.set_function(lambda: self.workers.count)

    async def join(self) -> None:
        """Count as a worker, and find out whether Redis answers."""
        await self.workers.beat()
        await self.limiter.start()

    def duties(self, on_change: Callable[[], None]) -> Sequence[Coroutine[Any, Any, None]]:
        """What has to go on while this worker is one. ``on_change`` is called when the directory may have changed."""
        return [self.workers.run(), self._redis.news.listen(on_change)]

    async def leave(self) -> None:
        await self.workers.leave()

    async def close(self) -> None:
        await self._redis.close()

    async def _next_nonce(self, signer: str, above: int) -> int | None:
        if self.limiter.is_away:
            return None
        try:
            return await self._redis.nonces.next(signer, above)
        except StorageUnavailable as problem:
            _log.warning("a nonce is this worker's own", problem=problem.problem)
            return None


async def open_sharing(
    address: RedisAddress, stores: Stores, clock: Clock, *, answer_within_s: float = ANSWER_WITHIN_S
) -> Sharing:
    """What a request needs of Redis, it waits for no longer than ``answer_within_s``.

    :raises WrongRedis: it is not one that the gateway can use. One that cannot be reached may come later.
    """
    # Only those who use it pay for its library.
    from storage.redis_store.failures import WrongRedis
    from storage.redis_store.stores import open_redis

    redis = open_redis(address, nonce_period=PERIOD, nonces_given=SHARED, answer_within_s=answer_within_s)
    try:
        await redis.check()
    except WrongRedis:
        await redis.close()
        raise
    except StorageUnavailable as problem:
        _log.warning("starting without Redis", problem=problem.problem, advice=problem.advice)
    return Sharing(redis, stores, clock)
