"""Units of work on PostgreSQL: each in a transaction of its own, on a connection of a pool, in the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Connection, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from storage.sql.database import Database
from storage.sql.postgresql.availability import Availability
from storage.sql.postgresql.connecting import Connector
from storage.sql.postgresql.failures import busy, closed, is_passing, silent, trouble
from storage.sql.postgresql.line import Line

T = TypeVar("T")

FLUSHING_CONNECTIONS: Final = 3
OTHER_CONNECTIONS: Final = 4
_TRIES: Final = 3


class PostgresDatabase(Database):
    """A PostgreSQL server that has the tables already. At most nine connections, opened when they are needed.

    Nobody waits longer than the connector's patience, and once that was in vain nobody waits at all until the server
    answers again. Work may be run twice where two transactions get into each other's way: what it does besides must
    not matter. ``flushing`` and ``quick`` are for statements that go to the driver as they are; commits of the latter,
    like those of writes that need not be ``durable``, survive a crash of ours but not one of the server.

    Where the connection is lost in the middle of a commit, what was refused may have been stored after all.
    """

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._availability = Availability(connector)
        self.flushing = Line(connector, self._availability, flushes=True)
        self.quick = Line(connector, self._availability, flushes=False)
        self._flushing_pool = _pool(connector, self._availability, FLUSHING_CONNECTIONS, flushes=True)
        self._pool = _pool(connector, self._availability, OTHER_CONNECTIONS, flushes=False)
        self._flushing_at_once = self._flushing_pool.execution_options(isolation_level="AUTOCOMMIT")
        self._reading = self._pool.execution_options(isolation_level="AUTOCOMMIT")
        self._under_way: set[asyncio.Task[Any]] = set()
        self._is_closed = False

    async def write(self, work: Callable[[Connection], T], *, durable: bool = True) -> T:
        return await self._run(self._flushing_pool if durable else self._pool, work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self._run(self._reading, work)

    async def at_once(self, work: Callable[[Connection], T]) -> T:
        """Run ``work``, of which every statement is a durable transaction of its own: a stall between them holds
        nobody up.
        """
        return await self._run(self._flushing_at_once, work)

    async def close(self) -> None:
        self._is_closed = True
        if self._under_way:
            await asyncio.wait(self._under_way)
        await self.flushing.close()
        await self.quick.close()
        await self._availability.close()
        for pool in (self._flushing_pool, self._pool):
            await pool.dispose()

    async def _run(self, pool: AsyncEngine, work: Callable[[Connection], T]) -> T:
        if self._is_closed:
            raise closed(self._connector.name)
        self._availability.require()
        # A task of its own: a caller who goes away changes nothing.
        task = asyncio.create_task(self._bounded(_Transaction(pool, work)))
        self._under_way.add(task)
        task.add_done_callback(self._finished)
        return await asyncio.shield(task)

    async def _bounded(self, transaction: _Transaction[T]) -> T:
        task = asyncio.create_task(transaction.run())
        task.add_done_callback(_seen)
        done, _ = await asyncio.wait({task}, timeout=self._connector.patience_s)
        if not done:
            asked_for_s = transaction.asked_for_s()
            transaction.abandon(task)
            if asked_for_s < self._connector.patience_s / 2:
                # It waited for a connection that others had: that says nothing of the server.
                raise busy(self._connector.name)
            problem = silent(self._connector.name)
            self._availability.lost(problem)
            raise problem
        try:
            return task.result()
        except Exception as error:
            told = trouble(error, self._connector.name)
            if told is None:
                raise
            if told.is_lost:
                self._availability.lost(told.problem)
            raise told.problem from error

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        _seen(task)


class _Transaction(Generic[T]):
    """One unit of work, and the driver's connection while it has one."""

    def __init__(self, pool: AsyncEngine, work: Callable[[Connection], T]) -> None:
        self._pool = pool
        self._work = work
        self._driver: Any = None
        self._asking_since = 0.0

    def asked_for_s(self) -> float:
        """How long it has had a connection by now, and waited for nobody but the server."""
        return 0.0 if self._driver is None else asyncio.get_running_loop().time() - self._asking_since

    async def run(self) -> T:
        for _ in range(_TRIES - 1):
            try:
                return await self._once()
            except Exception as error:
                if not is_passing(error):
                    raise
        return await self._once()

    def abandon(self, task: asyncio.Task[T]) -> None:
        """Make ``task``, which runs this, end soon: the server must not be waited for."""
        if self._driver is None:
            task.cancel()
        else:
            self._driver.terminate()

    async def _once(self) -> T:
        async with self._pool.connect() as connection:
            self._driver = (await connection.get_raw_connection()).driver_connection
            self._asking_since = asyncio.get_running_loop().time()
            try:
                async with connection.begin():
                    return await connection.run_sync(self._work)
            finally:
                self._driver = None


def engine_over(connector: Connector, connections: int, *, flushes: bool) -> AsyncEngine:
    """A pool of at most so many connections, each opened by ``connector`` when it is needed."""
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: connector.open(flushes=flushes),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=connector.patience_s,
        # Errors are logged, and values may be secrets.
        hide_parameters=True,
    )


def _pool(connector: Connector, availability: Availability, connections: int, *, flushes: bool) -> AsyncEngine:
    """One whose connections are given up when the server has been lost since they were opened."""
    engine = engine_over(connector, connections, flushes=flushes)

    def remember(dbapi_connection: Any, record: Any) -> None:
        record.info["generation"] = availability.generation

    def check(dbapi_connection: Any, record: Any, proxy: Any) -> None:
        driver = dbapi_connection.driver_connection
        if driver.is_closed() or record.info["generation"] != availability.generation:
            # At once, or the pool would say goodbye to a server that may not answer.
            driver.terminate()
            raise DisconnectionError

    event.listen(engine.sync_engine, "connect", remember)
    event.listen(engine.sync_engine, "checkout", check)
    return engine


def _seen(task: asyncio.Task[Any]) -> None:
    """Whatever came of it has been told, or there is nobody left to tell."""
    if not task.cancelled():
        task.exception()
