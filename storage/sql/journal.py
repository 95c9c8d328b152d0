"""The order journal in SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Select, bindparam, func, insert, literal_column, select, update

from storage.ports import Journal, JournalChange, JournalEvent, JournalRow, OrderState
from storage.sql.database import Database
from storage.sql.schema import NEVER_MOVES, journal, journal_events
from storage.sql.statements import Prepared, insert_into

_FIELDS: Final = JournalRow.__struct_fields__
_COLUMNS: Final = tuple(journal.c[name] for name in _FIELDS)
_EVENT_COLUMNS: Final = tuple(journal_events.c[name] for name in JournalEvent.__struct_fields__)
_CHANGEABLE: Final = tuple(name for name in JournalChange.__struct_fields__ if name != "note")
_IDENTITY: Final = (journal.c.account_id, journal.c.credential_id, journal.c.client_order_id)
_STATES: Final = {state.value: state for state in OrderState}
_STATE_AT: Final = _FIELDS.index("state")


class SqlJournal(Journal):
    """``Journal`` over a ``Database``. What every order runs is compiled once and goes to the driver as it is."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._prepared: dict[tuple[object, ...], Prepared] = {}

    async def insert(self, rows: Sequence[JournalRow]) -> Sequence[JournalRow | None]:
        """:raises ValueError: an order key or a venue client id is another order's already; nothing was stored."""
        return await self._database.write(lambda connection: self._insert(connection, rows))

    def _insert(self, connection: Connection, rows: Sequence[JournalRow]) -> list[JournalRow | None]:
        if len(rows) == 1:
            if self._store(connection, rows[0]):
                return [None]
        else:
            with connection.begin_nested() as legs:
                if all(self._store(connection, row) for row in rows):
                    return [None] * len(rows)
                legs.rollback()
        return _earlier(connection, rows)

    def _store(self, connection: Connection, row: JournalRow) -> bool:
        """Whether the row was stored: its client order id was free."""
        statement = self._statement(connection, ("insert",), _insert_row)
        values = {name: getattr(row, name) for name in _FIELDS}
        values["state"] = row.state.value
        if statement.run(connection, values).rowcount == 0:
            return False
        self._log(connection, row, row.created_at_ms, "")
        return True

    def _log(self, connection: Connection, row: JournalRow, at_ms: int, note: str) -> None:
        statement = self._statement(connection, ("log",), _insert_event)
        values = {"key": row.order_key, "at_ms": at_ms, "state": row.state.value, "fence": row.fence, "note": note}
        statement.run(connection, values)

    def _statement(
        self, connection: Connection, name: tuple[object, ...], build: Callable[[Connection], Any]
    ) -> Prepared:
        prepared = self._prepared.get(name)
        if prepared is None:
            prepared = self._prepared[name] = Prepared(connection, build(connection))
        return prepared

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
        sources = _movable(expected, change.state)
        if not sources:
            return None
        return await self._database.write(
            lambda connection: self._change(connection, order_key, sources, fence, change, at_ms), durable=durable
        )

    def _change(
        self,
        connection: Connection,
        order_key: str,
        sources: Sequence[str],
        fence: int,
        change: JournalChange,
        at_ms: int,
    ) -> JournalRow | None:
        values: dict[str, Any] = {
            name: value for name in _CHANGEABLE if (value := getattr(change, name)) is not msgspec.UNSET
        }
        if "state" in values:
            values["state"] = values["state"].value
        names = (*values, "updated_at_ms")
        statement = self._statement(
            connection, ("change", names, len(sources)), lambda _: _update_row(names, len(sources))
        )
        values.update(
            updated_at_ms=at_ms, key=order_key, present_fence=fence, **{f"from_{n}": s for n, s in enumerate(sources)}
        )
        found = statement.run(connection, values).fetchone()
        if found is None:
            return None
        row = _row(found)
        if change.note or change.state is not msgspec.UNSET:
            self._log(connection, row, at_ms, change.note)
        return row

    async def find(self, account_id: str, credential_id: str, client_order_id: str) -> JournalRow | None:
        return await self._first(_by_identity((account_id, credential_id, client_order_id)))

    async def by_venue_order_id(self, account_id: str, credential_id: str, venue_order_id: str) -> JournalRow | None:
        """The newest, where a venue gave one id to several of our orders."""
        return await self._first(
            select(*_COLUMNS)
            .where(
                journal.c.account_id == account_id,
                journal.c.credential_id == credential_id,
                journal.c.venue_order_id == venue_order_id,
            )
            .order_by(journal.c.created_at_ms.desc())
            .limit(1)
        )

    async def row(self, order_key: str) -> JournalRow | None:
        return await self._first(select(*_COLUMNS).where(journal.c.order_key == order_key))

    async def group(self, group_id: str) -> Sequence[JournalRow]:
        return await self._all(
            select(*_COLUMNS).where(journal.c.group_id == group_id).order_by(journal.c.leg, journal.c.order_key)
        )

    async def events(self, order_key: str) -> Sequence[JournalEvent]:
        query = select(*_EVENT_COLUMNS).where(journal_events.c.order_key == order_key).order_by(journal_events.c.number)
        return await self._database.read(
            lambda connection: [
                msgspec.convert(dict(row), JournalEvent) for row in connection.execute(query).mappings()
            ]
        )

    async def claim(self, *, owner: str, now_ms: int, lease_ms: int, limit: int) -> Sequence[JournalRow]:
        return await self._database.write(
            lambda connection: _claim(connection, owner, now_ms, now_ms + lease_ms, limit)
        )

    async def next_due_ms(self) -> int | None:
        query = select(func.min(journal.c.due_ms)).where(journal.c.due_ms.is_not(None))
        return await self._database.read(lambda connection: connection.execute(query).scalar())

    async def undecided(self, credential_id: str) -> Sequence[JournalRow]:
        return await self._all(
            # The state as a literal: with a parameter, the partial index could not be used.
            select(*_COLUMNS)
            .where(journal.c.credential_id == credential_id, journal.c.state == literal_column("'UNKNOWN'"))
            .order_by(journal.c.created_at_ms, journal.c.leg, journal.c.order_key)
        )

    async def in_states(self, states: Sequence[OrderState], limit: int) -> Sequence[JournalRow]:
        return await self._all(
            select(*_COLUMNS)
            .where(journal.c.state.in_([state.value for state in states]))
            .order_by(journal.c.created_at_ms, journal.c.leg, journal.c.order_key)
            .limit(limit)
        )

    async def _first(self, query: Select[Any]) -> JournalRow | None:
        return await self._database.read(lambda connection: _first(connection, query))

    async def _all(self, query: Select[Any]) -> list[JournalRow]:
        return await self._database.read(lambda connection: [_row(found) for found in connection.execute(query)])


