"""What SQLite says when it cannot do its work, as words an operator can act on."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from sqlalchemy import exc

from storage.ports import StorageUnavailable

# By primary result code (https://www.sqlite.org/rescode.html): what happened, and what to do about it.
_PROBLEMS: Final[dict[int, tuple[str, str]]] = {
    sqlite3.SQLITE_FULL: (
        "The disk is full: {path} cannot grow",
        "Free space on its file system; the gateway goes on by itself when there is some.",
    ),
    sqlite3.SQLITE_BUSY: (
        "The database {path} is locked by another process",
        "End the program that holds it (`fuser {path}` names it): a shell with an open transaction, or a backup.",
    ),
    sqlite3.SQLITE_READONLY: (
        "The database {path} is read-only",
        "Make the file and its directory writable for the user that runs the gateway,"
        " and see that the file system is not mounted read-only.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "The database {path} cannot be opened",
        "See that the file and its directory exist and belong to the user that runs the gateway,"
        " and that files can still be opened (`ulimit -n`).",
    ),
    sqlite3.SQLITE_PERM: (
        "The database {path} may not be used",
        "Give the file and its directory to the user that runs the gateway.",
    ),
    sqlite3.SQLITE_IOERR: (
        "Reading or writing the database {path} failed",
        "Look for disk errors in the kernel's log (`dmesg`) and check the space and the health of the disk.",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "The database {path} is damaged",
        "Stop the gateway, keep a copy of the file and of the -wal file beside it, and recover it"
        " (`sqlite3 {path} .recover`) or restore a backup. Orders placed after the backup have to be checked by hand.",
    ),
    sqlite3.SQLITE_NOTADB: (
        "{path} is not a database",
        "Move the file away or give another data directory: it was not made by the gateway, or it is damaged.",
    ),
    sqlite3.SQLITE_NOMEM: ("There is no memory left for the database {path}", "Give the gateway more memory."),
    sqlite3.SQLITE_PROTOCOL: (
        "The database {path} could not be locked",
        "Put it on a local disk: locks do not work on network file systems.",
    ),
}
_PROBLEMS[sqlite3.SQLITE_LOCKED] = _PROBLEMS[sqlite3.SQLITE_BUSY]

BREAKS_CONNECTION: Final = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_MISUSE,
    }
)
"""Primary result codes after which a connection is not to be trusted with anything more."""

_OTHER_TABLES: Final = (
    "The database {path} does not have the tables that this version needs",
    "Run `venuegate db upgrade`, or start the version that made it.",
)


def removed(path: Path) -> StorageUnavailable:
    """Somebody moved, deleted or replaced the file under the running gateway."""
    return StorageUnavailable(
        f"The database {path} was removed or replaced while the gateway was running",
        "Stop the gateway, put the right file back together with its -wal file, and start it again.",
    )


def cannot_open(path: Path) -> StorageUnavailable:
    """It is not there, or not to be had."""
    problem, advice = _PROBLEMS[sqlite3.SQLITE_CANTOPEN]
    return StorageUnavailable(problem.format(path=path), advice.format(path=path))


def closed(path: Path) -> StorageUnavailable:
    return StorageUnavailable(f"The database {path} is closed", "The gateway is stopping: ask again when it is back.")


def translated(error: BaseException, path: Path) -> BaseException:
    """``StorageUnavailable`` when ``error`` says that the database cannot be used; otherwise ``error`` itself."""
    code = result_code(error)
    if code is None:
        return error
    problem, advice = _PROBLEMS.get(code, (None, ""))
    if problem is None and str(_driver_error(error)).startswith(("no such table", "no such column")):
        problem, advice = _OTHER_TABLES
    if problem is None:
        return error
    found = StorageUnavailable(problem.format(path=path), advice.format(path=path))
    found.__cause__ = error
    return found


def result_code(error: BaseException) -> int | None:
    """SQLite's primary result code, or None when ``error`` does not come from SQLite."""
    code = getattr(_driver_error(error), "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _driver_error(error: BaseException) -> BaseException | None:
    return error.orig if isinstance(error, exc.DBAPIError) else error
