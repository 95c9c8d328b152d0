"""The request, top to bottom.

authenticate → charge limits → decode → authorize → credential, symbol, dispatch → encode
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import structlog

from gateway import codec
from gateway.auth import Authenticator, Principal
from gateway.clock import Clock
from gateway.dispatch import Dispatcher
from gateway.limits import Limiter, LimitExceeded, Usage
from gateway.operations.table import Operation
from gateway.operations.wire import Reply
from gateway.timings import NOTHING, Timings
from normalization.errors import GatewayError, InternalError, MissingApiKey, ServiceUnavailable
from storage.ports import StorageUnavailable

_log = structlog.get_logger(__name__)


class Credentials(NamedTuple):
    """What a caller showed: the two headers that may bear a key, and where the request came from."""

    api_key: str | None
    authorization: str | None
    peer: str


class Trace:
    """What is learnt of one request on its way, for its headers, metrics and log line.

    ``newcomer`` is what somebody was answered who showed no key.
    """

    __slots__ = ("newcomer", "operation", "principal", "request_id", "started", "timings", "usage")

    def __init__(self, request_id: str, clock: Clock) -> None:
        self.request_id = request_id
        self.started = clock.monotonic()
        self.timings = Timings(clock)
        self.principal: Principal | None = None
        self.usage: Usage | None = None
        self.operation = ""
        self.newcomer: Reply | None = None


class Answer(msgspec.Struct, frozen=True):
    status: int
    body: bytes
    error: GatewayError | None = None


class Pipeline:
    def __init__(
        self,
        *,
        authenticator: Authenticator,
        limiter: Limiter,
        codec: codec.Codec,
        dispatcher: Dispatcher,
    ) -> None:
        self._authenticator = authenticator
        self._limiter = limiter
        self._codec = codec
        self._dispatcher = dispatcher

    def asked_for(self, body: bytes) -> Operation | None:
        """What ``handle`` would be asked for, as far as one can tell without complaining."""
        try:
            return self._codec.read(body).operation
        except GatewayError:
            return None

    async def handle(self, credentials: Credentials, body: bytes, trace: Trace, *, confirmed: bool = False) -> Answer:
        """Answer one request; ``confirmed`` where a person has said yes to the orders in it.

        Never raises but for cancellation: every failure is an answer with a stable code.
        """
        timings = trace.timings
        try:
            timings.enter("auth")
            principal = trace.principal = await self._authenticator.authenticate(*credentials)
            timings.enter("limits")
            trace.usage = await self._limiter.charge(principal)
            timings.enter(NOTHING)
            envelope = self._codec.read(body)
            operation = envelope.operation
            trace.operation = operation.name
            principal.require_operation(operation.name, operation.minimum_tier, explicit_only=operation.explicit_only)
            request = envelope.request()
            reply = await self._dispatcher.perform(principal, operation, request, timings, confirmed=confirmed)
            return Answer(reply.http_status, codec.encode(reply))
        except MissingApiKey as missing:
            return await self._without_a_key(credentials.peer, body, trace, missing)
        except Exception as problem:
            return _failed(problem, trace)

    async def _without_a_key(self, peer: str, body: bytes, trace: Trace, missing: MissingApiKey) -> Answer:
        """Somebody who shows no key may ask for what is public, and hears of nothing else but that."""
        operation = self.asked_for(body)
        if operation is None or not operation.public:
            return refusal(missing)
        trace.operation = operation.name
        try:
            reply = await self._dispatcher.perform_public(operation, self._codec.read(body).request(), peer)
        except Exception as problem:
            return _failed(problem, trace)
        trace.newcomer = reply
        return Answer(reply.http_status, codec.encode(reply))


def _failed(problem: Exception, trace: Trace) -> Answer:
    """What came of a request that was not carried out."""
    match problem:
        case LimitExceeded():
            trace.usage = problem.usage
            return refusal(problem)
        case GatewayError():
            return refusal(problem)
        case StorageUnavailable():
            _log.error("storage unavailable", request=trace.request_id, problem=problem.problem, advice=problem.advice)
            return refusal(
                ServiceUnavailable("The gateway's storage is unavailable: nothing was sent", retry_after_s=1)
            )
        case _:
            _log.error("request failed", request=trace.request_id, operation=trace.operation, exc_info=problem)
            return refusal(InternalError(f"Gateway error: report it with request id {trace.request_id}"))


def refusal(error: GatewayError) -> Answer:
    return Answer(error.status, codec.encode_error(error), error)
