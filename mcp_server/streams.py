"""Server-sent events: a stream that stays open until somebody ends it and costs nothing meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
from aiohttp import hdrs, web

from gateway.timings import Timings
from mcp_server.protocol import event, notification

PROGRESS_EVERY_S: Final = 1.0

_COMMENT: Final = b": open\n\n"
_CHECKING: Final = "Checking the request"
_ASKING: Final = "Waiting for a person to confirm"


class Events:
    """An answer that is a stream of events. ``response`` is None until it is open."""

    def __init__(self, request: web.BaseRequest | None, request_id: str) -> None:
        self._request = request
        self._request_id = request_id
        self.response: web.StreamResponse | None = None
        self.asks_a_person = False

    async def open(self) -> web.StreamResponse:
        """Once is enough. This and all that follows raise ``ConnectionError`` where the client is gone."""
        if self._request is None:
            raise ConnectionError("this answer is no stream")
        if self.response is None:
            response = web.StreamResponse(headers=_headers(self._request_id))
            await response.prepare(self._request)
            self.response = response
        return self.response

    async def send(self, message: bytes) -> None:
        """One JSON-RPC message."""
        await self._write(event(message))

    async def keep_alive(self) -> None:
        """Something that clients skip, so that nobody on the way takes the stream for dead."""
        await self._write(_COMMENT)

    async def _write(self, data: bytes) -> None:
        if self.response is None:
            raise ConnectionError("the stream is not open")
        await self.response.write(data)


class Progress:
    """How far a call has come, told under the token that the client gave for it."""

    def __init__(self, token: bytes) -> None:
        self._token = msgspec.Raw(token)
        self._told = 0

    async def tell(self, events: Events, work: asyncio.Future[bytes], timings: Timings) -> None:
        """At once, and then every second until ``work`` is done."""
        await self._tell(events, _CHECKING)
        while not (await asyncio.wait({work}, timeout=PROGRESS_EVERY_S))[0]:
            await self._tell(events, _ASKING if events.asks_a_person else _stage(timings))

    async def _tell(self, events: Events, message: str) -> None:
        params = {"progressToken": self._token, "progress": self._told, "message": message}
        self._told += 1
        await events.send(notification("notifications/progress", params))


class Stream(Events):
    """One that stays open. Nothing wakes up for it before its client goes or it is ended from here."""

    def __init__(self, request: web.BaseRequest, request_id: str) -> None:
        super().__init__(request, request_id)
        self._ended = asyncio.get_running_loop().create_future()

    def end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    async def hold(self) -> None:
        """Until it is ended, or the connection is lost."""
        transport = None if self._request is None else self._request.transport
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


def _headers(request_id: str) -> dict[str, str]:
    return {
        hdrs.CONTENT_TYPE: "text/event-stream",
        hdrs.CACHE_CONTROL: "no-store, no-transform",
        # Proxies must not keep events back until there are more.
        "X-Accel-Buffering": "no",
        "X-Request-Id": request_id,
        hdrs.SERVER: "venuegate",
    }


def _stage(timings: Timings) -> str:
    return "Sent; waiting for the exchange" if "journal" in timings.parts else _CHECKING
