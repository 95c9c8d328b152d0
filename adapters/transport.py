"""HTTP to venues: one pool of connections; nothing is followed, repeated, proxied or read without bound.

What goes wrong is told by where it happened: before a connection stood, no byte of the request had left
(``VenueNotReached``); after that nobody knows (``VenueUnclear``).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from typing import Final

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from normalization.venue_failures import Reason, VenueNotReached, VenueUnclear

MAX_BODY: Final = 1 << 20
CONNECT_TIMEOUT_S: Final = 3.0
TOTAL_TIMEOUT_S: Final = 12.0

# Shorter than any venue keeps an idle connection: a request written to one that the venue is just closing is lost.
_KEEP_ALIVE_S: Final = 20.0
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
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: Request, *, max_body: int = MAX_BODY) -> Reply:
        """Send once and read the whole reply, whatever its status.

        :raises VenueNotReached: DNS, a refused connection, the TLS handshake, no connection in time.
        :raises VenueUnclear: anything that went wrong later, or a redirect.
        """
        session = self._session or self._open()
        try:
            async with session.request(
                request.method,
                URL(request.url, encoded=True),
                data=request.body,
                headers=request.headers,
                allow_redirects=False,
            ) as response:
                body = await _read(response, max_body)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as failure:
            raise VenueNotReached(Reason.VENUE_UNREACHABLE, _PROBLEMS[_kind(failure)]) from failure
        except TimeoutError as failure:
            raise VenueUnclear(Reason.VENUE_TIMEOUT, "no answer in time") from failure
        except (aiohttp.ClientError, OSError, ValueError) as failure:
            raise VenueUnclear(
                Reason.VENUE_UNAVAILABLE, "the connection broke before the answer was whole"
            ) from failure
        if 300 <= response.status < 400:
            raise VenueUnclear(Reason.VENUE_UNAVAILABLE, "a redirect, which is never followed")
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Reply(status=response.status, body=body, headers=headers)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=256,
                limit_per_host=64,
                keepalive_timeout=_KEEP_ALIVE_S,
                resolver=self._resolver or PublicResolver(aiohttp.ThreadedResolver()),
                ttl_dns_cache=60,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            timeout=aiohttp.ClientTimeout(
                total=TOTAL_TIMEOUT_S, connect=CONNECT_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S
            ),
            trust_env=False,
        )
        # aiohttp would send a DELETE or GET a second time when a pooled connection turns out to be closed.
        self._session._retry_connection = False
        return self._session


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


async def _read(response: aiohttp.ClientResponse, max_body: int) -> bytes:
    """:raises VenueUnclear: the body is longer than that; the connection is dropped."""
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > max_body:
            response.close()
            raise VenueUnclear(Reason.VENUE_UNAVAILABLE, f"an answer of more than {max_body >> 10} KiB")
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


_PROBLEMS: Final = {
    "dns": "its name could not be resolved",
    "tls": "no secure connection could be made",
    "timeout": "no connection could be made in time",
    "refused": "no connection could be made",
}


def _kind(failure: Exception) -> str:
    match failure:
        case aiohttp.ClientConnectorDNSError():
            return "dns"
        case aiohttp.ClientSSLError():
            return "tls"
        case aiohttp.ConnectionTimeoutError():
            return "timeout"
        case _:
            return "refused"
