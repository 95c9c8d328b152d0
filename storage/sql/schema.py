"""The tables, once for every SQL engine. What changes here needs a migration in ``migrations/versions``.

Columns of the journal carry the names of ``JournalRow``'s fields. Times are epoch milliseconds. JSON is text where we
query nothing in it, and bytes where the record has bytes.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Computed,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    text,
)

from storage.ports import OrderState

metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

NEVER_MOVES: Final = (
    OrderState.FILLED,
    OrderState.CANCELED,
    OrderState.EXPIRED,
    OrderState.REJECTED,
    OrderState.NOT_SENT,
    OrderState.LATE_EXECUTION,
)
"""Orders in these states are not changed again by anybody. NOT_PLACED can still become LATE_EXECUTION."""

SETTLED: Final = (*NEVER_MOVES, OrderState.NOT_PLACED)
"""Orders in these states are over, for all that is known."""

# Of these three, exactly one is true of a row. A query gets an index by repeating its condition to the letter.
_SETTLED_STATES: Final = ", ".join(f"'{state.value}'" for state in SETTLED)
IS_UNSETTLED: Final = f"state NOT IN ({_SETTLED_STATES})"
IS_SETTLED: Final = f"state IN ({_SETTLED_STATES}) AND length(request) > 0"
IS_TOMBSTONE: Final = "length(request) = 0"

_DUE_MS: Final = (
    "CASE WHEN state = 'SENDING' THEN lease_until_ms"
    " WHEN state IN ('FILLED', 'CANCELED', 'EXPIRED', 'REJECTED', 'NOT_SENT', 'LATE_EXECUTION') THEN NULL"
    " ELSE next_check_ms END"
)

# One row. Changes of the directory lock it first, so that on every engine they happen one after the other.
directory_revision: Final = Table(
    "directory_revision",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
)

accounts: Final = Table(
    "accounts",
    metadata,
    Column("account_id", String, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("tier", String, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
)

api_keys: Final = Table(
    "api_keys",
    metadata,
    Column("key_id", String, primary_key=True),
    Column("account_id", String, ForeignKey("accounts.account_id"), nullable=False, index=True),
    Column("environment", String, nullable=False),
    Column("label", String, nullable=False),
    Column("prefix", String, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("pepper_version", Integer, nullable=False),
    Column("scopes", String, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger),
    Column("revoked_at_ms", BigInteger),
    Column("last_used_at_ms", BigInteger),
)

credentials: Final = Table(
    "credentials",
    metadata,
    Column("credential_id", String, primary_key=True),
    Column("account_id", String, ForeignKey("accounts.account_id"), nullable=False, index=True),
    Column("exchange", String, nullable=False),
    Column("network", String, nullable=False),
    Column("label", String, nullable=False),
    Column("address", String, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("row_version", Integer, nullable=False),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("revoked_at_ms", BigInteger),
)

gateway_secrets: Final = Table(
    "gateway_secrets",
    metadata,
    Column("name", String, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("wrapped", LargeBinary, nullable=False),
)

# No foreign key: counts of an account that is not there must not keep the others from being stored.
usage_days: Final = Table(
    "usage_days",
    metadata,
    Column("day", String, primary_key=True),
    Column("account_id", String, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Index("ix_usage_days_account_id_day", "account_id", "day"),
)

# A worker that others see beat is alive. The time is for people: clocks of different machines are not compared.
workers: Final = Table(
    "workers",
    metadata,
    Column("worker_id", String, primary_key=True),
    Column("beats", BigInteger, nullable=False),
    Column("beat_at_ms", BigInteger, nullable=False),
    Column("slot", Integer, unique=True),
)

# No foreign keys to the directory: an order happened whatever becomes of the credential it was placed with.
journal: Final = Table(
    "journal",
    metadata,
    Column("order_key", String, primary_key=True),
    Column("account_id", String, nullable=False),
    Column("credential_id", String, nullable=False),
    Column("client_order_id", String, nullable=False),
    Column("exchange", String, nullable=False),
    Column("network", String, nullable=False),
    Column("symbol", String, nullable=False),
    Column("venue_client_id", String, nullable=False),
    Column("operation", String, nullable=False),
    Column("request", LargeBinary, nullable=False),
    Column("request_hash", LargeBinary, nullable=False),
    Column("group_id", String),
    Column("leg", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("owner", String, nullable=False),
    Column("lease_until_ms", BigInteger, nullable=False),
    Column("valid_until_ms", BigInteger, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
    Column("venue_order_id", String),
    Column("venue_order", LargeBinary),
    Column("reason", String),
    Column("evidence", String),
    Column("negatives", Integer, nullable=False),
    Column("last_negative_ms", BigInteger),
    Column("checks", Integer, nullable=False),
    Column("next_check_ms", BigInteger),
    Column("cancel_requested_at_ms", BigInteger),
    # When somebody has to look after the order. NULL for ever in a state that never moves.
    Column("due_ms", BigInteger, Computed(_DUE_MS, persisted=True)),
    UniqueConstraint("account_id", "credential_id", "client_order_id"),
    UniqueConstraint("credential_id", "venue_client_id"),
)


def _partial_index(name: str, *columns: str, where: str) -> None:
    Index(name, *(journal.c[column] for column in columns), sqlite_where=text(where), postgresql_where=text(where))


_partial_index("ix_journal_due_ms", "due_ms", where="due_ms IS NOT NULL")
_partial_index("ix_journal_group_id", "group_id", where="group_id IS NOT NULL")
_partial_index("ix_journal_venue_order_id", "credential_id", "venue_order_id", where="venue_order_id IS NOT NULL")
_partial_index("ix_journal_unsettled", "state", "created_at_ms", where=IS_UNSETTLED)
_partial_index("ix_journal_settled", "state", "updated_at_ms", where=IS_SETTLED)
_partial_index("ix_journal_tombstones", "updated_at_ms", where=IS_TOMBSTONE)
_partial_index("ix_journal_unknown", "credential_id", "created_at_ms", where="state = 'UNKNOWN'")

journal_events: Final = Table(
    "journal_events",
    metadata,
    Column("order_key", String, ForeignKey("journal.order_key"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("state", String, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("note", String, nullable=False),
)
