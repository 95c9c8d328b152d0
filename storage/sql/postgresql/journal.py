"""The order journal on PostgreSQL: what every order runs is one statement there, and one round trip."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import asyncpg  # type: ignore[import-untyped]

from storage.ports import JournalChange, JournalRow, OrderState
from storage.sql.journal import (
    NOT_ITS_OWN,
    SqlJournal,
    changed_values,
    condition_of,
    identity_of,
    movable,
    row_of,
    row_values,
    storable,
)
from storage.sql.journal_statements import due_orders
from storage.sql.postgresql.database import PostgresDatabase
from storage.sql.postgresql.journal_statements import INSERT, INSERT_LEG, change_row, claim
from storage.sql.statements import Compiled

_EVENTS_KEY: Final = "pk_journal_events"


class PostgresJournal(SqlJournal):
    """``SqlJournal``, but what is placed or recorded at the same time shares round trips and commits."""

    def __init__(self, database: PostgresDatabase) -> None:
        super().__init__(database)
        self._at_once = database.at_once
        self._flushing = database.flushing
        self._quick = database.quick
        self._changes: dict[tuple[tuple[str, ...], int, bool], Compiled] = {}

    async def insert(self, rows: Sequence[JournalRow]) -> Sequence[JournalRow | None]:
        try:
            if await self._stored(rows):
                return [None] * len(rows)
        except asyncpg.IntegrityConstraintViolationError as error:
            earlier = await self._earlier(rows)
            if not any(earlier):
                raise ValueError(NOT_ITS_OWN) from error
            return earlier
        return await self._earlier(rows)

    async def _stored(self, rows: Sequence[JournalRow]) -> bool:
        """:raises IntegrityConstraintViolationError: one of them cannot be stored, and so none is."""
        if len(rows) == 1:
            values = INSERT.parameters(row_values(rows[0]))
            (stored,) = await self._flushing.ask(INSERT.sql, values, key=_key(rows[0]))
            return bool(stored)
        # In one order everywhere, so that two nodes with the same ids do not wait for each other.
        legs = sorted(rows, key=identity_of)
        values_of_legs = [INSERT_LEG.parameters(row_values(leg)) for leg in legs]
        await self._flushing.ask_all(INSERT_LEG.sql, values_of_legs, key=_key(legs[0]))
        return True

    async def change(
        self,
        order_key: str,
        *,
        expected: Sequence[OrderState],
        fence: int,
        change: JournalChange,
        at_ms: int,
        durable: bool = True,
    ) -> JournalRow | None:
        sources = movable(expected, change.state)
        if not sources:
            return None
        values = changed_values(change, at_ms)
        logged = bool(change.note) or "state" in values
        statement = self._change_of(tuple(values), len(sources), logged)
        parameters = statement.parameters(
            values | condition_of(order_key, fence, sources) | {"note": storable(change.note)}
        )
        try:
            found = await (self._flushing if durable else self._quick).ask(statement.sql, parameters, key=order_key)
        except asyncpg.UniqueViolationError as error:
            if getattr(error, "constraint_name", None) != _EVENTS_KEY:
                raise ValueError(NOT_ITS_OWN) from error
            # Two were after the same row, and this one counted its events before the other's was there. Statement by
            # statement, the row is held while its events are counted.
            return await super().change(
                order_key, expected=expected, fence=fence, change=change, at_ms=at_ms, durable=durable
            )
        return None if found[0] is None else row_of(found)

    def _change_of(self, names: tuple[str, ...], sources: int, logged: bool) -> Compiled:
        known = self._changes.get((names, sources, logged))
        if known is None:
            known = self._changes[names, sources, logged] = change_row(names, sources, logged=logged)
        return known

    async def claim(
        self, *, owner: str, now_ms: int, lease_ms: int, limit: int, except_at: Collection[str] = ()
    ) -> Sequence[JournalRow]:
        statement = claim(owner, now_ms + lease_ms, due_orders(now_ms, limit, except_at))
        return await self._at_once(lambda connection: [row_of(found) for found in connection.execute(statement)])


def _key(row: JournalRow) -> str:
    return "\0".join(identity_of(row))
