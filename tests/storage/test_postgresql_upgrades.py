from __future__ import annotations

import asyncio
import subprocess
import sys

import asyncpg  # type: ignore[import-untyped]
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from storage.ports import StorageUnavailable
from storage.sql.postgresql.connecting import Connector
from storage.sql.postgresql.database import engine_over
from storage.sql.postgresql.place import PostgresPlace
from storage.sql.schema import metadata
from tests.support.postgres_databases import PostgresDatabases


@pytest.fixture
async def bare(postgres: PostgresDatabases) -> str:
    """A database without any tables."""
    return await postgres.create(template="template0")


async def ask(url: str, sql: str) -> list[object]:
    connection = await asyncpg.connect(url)
    try:
        return [row[0] for row in await connection.fetch(sql)]
    finally:
        await connection.close()


async def tables(url: str) -> list[object]:
    return await ask(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")


async def test_migrations_make_the_tables_that_the_code_uses(bare: str) -> None:
    await PostgresPlace(bare).upgrade()

    def differences(connection: Connection) -> object:
        return compare_metadata(MigrationContext.configure(connection), metadata)

    engine = engine_over(Connector(bare), 1, flushes=True)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()
    # What that comparison does not look at.
    due = await ask(bare, "SELECT generation_expression FROM information_schema.columns WHERE column_name = 'due_ms'")
    assert "lease_until_ms" in str(due)
    partial = await ask(bare, "SELECT indexdef FROM pg_indexes WHERE indexdef LIKE '% WHERE %' ORDER BY indexname")
    assert [str(index).split()[2] for index in partial] == [
        "ix_journal_due_ms",
        "ix_journal_group_id",
        "ix_journal_settled",
        "ix_journal_tombstones",
        "ix_journal_unknown",
        "ix_journal_unsettled",
        "ix_journal_venue_order_id",
    ]


async def test_several_that_upgrade_together_do_it_once(bare: str) -> None:
    await asyncio.gather(*(PostgresPlace(bare).upgrade() for _ in range(4)))
    await PostgresPlace(bare).upgrade()
    assert await ask(bare, "SELECT revision FROM directory_revision") == [0]
    await PostgresPlace(bare).check()


DIE_IN_THE_MIDDLE = """
import asyncio, os, signal, sys
from sqlalchemy import Engine, event
from storage.sql.postgresql.place import PostgresPlace

@event.listens_for(Engine, "after_cursor_execute")
def die(connection, cursor, statement, *rest):
    if "CREATE TABLE journal " in statement:
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(PostgresPlace(sys.argv[1]).upgrade())
"""


async def test_an_upgrade_whose_process_dies_leaves_nothing_half_done(bare: str) -> None:
    died = await asyncio.to_thread(lambda: subprocess.run([sys.executable, "-c", DIE_IN_THE_MIDDLE, bare], check=False))
    assert died.returncode == -9
    assert await tables(bare) == []
    await PostgresPlace(bare).upgrade()
    assert "journal_events" in await tables(bare)


async def test_a_gateway_refuses_tables_that_are_not_its_own_version_and_names_the_command(bare: str) -> None:
    place = PostgresPlace(bare)
    for look in (place.open, place.check):
        with pytest.raises(StorageUnavailable, match=r"no tables yet.*venuegate db upgrade"):
            await look()
    assert await tables(bare) == []
    await place.upgrade()
    for version, said in (("0000", r"older version's.*venuegate db upgrade"), ("9999", r"newer version.*Install")):
        await ask(bare, f"UPDATE alembic_version SET version_num = '{version}'")  # noqa: S608
        with pytest.raises(StorageUnavailable, match=said):
            await place.open()
    with pytest.raises(StorageUnavailable, match="newer version"):
        await place.upgrade()


async def test_another_programs_database_is_left_alone(bare: str) -> None:
    await ask(bare, "CREATE TABLE bookmarks (url text)")
    with pytest.raises(StorageUnavailable, match=r"another program.*bookmarks"):
        await PostgresPlace(bare).upgrade()
    assert await tables(bare) == ["bookmarks"]
