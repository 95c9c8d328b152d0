"""Connections to a PostgreSQL server, each fit for its use from the start, or a reason in words why there is none."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import asyncpg  # type: ignore[import-untyped]

from storage.sql.postgresql.failures import LEAST_VERSION, bad_address, in_words, read_only, too_old

PATIENCE_S: Final = 0.8
"""How long a request waits for the database: it must be answered within a second, whatever becomes of the server."""

_PORT: Final = 5432
_NO_ADDRESS: Final = "it is not an address"
_HAS_PORT: Final = re.compile(r":\d{1,5}$")
# One or several, each perhaps with a port; or the directory of a socket.
_HOST: Final = r"(?:[\w.-]+|\[[\w:.%]+\])(?::\d{1,5})?"
_HOSTS: Final = re.compile(rf"/[^,]*|{_HOST}(?:,{_HOST})*")
_STALLED_AFTER_MS: Final = 5_000
# A server whose default is not to flush would take our durable commits for others.
_FLUSH: Final = (
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
)


class Connector:
    """Opens connections to the server at ``url``. ``name`` tells which that is, without user and password.

    ``patience_s`` bounds how long opening one and each statement may take; ``unhurried`` leaves statements unbounded.

    :raises StorageUnavailable: the URL is not one.
    """

    def __init__(self, url: str, *, patience_s: float = PATIENCE_S, unhurried: bool = False) -> None:
        self.name = f"PostgreSQL at {_place(url)}"
        self.patience_s = patience_s
        self._url = url
        bound_ms = 0 if unhurried else int(patience_s * 1_000)
        self._session: dict[str, str] = {
            "application_name": "venuegate",
            "default_transaction_isolation": "read committed",
            # The server ends by itself what nobody waits for any more, so that nothing happens late.
            "statement_timeout": str(bound_ms),
            "lock_timeout": str(bound_ms // 2),
            "idle_in_transaction_session_timeout": "0" if unhurried else str(_STALLED_AFTER_MS),
        }

    async def open(self, *, flushes: bool = True) -> Any:
        """A connection whose commits are on disk when they return, or, not ``flushes``, survive a crash of ours only.

        :raises StorageUnavailable: there is none to be had that could be written to.
        """
        session = self._session if flushes else {**self._session, "synchronous_commit": "off"}
        # It takes fractions of seconds, whatever its signature was taken for.
        timeout: Any = self.patience_s
        try:
            with in_words(self.name):
                connection = await asyncpg.connect(self._url, timeout=timeout, server_settings=session)
        except asyncpg.ClientConfigurationError as error:
            raise bad_address(str(error).partition("\n")[0]) from None
        except ValueError:
            # Its text may repeat what it could not read, such as a piece of the password.
            raise bad_address(_NO_ADDRESS) from None
        try:
            self._require_fit(connection)
            if flushes:
                with in_words(self.name):
                    await connection.execute(_FLUSH, timeout=self.patience_s)
        except BaseException:
            connection.terminate()
            raise
        return connection

    def _require_fit(self, connection: Any) -> None:
        version = connection.get_server_version()
        if version.major < LEAST_VERSION:
            raise too_old(self.name, f"{version.major}.{version.minor}")
        settings = connection.get_settings()
        if "on" in (settings.in_hot_standby, settings.default_transaction_read_only):
            raise read_only(self.name)


def _place(url: str) -> str:
    """``host:port/database`` of ``url``."""
    try:
        parts = urlsplit(url)
        hosts = parse_qs(parts.query).get("host", ["localhost"])
    except ValueError:
        raise bad_address(_NO_ADDRESS) from None
    if parts.scheme not in ("postgresql", "postgres"):
        raise bad_address("it does not begin with postgresql://")
    if "@" in f"{parts.path}{parts.query}{parts.fragment}":
        raise bad_address("a special character in its user or password is not percent-encoded")
    if len(parts.path) < 2:
        raise bad_address("it names no database")
    host = parts.netloc.rpartition("@")[2] or hosts[0]
    if not _HOSTS.fullmatch(host):
        raise bad_address("its host or port is malformed")
    port = "" if _HAS_PORT.search(host) or host.startswith("/") else f":{_PORT}"
    return f"{host}{port}{parts.path}"
