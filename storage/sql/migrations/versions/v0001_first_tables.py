"""The first tables.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0001"
down_revision: Final = None

_DUE_MS: Final = (
    "CASE WHEN state = 'SENDING' THEN lease_until_ms"
    " WHEN state IN ('FILLED', 'CANCELED', 'EXPIRED', 'REJECTED', 'NOT_SENT', 'LATE_EXECUTION') THEN NULL"
    " ELSE next_check_ms END"
)


def upgrade() -> None:
    _create_directory()
    _create_usage()
    _create_journal()


def _create_directory() -> None:
    revision_table = op.create_table(
        "directory_revision",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_directory_revision")),
    )
    op.bulk_insert(revision_table, [{"id": 1, "revision": 0}])
    op.create_table(
        "accounts",
        sa.Column("account_id", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("tier", sa.String, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("name", name=op.f("uq_accounts_name")),
    )
    op.create_table(
        "gateway_secrets",
        sa.Column("name", sa.String, nullable=False),
        sa.Column("version", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_gateway_secrets")),
    )
    _create_api_keys()
    _create_credentials()


def _create_api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.String, nullable=False),
        sa.Column("account_id", sa.String, nullable=False),
        sa.Column("environment", sa.String, nullable=False),
        sa.Column("label", sa.String, nullable=False),
        sa.Column("prefix", sa.String, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("pepper_version", sa.Integer, nullable=False),
        sa.Column("scopes", sa.String, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger),
        sa.Column("revoked_at_ms", sa.BigInteger),
        sa.Column("last_used_at_ms", sa.BigInteger),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_api_keys")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name=op.f("fk_api_keys_account_id")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_keys_digest")),
    )
    op.create_index(op.f("ix_api_keys_account_id"), "api_keys", ["account_id"])


def _create_credentials() -> None:
    op.create_table(
        "credentials",
        sa.Column("credential_id", sa.String, nullable=False),
        sa.Column("account_id", sa.String, nullable=False),
        sa.Column("exchange", sa.String, nullable=False),
        sa.Column("network", sa.String, nullable=False),
        sa.Column("label", sa.String, nullable=False),
        sa.Column("address", sa.String, nullable=False),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("row_version", sa.Integer, nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("revoked_at_ms", sa.BigInteger),
        sa.PrimaryKeyConstraint("credential_id", name=op.f("pk_credentials")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name=op.f("fk_credentials_account_id")),
    )
    op.create_index(op.f("ix_credentials_account_id"), "credentials", ["account_id"])


def _create_usage() -> None:
    op.create_table(
        "usage_days",
        sa.Column("day", sa.String, nullable=False),
        sa.Column("account_id", sa.String, nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("day", "account_id", name=op.f("pk_usage_days")),
    )
    op.create_index("ix_usage_days_account_id_day", "usage_days", ["account_id", "day"])


def _create_journal() -> None:
    op.create_table(
        "journal",
        sa.Column("order_key", sa.String, nullable=False),
        *(
            sa.Column(name, sa.String, nullable=False)
            for name in (
                "account_id",
                "credential_id",
                "client_order_id",
                "exchange",
                "network",
                "symbol",
                "venue_client_id",
                "operation",
            )
        ),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("request_hash", sa.LargeBinary, nullable=False),
        sa.Column("group_id", sa.String),
        sa.Column("leg", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("lease_until_ms", sa.BigInteger, nullable=False),
        sa.Column("valid_until_ms", sa.BigInteger, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger, nullable=False),
        sa.Column("venue_order_id", sa.String),
        sa.Column("venue_order", sa.LargeBinary),
        sa.Column("reason", sa.String),
        sa.Column("evidence", sa.String),
        sa.Column("negatives", sa.Integer, nullable=False),
        sa.Column("last_negative_ms", sa.BigInteger),
        sa.Column("checks", sa.Integer, nullable=False),
        sa.Column("next_check_ms", sa.BigInteger),
        sa.Column("cancel_requested_at_ms", sa.BigInteger),
        sa.Column("due_ms", sa.BigInteger, sa.Computed(_DUE_MS, persisted=True)),
        sa.PrimaryKeyConstraint("order_key", name=op.f("pk_journal")),
        sa.UniqueConstraint(
            "account_id",
            "credential_id",
            "client_order_id",
            name=op.f("uq_journal_account_id_credential_id_client_order_id"),
        ),
        sa.UniqueConstraint("credential_id", "venue_client_id", name=op.f("uq_journal_credential_id_venue_client_id")),
    )
    op.create_index("ix_journal_state_created_at_ms", "journal", ["state", "created_at_ms"])
    _create_partial_index("ix_journal_due_ms", ["due_ms"], "due_ms IS NOT NULL")
    _create_partial_index("ix_journal_group_id", ["group_id"], "group_id IS NOT NULL")
    _create_partial_index(
        "ix_journal_venue_order_id", ["credential_id", "venue_order_id"], "venue_order_id IS NOT NULL"
    )
    _create_partial_index("ix_journal_unknown", ["credential_id", "created_at_ms"], "state = 'UNKNOWN'")
    op.create_table(
        "journal_events",
        sa.Column("order_key", sa.String, nullable=False),
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("note", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("order_key", "number", name=op.f("pk_journal_events")),
        sa.ForeignKeyConstraint(["order_key"], ["journal.order_key"], name=op.f("fk_journal_events_order_key")),
    )


def _create_partial_index(name: str, columns: list[str], where: str) -> None:
    op.create_index(name, "journal", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
