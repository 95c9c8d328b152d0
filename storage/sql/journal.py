"""The order journal in SQL."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import BindParameter, ColumnElement, Connection, Select, bindparam, func, select, text, update
from sqlalchemy.exc import IntegrityError

from storage.ports import Journal, JournalChange, JournalEvent, JournalRow, OrderState
from storage.sql.database import Database
from storage.sql.journal_statements import (
    BY_IDENTITY,
    BY_ORDER_KEY,
    BY_VENUE_CLIENT_ID,
    BY_VENUE_ORDER_ID,
    COLUMNS,
    FIELDS,
    OLDEST_FIRST,
    due_orders,
    insert_event,
    insert_row,
    taken_over,
    update_row,
)
from storage.sql.retention import forget, shed
from storage.sql.schema import IS_SETTLED, IS_UNSETTLED, NEVER_MOVES, SETTLED, journal, journal_events
from storage.sql.statements import PreparedStatements, insert_into

_EVENT_COLUMNS: Final = tuple(journal_events.c[name] for name in JournalEvent.__struct_fields__)
_CHANGEABLE: Final = tuple(name for name in JournalChange.__struct_fields__ if name != "note")
_STATES: Final = {state.value: state for state in OrderState}
NOT_ITS_OWN: Final = "an order key or a venue client id is another order's already"

_WORDS_OF_VENUES: Final = ("venue_order_id", "evidence")
_NO_CHANGE_OF: Final = (msgspec.UNSET, OrderState.NOT_PLACED)


class SqlJournal(Journal):
    """``Journal`` over a ``Database``. What every order runs is compiled once and goes to the driver as it is."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._statements = PreparedStatements()

    async def insert(self, rows: Sequence[JournalRow]) -> Sequence[JournalRow | None]:
        """Of an id that is in ``rows`` twice, the first row counts as the one that has it.

        :raises ValueError: an order key or a venue client id is another order's already; nothing was stored.
        """
        try:
            await self._database.write(lambda connection: self._store(connection, rows))
        except _Taken:
            return await self._earlier(rows)
        except IntegrityError as error:
            raise ValueError(NOT_ITS_OWN) from error
        return [None] * len(rows)

    def _store(self, connection: Connection, rows: Sequence[JournalRow]) -> None:
        """:raises _Taken: one of the ids is."""
        statement = self._statements.get(connection, "insert", lambda c: insert_row(insert_into(c, journal)))
        for row in rows:
            if statement.run(connection, row_values(row)).rowcount == 0:
                raise _Taken
            self._log(connection, row, row.created_at_ms, "")

    async def _earlier(self, rows: Sequence[JournalRow]) -> list[JournalRow | None]:
        """Who has the rows' ids: an earlier order, or the first of ``rows`` that has the same."""
        return await self._database.read(lambda connection: self._owners(connection, rows))

    def _owners(self, connection: Connection, rows: Sequence[JournalRow]) -> list[JournalRow | None]:
        firsts: dict[tuple[str, str, str], JournalRow] = {}
        found: list[JournalRow | None] = []
        for row in rows:
            identity = identity_of(row)
            found.append(self._find(connection, *identity) or firsts.get(identity))
            firsts.setdefault(identity, row)
        return found

    def _log(self, connection: Connection, row: JournalRow, at_ms: int, note: str) -> None:
        values = {"key": row.order_key, "at_ms": at_ms, "state": row.state.value, "fence": row.fence, "note": note}
        self._statements.get(connection, "log", lambda _: insert_event()).run(connection, values)

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
        """None, too, when all of ``expected`` are states that are never left for the one wanted.

        :raises ValueError: the venue client id is another order's; nothing was changed.
        """
        sources = movable(expected, change.state)
        if not sources:
            return None
        values = changed_values(change, at_ms)
        condition = condition_of(order_key, fence, sources)
        try:
            return await self._database.write(
                lambda connection: self._change(connection, values, condition, len(sources), storable(change.note)),
                durable=durable,
            )
        except IntegrityError as error:
            raise ValueError(NOT_ITS_OWN) from error

    def _change(
        self, connection: Connection, values: dict[str, Any], condition: dict[str, Any], sources: int, note: str
    ) -> JournalRow | None:
        names = tuple(values)
        statement = self._statements.get(connection, (names, sources), lambda _: update_row(names, sources))
        row = _first(statement.run(connection, values | condition).fetchone())
        if row is not None and (note or "state" in values):
            self._log(connection, row, values["updated_at_ms"], note)
        return row

    async def find(self, account_id: str, credential_id: str, client_order_id: str) -> JournalRow | None:
        return await self._database.read(
            lambda connection: self._find(connection, account_id, credential_id, client_order_id)
        )

    def _find(
        self, connection: Connection, account_id: str, credential_id: str, client_order_id: str
    ) -> JournalRow | None:
        values = {"account_id": account_id, "credential_id": credential_id, "client_order_id": client_order_id}
        statement = self._statements.get(connection, "find", lambda _: BY_IDENTITY)
        return _first(statement.run(connection, values).fetchone())

    async def by_venue_order_id(self, account_id: str, credential_id: str, venue_order_id: str) -> JournalRow | None:
        """The newest, where a venue gave one id to several of our orders."""
        wanted = storable(venue_order_id)
        values = {"account_id": account_id, "credential_id": credential_id, "venue_order_id": wanted}
        return await self._look_up("by_venue_order_id", BY_VENUE_ORDER_ID, values)

    async def by_venue_client_id(self, credential_id: str, venue_client_id: str) -> JournalRow | None:
        values = {"credential_id": credential_id, "venue_client_id": storable(venue_client_id)}
        return await self._look_up("by_venue_client_id", BY_VENUE_CLIENT_ID, values)

    async def known_among(self, credential_id: str, venue_client_ids: Collection[str]) -> Collection[str]:
        wanted = [storable(one) for one in venue_client_ids]
        query = select(journal.c.venue_client_id).where(
            journal.c.credential_id == credential_id, journal.c.venue_client_id.in_(wanted)
        )
        return await self._database.read(lambda connection: set(connection.scalars(query)))

    async def row(self, order_key: str) -> JournalRow | None:
        return await self._look_up("row", BY_ORDER_KEY, {"order_key": order_key})

    async def _look_up(self, name: str, query: Select[Any], values: dict[str, str]) -> JournalRow | None:
        def look_up(connection: Connection) -> JournalRow | None:
            statement = self._statements.get(connection, name, lambda _: query)
            return _first(statement.run(connection, values).fetchone())

        return await self._database.read(look_up)

    async def group(self, group_id: str) -> Sequence[JournalRow]:
        return await self._all(
            select(*COLUMNS).where(journal.c.group_id == group_id).order_by(journal.c.leg, journal.c.order_key)
        )

    async def events(self, order_key: str) -> Sequence[JournalEvent]:
        query = select(*_EVENT_COLUMNS).where(journal_events.c.order_key == order_key).order_by(journal_events.c.number)
        return await self._database.read(lambda connection: [_event(found) for found in connection.execute(query)])

    async def claim(
        self, *, owner: str, now_ms: int, lease_ms: int, limit: int, except_at: Collection[str] = ()
    ) -> Sequence[JournalRow]:
        """What has waited longest comes first. The next check of a claimed row is the end of its lease."""
        due = due_orders(now_ms, limit, except_at)
        return await self._database.write(lambda connection: _claim(connection, owner, now_ms + lease_ms, due))

    async def next_due_ms(self) -> int | None:
        query = select(func.min(journal.c.due_ms)).where(journal.c.due_ms.is_not(None))
        return await self._database.read(lambda connection: connection.execute(query).scalar())

    async def undecided(self, credential_id: str) -> Sequence[JournalRow]:
        # The state is in the SQL: as a parameter, it would not let the partial index be used.
        unknown: BindParameter[str] = bindparam("unknown", OrderState.UNKNOWN.value, literal_execute=True)
        return await self._all(
            select(*COLUMNS)
            .where(journal.c.credential_id == credential_id, journal.c.state == unknown)
            .order_by(*OLDEST_FIRST)
        )

    async def in_states(
        self, states: Sequence[OrderState], limit: int, *, newest_first: bool = False
    ) -> Sequence[JournalRow]:
        unsettled = [state for state in states if state not in SETTLED]
        settled = [state for state in states if state in SETTLED]
        rows = await self._listed(unsettled, IS_UNSETTLED, journal.c.created_at_ms, limit, newest_first)
        return rows + await self._listed(settled, IS_SETTLED, journal.c.updated_at_ms, limit - len(rows), newest_first)

    async def _listed(
        self, states: Sequence[OrderState], condition: str, moment: ColumnElement[int], limit: int, newest_first: bool
    ) -> list[JournalRow]:
        if not states or not limit:
            return []
        wanted = journal.c.state.in_([state.value for state in states])
        columns = (moment, journal.c.leg, journal.c.order_key)
        order = [column.desc() for column in columns] if newest_first else columns
        return await self._all(select(*COLUMNS).where(text(condition), wanted).order_by(*order).limit(limit))

    async def shed(self, *, before_ms: int, limit: int) -> int:
        # What a power cut undoes is done again.
        return await self._database.write(lambda connection: shed(connection, before_ms, limit), durable=False)

    async def forget(self, *, before_ms: int, limit: int) -> int:
        return await self._database.write(lambda connection: forget(connection, before_ms, limit), durable=False)

    async def _all(self, query: Select[Any]) -> list[JournalRow]:
        return await self._database.read(lambda connection: [row_of(found) for found in connection.execute(query)])


