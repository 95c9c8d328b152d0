"""A TCP proxy that misbehaves on demand: late, cut, silent or closed. It runs on the test's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from typing import Final

_CHUNK: Final = 65_536
# Closing sends a reset instead of a good-bye, and forgets what is still to be sent.
_RESET: Final = struct.pack("ii", 1, 0)


class FaultProxy:
    """Between a client and ``target``. What it does to a connection can be changed at any time.

    ``latency_s`` delays what the target says. While ``is_silent``, bytes of both sides are swallowed and nothing is
    closed: a half-open connection. ``connections`` counts those that were ever accepted, ``chunks`` what clients sent.
    Where ``tls`` is given, clients have to speak it.
    """

    def __init__(self, target: tuple[str, int], tls: ssl.SSLContext | None = None) -> None:
        self._target = target
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.latency_s = 0.0
        self.is_silent = False
        self.connections = 0
        self.chunks = 0
        self._changed = asyncio.Event()

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    async def listen(self) -> None:
        """Accept (again), on the same port."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self.port, ssl=self._tls)
            self.port = int(self._server.sockets[0].getsockname()[1])

    async def until(self, done: Callable[[FaultProxy], bool], *, within_s: float = 10.0) -> None:
        """Wait for what ``connections`` or ``chunks`` come to."""
        async with asyncio.timeout(within_s):
            while not done(self):
                self._changed.clear()
                await self._changed.wait()

    def cut(self) -> None:
        """Reset every connection. New ones are accepted."""
        for writer in list(self._open):
            with contextlib.suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
        self._open.clear()

    async def refuse(self) -> None:
        """Reset every connection and refuse new ones, until it listens again."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    async def close(self) -> None:
        await self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._changed.set()
        self._open.add(writer)
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._open.add(back)
        pumps = [
            asyncio.create_task(self._pump(reader, back, late=False)),
            asyncio.create_task(self._pump(there, writer, late=True)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for end in (writer, back):
                self._open.discard(end)
                end.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, late: bool) -> None:
        with contextlib.suppress(OSError):
            while chunk := await source.read(_CHUNK):
                if not late:
                    self.chunks += 1
                    self._changed.set()
                elif self.latency_s:
                    await asyncio.sleep(self.latency_s)
                if not self.is_silent:
                    sink.write(chunk)
                    await sink.drain()


@contextlib.asynccontextmanager
async def fault_proxy(host: str, port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[FaultProxy]:
    proxy = FaultProxy((host, port), tls)
    await proxy.listen()
    try:
        yield proxy
    finally:
        await proxy.close()
