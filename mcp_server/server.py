"""``/mcp``: one HTTP handler for both eras of the protocol, over the pipeline of ``POST /v1``."""

from __future__ import annotations

import contextlib
from typing import Final

import msgspec
import structlog
from aiohttp import hdrs, web
from aiohttp.http import RawRequestMessage
from msgspec import UNSET

from gateway.clock import Clock
from gateway.endpoint import new_request_id
from gateway.operations.milo.signup import SignupReply
from gateway.pipeline import Trace
from gateway.plain import PlainEndpoint, Shown, is_whole_post, shown_in
from gateway.written import WrittenAtOnce
from mcp_server import confirmations, protocol, results
from mcp_server.answers import Answers
from mcp_server.asked import Asked, InFlight
from mcp_server.body import is_json, read_json_body
from mcp_server.callers import Callers, shows_key
from mcp_server.calls import ToolCalls
from mcp_server.catalog import groups_of
from mcp_server.envelope import VERSION_HEADER, envelope_headers, is_modern, require_handshake_version
from mcp_server.guard import Guard
from mcp_server.methods import Methods
from mcp_server.post import CALL, PlainPost, Post
from mcp_server.protocol import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    MODERN_VERSION,
    Kind,
    Message,
    RpcError,
)
from mcp_server.sessions import Session, Sessions
from mcp_server.streams import Stream
from mcp_server.wire import SESSION_HEADER, Replies, Reply, accepted, not_acceptable, refusal
from normalization.errors import GatewayError, ServiceUnavailable

MAX_LISTENERS: Final = 10_000

_SUBSCRIPTION_KEY: Final = "io.modelcontextprotocol/subscriptionId"

_log = structlog.get_logger(__name__)


