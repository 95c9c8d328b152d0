"""Typed calls from one process to another over a unix socket, any number of them at once on one connection.

A frame is four bytes of length and MessagePack: ``Ask`` one way, ``Reply`` the other. What a call raised is raised
again where it was made, if it is one of the exceptions that ``failures.py`` can tell; else it is ``CallFailed``.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, cast

import msgspec

from gateway.single_flight import SingleFlight
from gateway.steps import Begun, begun
from gateway.workers.failures import Failure, failure_of, raised

A = TypeVar("A")
R = TypeVar("R")

CONNECT_WITHIN_S: Final = 1.0
_LENGTH_BYTES: Final = 4
_MOST_BYTES: Final = 16 * 1024 * 1024
_HELLO: Final = b"venuegate owner 1\n"

_encode = msgspec.msgpack.Encoder().encode


class NotAsked(Exception):
    """The other process could not be reached: it never heard of the call."""


class NotAnswered(Exception):
    """The connection was lost after the call was sent: nobody knows whether it was carried out."""


class Method(Generic[A, R]):
    """A call by its name, with the types of what it is given and of what it gives."""

    __slots__ = ("arguments", "name", "result")

    def __init__(self, name: str, arguments: Any, result: Any) -> None:
        self.name = name
        self.arguments: msgspec.msgpack.Decoder[A] = msgspec.msgpack.Decoder(arguments)
        self.result: msgspec.msgpack.Decoder[R] = msgspec.msgpack.Decoder(result)


PING: Final = Method[None, None]("ping", type(None), type(None))
"""Whoever serves anything answers it."""


class Ask(msgspec.Struct, frozen=True, array_like=True):
    number: int
    method: str
    arguments: msgspec.Raw


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """``result`` counts unless there is a ``failure``."""

    number: int
    result: msgspec.Raw
    failure: Failure | None = None


_NOTHING: Final = msgspec.Raw(msgspec.msgpack.encode(None))
_asks: Final = msgspec.msgpack.Decoder(Ask)
_replies: Final = msgspec.msgpack.Decoder(Reply)


class _Frames(asyncio.Protocol):
    """Cuts what comes in into frames. What is written in one turn of the loop goes out as one piece."""

    def __init__(self, on_frame: Callable[[bytes], None], on_lost: Callable[[], None]) -> None:
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._outgoing: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Event loops bring transports of their own, which are none by their class.
        self._transport = cast("asyncio.Transport", transport)
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._received += data
        while len(self._received) >= _LENGTH_BYTES:
            end = _LENGTH_BYTES + int.from_bytes(self._received[:_LENGTH_BYTES], "big")
            if end > _MOST_BYTES:
                self.close()
                return
            if len(self._received) < end:
                return
            frame = bytes(self._received[_LENGTH_BYTES:end])
            del self._received[:end]
            self._on_frame(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._on_lost()

    def send(self, frame: bytes) -> None:
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outgoing.append(len(frame).to_bytes(_LENGTH_BYTES, "big") + frame)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        if self._transport is not None and self._outgoing:
            outgoing, self._outgoing = self._outgoing, []
            self._transport.write(b"".join(outgoing))


class Caller:
    """The near end. It connects when there is something to ask, and again when the connection was lost."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._frames: _Frames | None = None
        self._connecting: SingleFlight[None, _Frames] = SingleFlight()
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._number = 0

    async def ask(self, method: Method[A, R], arguments: A) -> R:
        """A caller who is cancelled stops nothing that was sent.

        :raises NotAsked: nobody is there who could hear it.
        :raises NotAnswered: it may have been carried out.
        :raises CallFailed: whatever it raised that has no name here.
        """
        frames = self._frames or await self._connecting.run(None, self._connected)
        self._number += 1
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[self._number] = answer
        frames.send(_encode(Ask(self._number, method.name, msgspec.Raw(_encode(arguments)))))
        reply = await answer
        if reply.failure is not None:
            raise raised(reply.failure)
        return method.result.decode(reply.result)

    def close(self) -> None:
        if self._frames is not None:
            self._frames.close()

    async def _connected(self) -> _Frames:
        hello: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def on_frame(frame: bytes) -> None:
            if hello.done():
                self._settle(_replies.decode(frame))
            elif frame == _HELLO:
                hello.set_result(None)

        def on_lost() -> None:
            if self._frames is frames:
                self._lost()
            elif not hello.done():
                hello.set_exception(ConnectionResetError())

        frames = _Frames(on_frame, on_lost)
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                await asyncio.get_running_loop().create_unix_connection(lambda: frames, str(self._path))
                # The socket is there before the process is, and while it is being started again.
                await hello
        except (OSError, TimeoutError) as error:
            frames.close()
            raise NotAsked(type(error).__name__) from None
        self._frames = frames
        return frames

    def _settle(self, reply: Reply) -> None:
        answer = self._waiting.pop(reply.number, None)
        if answer is not None and not answer.done():
            answer.set_result(reply)

    def _lost(self) -> None:
        self._frames = None
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            if not answer.done():
                answer.set_exception(NotAnswered())


Handler = Callable[[Any], Awaitable[Any]]


class _Served:
    """One connection of a worker's."""

    def __init__(self, methods: Mapping[str, tuple[Method[Any, Any], Handler]]) -> None:
        self._methods = methods
        self._loop = asyncio.get_running_loop()
        self._under_way: set[Begun[None]] = set()
        self.frames = _Frames(self._asked, lambda: None)

    def _asked(self, frame: bytes) -> None:
        answering = begun(self._answer(_asks.decode(frame)), self._loop)
        if answering is not None:
            self._under_way.add(answering)
            answering.then(self._under_way.discard)

    async def _answer(self, ask: Ask) -> None:
        try:
            method, handle = self._methods[ask.method]
            result = _encode(await handle(method.arguments.decode(ask.arguments)))
            reply = Reply(ask.number, msgspec.Raw(result))
        except Exception as error:
            reply = Reply(ask.number, _NOTHING, failure_of(error))
        self.frames.send(_encode(reply))


async def _pong(_: None) -> None:
    pass


@contextlib.asynccontextmanager
async def serving(listener: socket.socket, handlers: Mapping[Method[Any, Any], Handler]) -> AsyncIterator[None]:
    """Answer whoever connects to ``listener`` until the block ends. What is asked at the same time is done so, too."""
    answered: dict[Method[Any, Any], Handler] = {PING: _pong, **handlers}
    methods = {method.name: (method, handle) for method, handle in answered.items()}
    connected: set[_Frames] = set()

    def connect() -> _Frames:
        served = _Served(methods)
        connected.add(served.frames)
        served.frames.send(_HELLO)
        return served.frames

    server = await asyncio.get_running_loop().create_unix_server(connect, sock=listener)
    try:
        yield
    finally:
        server.close()
        for frames in connected:
            frames.close()
