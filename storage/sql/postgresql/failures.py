"""What PostgreSQL, or the way to it, says when it cannot do its work, as words an operator can act on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Final, NamedTuple

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import exc

from storage.ports import StorageUnavailable

LEAST_VERSION: Final = 14

_CHECK_ADDRESS: Final = "See that it runs, and that the host and port in VENUEGATE_DATABASE_URL are its own."
_SLOW: Final = (
    "{server} did not answer in time",
    "See whether it is overloaded, waits for its disk or for a lock, or is cut off by the network;"
    " the gateway goes on by itself when it answers.",
)
_BUSY: Final = (
    "All connections to {server} that this process may have are in use",
    "More is asked of it than it answers in time: run more workers or nodes, or give the server more.",
)
_GONE: Final = (
    "{server} ended the connection",
    "It was stopped, restarted or told to: the gateway goes on by itself when it is back.",
)
_REFUSED: Final = (
    "{server} refuses the user or the password",
    "Correct them in VENUEGATE_DATABASE_URL (a password with special characters has to be percent-encoded),"
    " or let the user in (pg_hba.conf).",
)
_DAMAGED: Final = (
    "{server} could not read or write its files",
    "Look into the server's log and at its disk. Restore a backup if data are damaged; orders placed after it have to"
    " be checked by hand.",
)

# By SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html): the whole code, else its class.
_PROBLEMS: Final[dict[str, tuple[str, str]]] = {
    "08": _GONE,
    "57P01": _GONE,
    "57P02": _GONE,
    "57P04": _GONE,
    "57P05": _GONE,
    "25P03": _GONE,
    "57P03": (
        "{server} is starting or stopping",
        "Wait until it is up; the gateway goes on by itself then.",
    ),
    "28": _REFUSED,
    "3D000": (
        "{server} has no such database",
        "Make it (`createdb`), or correct the name at the end of VENUEGATE_DATABASE_URL.",
    ),
    "25006": (
        "{server} is read-only: a replica, or told to be",
        "Name the primary in VENUEGATE_DATABASE_URL (or all hosts, with target_session_attrs=read-write).",
    ),
    "42501": (
        "{server} does not let this user use the tables",
        "Let the user that ran `venuegate db upgrade` run the gateway, or grant this one its rights.",
    ),
    "42P01": (
        "{server} does not have the tables that this version needs",
        "Run `venuegate db upgrade`, or start the version that made them.",
    ),
    "53100": (
        "The disk of {server} is full",
        "Free space on it; the gateway goes on by itself when there is some.",
    ),
    "53200": ("{server} has no memory left", "Give it more, or fewer connections."),
    "53300": (
        "{server} has no connection left",
        "Raise its max_connections, or run fewer workers: each takes up to ten.",
    ),
    "08P01": (
        "{server} does not take the settings of a session",
        "Connect to PostgreSQL itself or to a pooler in session mode: transaction pooling cannot be used.",
    ),
    "57014": _SLOW,
    "55P03": _SLOW,
    "40001": _SLOW,
    "40P01": _SLOW,
    "58": _DAMAGED,
    "XX": _DAMAGED,
}
_PROBLEMS["42703"] = _PROBLEMS["42P01"]
_LOST_THE_THREAD: Final = (asyncpg.InterfaceError, asyncpg.InternalClientError)
_UNREACHABLE_STATES: Final = frozenset({"57P01", "57P02", "57P03", "57P04", "57P05", "25006", "3D000"})
_RETRIED: Final = frozenset({"40001", "40P01"})


class Trouble(NamedTuple):
    """``is_lost``: nothing else that is asked of the server just now can succeed either."""

    problem: StorageUnavailable
    is_lost: bool


def trouble(error: BaseException, server: str) -> Trouble | None:
    """What ``error`` says of the server; None when it is not about the server at all."""
    if isinstance(error, StorageUnavailable):
        return Trouble(error, is_lost=True)
    found = _driver_error(error)
    if isinstance(found, exc.TimeoutError):
        return Trouble(busy(server), is_lost=False)
    if isinstance(found, TimeoutError):
        return Trouble(silent(server), is_lost=True)
    if isinstance(found, OSError):
        return Trouble(unreachable(server, found), is_lost=True)
    if isinstance(found, ValueError):
        # The driver's own, for an address or a value that it does not take.
        return None
    state = sqlstate(found)
    if state is None:
        # Not the server's own words: the driver has lost the thread, as when the end of a session comes in between.
        return Trouble(_told(_GONE, server), is_lost=True) if isinstance(found, _LOST_THE_THREAD) else None
    words = _PROBLEMS.get(state) or _PROBLEMS.get(state[:2])
    if words is None:
        return None
    is_lost = state[:2] in ("08", "28") or state in _UNREACHABLE_STATES
    return Trouble(_told(words, server), is_lost)


@contextlib.contextmanager
def in_words(server: str) -> Iterator[None]:
    """:raises StorageUnavailable: in place of anything that ``trouble`` knows."""
    try:
        yield
    except Exception as error:
        found = trouble(error, server)
        if found is None:
            raise
        raise found.problem from error


def is_passing(error: BaseException) -> bool:
    """Two transactions got into each other's way: the one that was given up may simply be run again."""
    return sqlstate(_driver_error(error)) in _RETRIED


def sqlstate(error: BaseException | None) -> str | None:
    state = getattr(error, "sqlstate", None)
    return state if isinstance(state, str) else None


def silent(server: str) -> StorageUnavailable:
    return _told(_SLOW, server)


def busy(server: str) -> StorageUnavailable:
    """The pool had no connection to give in time: others had them all."""
    return _told(_BUSY, server)


def unreachable(server: str, error: OSError) -> StorageUnavailable:
    # The event loop puts a text of its own in place of the system's.
    number = error.errno or 0
    reason = os.strerror(number) if number > 0 else error.strerror or type(error).__name__
    return StorageUnavailable(f"{server} cannot be reached: {reason}", _CHECK_ADDRESS)


def read_only(server: str) -> StorageUnavailable:
    return _told(_PROBLEMS["25006"], server)


def too_old(server: str, version: str) -> StorageUnavailable:
    return StorageUnavailable(
        f"{server} is version {version}: too old", f"Use PostgreSQL {LEAST_VERSION} or newer: `venuegate db copy` moves"
    )


def bad_address(problem: str) -> StorageUnavailable:
    return StorageUnavailable(
        f"VENUEGATE_DATABASE_URL cannot be used: {problem}", "Write it as postgresql://user:password@host:5432/database"
    )


def closed(server: str) -> StorageUnavailable:
    return StorageUnavailable(
        f"The connection to {server} is closed", "The gateway is stopping: ask again when it is back."
    )


def afresh(problem: StorageUnavailable) -> StorageUnavailable:
    """The same for one caller: an exception that two tasks raise collects the frames of both."""
    own = StorageUnavailable(problem.problem, problem.advice)
    own.__cause__ = problem.__cause__
    return own


def _told(words: tuple[str, str], server: str) -> StorageUnavailable:
    problem, advice = words
    told = problem.format(server=server)
    return StorageUnavailable(told[0].upper() + told[1:], advice)


def _driver_error(error: BaseException) -> BaseException | None:
    """What asyncpg raised, out of whatever SQLAlchemy wrapped it into."""
    return error.driver_exception if isinstance(error, exc.DBAPIError | exc.EmulatedDBAPIException) else error
