"""From an embedded installation to a server: all of it, or nothing."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest

from storage.ports import JournalChange, OrderState, Scopes, SealedSecret, StorageUnavailable
from storage.sql import Stores, open_sqlite
from storage.sql.copying import copy_to_postgresql
from storage.sql.postgresql.place import PostgresPlace
from storage.sql.schema import metadata
from tests.storage.samples import NOW_MS, account, api_key, credential, order
from tests.support.postgres_databases import PostgresDatabases


async def fill(stores: Stores) -> None:
    for number in (1, 2):
        await stores.directory.create_account(account(number))
    await stores.directory.create_key(api_key(1, scopes=Scopes(operations=frozenset({"a"}))), at_most=9)
    await stores.directory.create_credential(credential(1, label="\u00e9 \U0001f600"))
    await stores.directory.put_secrets([SealedSecret(name="pepper", version=1, wrapped=bytes(range(256)))])
    await stores.usage.add("2026-01-31", {"account-1": 7, "gone": 2**40})
    for first in range(0, 2_500, 500):
        await stores.journal.insert([order(number) for number in range(first, first + 500)])
    said = JournalChange(state=OrderState.UNKNOWN, next_check_ms=NOW_MS, note="no\0answer")
    await stores.journal.insert([order(8_000, state=OrderState.FILLED)])
    await stores.journal.shed(before_ms=NOW_MS + 9_000, limit=9)
    await stores.journal.change("order-7", expected=tuple(OrderState), fence=1, change=said, at_ms=NOW_MS)


@pytest.fixture(scope="module")
def full_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("full") / "venuegate.db"

    async def make() -> None:
        stores = await open_sqlite(path)
        await fill(stores)
        await stores.close()

    asyncio.run(make())
    return path


@pytest.fixture
def filled(full_database: Path, path: Path) -> Path:
    path.parent.mkdir(mode=0o700)
    shutil.copy(full_database, path)
    return path


@pytest.fixture
async def bare(postgres: PostgresDatabases) -> str:
    return await postgres.create(template="template0")


async def rows_of(url: str, table: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))  # noqa: S608
    finally:
        await connection.close()


async def test_every_row_arrives_and_the_gateway_goes_on_from_there(filled: Path, bare: str) -> None:
    copied = await copy_to_postgresql(filled, bare)
    assert set(copied) == set(metadata.tables)
    assert (copied["journal"], copied["journal_events"], copied["accounts"]) == (2_501, 2_501, 2)
    there, here = await PostgresPlace(bare).open(), await open_sqlite(filled)
    try:
        assert await there.directory.accounts() == await here.directory.accounts()
        assert await there.directory.keys() == await here.directory.keys()
        assert await there.directory.credentials() == await here.directory.credentials()
        assert await there.directory.secrets() == await here.directory.secrets()
        assert await there.directory.revision() == await here.directory.revision()
        assert await there.usage.day("2026-01-31") == await here.usage.day("2026-01-31")
        every = tuple(OrderState)
        assert await there.journal.in_states(every, 9_999) == await here.journal.in_states(every, 9_999)
        assert await there.journal.events("order-7") == await here.journal.events("order-7")
        assert await there.journal.next_due_ms() == NOW_MS
        assert await there.journal.insert([order(7)]) == [await here.journal.row("order-7")]
        assert await there.journal.insert([order(9_000)]) == [None]
        tombstone = await here.journal.row("order-8000")
        assert await there.journal.insert([order(8_000)]) == [tombstone]
        assert tombstone is not None
        assert tombstone.is_tombstone
    finally:
        await there.close()
        await here.close()


async def test_nothing_is_mixed_with_what_is_there_already(filled: Path, postgres: PostgresDatabases) -> None:
    url = await postgres.create()
    stores = await PostgresPlace(url).open()
    await stores.usage.add("2026-01-31", {"a": 1})
    await stores.close()
    with pytest.raises(StorageUnavailable, match=r"is not empty: its table usage_days has rows.*createdb"):
        await copy_to_postgresql(filled, url)
    assert await rows_of(url, "accounts") == 0


async def test_a_target_of_another_version_or_program_is_left_alone(filled: Path, postgres: PostgresDatabases) -> None:
    url = await postgres.create()
    connection = await asyncpg.connect(url)
    await connection.execute("UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(StorageUnavailable, match="older version's"):
        await copy_to_postgresql(filled, url)
    await connection.execute("DROP TABLE alembic_version")
    with pytest.raises(StorageUnavailable, match="another program"):
        await copy_to_postgresql(filled, url)
    await connection.close()


async def test_what_does_not_arrive_as_it_was_is_not_kept(filled: Path, postgres: PostgresDatabases) -> None:
    url = await postgres.create()
    connection = await asyncpg.connect(url)
    await connection.execute(
        "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF NEW.client_order_id = 'mine-1234' THEN NEW.attempt := 1; END IF; RETURN NEW; END $$"
    )
    await connection.execute("CREATE TRIGGER meddle BEFORE INSERT ON journal FOR EACH ROW EXECUTE FUNCTION meddle()")
    await connection.close()
    with pytest.raises(StorageUnavailable, match="journal did not arrive as it was sent: 2501 rows of 2501"):
        await copy_to_postgresql(filled, url)
    for table in metadata.tables:
        assert await rows_of(url, table) == (1 if table == "directory_revision" else 0)


async def test_a_source_of_an_older_version_is_refused_and_stays_as_it_is(filled: Path, bare: str) -> None:
    connection = sqlite3.connect(filled)
    connection.execute("UPDATE alembic_version SET version_num = '0000'")
    connection.commit()
    connection.close()
    with pytest.raises(StorageUnavailable, match="venuegate db upgrade"):
        await copy_to_postgresql(filled, bare)


async def test_a_server_that_is_not_there_is_told(filled: Path) -> None:
    with pytest.raises(StorageUnavailable, match="cannot be reached"):
        await copy_to_postgresql(filled, "postgresql://127.0.0.1:1/venuegate")
