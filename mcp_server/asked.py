"""One message and all that came with it, and how many of them are being answered at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from aiohttp import web

from gateway.pipeline import Credentials, Trace
from mcp_server.catalog import Groups
from mcp_server.protocol import Message
from mcp_server.wire import Accepted
from normalization.errors import ServiceUnavailable


class Asked(msgspec.Struct, frozen=True):
    """``session_id`` is what the client names, whatever it is worth.

    ``request`` is that of an answer that may become a stream; None where it will be one message whatever comes.
    """

    request: web.BaseRequest | None
    trace: Trace
    message: Message
    accepts: Accepted
    groups: Groups | None
    credentials: Credentials
    session_id: str | None
    modern: bool

    @property
    def id(self) -> bytes:
        return self.message.id

    @property
    def is_client_gone(self) -> bool:
        transport = None if self.request is None else self.request.transport
        return transport is None or transport.is_closing()


class InFlight:
    """At most ``most`` messages are answered at once; what only waits for somebody else is not among them."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._count = 0

    def enter(self) -> None:
        """One more, until ``leave``.

        :raises ServiceUnavailable: there are as many as there may be.
        """
        if self._count >= self.most:
            raise ServiceUnavailable("The gateway is busy: nothing was sent", retry_after_s=1)
        self._count += 1

    def leave(self) -> None:
        self._count -= 1

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Between the two: it keeps nobody out while the block runs."""
        self._count -= 1
        try:
            yield
        finally:
            self._count += 1
