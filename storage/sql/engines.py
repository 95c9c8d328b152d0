"""SQLite engines as this package needs them: real transactions, durable commits, bounded waits, private files."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from pathlib import Path
from typing import Final, Literal, cast

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from storage.sql.failures import cannot_open

PRIVATE_FILE: Final = 0o600
PRIVATE_DIRECTORY: Final = 0o700

LONGEST_LOG: Final = 16_000
"""Pages of the write-ahead log, of 4 KiB each, at which a commit copies what ``Checkpoints`` has left in it."""

Begin = Literal["IMMEDIATE", "DEFERRED"]


def prepare_file(path: Path) -> None:
    """Make the file and its directory where they are missing; only their owner may read them.

    A database file is never opened here: to close any descriptor of it drops every lock that this process holds on it,
    and other processes would delete the write-ahead log that it is using.

    :raises StorageUnavailable: they cannot be made.
    """
    try:
        path.parent.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        if not path.exists():
            _create(path)
        if path.stat().st_mode & 0o077:
            path.chmod(PRIVATE_FILE)
    except OSError as error:
        raise cannot_open(path) from error


def _create(path: Path) -> None:
    """An empty file. SQLite itself would make it readable by all; its -wal and -shm files take after it."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE))
    try:
        # Under its name it is closed from the start, and of several that start together one makes it.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()


def sqlite_engine(path: Path, *, begin: Begin = "IMMEDIATE", busy_timeout_s: float = 2.0) -> Engine:
    """An engine with one connection for one thread, which never creates the file.

    DEFERRED transactions only read.
    """
    uri = f"{path.absolute().as_uri()}?mode=rw"

    def connect() -> sqlite3.Connection:
        # isolation_level=None: the driver must not begin or commit by itself, or a savepoint or a CREATE TABLE would
        # end the transaction it is in.
        connection = sqlite3.connect(uri, uri=True, timeout=busy_timeout_s, isolation_level=None)
        try:
            for pragma in _pragmas(begin):
                connection.execute(f"PRAGMA {pragma}").close()
        except BaseException:
            connection.close()
            raise
        return connection

    engine = create_engine(
        "sqlite+pysqlite://",
        creator=connect,
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=1,
        # Errors are logged, and values may be secrets.
        hide_parameters=True,
    )
    event.listen(engine, "begin", lambda connection: driver(connection).execute(f"BEGIN {begin}").close())
    return engine


def _pragmas(begin: Begin) -> list[str]:
    pragmas = ["journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"]
    return [*pragmas, "query_only = ON" if begin == "DEFERRED" else f"wal_autocheckpoint = {LONGEST_LOG}"]


def driver(connection: Connection) -> sqlite3.Connection:
    """The driver's own connection under SQLAlchemy's."""
    return cast("sqlite3.Connection", connection.connection.dbapi_connection)
