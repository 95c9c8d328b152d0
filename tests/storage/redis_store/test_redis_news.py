from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from storage.redis_store.news import RedisNews
from storage.redis_store.servers import server_at
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.redis_server import RedisProcess, address_of, free_port


class Listener:
    """Hears news until the block ends."""

    def __init__(self) -> None:
        self.heard = 0
        self._more = asyncio.Event()

    def __call__(self) -> None:
        self.heard += 1
        self._more.set()

    async def more(self) -> None:
        async with asyncio.timeout(10):
            await self._more.wait()
        self._more.clear()


@contextlib.asynccontextmanager
async def listening(url: str, quiet_for_s: float = 5.0) -> AsyncIterator[Listener]:
    news = RedisNews(server_at(address_of(url)), sleep=lambda seconds: asyncio.sleep(0.01), quiet_for_s=quiet_for_s)
    listener = Listener()
    task = asyncio.create_task(news.listen(listener))
    try:
        # That it listens now is news, too: something may have been missed before.
        await listener.more()
        yield listener
    finally:
        task.cancel()
        await asyncio.wait({task})
        await news.close()


@contextlib.asynccontextmanager
async def telling(url: str) -> AsyncIterator[Callable[[], None]]:
    news = RedisNews(server_at(address_of(url)))
    yield news.announce
    await news.close()


@pytest.fixture
async def proxy(redis_process: RedisProcess) -> AsyncIterator[FaultProxy]:
    async with fault_proxy("127.0.0.1", redis_process.port) as proxy:
        yield proxy


async def test_all_who_listen_hear_of_a_change(redis_process: RedisProcess) -> None:
    async with (
        listening(redis_process.url) as one,
        listening(redis_process.url) as another,
        telling(redis_process.url) as announce,
    ):
        announce()
        await asyncio.gather(one.more(), another.more())
        assert (one.heard, another.heard) == (2, 2)


async def test_changes_in_quick_succession_are_told_of_at_most_twice(redis_process: RedisProcess) -> None:
    async with listening(redis_process.url) as listener:
        async with telling(redis_process.url) as announce:
            for _ in range(50):
                announce()
        await listener.more()
        assert listener.heard <= 3


async def test_who_listens_again_after_a_cut_looks_for_itself(redis_process: RedisProcess, proxy: FaultProxy) -> None:
    async with listening(f"redis://127.0.0.1:{proxy.port}") as listener:
        proxy.cut()
        await listener.more()
        assert listener.heard == 2


async def test_a_half_open_connection_is_noticed(redis_process: RedisProcess, proxy: FaultProxy) -> None:
    async with listening(f"redis://127.0.0.1:{proxy.port}", quiet_for_s=0.05) as listener:
        # It asks and is answered: quiet alone is nothing to worry about.
        await proxy.until(lambda proxy: proxy.chunks > 4)
        assert proxy.connections == 1
        proxy.is_silent = True
        await proxy.until(lambda proxy: proxy.connections > 1)
        proxy.is_silent = False
        await listener.more()


async def test_telling_nobody_is_harmless_and_ends(redis_process: RedisProcess) -> None:
    async with telling(redis_process.url) as announce:
        announce()
    async with telling(f"redis://127.0.0.1:{free_port()}") as announce:
        announce()
