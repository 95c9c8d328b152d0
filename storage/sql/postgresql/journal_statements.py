"""The statements of the journal that every order runs, as PostgreSQL takes them: row and event in one.

They are those of every engine, put together. Each gives exactly one row per execution, as a ``Line`` needs it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import (
    Dialect,
    Executable,
    Insert,
    Integer,
    Select,
    String,
    bindparam,
    exists,
    insert,
    literal_column,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import asyncpg

from storage.sql.journal_statements import (
    COLUMNS,
    NEW_ROW,
    insert_row,
    next_number,
    taken_over,
    update_row,
)
from storage.sql.schema import journal, journal_events
from storage.sql.statements import Compiled, insert_as

DIALECT: Final[Dialect] = asyncpg.dialect()  # type: ignore[no-untyped-call]
_EVENT: Final = ("order_key", "number", "at_ms", "state", "fence", "note")


def _placed(into: Insert) -> Compiled:
    """Whether ``into`` stored a row; then its first event is there too."""
    stored = into.returning(*COLUMNS).cte("stored")
    first, nothing = literal_column("1", Integer), literal_column("''", String)
    event = select(stored.c.order_key, first, stored.c.created_at_ms, stored.c.state, stored.c.fence, nothing)
    logged = insert(journal_events).from_select(_EVENT, event).cte("logged")
    return Compiled(select(exists(select(stored.c.order_key))).add_cte(logged), DIALECT)


INSERT: Final = _placed(insert_row(insert_as(DIALECT, journal)))
"""False, and nothing is stored, where the account and credential have an order of that client order id."""

INSERT_LEG: Final = _placed(insert(journal).values(NEW_ROW))
"""Fails where an id is taken."""


def change_row(names: Iterable[str], sources: int, *, logged: bool) -> Compiled:
    """``update_row``, and with ``logged`` its event with the parameter ``note``. The row as it then is, else NULLs."""
    moved = update_row(names, sources).cte("moved")
    found: Select[Any] = select(*moved.c).select_from(
        select(literal_column("1")).subquery("one").outerjoin(moved, true())
    )
    if logged:
        event = select(
            moved.c.order_key,
            next_number(moved.c.order_key),
            moved.c.updated_at_ms,
            moved.c.state,
            moved.c.fence,
            bindparam("note", type_=journal_events.c.note.type),
        )
        found = found.add_cte(insert(journal_events).from_select(_EVENT, event).cte("logged"))
    return Compiled(found, DIALECT)


def claim(owner: str, until_ms: int, due_now: Select[str, int]) -> Executable:
    """Take over what is due and nobody else is taking, what has waited longest first."""
    due = due_now.with_for_update(skip_locked=True).cte("due")
    claimed = (
        update(journal)
        .where(journal.c.order_key == due.c.order_key)
        .values(taken_over(owner, until_ms))
        .returning(*COLUMNS, due.c.due_ms)
        .cte("claimed")
    )
    rows = [claimed.c[column.name] for column in COLUMNS]
    return select(*rows).order_by(claimed.c.due_ms, claimed.c.leg, claimed.c.order_key)
