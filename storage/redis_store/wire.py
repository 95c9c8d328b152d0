"""A connection to Redis on which one command is asked at a time.

The client library goes through streams, a parser and locks of its own for each command. Here a command is bytes,
written at once, and its reply is read where it arrives.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from typing import Any, cast

import hiredis
from redis import exceptions

from storage.redis_store.address import RedisAddress


class Wire(asyncio.Protocol):
    """One that is lost stays so."""

    def __init__(self) -> None:
        self._replies = hiredis.Reader(protocolError=exceptions.InvalidResponse, replyError=_refusal)
        self._transport: asyncio.Transport
        self._waiting: asyncio.Future[Any] | None = None
        self._lost: Exception | None = None

    @property
    def is_lost(self) -> bool:
        return self._lost is not None

    async def ask(self, *command: bytes | str | int) -> Any:
        """What Redis answers. Whoever is cancelled here has to ``lose`` it: the reply is still to come.

        :raises RedisError: Redis refuses, or the connection has gone.
        :raises TimeoutError: it was lost for that reason.
        """
        if self._lost is not None:
            raise self._lost
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(hiredis.pack_command(command))  # type: ignore[arg-type]  # its stub says a tuple of one
        reply = await self._waiting
        if isinstance(reply, exceptions.RedisError):
            raise reply
        return reply

    def lose(self, error: Exception | None = None) -> None:
        """Close it. ``error`` is for who waits, or asks all the same."""
        if self._lost is None:
            self._lost = error or exceptions.ConnectionError("the connection has gone")
        self._transport.abort()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(self._lost)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._replies.feed(data)
            reply = self._replies.gets()
        except exceptions.InvalidResponse as error:
            self.lose(error)
            return
        # False says that it is not all there: Redis has no such value.
        if reply is False:
            return
        if self._waiting is None or self._waiting.done():
            # Nobody asked: it says why it hangs up, or would be taken for the reply to what is asked next.
            self.lose(reply if isinstance(reply, exceptions.RedisError) else None)
        else:
            self._waiting.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lose()


async def dialed(address: RedisAddress) -> Wire:
    """A wire to the one server at ``address``, logged in; its database is chosen.

    :raises RedisError, OSError: it is not there, or does not let us in.
    """
    loop = asyncio.get_running_loop()
    if address.path is not None:
        _, wire = await loop.create_unix_connection(Wire, address.path)
    else:
        host, port = address.hosts[0]
        _, wire = await loop.create_connection(Wire, host, port, ssl=_tls(address.ca_file) if address.tls else None)
    try:
        if address.password is not None:
            await wire.ask("AUTH", *(name for name in (address.username, address.password) if name is not None))
        if address.database:
            await wire.ask("SELECT", address.database)
    except BaseException:
        wire.lose()
        raise
    return wire


@functools.cache
def _tls(ca_file: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


def _refusal(said: str) -> exceptions.ResponseError:
    return exceptions.NoScriptError(said) if said.startswith("NOSCRIPT ") else exceptions.ResponseError(said)
