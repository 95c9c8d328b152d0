"""The statements of the journal that every order runs, for ``Prepared``: parameters by name, literals in the SQL."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Insert,
    ScalarSelect,
    Select,
    bindparam,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.dml import ReturningUpdate

from storage.ports import JournalRow
from storage.sql.schema import journal, journal_events

FIELDS: Final = JournalRow.__struct_fields__
COLUMNS: Final = tuple(journal.c[name] for name in FIELDS)
OLDEST_FIRST: Final = (journal.c.created_at_ms, journal.c.leg, journal.c.order_key)

_IDENTITY: Final = ("account_id", "credential_id", "client_order_id")

BY_IDENTITY: Final = select(*COLUMNS).where(*(journal.c[name] == bindparam(name) for name in _IDENTITY))
BY_ORDER_KEY: Final = select(*COLUMNS).where(journal.c.order_key == bindparam("order_key"))
BY_VENUE_ORDER_ID: Final = (
    select(*COLUMNS)
    .where(*(journal.c[name] == bindparam(name) for name in ("account_id", "credential_id", "venue_order_id")))
    .order_by(journal.c.created_at_ms.desc())
)


NEW_ROW: Final[dict[str, Any]] = {name: bindparam(name) for name in FIELDS}


def insert_row(into: sqlite.Insert) -> sqlite.Insert:
    """Changes nothing where the account and credential have an order of that client order id."""
    return into.values(NEW_ROW).on_conflict_do_nothing(index_elements=[journal.c[name] for name in _IDENTITY])


def insert_event() -> Insert:
    """Under the next free number of the order ``key``."""
    key = bindparam("key", type_=journal_events.c.order_key.type)
    values: dict[str, Any] = {name: bindparam(name) for name in ("at_ms", "state", "fence", "note")}
    # inline: the number is not wanted back.
    return insert(journal_events).inline().values({"order_key": key, "number": next_number(key), **values})


def next_number(key: ColumnElement[str]) -> ScalarSelect[int]:
    """One more than the last event of the order ``key`` has."""
    last = func.coalesce(func.max(journal_events.c.number), literal_column("0"))
    return select(last + literal_column("1")).where(journal_events.c.order_key == key).scalar_subquery()


def update_row(names: Iterable[str], sources: int) -> ReturningUpdate[Any]:
    """Set ``names`` if the order ``key`` is in one of ``from_0``, ``from_1``, … under ``present_fence``."""
    values: dict[str, Any] = {name: bindparam(name) for name in names}
    return (
        update(journal)
        .where(
            journal.c.order_key == bindparam("key"),
            journal.c.fence == bindparam("present_fence"),
            journal.c.state.in_([bindparam(f"from_{number}") for number in range(sources)]),
        )
        .values(values)
        .returning(*COLUMNS)
    )


def due_orders(now_ms: int, limit: int, except_at: Collection[str]) -> Select[str, int]:
    """Keys of the orders that have to be looked after now: what has waited longest comes first."""
    elsewhere = (journal.c.exchange.not_in(except_at),) if except_at else ()
    return (
        select(journal.c.order_key, journal.c.due_ms)
        .where(journal.c.due_ms <= now_ms, *elsewhere)
        .order_by(journal.c.due_ms, journal.c.leg, journal.c.order_key)
        .limit(limit)
    )


def taken_over(owner: str, until_ms: int) -> dict[str, Any]:
    """What to set on an order that ``owner`` looks after until then."""
    # The next check too, or the row would be due again at once for everybody.
    return {"owner": owner, "fence": journal.c.fence + 1, "lease_until_ms": until_ms, "next_check_ms": until_ms}
