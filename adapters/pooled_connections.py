"""Connections to venues out of aiohttp's pool, without the objects that its client makes around every request.

The pool, the resolving of names, the handshakes and the strict reading of replies are aiohttp's. What is left out
would cost more than all of them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage
from aiohttp.streams import StreamReader
from yarl import URL

CONNECT_TIMEOUT_S: Final = 3.0

# Shorter than any venue keeps an idle connection: a request written to one that the venue is just closing is lost.
_KEEP_ALIVE_S: Final = 20.0
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)
_URL: Final = re.compile(r"(https?://[A-Za-z0-9.:\[\]-]+)(/[!-~]*)")
_UNPRINTABLE: Final = re.compile(r"[^ -~]")
_READ_AHEAD: Final = 2**16


class Host(NamedTuple):
    """What aiohttp is asked for a connection with, and the header that names it."""

    asking: aiohttp.ClientRequest
    header: str


class PooledConnections:
    """``headers`` go with every request that has none of these names itself."""

    def __init__(self, resolver: AbstractResolver, headers: Mapping[str, str]) -> None:
        self._resolver = resolver
        self._headers = {name.lower(): f"{name}: {value}\r\n" for name, value in headers.items()}
        self._connector: aiohttp.TCPConnector | None = None
        self._hosts: dict[str, Host] = {}

    def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> tuple[Host, bytes]:
        """Where to send it, and its bytes.

        :raises ValueError: the URL is none, or a header would be more than that.
        """
        parts = _URL.fullmatch(url)
        if parts is None or _UNPRINTABLE.search("".join(headers.values())):
            raise ValueError("not what can be sent as one request")
        origin, path = parts.groups()
        host = self._hosts.get(origin)
        if host is None:
            asking = aiohttp.ClientRequest("GET", URL(origin), loop=asyncio.get_running_loop())
            host = self._hosts[origin] = Host(asking, f"Host: {asking.headers['Host']}\r\n")
        lines = self._headers | {name.lower(): f"{name}: {value}\r\n" for name, value in headers.items()}
        length = "" if body is None and method == "GET" else f"Content-Length: {len(body or b'')}\r\n"
        head = f"{method} {path} HTTP/1.1\r\n{host.header}{''.join(lines.values())}{length}\r\n"
        return host, head.encode("ascii") + (body or b"")

    async def get(self, host: Host) -> Connection:
        """One that nobody else uses until it is released, or closed.

        :raises aiohttp.ClientError, OSError, TimeoutError: there is none to be had.
        """
        connector = self._connector or self._open()
        while True:
            connection = await connector.connect(host.asking, [], _TIMEOUT)
            if not _protocol(connection).should_close:
                return connection
            # Something came on it that nobody had asked for: the next reply might be to something else.
            connection.close()

    async def close(self) -> None:
        if self._connector is not None:
            await self._connector.close()

    def _open(self) -> aiohttp.TCPConnector:
        self._connector = aiohttp.TCPConnector(
            limit=256, limit_per_host=64, keepalive_timeout=_KEEP_ALIVE_S, resolver=self._resolver, ttl_dns_cache=60
        )
        return self._connector


async def reply_to(request: bytes, connection: Connection) -> tuple[RawResponseMessage, StreamReader]:
    """Send it, once: the head of its reply, and its body as it comes.

    :raises aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError: the reply did not come, or is none.
    """
    protocol = _protocol(connection)
    if protocol.transport is None:
        raise aiohttp.ServerDisconnectedError
    protocol.set_response_params(read_until_eof=True, read_bufsize=_READ_AHEAD)
    protocol.transport.write(request)
    while True:
        head, body = await protocol.read()
        if head.code >= 200:
            return head, body
        if head.upgrade:
            raise aiohttp.ClientPayloadError("no other protocol was asked for")


def _protocol(connection: Connection) -> ResponseHandler:
    protocol = connection.protocol
    if protocol is None:
        raise aiohttp.ServerDisconnectedError
    return protocol
