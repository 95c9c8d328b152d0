"""A bridge for clients that only speak stdio: a line of JSON in, one POST to a gateway, lines of JSON out."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

import aiohttp
import msgspec

from mcp_server.protocol import INTERNAL_ERROR, Kind, Message, RpcError, read, text_of
from mcp_server.wire import SESSION_HEADER

# One message of a client; the gateway takes no more than 64 KiB unless it is told to.
MAX_LINE_BYTES: Final = 1_048_576
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10)
_VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"

Write = Callable[[bytes], None]


class Bridge:
    """``write`` gets every line for the client, without its end. Calls run side by side, as over HTTP.

    What the gateway says of the connection itself is told to the client as an error of the request it belongs to.
    """

    def __init__(self, client: aiohttp.ClientSession, url: str, key: str | None, write: Write) -> None:
        self._client = client
        self._url = url
        self._write = write
        self._headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
        if key is not None:
            self._headers["Authorization"] = f"Bearer {key}"
        self._session: dict[str, str] = {}
        self._calls: set[asyncio.Task[None]] = set()

    async def run(self, lines: AsyncIterator[bytes]) -> None:
        """Until the client closes its side, and everything that it asked for is answered."""
        async for line in lines:
            if not line.strip():
                continue
            try:
                message = read(line)
            except RpcError as error:
                self._write(error.body())
                continue
            if message.method == "initialize":
                # What follows needs what it brings.
                await self._pass_on(message, line)
                continue
            call = asyncio.create_task(self._pass_on(message, line))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
        if self._calls:
            await asyncio.wait(self._calls)
        if SESSION_HEADER in self._session:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                await self._client.delete(self._url, headers=self._headers | self._session, timeout=_TIMEOUT)

    async def _pass_on(self, message: Message, line: bytes) -> None:
        try:
            headers = self._headers | self._headers_of(message)
            async with self._client.post(
                self._url, data=line, headers=headers, timeout=_TIMEOUT, allow_redirects=False
            ) as response:
                if message.kind is Kind.REQUEST:
                    await self._answer(message, response)
        except (aiohttp.ClientError, TimeoutError):
            self._fail(message, "the gateway does not answer: is it running, and is the address right?")

    async def _answer(self, message: Message, response: aiohttp.ClientResponse) -> None:
        if response.content_type == "text/event-stream":
            async for data in _events(response):
                self._write(data)
            return
        body = await response.read()
        if response.content_type != "application/json" or not body.startswith(b'{"jsonrpc"'):
            self._fail(message, f"HTTP {response.status}: there is no MCP at this address")
            return
        if message.method == "initialize":
            self._remember(body, response.headers)
        # An error of the transport may have been told before the request's id was read.
        self._write(body.replace(b'"id":null', b'"id":' + message.id, 1) if response.status >= 400 else body)

    def _remember(self, body: bytes, headers: Mapping[str, str]) -> None:
        reply = msgspec.json.decode(body)
        self._session = {}
        if SESSION_HEADER in headers:
            self._session[SESSION_HEADER] = headers[SESSION_HEADER]
        version = reply.get("result", {}).get("protocolVersion")
        if isinstance(version, str):
            self._session["MCP-Protocol-Version"] = version

    def _headers_of(self, message: Message) -> dict[str, str]:
        """Those of the session, or, for a message that stands alone, those that repeat what is in it."""
        version = text_of(message.meta().get(_VERSION_KEY))
        if version is None:
            return {} if message.method == "initialize" else self._session
        headers = {"MCP-Protocol-Version": version, "Mcp-Method": message.method}
        name = message.text("name") or message.text("uri")
        return headers | ({"Mcp-Name": name} if name is not None else {})

    def _fail(self, message: Message, problem: str) -> None:
        if message.kind is Kind.REQUEST:
            self._write(RpcError(INTERNAL_ERROR, f"Venuegate: {problem}", id=message.id).body())


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The data of each event; the gateway writes it on one line."""
    async for line in response.content:
        if line.startswith(b"data: "):
            yield line.removeprefix(b"data: ").rstrip(b"\n")


async def serve(url: str, key: str | None) -> None:
    """Bridge this process's standard input and output until the input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    out = sys.stdout.buffer

    def write(line: bytes) -> None:
        out.write(line + b"\n")
        out.flush()

    async with aiohttp.ClientSession(read_bufsize=MAX_LINE_BYTES) as client:
        await Bridge(client, url, key, write).run(reader)
