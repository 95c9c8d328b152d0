"""Run by Alembic inside the transaction that ``storage.sql.upgrades`` has begun, so that all steps happen or none."""

from __future__ import annotations

from alembic import context

from storage.sql.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
context.run_migrations()
