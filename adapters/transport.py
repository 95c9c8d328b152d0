"""HTTP to venues: one pool of connections; nothing is followed, repeated, proxied or read without bound.

What goes wrong is told by where it happened: before a connection stood, no byte of the request had left
(``VenueNotReached``); after that nobody knows (``VenueUnclear``).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Mapping
from typing import Final

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader

from adapters.pooled_connections import PooledConnections, reply_to
from normalization.venue_failures import Reason, VenueNotReached, VenueUnclear

MAX_BODY: Final = 1 << 20
TOTAL_TIMEOUT_S: Final = 12.0
_HEADERS: Final = {"User-Agent": "venuegate", "Accept": "application/json", "Accept-Encoding": "gzip, deflate"}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """``url`` is sent as it stands."""

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: bytes | None = None


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """``headers`` are in lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}


class Transport:
    """The connections of one process to all venues. Opened by its first request."""

    def __init__(self, *, resolver: AbstractResolver | None = None) -> None:
        self._resolver = resolver
        self._connections: PooledConnections | None = None

    async def send(self, request: Request, *, max_body: int = MAX_BODY) -> Reply:
        """Send once and read the whole reply, whatever its status.

        :raises VenueNotReached: DNS, a refused connection, the TLS handshake, no connection in time.
        :raises VenueUnclear: anything that went wrong later, or a redirect.
        """
        connections = self._connections or self._open()
        connection: Connection | None = None
        try:
            async with asyncio.timeout(TOTAL_TIMEOUT_S):
                host, message = connections.request(request.method, request.url, request.headers, request.body)
                connection = await connections.get(host)
                head, content = await reply_to(message, connection)
                body = await _read(content, max_body)
        except BaseException as failure:
            if connection is not None:
                connection.close()
            told = _never_left(failure) if connection is None else _unclear(failure)
            if told is None:
                raise
            raise told from failure
        connection.release()
        if 300 <= head.code < 400:
            raise VenueUnclear(Reason.VENUE_UNAVAILABLE, "a redirect, which is never followed")
        headers = {name.lower(): value for name, value in head.headers.items()}
        return Reply(status=head.code, body=body, headers=headers)

    async def close(self) -> None:
        if self._connections is not None:
            await self._connections.close()

    def _open(self) -> PooledConnections:
        resolver = self._resolver or PublicResolver(aiohttp.ThreadedResolver())
        self._connections = PooledConnections(resolver, _HEADERS)
        return self._connections


class PublicResolver(AbstractResolver):
    """Names of venues resolve to public addresses only: a poisoned answer must not point a signed request inwards."""

    def __init__(self, inner: AbstractResolver) -> None:
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        public = [result for result in found if ipaddress.ip_address(result["host"]).is_global]
        if not public:
            raise OSError(f"{host} has no public address")
        return public

    async def close(self) -> None:
        await self._inner.close()


async def _read(content: StreamReader, max_body: int) -> bytes:
    """:raises VenueUnclear: the body is longer than that."""
    parts: list[bytes] = []
    size = 0
    async for part in content.iter_any():
        size += len(part)
        if size > max_body:
            raise VenueUnclear(Reason.VENUE_UNAVAILABLE, f"an answer of more than {max_body >> 10} KiB")
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _never_left(failure: BaseException) -> VenueNotReached | None:
    match failure:
        case aiohttp.ClientConnectorDNSError():
            problem = "its name could not be resolved"
        case aiohttp.ClientSSLError():
            problem = "no secure connection could be made"
        case TimeoutError():
            problem = "no connection could be made in time"
        case aiohttp.ClientError() | OSError() | ValueError():
            problem = "no connection could be made"
        case _:
            return None
    return VenueNotReached(Reason.VENUE_UNREACHABLE, problem)


def _unclear(failure: BaseException) -> VenueUnclear | None:
    match failure:
        case TimeoutError():
            return VenueUnclear(Reason.VENUE_TIMEOUT, "no answer in time")
        case aiohttp.ClientError() | HttpProcessingError() | OSError() | ValueError():
            return VenueUnclear(Reason.VENUE_UNAVAILABLE, "the connection broke before the answer was whole")
        case _:
            return None
