from __future__ import annotations

import asyncio
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, event

from storage.ports import JournalRow, StorageUnavailable
from storage.sql import open_sqlite
from storage.sql.engines import prepare_file, sqlite_engine
from storage.sql.places import SqlitePlace
from storage.sql.schema import NEVER_MOVES, journal, metadata
from storage.sql.upgrades import HEAD, check_current, upgrade_within


def empty_engine(path: Path) -> Engine:
    prepare_file(path)
    return sqlite_engine(path)


def upgrade(engine: Engine) -> None:
    with engine.begin() as connection:
        upgrade_within(connection)


def schema_of(path: Path) -> dict[str, str]:
    """What the file says of itself, without the layout of the text."""
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT name, sql FROM sqlite_master WHERE name <> 'alembic_version'").fetchall()
    connection.close()
    return {
        name: re.sub(r"\s+", " ", sql or "") for name, sql in found if not name.startswith("sqlite_autoindex_alembic")
    }


def set_version(path: Path, version: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
    connection.commit()
    connection.close()


def test_migrations_make_the_tables_that_the_code_uses(tmp_path: Path) -> None:
    migrated, made = empty_engine(tmp_path / "migrated.db"), empty_engine(tmp_path / "made.db")
    upgrade(migrated)
    with made.begin() as connection:
        metadata.create_all(connection)
    with migrated.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    migrated.dispose()
    made.dispose()
    assert schema_of(tmp_path / "migrated.db") == schema_of(tmp_path / "made.db")


def test_the_code_expects_the_last_migration() -> None:
    config = Config()
    config.set_main_option("script_location", "storage.sql:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_the_journals_columns_are_the_fields_of_its_record() -> None:
    assert tuple(column.name for column in journal.c) == (*JournalRow.__struct_fields__, "due_ms")


def test_final_states_are_never_due(tmp_path: Path) -> None:
    due = str(journal.c.due_ms.computed.sqltext) if journal.c.due_ms.computed else ""
    assert set(re.findall(r"'([A-Z_]+)'", due)) == {*(state.value for state in NEVER_MOVES), "SENDING"}


def test_an_upgrade_of_what_is_current_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "venuegate.db"
    engine = empty_engine(path)
    upgrade(engine)
    before = schema_of(path)
    upgrade(engine)
    with engine.connect() as connection:
        check_current(connection)
    engine.dispose()
    assert schema_of(path) == before


async def test_a_first_start_that_was_interrupted_is_taken_up_again(path: Path) -> None:
    prepare_file(path)
    await (await SqlitePlace(path).open()).close()
    assert "journal" in schema_of(path)


async def test_tables_of_an_older_version_are_left_to_the_operator(path: Path) -> None:
    place = SqlitePlace(path)
    await (await place.open()).close()
    set_version(path, "0000")
    for look in (place.open, place.check):
        with pytest.raises(StorageUnavailable, match=r"older version's.*venuegate db upgrade"):
            await look()


@pytest.mark.parametrize("table", ["accounts", "journal", "journal_events"])
def test_an_upgrade_that_fails_leaves_nothing_half_done(tmp_path: Path, table: str) -> None:
    path = tmp_path / "venuegate.db"
    engine = empty_engine(path)

    def interrupt(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.lstrip().startswith(f"CREATE TABLE {table} "):
            raise KeyboardInterrupt

    event.listen(engine, "before_cursor_execute", interrupt)
    with pytest.raises(KeyboardInterrupt):
        upgrade(engine)
    assert schema_of(path) == {}
    event.remove(engine, "before_cursor_execute", interrupt)
    upgrade(engine)
    engine.dispose()
    assert "journal_events" in schema_of(path)


DIE_IN_THE_MIDDLE = """
import os, pathlib, signal, sys
from sqlalchemy import event
from storage.sql.engines import prepare_file, sqlite_engine
from storage.sql.upgrades import upgrade_within

path = pathlib.Path(sys.argv[1])
prepare_file(path)
engine = sqlite_engine(path)

@event.listens_for(engine, "after_cursor_execute")
def die(connection, cursor, statement, *rest):
    if "CREATE TABLE journal " in statement:
        os.kill(os.getpid(), signal.SIGKILL)

with engine.begin() as connection:
    upgrade_within(connection)
"""


async def test_an_upgrade_whose_process_dies_leaves_nothing_half_done(path: Path) -> None:
    died = await asyncio.to_thread(lambda: subprocess.run([sys.executable, "-c", DIE_IN_THE_MIDDLE, path], check=False))
    assert died.returncode == -9
    assert schema_of(path) == {}
    await (await open_sqlite(path)).close()
    assert "journal_events" in schema_of(path)


async def test_several_that_open_a_new_database_together_all_find_it_ready(path: Path) -> None:
    opened = await asyncio.gather(*(open_sqlite(path) for _ in range(4)))
    assert [await stores.directory.revision() for stores in opened] == [0] * 4
    for stores in opened:
        await stores.close()


async def test_a_database_of_a_newer_version_is_refused(path: Path) -> None:
    await (await open_sqlite(path)).close()
    set_version(path, "9999")
    for upgrading in (True, False):
        with pytest.raises(StorageUnavailable, match=r"newer version.*Install that version"):
            await open_sqlite(path, upgrade=upgrading)


async def test_a_database_of_an_older_version_is_refused_where_upgrades_are_not_wanted(path: Path) -> None:
    await (await open_sqlite(path)).close()
    set_version(path, "0000")
    with pytest.raises(StorageUnavailable, match=r"older version's.*venuegate db upgrade"):
        await open_sqlite(path, upgrade=False)


async def test_an_empty_database_is_refused_where_upgrades_are_not_wanted(path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="venuegate db upgrade"):
        await open_sqlite(path, upgrade=False)
    await (await open_sqlite(path)).close()
    await (await open_sqlite(path, upgrade=False)).close()


async def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bookmarks (url)")
    connection.close()
    with pytest.raises(StorageUnavailable, match=r"another program.*bookmarks"):
        await open_sqlite(path)
    assert list(schema_of(path)) == ["bookmarks"]