class _Taken(Exception):
    """An id that was to be stored belongs to an order that is there."""


def identity_of(row: JournalRow) -> tuple[str, str, str]:
    """What is unique for as long as the journal knows of the order."""
    return row.account_id, row.credential_id, row.client_order_id


def movable(expected: Iterable[OrderState], to: OrderState | msgspec.UnsetType) -> tuple[str, ...]:
    """The states of ``expected`` that can be left for ``to``: final ones never, whoever asks."""
    absent_can = to in _NO_CHANGE_OF or to is OrderState.LATE_EXECUTION
    return tuple(
        state.value
        for state in expected
        if state not in NEVER_MOVES and (absent_can or state is not OrderState.NOT_PLACED)
    )


def row_values(row: JournalRow) -> dict[str, Any]:
    """What ``row`` is stored as, by column."""
    # Drivers take enumerations, too, but look twice at each.
    return {name: getattr(row, name) for name in FIELDS} | {"state": row.state.value}


def changed_values(change: JournalChange, at_ms: int) -> dict[str, Any]:
    """The columns that ``change`` sets."""
    values = {name: value for name in _CHANGEABLE if (value := getattr(change, name)) is not msgspec.UNSET}
    if "state" in values:
        values["state"] = values["state"].value
    values |= {name: storable(values[name]) for name in _WORDS_OF_VENUES if values.get(name)}
    return values | {"updated_at_ms": at_ms}


