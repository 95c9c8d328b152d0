"""One connection for the statements that every order runs, on which those that come together travel together."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from storage.ports import StorageUnavailable
from storage.sql.postgresql.availability import Availability
from storage.sql.postgresql.connecting import Connector
from storage.sql.postgresql.failures import afresh, closed, is_passing, silent, trouble

MOST_TOGETHER: Final = 64
_TRIES: Final = 3

Row = Sequence[Any]


class _Ask(NamedTuple):
    """``rows`` are the values of one execution each. Asks of one ``sql`` are carried out in the order of ``key``."""

    sql: str
    rows: Sequence[Row]
    key: str
    answer: asyncio.Future[Sequence[Row]]


class Line:
    """Group commit: while one batch is on its way, what is asked meanwhile gathers, and all of one statement goes as
    the next, in one round trip, one transaction and one flush. Alone, a statement waits for nothing.

    Every statement must give exactly one row per execution, and be complete in itself. ``flushes`` says whether its
    commits are on disk when they return. ``commits`` counts them.

    A caller who is cancelled changes nothing. Statements fail with ``StorageUnavailable`` or with asyncpg's own error,
    each on its own: another's failure in the same batch is nobody else's.
    """

    def __init__(self, connector: Connector, availability: Availability, *, flushes: bool) -> None:
        self.commits = 0
        self._connector = connector
        self._availability = availability
        self._flushes = flushes
        self._waiting: list[_Ask] = []
        self._worker: asyncio.Task[None] | None = None
        self._connection: Any = None
        self._generation = 0
        self._is_closed = False

    async def ask(self, sql: str, values: Row, *, key: str) -> Row:
        """The row of one execution. Two lines that ask about the same ``key`` must not wait for each other, so each
        goes through its batch in the order of the keys.
        """
        (row,) = await self._ask(sql, [values], key)
        return row

    async def ask_all(self, sql: str, rows: Sequence[Row], *, key: str) -> Sequence[Row]:
        """One row per execution; all of them take effect, or none."""
        return await self._ask(sql, rows, key)

    async def close(self) -> None:
        """Finish what was asked for, then hang up."""
        self._is_closed = True
        if self._worker is not None:
            await asyncio.wait({self._worker})
        self._hang_up()

    def _ask(self, sql: str, rows: Sequence[Row], key: str) -> asyncio.Future[Sequence[Row]]:
        if self._is_closed:
            raise closed(self._connector.name)
        self._availability.require()
        answer: asyncio.Future[Sequence[Row]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Ask(sql, rows, key, answer))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return answer

    async def _work(self) -> None:
        while self._waiting:
            asks, self._waiting = self._waiting[:MOST_TOGETHER], self._waiting[MOST_TOGETHER:]
            for group in _groups(asks):
                await self._carry_out(group)

    async def _carry_out(self, group: Sequence[_Ask], tries: int = _TRIES) -> None:
        try:
            rows = iter(await self._execute(group[0].sql, [row for ask in group for row in ask.rows]))
        except StorageUnavailable as problem:
            _fail(group, problem)
        except Exception as error:
            if len(group) > 1:
                for ask in group:
                    await self._carry_out([ask])
            elif is_passing(error) and tries > 1:
                await self._carry_out(group, tries - 1)
            else:
                told = trouble(error, self._connector.name)
                _fail(group, error if told is None else told.problem)
        else:
            for ask in group:
                _answer(ask, list(itertools.islice(rows, len(ask.rows))))

    async def _execute(self, sql: str, rows: Sequence[Row]) -> Sequence[Row]:
        """:raises StorageUnavailable: the server is lost; whether it did it is not known where it was sent at all.
        :raises PostgresError: the server did not do it.
        """
        connection = await self._connected()
        task = asyncio.ensure_future(connection.fetchmany(sql, rows))
        done, _ = await asyncio.wait({task}, timeout=self._connector.patience_s)
        if not done:
            # Cancelling it would ask the server over a new connection, and wait for that.
            task.add_done_callback(_seen)
            self._hang_up()
            raise self._lost(silent(self._connector.name))
        try:
            found: Sequence[Row] = task.result()
        except Exception as error:
            told = trouble(error, self._connector.name)
            if told is None or not told.is_lost:
                raise
            self._hang_up()
            raise self._lost(told.problem) from error
        if len(found) != len(rows):
            raise ValueError(f"{len(rows)} executions gave {len(found)} rows")
        self.commits += 1
        return found

    async def _connected(self) -> Any:
        self._availability.require()
        stale = self._generation != self._availability.generation
        if self._connection is not None and (stale or self._connection.is_closed()):
            self._hang_up()
        if self._connection is None:
            self._generation = self._availability.generation
            try:
                self._connection = await self._connector.open(flushes=self._flushes)
            except StorageUnavailable as problem:
                raise self._lost(problem) from None
        return self._connection

    def _lost(self, problem: StorageUnavailable) -> StorageUnavailable:
        self._availability.lost(problem)
        return problem

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()


def _groups(asks: Iterable[_Ask]) -> Iterator[Sequence[_Ask]]:
    """What can travel together. Several rows of one ask stand or fall together, so they go alone."""
    together: dict[str, list[_Ask]] = {}
    for ask in asks:
        if len(ask.rows) == 1:
            together.setdefault(ask.sql, []).append(ask)
        else:
            yield [ask]
    for group in together.values():
        yield sorted(group, key=lambda ask: ask.key)


def _answer(ask: _Ask, rows: Sequence[Row]) -> None:
    if not ask.answer.done():
        ask.answer.set_result(rows)


def _fail(group: Sequence[_Ask], error: Exception) -> None:
    for ask in group:
        if not ask.answer.done():
            ask.answer.set_exception(afresh(error) if isinstance(error, StorageUnavailable) else error)


def _seen(task: asyncio.Future[Any]) -> None:
    """Nobody waits for it any more."""
    if not task.cancelled():
        task.exception()
