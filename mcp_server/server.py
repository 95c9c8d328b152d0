"""``/mcp``: one HTTP handler for both eras of the protocol, over the pipeline of ``POST /v1``."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import msgspec
import structlog
from aiohttp import hdrs, web
from multidict import istr

from gateway.clock import Clock
from gateway.endpoint import new_request_id, shown_credentials
from gateway.pipeline import Credentials, Trace
from mcp_server import protocol, results, streams
from mcp_server.body import read_json_body
from mcp_server.callers import Callers, shows_key
from mcp_server.calls import ToolCall, ToolCalls
from mcp_server.catalog import Groups, groups_of
from mcp_server.envelope import VERSION_HEADER, is_modern, require_handshake_version
from mcp_server.guard import Guard
from mcp_server.methods import Methods
from mcp_server.protocol import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    MODERN_VERSION,
    Kind,
    Message,
    RpcError,
)
from mcp_server.sessions import Session, Sessions
from mcp_server.streams import Progress, Stream
from mcp_server.wire import SESSION_HEADER, Accepted, Replies, Reply, accepted, not_acceptable, refusal
from normalization.errors import GatewayError, ServiceUnavailable

MAX_LISTENERS: Final = 10_000

_SESSION: Final = istr(SESSION_HEADER)
_CALL: Final = "tools/call"
_SUBSCRIPTION_KEY: Final = "io.modelcontextprotocol/subscriptionId"

_log = structlog.get_logger(__name__)


class Asked(msgspec.Struct, frozen=True):
    """One message and all that came with it. ``session_id`` is what the client names, whatever it is worth."""

    request: web.BaseRequest
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


class McpServer:
    """``max_in_flight`` messages are answered at once; more are refused. ``close`` ends what stays open."""

    def __init__(
        self,
        *,
        guard: Guard,
        callers: Callers,
        sessions: Sessions,
        methods: Methods,
        calls: ToolCalls,
        clock: Clock,
        max_in_flight: int,
        max_body_bytes: int,
    ) -> None:
        self._guard = guard
        self._callers = callers
        self.sessions = sessions
        self._methods = methods
        self._calls = calls
        self._clock = clock
        self._replies = Replies(clock)
        self._max_in_flight = max_in_flight
        self._max_body_bytes = max_body_bytes
        self._in_flight = 0
        self._closing = False
        self._listeners: set[Stream] = set()

    async def __call__(self, request: web.BaseRequest) -> Reply:
        trace = Trace(new_request_id(), self._clock)
        try:
            self._guard.check(request.headers)
            if request.method == hdrs.METH_POST:
                return await self._post(request, trace)
            if request.method == hdrs.METH_GET:
                return await self._get(request, trace)
            if request.method == hdrs.METH_DELETE:
                return await self._delete(request, trace)
            raise RpcError(INVALID_REQUEST, f"{request.method} is not answered here", status=405)
        except RpcError as error:
            return self._replies.error(error, trace)
        except GatewayError as error:
            return self._replies.error(refusal(error, b""), trace)
        except ConnectionError:
            raise
        except Exception:
            _log.exception("MCP request failed", request=trace.request_id)
            problem = f"Gateway error: report it with request id {trace.request_id}"
            return self._replies.error(RpcError(INTERNAL_ERROR, problem, status=500), trace)

    @property
    def listeners(self) -> int:
        """How many streams of the later era are open."""
        return len(self._listeners)

    def close(self) -> None:
        """End every stream and open no more, so that nothing waits for clients that never go."""
        self._closing = True
        self.sessions.end_streams()
        for stream in self._listeners:
            stream.end()

    async def _post(self, request: web.BaseRequest, trace: Trace) -> Reply:
        headers = request.headers
        accepts = accepted(headers.get(hdrs.ACCEPT))
        if not (accepts.json or accepts.stream):
            raise not_acceptable("application/json", "text/event-stream")
        groups = groups_of(request.query_string)
        if self._in_flight >= self._max_in_flight:
            raise ServiceUnavailable("The gateway is busy: nothing was sent", retry_after_s=1)
        self._in_flight += 1
        try:
            message = protocol.read(await read_json_body(request, self._max_body_bytes))
            modern = is_modern(message, headers)
            asked = Asked(
                request=request,
                trace=trace,
                message=message,
                accepts=accepts,
                groups=groups,
                credentials=shown_credentials(request),
                session_id=None if modern else headers.get(_SESSION),
                modern=modern,
            )
            try:
                return await (self._alone(asked) if modern else self._in_handshake_era(asked))
            except GatewayError as error:
                raise refusal(error, message.id) from None
        finally:
            self._in_flight -= 1

    async def _in_handshake_era(self, asked: Asked) -> Reply:
        message = asked.message
        is_request = message.kind is Kind.REQUEST
        if is_request and message.method == "initialize":
            return await self._initialize(asked)
        if is_request and message.method == _CALL:
            return await self._call_in_session(asked)
        principal = await self._callers.user(asked.credentials)
        self._callers.session(asked.session_id, principal, message.id)
        if not is_request:
            return self._replies.nothing(202, asked.trace)
        if message.method == "ping":
            return self._result(asked, b"{}")
        if message.method == "tools/list":
            return self._result(asked, self._methods.list_tools(message, principal, asked.groups, modern=False))
        raise RpcError(METHOD_NOT_FOUND, f"Method not found: {message.method[:64]}", id=message.id)

    async def _alone(self, asked: Asked) -> Reply:
        """A request of the later era. Its session, if it names one, is nobody's concern."""
        message = asked.message
        if message.kind is not Kind.REQUEST:
            return self._replies.nothing(202, asked.trace)
        if message.method == _CALL:
            return await self._call(asked, self._calls.read(message, asked.groups))
        if message.method not in ("server/discover", "tools/list", "subscriptions/listen"):
            raise RpcError(METHOD_NOT_FOUND, f"Method not found: {message.method[:64]}", status=404, id=message.id)
        principal = await self._callers.user(asked.credentials)
        if message.method == "subscriptions/listen":
            return await self._listen(asked)
        if message.method == "tools/list":
            return self._result(asked, self._methods.list_tools(message, principal, asked.groups, modern=True))
        return self._result(asked, self._methods.discover())

    async def _initialize(self, asked: Asked) -> Reply:
        described = self._methods.initialize(asked.message)
        session = self._callers.new_session(await self._callers.user(asked.credentials))
        return self._result(asked, described, "" if session is None else f"{SESSION_HEADER}: {session.id}\r\n")

    async def _call_in_session(self, asked: Asked) -> Reply:
        call = self._calls.read(asked.message, asked.groups)
        session = None
        if asked.session_id is not None:
            try:
                principal = await self._callers.principal(asked.credentials)
                session = self._callers.session(asked.session_id, principal, asked.id)
            except GatewayError as error:
                return self._result(asked, results.of_error(error))
        elif not shows_key(asked.credentials):
            self._callers.session(None, None, asked.id)
        with self.sessions.in_use(session):
            return await self._call(asked, call)

    async def _call(self, asked: Asked, call: ToolCall) -> Reply:
        token = asked.message.progress_token()
        waits = call.tool is not None and not call.tool.operation.read_only
        if token is not None and waits and asked.accepts.stream:
            return await self._call_with_progress(asked, call, Progress(token))
        return self._replies.message(await self._performed(asked, call), asked.trace, asked.accepts)

    async def _call_with_progress(self, asked: Asked, call: ToolCall, progress: Progress) -> Reply:
        """Tell how it goes until it has gone. A client that leaves meanwhile leaves the call as it is."""
        work = asyncio.create_task(self._performed(asked, call))
        response = web.StreamResponse(headers=streams.headers(asked.trace.request_id))
        try:
            await response.prepare(asked.request)
            await progress.tell(response, work, asked.trace.timings)
            await response.write(protocol.event(await work))
        except ConnectionError:
            # Nobody reads any more, but what was begun is finished and accounted for.
            await work
        return response

    async def _performed(self, asked: Asked, call: ToolCall) -> bytes:
        """The whole answer, as JSON."""
        result = await self._calls.perform(call, asked.credentials, asked.trace)
        if result is None:
            return RpcError(INVALID_PARAMS, self._calls.unknown(call), id=asked.id).body()
        return protocol.result(asked.id, results.complete(result, modern=asked.modern))

    def _result(self, asked: Asked, value: bytes, more: str = "") -> Reply:
        body = protocol.result(asked.id, results.complete(value, modern=asked.modern))
        return self._replies.message(body, asked.trace, asked.accepts, more)

    async def _listen(self, asked: Asked) -> Reply:
        """The later era's stream of changes. There are none to tell of yet, which the client is told at once."""
        if not asked.accepts.stream:
            raise not_acceptable("text/event-stream")
        if len(self._listeners) >= MAX_LISTENERS or self._closing:
            raise ServiceUnavailable("There are too many streams", retry_after_s=60)
        meta = {_SUBSCRIPTION_KEY: msgspec.Raw(asked.id)}
        agreed = {"_meta": meta, "notifications": {}}
        opening = protocol.notification("notifications/subscriptions/acknowledged", agreed)
        ending = msgspec.json.encode({"resultType": "complete", "_meta": meta})
        last = protocol.event(protocol.result(asked.id, ending))
        stream = Stream()
        self._listeners.add(stream)
        # What only stays open keeps nobody else out.
        self._in_flight -= 1
        try:
            return await self._held(asked.request, asked.trace, stream, protocol.event(opening), last)
        finally:
            self._in_flight += 1
            self._listeners.discard(stream)

    async def _get(self, request: web.BaseRequest, trace: Trace) -> Reply:
        """The handshake era's stream of what the server has to say: one for each session."""
        if not accepted(request.headers.get(hdrs.ACCEPT)).stream:
            raise not_acceptable("text/event-stream")
        session = await self._named_session(request)
        if self._closing:
            raise ServiceUnavailable("The gateway is stopping", retry_after_s=1)
        if session.stream is not None:
            raise RpcError(INVALID_REQUEST, "Conflict: this session has its stream already", status=409)
        stream = session.stream = Stream()
        try:
            with self.sessions.in_use(session):
                return await self._held(request, trace, stream, streams.OPENING)
        finally:
            session.stream = None

    async def _held(
        self, request: web.BaseRequest, trace: Trace, stream: Stream, opening: bytes, ending: bytes = b""
    ) -> Reply:
        """A stream from its first words to its last."""
        response = web.StreamResponse(headers=streams.headers(trace.request_id))
        with contextlib.suppress(ConnectionError):
            await response.prepare(request)
            await response.write(opening)
            await stream.hold(request)
            if ending:
                await response.write(ending)
        return response

    async def _delete(self, request: web.BaseRequest, trace: Trace) -> Reply:
        self.sessions.delete(await self._named_session(request))
        return self._replies.nothing(200, trace)

    async def _named_session(self, request: web.BaseRequest) -> Session:
        """The session that a request without a message is about.

        :raises RpcError: 400, it names none; 404, there is none; 405, its version has no sessions.
        """
        version = request.headers.get(VERSION_HEADER)
        if version == MODERN_VERSION:
            raise RpcError(INVALID_REQUEST, f"{request.method} is not part of this version", status=405)
        require_handshake_version(version)
        session_id = request.headers.get(_SESSION)
        if session_id is None:
            raise RpcError(INVALID_REQUEST, f"Invalid request: {SESSION_HEADER} is missing", status=400)
        session = self._callers.session(session_id, await self._callers.principal(shown_credentials(request)))
        if session is None:
            raise RpcError(INVALID_REQUEST, "Invalid request: there is no such session", status=404)
        return session