class McpServer(PlainEndpoint):
    """``close`` ends what stays open."""

    def __init__(
        self,
        *,
        guard: Guard,
        callers: Callers,
        sessions: Sessions,
        methods: Methods,
        calls: ToolCalls,
        answers: Answers,
        replies: Replies,
        clock: Clock,
        in_flight: InFlight,
        max_body_bytes: int,
    ) -> None:
        self._guard = guard
        self._callers = callers
        self.sessions = sessions
        self._methods = methods
        self._calls = calls
        self._answers = answers
        self._replies = replies
        self._clock = clock
        self.in_flight = in_flight
        self._max_body_bytes = max_body_bytes
        self._closing = False
        self._listeners: set[Stream] = set()
        self._read_only = calls.read_only_names()

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
        except Exception as problem:
            return self._failed(problem, trace)

    def plain(self, message: RawRequestMessage, length: int) -> PlainPost | None:
        """For a client that takes JSON; whatever is wrong with a head is said by the way that all others go."""
        headers = message.headers
        if not (is_whole_post(message) and length <= self._max_body_bytes and is_json(headers.get(hdrs.CONTENT_TYPE))):
            return None
        try:
            self._guard.check(headers)
            groups = groups_of(message.url.query_string)
        except (RpcError, GatewayError):
            return None
        accepts = accepted(headers.get(hdrs.ACCEPT))
        if not accepts.json:
            return None
        post = Post(headers=envelope_headers(headers), accepts=accepts, groups=groups)
        return PlainPost(post, self._read_only, self.answer)

    async def answer(self, post: Post, shown: Shown, message: Message) -> WrittenAtOnce:
        """One JSON message, whatever comes."""
        trace = Trace(new_request_id(), self._clock)
        try:
            self.in_flight.enter()
            try:
                reply = await self._answered(post, shown, message, trace, None)
            finally:
                self.in_flight.leave()
        except Exception as problem:
            return self._failed(problem, trace)
        if not isinstance(reply, WrittenAtOnce):
            raise TypeError("an answer without a request to it has become a stream")
        return reply

    def _failed(self, problem: Exception, trace: Trace) -> WrittenAtOnce:
        """:raises ConnectionError: that is what it was, and there is nobody to tell."""
        match problem:
            case RpcError():
                return self._replies.error(problem, trace)
            case GatewayError():
                return self._replies.error(refusal(problem, b""), trace)
            case ConnectionError():
                raise problem
            case _:
                _log.error("MCP request failed", request=trace.request_id, exc_info=problem)
                told = f"Gateway error: report it with request id {trace.request_id}"
                return self._replies.error(RpcError(INTERNAL_ERROR, told, status=500), trace)

    @property
    def listeners(self) -> int:
        """How many streams of the later era are open."""
        return len(self._listeners)

    def close(self) -> None:
        """End every stream and open no more, so that nothing waits for clients that never go."""
        self._closing = True
        self.sessions.end_all()
        for stream in self._listeners:
            stream.end()

    async def _post(self, request: web.BaseRequest, trace: Trace) -> Reply:
        headers = request.headers
        accepts = accepted(headers.get(hdrs.ACCEPT))
        if not (accepts.json or accepts.stream):
            raise not_acceptable("application/json", "text/event-stream")
        post = Post(headers=headers, accepts=accepts, groups=groups_of(request.query_string))
        self.in_flight.enter()
        try:
            message = protocol.read(await read_json_body(request, self._max_body_bytes))
            return await self._answered(post, shown_in(headers, request.remote or ""), message, trace, request)
        finally:
            self.in_flight.leave()

    async def _answered(
        self, post: Post, shown: Shown, message: Message, trace: Trace, request: web.BaseRequest | None
    ) -> Reply:
        modern = is_modern(message, post.headers)
        session_id = None if modern else shown.session_id
        if session_id is not None:
            await self.sessions.look_up(session_id)
        asked = Asked(
            request=request,
            trace=trace,
            message=message,
            accepts=post.accepts,
            groups=post.groups,
            credentials=self._callers.credentials(shown.credentials, session_id),
            session_id=session_id,
            modern=modern,
        )
        try:
            return await (self._alone(asked) if modern else self._in_handshake_era(asked))
        except GatewayError as error:
            raise refusal(error, message.id) from None

    async def _in_handshake_era(self, asked: Asked) -> Reply:
        message = asked.message
        is_request = message.kind is Kind.REQUEST
        if is_request and message.method == "initialize":
            return await self._initialize(asked)
        if is_request and message.method == CALL:
            return await self._call_in_session(asked)
        principal = await self._callers.user(asked.credentials)
        session = self._callers.session(asked.session_id, principal, message.id)
        if not is_request:
            if session is not None:
                await self._heed(session, message)
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
        if message.method == CALL:
            return await self._answers.answer(asked, self._calls.read(message, asked.groups))
        if message.method not in ("server/discover", "tools/list", "subscriptions/listen"):
            raise RpcError(METHOD_NOT_FOUND, f"Method not found: {message.method[:64]}", status=404, id=message.id)
        principal = await self._callers.user(asked.credentials)
        if message.method == "subscriptions/listen":
            return await self._listen(asked)
        if message.method == "tools/list":
            return self._result(asked, self._methods.list_tools(message, principal, asked.groups, modern=True))
        return self._result(asked, self._methods.discover())

    async def _heed(self, session: Session, message: Message) -> None:
        """What a client says over its session, and no answer comes back to."""
        if message.kind is Kind.RESPONSE:
            await self.sessions.answered(session, message.id, message.params)
        elif message.method == "notifications/cancelled" and (call := message.params.get("requestId")) is not None:
            await self.sessions.withdrawn(session, bytes(call))

    async def _initialize(self, asked: Asked) -> Reply:
        described = self._methods.initialize(asked.message)
        session = self._callers.new_session(
            await self._callers.user(asked.credentials),
            can_be_asked=confirmations.can_be_asked(asked.message.params.get("capabilities")),
        )
        if session is not None:
            await self.sessions.share(session)
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
        if session is None:
            return await self._answers.answer(asked, call)
        with self.sessions.in_use(session):
            reply = await self._answers.answer(asked, call, session)
            await self._let_in(session, asked.trace.newcomer)
            return reply

    async def _let_in(self, session: Session, joined: object) -> None:
        """A session over which somebody has signed up is theirs from then on."""
        if not isinstance(joined, SignupReply) or joined.account_id is None or joined.api_key is UNSET:
            return
        if session.account_id is None:
            await session.becomes(joined.account_id, joined.api_key)
            await self.sessions.share(session)

    def _result(self, asked: Asked, value: bytes, more: str = "") -> Reply:
        body = protocol.result(asked.id, results.complete(value, modern=asked.modern))
        return self._replies.message(body, asked.trace, asked.accepts, more)

    async def _listen(self, asked: Asked) -> Reply:
        """The later era's stream of changes. There are none to tell of yet, which the client is told at once."""
        if asked.request is None or not asked.accepts.stream:
            raise not_acceptable("text/event-stream")
        if len(self._listeners) >= MAX_LISTENERS or self._closing:
            raise ServiceUnavailable("There are too many streams", retry_after_s=60)
        meta = {_SUBSCRIPTION_KEY: msgspec.Raw(asked.id)}
        agreed = {"_meta": meta, "notifications": {}}
        opening = protocol.notification("notifications/subscriptions/acknowledged", agreed)
        ending = msgspec.json.encode({"resultType": "complete", "_meta": meta})
        stream = Stream(asked.request, asked.trace.request_id)
        self._listeners.add(stream)
        try:
            response = await stream.open()
            with self.in_flight.waiting(), contextlib.suppress(ConnectionError):
                await stream.send(opening)
                await stream.hold()
                await stream.send(protocol.result(asked.id, ending))
            return response
        finally:
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
        stream = session.stream = Stream(request, trace.request_id)
        try:
            response = await stream.open()
            with self.sessions.in_use(session), contextlib.suppress(ConnectionError):
                # So that the client knows the stream to be open.
                await stream.keep_alive()
                await stream.hold()
            return response
        finally:
            session.stream = None

    async def _delete(self, request: web.BaseRequest, trace: Trace) -> Reply:
        session = await self._named_session(request)
        self.sessions.delete(session)
        await self.sessions.share_deletion(session)
        return self._replies.nothing(200, trace)

    async def _named_session(self, request: web.BaseRequest) -> Session:
        """The session that a request without a message is about.

        :raises RpcError: 400, it names none; 404, there is none; 405, its version has no sessions.
        """
        version = request.headers.get(VERSION_HEADER)
        if version == MODERN_VERSION:
            raise RpcError(INVALID_REQUEST, f"{request.method} is not part of this version", status=405)
        require_handshake_version(version)
        credentials, session_id = shown_in(request.headers, request.remote or "")
        if session_id is None:
            raise RpcError(INVALID_REQUEST, f"Invalid request: {SESSION_HEADER} is missing", status=400)
        await self.sessions.look_up(session_id)
        credentials = self._callers.credentials(credentials, session_id)
        session = self._callers.session(session_id, await self._callers.principal(credentials))
        if session is None:
            raise RpcError(INVALID_REQUEST, "Invalid request: there is no such session", status=404)
        return session
