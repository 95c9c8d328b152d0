"""The handler, put together of what a gateway already has."""

from __future__ import annotations

import hashlib
import hmac

from gateway.auth import Authenticator
from gateway.clock import Clock
from gateway.codec import Codec
from gateway.dispatch import Dispatcher
from gateway.keyring import Keyring
from gateway.limits import Limiter
from gateway.metrics import Metrics
from gateway.operations.table import OPERATIONS
from gateway.pipeline import Pipeline
from gateway.settings import Settings
from gateway.sharing import Sharing
from gateway.workers.worker import Worker
from mcp_server.answers import Answers
from mcp_server.asked import InFlight
from mcp_server.callers import Callers
from mcp_server.calls import ToolCalls
from mcp_server.catalog import Catalog, served
from mcp_server.confirmations import RequestStates
from mcp_server.guard import Guard
from mcp_server.methods import Methods
from mcp_server.server import McpServer
from mcp_server.sessions import Sessions
from mcp_server.shared_sessions import SharedSessions
from mcp_server.wire import Replies


def assembled(
    settings: Settings,
    *,
    authenticator: Authenticator,
    limiter: Limiter,
    dispatcher: Dispatcher,
    keyring: Keyring,
    metrics: Metrics,
    clock: Clock,
    sharing: Sharing | None = None,
    worker: Worker | None = None,
) -> McpServer:
    """Calls go through a pipeline of the same parts as ``POST /v1``, with the tiers that MCP asks for.

    With ``sharing``, or as a ``worker``, it knows of the sessions of the others.
    """
    operations = served(OPERATIONS)
    catalog = Catalog(operations)
    sessions = Sessions(clock)
    words = None if worker is None else worker.words
    if sharing is not None:
        sessions = SharedSessions(sharing.sessions, clock, words=words, is_away=lambda: sharing.limiter.is_away)
    elif worker is not None:
        sessions = SharedSessions(worker.sessions, clock, words=words)
    pipeline = Pipeline(authenticator=authenticator, limiter=limiter, codec=Codec(operations), dispatcher=dispatcher)
    calls = ToolCalls(pipeline, catalog, metrics, clock)
    replies = Replies(clock)
    in_flight = InFlight(settings.max_in_flight)
    request_states = RequestStates(hmac.digest(keyring.order_id_key, b"mcp request state", hashlib.sha256), clock)
    return McpServer(
        guard=Guard(settings.host, settings.public_url),
        callers=Callers(authenticator, sessions),
        sessions=sessions,
        methods=Methods(catalog),
        calls=calls,
        answers=Answers(calls, sessions, request_states, replies, in_flight, clock),
        replies=replies,
        clock=clock,
        in_flight=in_flight,
        max_body_bytes=settings.max_body_bytes,
    )
