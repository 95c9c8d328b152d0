"""Where Redis is, read from one address. Nothing here speaks to it."""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import msgspec

DEFAULT_PORT: Final = 6379
ANSWER_WITHIN_S: Final = 0.05
"""How long a request waits for Redis."""
EXPECTED: Final = (
    "redis://[USER:PASSWORD@]HOST[:PORT][/NUMBER], rediss:// for TLS, unix:///PATH for a socket,"
    " or redis+cluster://HOST:PORT[,HOST:PORT…] for Redis Cluster"
)

_TLS: Final = {"redis": False, "rediss": True, "redis+cluster": False, "rediss+cluster": True, "unix": False}
_OPTIONS: Final = {"unix": ("db",), "rediss": ("ssl_ca_certs",), "rediss+cluster": ("ssl_ca_certs",)}


class RedisAddress(msgspec.Struct, frozen=True, kw_only=True):
    """``hosts`` has one entry, or some nodes of a cluster; it is empty for the unix socket ``path``.

    ``database`` is the number of a logical database, ``ca_file`` what certificates are checked against.
    """

    scheme: str
    hosts: tuple[tuple[str, int], ...] = ()
    path: str | None = None
    username: str | None = None
    password: str | None = None
    database: int = 0
    ca_file: str | None = None

    @property
    def is_cluster(self) -> bool:
        return self.scheme.endswith("+cluster")

    @property
    def tls(self) -> bool:
        return _TLS[self.scheme]

    def __str__(self) -> str:
        """For people: without the password."""
        if self.path is not None:
            return f"unix://{self.path}"
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        return f"{self.scheme}://{hosts}" + (f"/{self.database}" if self.database else "")

    def __repr__(self) -> str:
        return f"RedisAddress({self})"


def parse_address(text: str) -> RedisAddress | None:
    """None where ``text`` is not as ``EXPECTED``."""
    try:
        return _parsed(urlsplit(text)) if text.isprintable() and " " not in text else None
    except ValueError:
        return None


def _parsed(parts: SplitResult) -> RedisAddress:
    """:raises ValueError: it is malformed."""
    scheme = parts.scheme
    options = {name: values[-1] for name, values in parse_qs(parts.query, strict_parsing=bool(parts.query)).items()}
    if scheme not in _TLS or parts.fragment or set(options) - set(_OPTIONS.get(scheme, ())):
        raise ValueError
    login, _, where = parts.netloc.rpartition("@")
    username, _, password = login.partition(":")
    is_socket = scheme == "unix"
    if is_socket and (where or not parts.path):
        raise ValueError
    number = options.get("db", "0") if is_socket else parts.path.strip("/") or "0"
    address = RedisAddress(
        scheme=scheme,
        hosts=() if is_socket else tuple(map(_host, where.split(","))),
        path=unquote(parts.path) if is_socket else None,
        username=unquote(username) or None,
        password=unquote(password) or None,
        database=_whole(number),
        ca_file=options.get("ssl_ca_certs"),
    )
    if len(address.hosts) > 1 and not address.is_cluster:
        raise ValueError
    if address.is_cluster and address.database:
        # A cluster has only one.
        raise ValueError
    return address


def _host(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.username is not None:
        raise ValueError
    return parts.hostname, DEFAULT_PORT if parts.port is None else parts.port or _whole("")


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5):
        raise ValueError
    return int(text)