def _movable(expected: Iterable[OrderState], to: OrderState | msgspec.UnsetType) -> tuple[str, ...]:
    """The states of ``expected`` that may be left for ``to``: final ones never, whoever asks."""
    stays_absent = to in (msgspec.UNSET, OrderState.NOT_PLACED, OrderState.LATE_EXECUTION)
    return tuple(
        state.value
        for state in expected
        if state not in NEVER_MOVES and (state is not OrderState.NOT_PLACED or stays_absent)
    )


def _insert_row(connection: Connection) -> Any:
    values: dict[str, Any] = {name: bindparam(name) for name in _FIELDS}
    return insert_into(connection, journal).values(values).on_conflict_do_nothing(index_elements=_IDENTITY)


def _insert_event(connection: Connection) -> Any:
    key = bindparam("key", type_=journal_events.c.order_key.type)
    latest = (
        select(func.coalesce(func.max(journal_events.c.number), literal_column("0")) + literal_column("1"))
        .where(journal_events.c.order_key == key)
        .scalar_subquery()
    )
    values: dict[str, Any] = {name: bindparam(name) for name in ("at_ms", "state", "fence", "note")}
    return insert(journal_events).inline().values({"order_key": key, "number": latest, **values})


def _update_row(names: Iterable[str], sources: int) -> Any:
    return (
        update(journal)
        .where(
            journal.c.order_key == bindparam("key"),
            journal.c.fence == bindparam("present_fence"),
            journal.c.state.in_([bindparam(f"from_{number}") for number in range(sources)]),
        )
        .values({name: bindparam(name) for name in names})
        .returning(*_COLUMNS)
    )


def _claim(connection: Connection, owner: str, now_ms: int, until_ms: int, limit: int) -> list[JournalRow]:
    due = connection.scalars(
        select(journal.c.order_key)
        .where(journal.c.due_ms <= now_ms)
        .order_by(journal.c.due_ms, journal.c.leg, journal.c.order_key)
        .limit(limit)
        # Rows that another node is claiming are its own. SQLite has one writer at a time and no such clause.
        .with_for_update(skip_locked=True)
    ).all()
    if not due:
        return []
    claimed = connection.execute(
        update(journal)
        .where(journal.c.order_key.in_(due))
        # The next check too, or the row would be due again at once for everybody.
        .values(owner=owner, fence=journal.c.fence + 1, lease_until_ms=until_ms, next_check_ms=until_ms)
        .returning(*_COLUMNS)
    )
    by_key = {row.order_key: row for row in map(_row, claimed)}
    return [by_key[key] for key in due]


def _earlier(connection: Connection, rows: Sequence[JournalRow]) -> list[JournalRow | None]:
    """Who has the rows' ids: an earlier order, or, named twice in one call, the first row to name it."""
    firsts: dict[tuple[str, str, str], JournalRow] = {}
    found: list[JournalRow | None] = []
    for row in rows:
        identity = (row.account_id, row.credential_id, row.client_order_id)
        found.append(_first(connection, _by_identity(identity)) or firsts.get(identity))
        firsts.setdefault(identity, row)
    return found


def _by_identity(identity: tuple[str, str, str]) -> Select[Any]:
    return select(*_COLUMNS).where(*(column == value for column, value in zip(_IDENTITY, identity, strict=True)))


def _first(connection: Connection, query: Select[Any]) -> JournalRow | None:
    found = connection.execute(query).first()
    return None if found is None else _row(found)


def _row(found: Sequence[Any]) -> JournalRow:
    values = dict(zip(_FIELDS, found, strict=True))
    values["state"] = _STATES[values["state"]]
    return JournalRow(**values)
