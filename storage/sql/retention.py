"""What becomes of old orders in the journal: a tombstone first, which has the ids, the request's hash and how it ended,
and then nothing.

The tombstone is the row itself, so that an id stays taken and is recognised with nothing more to look at. A batch is
one short transaction; of nodes that do it at once, each takes orders that no other one has.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, delete, select, text, update

from storage.sql.schema import IS_SETTLED, IS_TOMBSTONE, SETTLED, journal, journal_events

_REDUCED: Final[dict[str, Any]] = {
    "request": b"",
    "venue_order": None,
    "evidence": None,
    "group_id": None,
    "owner": "",
    "last_negative_ms": None,
    "cancel_requested_at_ms": None,
}


def shed(connection: Connection, before_ms: int, limit: int) -> int:
    """``Journal.shed``."""
    keys: list[str] = []
    for state in SETTLED:
        # Absence that was proved is looked at once more, by a time of its own.
        wanted = (text(IS_SETTLED), journal.c.state == state.value, journal.c.due_ms.is_(None))
        keys += _keys(connection, before_ms, limit - len(keys), *wanted)
        if len(keys) == limit:
            break
    if keys:
        connection.execute(delete(journal_events).where(journal_events.c.order_key.in_(keys)))
        connection.execute(update(journal).where(journal.c.order_key.in_(keys)).values(_REDUCED))
    return len(keys)


def forget(connection: Connection, before_ms: int, limit: int) -> int:
    """``Journal.forget``."""
    keys = _keys(connection, before_ms, limit, text(IS_TOMBSTONE))
    if keys:
        # One that turned out to have executed has been written to since.
        connection.execute(delete(journal_events).where(journal_events.c.order_key.in_(keys)))
        connection.execute(delete(journal).where(journal.c.order_key.in_(keys)))
    return len(keys)


def _keys(connection: Connection, before_ms: int, limit: int, *conditions: Any) -> list[str]:
    """Orders that last moved before then, held by this transaction. Of one state, they are an index's first entries."""
    found = (
        select(journal.c.order_key)
        .where(*conditions, journal.c.updated_at_ms < before_ms)
        # Without an order PostgreSQL would read a table from the front where it thinks that much of it is old.
        .order_by(journal.c.updated_at_ms)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list(connection.execute(found).scalars())
