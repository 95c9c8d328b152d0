"""The statements of the journal that every order runs, for ``Prepared``: parameters by name, literals in the SQL."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import Connection, Insert, bindparam, func, insert, literal_column, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from storage.ports import JournalRow
from storage.sql.schema import journal, journal_events
from storage.sql.statements import insert_into

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


def insert_row(connection: Connection) -> Insert:
    """Changes nothing where the account and credential have an order of that client order id."""
    values: dict[str, Any] = {name: bindparam(name) for name in FIELDS}
    identity = [journal.c[name] for name in _IDENTITY]
    return insert_into(connection, journal).values(values).on_conflict_do_nothing(index_elements=identity)


def insert_event(connection: Connection) -> Insert:
    """Under the next free number of the order ``key``."""
    key = bindparam("key", type_=journal_events.c.order_key.type)
    latest = (
        select(func.coalesce(func.max(journal_events.c.number), literal_column("0")) + literal_column("1"))
        .where(journal_events.c.order_key == key)
        .scalar_subquery()
    )
    values: dict[str, Any] = {name: bindparam(name) for name in ("at_ms", "state", "fence", "note")}
    # inline: the number is not wanted back.
    return insert(journal_events).inline().values({"order_key": key, "number": latest, **values})


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