def storable(text: str) -> str:
    """What a venue said, as every engine takes it: PostgreSQL has no NUL in text."""
    return text.replace("\0", "\ufffd")


def condition_of(order_key: str, fence: int, sources: Sequence[str]) -> dict[str, Any]:
    """The parameters of ``update_row`` besides the values."""
    return {"key": order_key, "present_fence": fence} | {f"from_{n}": state for n, state in enumerate(sources)}


def _claim(connection: Connection, owner: str, until_ms: int, due_now: Select[str, int]) -> list[JournalRow]:
    # SQLite has one writer at a time: nobody else claims meanwhile.
    due = [order_key for order_key, _ in connection.execute(due_now)]
    if not due:
        return []
    claimed = connection.execute(
        update(journal).where(journal.c.order_key.in_(due)).values(taken_over(owner, until_ms)).returning(*COLUMNS)
    )
    by_key = {row.order_key: row for row in map(row_of, claimed)}
    return [by_key[key] for key in due]


def _first(found: Sequence[Any] | None) -> JournalRow | None:
    return None if found is None else row_of(found)


def row_of(found: Sequence[Any]) -> JournalRow:
    values = dict(zip(FIELDS, found, strict=True))
    values["state"] = _STATES[values["state"]]
    return JournalRow(**values)


def _event(found: Sequence[Any]) -> JournalEvent:
    values = dict(zip(JournalEvent.__struct_fields__, found, strict=True))
    values["state"] = _STATES[values["state"]]
    return JournalEvent(**values)
