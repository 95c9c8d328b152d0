"""The seam between the stores and a database: units of work go in, results come back when they are stored.

A unit of work is a function of a connection. It runs in a transaction of its own, as far as it can tell: it neither
begins nor commits, and when it raises nothing of it is kept. It may be run again, when that was of no effect.
"""

from __future__ import annotations

import asyncio
import os
import queue
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol, TypeVar, cast

from sqlalchemy import Connection, Engine

from storage.ports import StorageUnavailable
from storage.sql.checkpoints import Checkpoints
from storage.sql.engines import driver, sqlite_engine
from storage.sql.failures import BREAKS_CONNECTION, cannot_open, closed, removed, result_code, translated
from storage.sql.lanes import Done, Job, Jobs, Lane

T = TypeVar("T")

BUSY_TIMEOUT_S: Final = 2.0
READERS: Final = 2


class Database(Protocol):
    async def write(self, work: Callable[[Connection], T], *, durable: bool = True) -> T:
        """Run ``work`` and commit; its result when that is on disk, or, not ``durable``, safe from a crash of ours.

        A caller who is cancelled meanwhile does not stop it.

        :raises StorageUnavailable: nothing was changed.
        """
        ...

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work``, which changes nothing; each of its statements sees every write that returned before.

        :raises StorageUnavailable: the database does not answer.
        """
        ...

    async def close(self) -> None:
        """Finish what was asked for, then let go of the database."""
        ...


class SqliteDatabase(Database):
    """A SQLite file that is there already. One thread writes, two read, one copies from the log into the file.

    Group commit: all writes that are waiting go into one transaction and share one flush to disk. Where one of them
    fails, all are run again, each in a savepoint of its own. Writes that need not be durable ride along; a commit of
    nothing else is not flushed, which a crash of the process survives and a power cut may not. ``commits`` and
    ``durable_commits`` count.

    :raises StorageUnavailable: there is no such file.
    """

    def __init__(self, path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.path = path
        self._file = _SameFile(path)
        self._writes: Jobs = queue.SimpleQueue()
        self._reads: Jobs = queue.SimpleQueue()
        self._checkpoints = Checkpoints(sqlite_engine(path, busy_timeout_s=busy_timeout_s), self._file.check)
        self._writer = _Writer(
            sqlite_engine(path, busy_timeout_s=busy_timeout_s),
            self._writes,
            "venuegate-writer",
            self._file,
            self._checkpoints,
        )
        self._readers = [
            _Reader(
                sqlite_engine(path, begin="DEFERRED", busy_timeout_s=busy_timeout_s),
                self._reads,
                f"venuegate-reader-{number}",
                self._file,
            )
            for number in range(READERS)
        ]
        self._closed = False
        self._checkpoints.start()
        for lane in (self._writer, *self._readers):
            lane.start()

    @property
    def commits(self) -> int:
        return self._writer.commits

    @property
    def durable_commits(self) -> int:
        return self._writer.durable_commits

    async def write(self, work: Callable[[Connection], T], *, durable: bool = True) -> T:
        return cast("T", await self._ask(self._writes, Job(work, durable=durable)))

    async def read(self, work: Callable[[Connection], T]) -> T:
        return cast("T", await self._ask(self._reads, Job(work, durable=False)))

    async def _ask(self, jobs: Jobs, job: Job) -> object:
        if self._closed:
            raise closed(self.path)
        jobs.put(job)
        return await job.future

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._writes.put(None)
            for _ in self._readers:
                self._reads.put(None)
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
        for lane in (self._writer, *self._readers):
            lane.join()
        self._checkpoints.close()


class _SameFile:
    """SQLite goes on writing to a file that was deleted or replaced, and all of it is lost at the next start."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identity = self._look()
        if self._identity is None:
            raise cannot_open(path)

    def check(self) -> None:
        """:raises StorageUnavailable: the path no longer names the file that was opened."""
        if self._look() != self._identity:
            raise removed(self.path)

    def _look(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino


class _SqliteLane(Lane):
    def __init__(self, engine: Engine, jobs: Jobs, name: str, file: _SameFile) -> None:
        super().__init__(engine, jobs, name)
        self._file = file

    def _all_failed(self, batch: Sequence[Job], error: BaseException) -> list[Done]:
        self._let_go(keep=result_code(error) not in BREAKS_CONNECTION)
        return [Done(job, error=self._own(error)) for job in batch]

    def _own(self, error: BaseException) -> BaseException:
        """The error as one caller is to see it: an exception that two tasks raise collects the frames of both."""
        found = translated(error, self._file.path)
        if not isinstance(found, StorageUnavailable):
            return found
        own = StorageUnavailable(found.problem, found.advice)
        own.__cause__ = found.__cause__
        return own


class _Reader(_SqliteLane):
    def _run_batch(self, batch: Sequence[Job]) -> Sequence[Done]:
        try:
            self._file.check()
            connection = self._connected()
            with connection.begin():
                return [self._run_job(connection, job) for job in batch]
        except BaseException as error:
            return self._all_failed(batch, error)

    def _run_job(self, connection: Connection, job: Job) -> Done:
        try:
            return Done(job, value=job.work(connection))
        except BaseException as error:
            if result_code(error) in BREAKS_CONNECTION:
                raise
            return Done(job, error=self._own(error))


class _Writer(_SqliteLane):
    def __init__(self, engine: Engine, jobs: Jobs, name: str, file: _SameFile, checkpoints: Checkpoints) -> None:
        super().__init__(engine, jobs, name, file)
        self._checkpoints = checkpoints
        self.commits = 0
        self.durable_commits = 0
        self._flushes = True

    def _run_batch(self, batch: Sequence[Job]) -> Sequence[Done]:
        durable = any(job.durable for job in batch)
        try:
            self._file.check()
            connection = self._connected()
            self._flush_commits(connection, durable)
            with connection.begin():
                outcomes = self._run_jobs(connection, batch)
        except BaseException as error:
            return self._all_failed(batch, error)
        self.commits += 1
        self.durable_commits += durable
        self._checkpoints.count(len(batch))
        return outcomes

    def _flush_commits(self, connection: Connection, durable: bool) -> None:
        # Without flush, a commit is in the operating system's hands: it outlives this process.
        if durable is not self._flushes:
            driver(connection).execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}").close()
            self._flushes = durable

    def _let_go(self, *, keep: bool) -> None:
        super()._let_go(keep=keep)
        if not keep:
            self._flushes = True

    def _run_jobs(self, connection: Connection, batch: Sequence[Job]) -> list[Done]:
        if len(batch) == 1:
            # Alone, it has the transaction for a savepoint.
            return [Done(batch[0], value=batch[0].work(connection))]
        raw = driver(connection)
        raw.execute("SAVEPOINT batch").close()
        try:
            outcomes = [Done(job, value=job.work(connection)) for job in batch]
        except BaseException as error:
            if not raw.in_transaction or result_code(error) in BREAKS_CONNECTION:
                raise
            raw.execute("ROLLBACK TO batch").close()
            outcomes = [self._run_job(connection, job) for job in batch]
        raw.execute("RELEASE batch").close()
        return outcomes

    def _run_job(self, connection: Connection, job: Job) -> Done:
        # By the driver: a savepoint through SQLAlchemy costs more than the work it is for.
        raw = driver(connection)
        raw.execute("SAVEPOINT job").close()
        try:
            value = job.work(connection)
        except BaseException as error:
            if not raw.in_transaction or result_code(error) in BREAKS_CONNECTION:
                # The whole transaction is given up, and with it what the jobs before this one did.
                raise
            raw.execute("ROLLBACK TO job").close()
            outcome = Done(job, error=self._own(error))
        else:
            outcome = Done(job, value=value)
        raw.execute("RELEASE job").close()
        return outcome
