"""What a PostgreSQL server, and who runs it, can do to us, and what then is said."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator
from urllib.parse import quote

import asyncpg  # type: ignore[import-untyped]
import pytest
from sqlalchemy import Connection, text

from storage.ports import StorageUnavailable
from storage.sql import Stores, place_of
from storage.sql.places import SqlitePlace
from storage.sql.postgresql.connecting import Connector
from storage.sql.postgresql.database import OTHER_CONNECTIONS, engine_over
from storage.sql.postgresql.failures import in_words, too_old
from storage.sql.postgresql.place import PostgresPlace
from tests.storage.samples import account, order
from tests.support.fault_proxy import fault_proxy
from tests.support.postgres_databases import PostgresDatabases, sessions_ended
from tests.support.postgres_server import LOCKED_USER, PASSWORD, PostgresServer

ANSWER_WITHIN_S = 1.0
RECOVER_WITHIN_S = 5.0


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Stores]:
    stores = await PostgresPlace(url).open()
    try:
        yield stores
    finally:
        await stores.close()


async def run(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def refusal(url: str) -> StorageUnavailable:
    with pytest.raises(StorageUnavailable) as caught:
        async with opened(url):
            pass
    assert PASSWORD not in str(caught.value)
    assert quote(PASSWORD, safe="") not in str(caught.value)
    return caught.value


def locked(url: str, password: str) -> str:
    return url.replace("//postgres@", f"//{LOCKED_USER}:{quote(password, safe='')}@")


async def test_the_right_password_opens_and_a_wrong_one_is_told(empty_url: str) -> None:
    await run(empty_url, f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {LOCKED_USER}")
    async with opened(locked(empty_url, PASSWORD)) as stores:
        await stores.directory.create_account(account(1))
    wrong = await refusal(locked(empty_url, "wrong"))
    assert "refuses the user or the password" in wrong.problem
    assert "VENUEGATE_DATABASE_URL" in wrong.advice
    assert "refuses the user" in (await refusal(empty_url.replace("//postgres@", "//nobody_of_that_name@"))).problem


async def test_a_user_without_rights_is_told(empty_url: str) -> None:
    await run(empty_url, f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {LOCKED_USER}")
    assert "does not let this user use the tables" in (await refusal(locked(empty_url, PASSWORD))).problem


async def test_a_password_that_is_not_encoded_is_told_without_a_piece_of_it() -> None:
    for url in (f"postgresql://{LOCKED_USER}:{PASSWORD}@127.0.0.1/db", "postgresql://u:pa/ss@h/db"):
        with pytest.raises(StorageUnavailable, match="percent-encoded") as caught:
            PostgresPlace(url)
        assert "sesame" not in str(caught.value)
        assert "pa/ss" not in str(caught.value)
    for url in ("postgresql://h", "http://h/db", "postgresql://h:99999999/db"):
        with pytest.raises(StorageUnavailable, match="VENUEGATE_DATABASE_URL cannot be used"):
            await PostgresPlace(url).open()


async def test_a_server_that_is_not_there_is_told() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    found = await refusal(f"postgresql://venuegate:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/venuegate")
    assert found.problem.startswith(f"PostgreSQL at 127.0.0.1:{port}/venuegate cannot be reached")
    assert found.problem.endswith("Connection refused")
    assert "host and port" in found.advice
    assert "cannot be reached" in (await refusal("postgresql://u@no-such-host.invalid/venuegate")).problem


async def test_a_database_that_is_not_there_is_told(postgres: PostgresDatabases) -> None:
    found = await refusal(postgres.url("absent"))
    assert "has no such database" in found.problem
    assert "createdb" in found.advice


def test_a_server_that_is_too_old_is_told() -> None:
    assert "PostgreSQL at h:5432/db is version 13.9: too old" in too_old("PostgreSQL at h:5432/db", "13.9").problem


async def test_a_read_only_server_is_told_at_the_start_and_when_it_becomes_one(postgres: PostgresDatabases) -> None:
    url = await postgres.create()
    name = url.rpartition("/")[2]
    async with opened(url) as stores:
        await stores.journal.insert([order(1)])
        await run(
            url,
            f'ALTER DATABASE "{name}" SET default_transaction_read_only = on',
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'venuegate'"
            " AND datname = current_database()",
        )
        with pytest.raises(StorageUnavailable, match=r"read-only: a replica.*primary"):
            await _until_refused_for(stores, "read-only")
        assert "read-only" in (await refusal(url)).problem
        await run(postgres.url("postgres"), f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
        await _until_it_stores(stores, 2)
        assert await stores.journal.row("order-1") == order(1)


async def _until_refused_for(stores: Stores, word: str) -> None:
    """Ask until the answer is the lasting one: the first may be that the connection was ended."""
    async with asyncio.timeout(RECOVER_WITHIN_S):
        while True:
            try:
                await stores.journal.insert([order(50)])
            except StorageUnavailable as problem:
                if word in problem.problem:
                    raise
            await asyncio.sleep(0.01)


async def _until_it_stores(stores: Stores, number: int) -> None:
    async with asyncio.timeout(RECOVER_WITHIN_S):
        while True:
            with contextlib.suppress(StorageUnavailable):
                await stores.journal.insert([order(number)])
                return
            await asyncio.sleep(0.01)


async def test_a_full_disk_loses_nothing_and_is_got_over(empty_url: str) -> None:
    async with opened(empty_url) as stores:
        await stores.journal.insert([order(1)])
        await run(
            empty_url,
            "CREATE OR REPLACE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$",
            "CREATE TRIGGER full_disk BEFORE INSERT ON journal FOR EACH ROW EXECUTE FUNCTION full_disk()",
        )
        outcomes = await asyncio.gather(
            *(stores.journal.insert([order(number)]) for number in range(2, 10)), return_exceptions=True
        )
        assert all(isinstance(outcome, StorageUnavailable) for outcome in outcomes)
        assert all("The disk of PostgreSQL" in str(outcome) for outcome in outcomes)
        assert await stores.journal.row("order-1") == order(1), "what can still be done is done"
        await run(empty_url, "DROP TRIGGER full_disk ON journal")
        assert await stores.journal.insert([order(2)]) == [None]


async def test_a_table_that_somebody_locked_is_waited_for_no_longer_than_a_request_may(empty_url: str) -> None:
    async with opened(empty_url) as stores:
        await stores.journal.insert([order(1)])
        holder = await asyncpg.connect(empty_url)
        async with holder.transaction():
            await holder.execute("LOCK TABLE journal, accounts IN ACCESS EXCLUSIVE MODE")
            began = time.monotonic()
            outcomes = await asyncio.gather(
                stores.journal.insert([order(2)]),
                stores.journal.row("order-1"),
                stores.directory.create_account(account(1)),
                return_exceptions=True,
            )
            assert all(isinstance(outcome, StorageUnavailable) for outcome in outcomes), outcomes
            assert all("did not answer in time" in str(outcome) for outcome in outcomes)
            assert time.monotonic() - began < ANSWER_WITHIN_S
        await holder.close()
        await _until_it_stores(stores, 3)
        assert await stores.journal.row("order-2") is None, "nothing happens after its time"


async def test_more_work_than_connections_is_refused_and_the_server_is_not_given_up_for_it(empty_url: str) -> None:
    def slowly(connection: Connection) -> None:
        connection.execute(text("SELECT pg_sleep(0.6)"))

    async with opened(empty_url) as stores:
        outcomes = await asyncio.gather(
            *(stores.database.read(slowly) for _ in range(3 * OTHER_CONNECTIONS)), return_exceptions=True
        )
        refused = [str(outcome) for outcome in outcomes if isinstance(outcome, StorageUnavailable)]
        assert len(refused) == 2 * OTHER_CONNECTIONS
        assert all("may have are in use" in said for said in refused), refused
        assert await stores.journal.insert([order(1)]) == [None]


async def test_a_pool_that_is_used_up_for_too_long_is_told(empty_url: str) -> None:
    pool = engine_over(Connector(empty_url, patience_s=0.5), 1, flushes=False)
    async with pool.connect():
        with pytest.raises(StorageUnavailable, match="may have are in use"), in_words("PostgreSQL"):
            await pool.connect().start()
    await pool.dispose()


async def test_no_connection_left_is_told(empty_url: str) -> None:
    await run(empty_url, f"ALTER USER {LOCKED_USER} CONNECTION LIMIT 0")
    found = await refusal(locked(empty_url, PASSWORD))
    assert "has no connection left" in found.problem
    assert "max_connections" in found.advice
    await run(empty_url, f"ALTER USER {LOCKED_USER} CONNECTION LIMIT -1")


async def test_tables_that_are_not_there_are_told(postgres: PostgresDatabases) -> None:
    url = await postgres.create()
    async with opened(url) as stores:
        await run(url, "DROP TABLE journal_events, journal")
        with pytest.raises(StorageUnavailable, match="venuegate db upgrade"):
            await stores.journal.insert([order(1)])
        with pytest.raises(StorageUnavailable, match="venuegate db upgrade"):
            await stores.journal.row("order-1")


def test_without_a_url_the_database_is_a_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("data") / "venuegate.db"
    assert isinstance(place_of(path, None), SqlitePlace)
    assert place_of(path, None).name == str(path)
    assert place_of(path, "postgres://u:secret@h/db?sslmode=require").name == "PostgreSQL at h:5432/db"
    assert place_of(path, "postgresql://u@h1:1,[::1]:2/db").name == "PostgreSQL at h1:1,[::1]:2/db"
    assert place_of(path, "postgresql:///db?host=/run/postgresql").name == "PostgreSQL at /run/postgresql/db"


# A server of the module's own, to stop, kill and freeze.


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    made = PostgresServer().start()
    yield made
    made.close()


@pytest.fixture
async def url(server: PostgresServer) -> str:
    await PostgresPlace(server.url()).upgrade()
    await run(server.url(), "TRUNCATE journal, journal_events")
    return server.url()


async def _refused_in_time(stores: Stores, number: int) -> None:
    began = time.monotonic()
    outcomes = await asyncio.gather(
        *(stores.journal.insert([order(number + n)]) for n in range(8)),
        stores.journal.row("order-1"),
        stores.directory.revision(),
        stores.directory.create_account(account(number)),
        return_exceptions=True,
    )
    assert all(isinstance(outcome, StorageUnavailable) for outcome in outcomes), outcomes
    assert time.monotonic() - began < ANSWER_WITHIN_S


async def test_a_server_that_is_stopped_is_got_over(server: PostgresServer, url: str) -> None:
    async with opened(url) as stores:
        await stores.journal.insert([order(1)])
        await asyncio.to_thread(server.stop)
        await _refused_in_time(stores, 100)
        await asyncio.to_thread(server.start)
        await _until_it_stores(stores, 2)
        assert await stores.journal.row("order-1") == order(1)


async def test_what_was_stored_is_there_after_the_server_was_killed(server: PostgresServer, url: str) -> None:
    async with opened(url) as stores:
        await asyncio.gather(*(stores.journal.insert([order(number)]) for number in range(20)))
        await asyncio.to_thread(server.kill)
        await _refused_in_time(stores, 100)
        await asyncio.to_thread(server.start)
        await _until_it_stores(stores, 50)
        assert [await stores.journal.row(f"order-{n}") for n in range(20)] == [order(n) for n in range(20)]


async def test_a_server_that_freezes_is_refused_at_once_after_the_first_wait(server: PostgresServer, url: str) -> None:
    async with opened(url) as stores:
        await stores.journal.insert([order(1)])
        server.freeze()
        try:
            await _refused_in_time(stores, 100)
            began = time.monotonic()
            with pytest.raises(StorageUnavailable, match="did not answer in time"):
                await stores.journal.insert([order(2)])
            assert time.monotonic() - began < 0.1
        finally:
            server.thaw()
        await _until_it_stores(stores, 3)


async def test_a_server_that_is_cut_off_is_got_over_on_new_connections(server: PostgresServer, url: str) -> None:
    async with fault_proxy("127.0.0.1", server.port) as proxy, opened(server.url(port=proxy.port)) as stores:
        await stores.journal.insert([order(1)])
        proxy.is_silent = True
        await _refused_in_time(stores, 100)
        proxy.is_silent = False
        await _until_it_stores(stores, 2)
        assert await stores.directory.revision() >= 0


async def test_32_orders_at_once_cost_fewer_flushes_than_32(server: PostgresServer, url: str) -> None:
    before = await _flushes(url)
    async with opened(url) as stores:
        await asyncio.gather(*(stores.journal.insert([order(number)]) for number in range(32)))
    together = await _flushes(url) - before
    async with opened(url) as stores:
        for number in range(32, 64):
            await stores.journal.insert([order(number)])
    alone = await _flushes(url) - before - together
    print(f"flushes: {together} for 32 orders at once, {alone} for 32 one after the other")
    assert 1 <= together < 16
    assert alone >= 32


async def _flushes(url: str) -> int:
    """Of the write-ahead log, since the server started."""
    await sessions_ended(url)
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SELECT wal_sync FROM pg_stat_wal"))
    finally:
        await connection.close()
