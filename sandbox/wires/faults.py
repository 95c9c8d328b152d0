"""Answers that go wrong on purpose, so that clients can be tested against every way in which a venue fails.

A fault is set for the next matching requests. Unless it says ``before``, the venue does what was asked and only the
answer is spoilt: the case that a client must not take for a refusal.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from enum import StrEnum
from typing import Final

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

_HUGE_BODY: Final = 200 * 2**20
_CHUNK: Final = b" " * 2**16


class WireFault(StrEnum):
    HANG = "hang"
    RESET = "reset"
    HALF_OPEN = "half_open"
    TRUNCATED = "truncated"
    BAD_GZIP = "bad_gzip"
    BAD_CHUNK = "bad_chunk"
    HTML = "html"
    EMPTY = "empty"
    NAN = "nan"
    DUPLICATE_KEY = "duplicate_key"
    REDIRECT = "redirect"
    STATUS = "status"
    HUGE = "huge"
    SLOW = "slow"


class FaultSetting(msgspec.Struct, frozen=True, kw_only=True):
    """``path`` is the beginning of the path it applies to, ``containing`` text that the request's body must hold.

    ``before``: the request is not carried out. ``status`` and ``body`` are for ``STATUS``, ``location`` for
    ``REDIRECT``; ``pause_s`` is the time between two bytes of ``SLOW``. ``times`` None is until cleared.
    """

    fault: WireFault
    times: int | None = 1
    path: str = "/"
    containing: str = ""
    before: bool = False
    status: int = 500
    body: str = ""
    location: str = "http://127.0.0.1:9/"
    pause_s: float = 1.0


class WireFaults:
    def __init__(self) -> None:
        self._settings: list[tuple[FaultSetting, int | None]] = []
        self._released = asyncio.Event()

    def inject(self, setting: FaultSetting) -> None:
        """Settings are tried in the order in which they came; one at a time applies."""
        self._settings.append((setting, setting.times))

    def clear(self) -> None:
        """Forget all settings, and let go of the clients that are kept waiting."""
        self._settings.clear()
        self._released.set()
        self._released = asyncio.Event()

    def taken(self, path: str, body: bytes) -> FaultSetting | None:
        """The setting that applies to this request, used up by one."""
        for place, (setting, left) in enumerate(self._settings):
            if path.startswith(setting.path) and setting.containing.encode() in body:
                if left == 1:
                    del self._settings[place]
                elif left is not None:
                    self._settings[place] = (setting, left - 1)
                return setting
        return None

    @property
    def released(self) -> asyncio.Event:
        """Set by the next ``clear``."""
        return self._released


def fault_middleware(faults: WireFaults) -> Middleware:
    @web.middleware
    async def spoil(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/sandbox/"):
            return await handler(request)
        body = await request.read()
        released = faults.released
        setting = faults.taken(request.path, body)
        if setting is None:
            return await handler(request)
        answer = b"{}"
        if not setting.before:
            response = await handler(request)
            answer = response.body if isinstance(response, web.Response) and isinstance(response.body, bytes) else b""
        return await _answered(request, setting, released, answer)

    return spoil


async def _answered(
    request: web.Request, setting: FaultSetting, released: asyncio.Event, answer: bytes
) -> web.StreamResponse:
    json = {"Content-Type": "application/json"}
    match setting.fault:
        case WireFault.HTML:
            return web.Response(body="<html><body><h1>Just a moment...</h1></body></html>", content_type="text/html")
        case WireFault.EMPTY:
            return web.Response(body=b"", headers=json)
        case WireFault.NAN:
            return web.Response(body=b'{"status":NaN,"response":Infinity}', headers=json)
        case WireFault.DUPLICATE_KEY:
            return web.Response(body=b'{"status":"ok","status":"err",' + answer.lstrip()[1:], headers=json)
        case WireFault.REDIRECT:
            return web.Response(status=307, headers={"Location": setting.location})
        case WireFault.STATUS:
            return web.Response(status=setting.status, body=setting.body.encode(), headers=json)
        case WireFault.BAD_GZIP:
            return web.Response(body=b"\x1f\x8b\x08\x00" + answer, headers={**json, "Content-Encoding": "gzip"})
        case WireFault.HUGE:
            return await _huge(request)
        case _:
            return await _broken_off(request, setting, released, answer)


async def _huge(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(_HUGE_BODY)})
    await response.prepare(request)
    for _ in range(_HUGE_BODY // len(_CHUNK)):
        await response.write(_CHUNK)
    return response


async def _broken_off(
    request: web.Request, setting: FaultSetting, released: asyncio.Event, answer: bytes
) -> web.StreamResponse:
    """The faults below HTTP: bytes of our own on the connection, which then ends in one way or another."""
    transport = request.transport
    if transport is None:
        return web.Response()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    whole = head + b"Content-Length: %d\r\n\r\n" % len(answer) + answer
    match setting.fault:
        case WireFault.HANG:
            await released.wait()
        case WireFault.HALF_OPEN:
            transport.write(whole[: len(whole) - len(answer) // 2 - 1])
            await released.wait()
        case WireFault.SLOW:
            await _drip(transport, released, whole, setting.pause_s)
        case WireFault.TRUNCATED:
            transport.write(whole[: len(whole) - len(answer) // 2 - 1])
        case WireFault.BAD_CHUNK:
            transport.write(head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + answer)
        case _:
            _reset_on_close(transport)
    transport.close()
    return web.Response()


async def _drip(transport: asyncio.Transport, released: asyncio.Event, data: bytes, pause_s: float) -> None:
    for byte in data:
        if transport.is_closing():
            return
        transport.write(bytes([byte]))
        try:
            await asyncio.wait_for(released.wait(), pause_s)
        except TimeoutError:
            continue
        return


def _reset_on_close(transport: asyncio.Transport) -> None:
    """Closing then sends RST instead of FIN."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
