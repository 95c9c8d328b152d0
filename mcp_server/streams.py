"""Server-sent events: a stream that stays open until somebody ends it and costs nothing meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
from aiohttp import hdrs, web

from gateway.timings import Timings
from mcp_server.protocol import event, notification

# What a client sees at once, so that it knows the stream to be open.
OPENING: Final = b": open\n\n"
PROGRESS_EVERY_S: Final = 1.0
_CHECKING: Final = "Checking the request"


def headers(request_id: str) -> dict[str, str]:
    return {
        hdrs.CONTENT_TYPE: "text/event-stream",
        hdrs.CACHE_CONTROL: "no-store, no-transform",
        # Proxies must not keep events back until there are more.
        "X-Accel-Buffering": "no",
        "X-Request-Id": request_id,
        hdrs.SERVER: "venuegate",
    }


class Progress:
    """How far a call has come, told under the token that the client gave for it."""

    def __init__(self, token: bytes) -> None:
        self._token = msgspec.Raw(token)
        self._told = 0

    async def tell(self, response: web.StreamResponse, work: asyncio.Future[bytes], timings: Timings) -> None:
        """At once, and then every second until ``work`` is done.

        :raises ConnectionError: the client is gone.
        """
        await self._tell(response, _CHECKING)
        while not (await asyncio.wait({work}, timeout=PROGRESS_EVERY_S))[0]:
            waits = "journal" in timings.parts
            await self._tell(response, "Sent; waiting for the exchange" if waits else _CHECKING)

    async def _tell(self, response: web.StreamResponse, message: str) -> None:
        params = {"progressToken": self._token, "progress": self._told, "message": message}
        self._told += 1
        await response.write(event(notification("notifications/progress", params)))


class Stream:
    """One open stream. Nothing wakes up for it before its client goes or it is ended from here."""

    def __init__(self) -> None:
        self._ended = asyncio.get_running_loop().create_future()

    def end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    async def hold(self, request: web.BaseRequest) -> None:
        """Until it is ended, or the connection is lost."""
        transport = request.transport
        if transport is None or transport.is_closing():
            return
        served = transport.get_protocol()
        if not isinstance(served, asyncio.Protocol):
            raise TypeError(f"{type(served).__name__} takes no data")
        transport.set_protocol(_Watched(served, self.end))
        try:
            await self._ended
        finally:
            transport.set_protocol(served)


class _Watched(asyncio.Protocol):
    """The connection's own protocol, and one more who hears when it is lost.

    aiohttp tells a handler of that only by cancelling it, which must never happen to one that places an order.
    """

    def __init__(self, served: asyncio.Protocol, on_lost: Callable[[], None]) -> None:
        self._served = served
        self._on_lost = on_lost

    def data_received(self, data: bytes) -> None:
        self._served.data_received(data)

    def eof_received(self) -> bool | None:
        return self._served.eof_received()

    def pause_writing(self) -> None:
        self._served.pause_writing()

    def resume_writing(self) -> None:
        self._served.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._served.connection_lost(exc)
        self._on_lost()
