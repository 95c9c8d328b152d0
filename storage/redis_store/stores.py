"""All that is kept in one Redis, opened together."""

from __future__ import annotations

from dataclasses import dataclass

from storage.redis_store.address import RedisAddress
from storage.redis_store.checks import RedisState, check
from storage.redis_store.counters import RedisCounters
from storage.redis_store.news import RedisNews
from storage.redis_store.nonces import RedisNonces
from storage.redis_store.servers import Server, server_at
from storage.redis_store.sessions import RedisSessions


@dataclass(frozen=True)
class RedisStores:
    """Limits have a connection of their own: nothing that is slow keeps them waiting."""

    counters: RedisCounters
    news: RedisNews
    nonces: RedisNonces
    sessions: RedisSessions
    server: Server

    async def check(self) -> RedisState:
        """:raises StorageUnavailable: see ``checks.check``."""
        return await check(self.server)

    async def close(self) -> None:
        await self.counters.close()
        await self.news.close()
        await self.server.close()


def open_redis(address: RedisAddress, *, nonce_period: int, nonces_given: int, answer_within_s: float) -> RedisStores:
    """Nothing is connected yet: Redis may come later, and go. Of nonces, see ``RedisNonces``."""
    server = server_at(address, answer_within_s=answer_within_s)
    return RedisStores(
        counters=RedisCounters(server_at(address, answer_within_s=answer_within_s)),
        news=RedisNews(server),
        nonces=RedisNonces(server, period=nonce_period, given=nonces_given),
        sessions=RedisSessions(server),
        server=server,
    )
