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
from gateway.timings import NOTHING, Timings
from normalization.errors import GatewayError, InternalError, ServiceUnavailable
from storage.ports import StorageUnavailable

_log = structlog.get_logger(__name__)


class Credentials(NamedTuple):
    """What a caller showed: the two headers that may bear a key, and where the request came from."""

    api_key: str | None
    authorization: str | None
    peer: str


class Trace:
    """What is learnt of one request on its way, for its headers, metrics and log line."""

    __slots__ = ("operation", "principal", "request_id", "started", "timings", "usage")

    def __init__(self, request_id: str, clock: Clock) -> None:
        self.request_id = request_id
        self.started = clock.monotonic()
        self.timings = Timings(clock)
        self.principal: Principal | None = None
        self.usage: Usage | None = None
        self.operation = ""


class Answer(msgspec.Struct, frozen=True, gc=False):
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
            principal.require_operation(operation.name, operation.minimum_tier)
            request = envelope.request()
            reply = await self._dispatcher.perform(principal, operation, request, timings, confirmed=confirmed)
            return Answer(reply.http_status, codec.encode(reply))
        except LimitExceeded as error:
            trace.usage = error.usage
            return refusal(error)
        except GatewayError as error:
            return refusal(error)
        except StorageUnavailable as problem:
            _log.error("storage unavailable", request=trace.request_id, problem=problem.problem, advice=problem.advice)
            return refusal(
                ServiceUnavailable("The gateway's storage is unavailable: nothing was sent", retry_after_s=1)
            )
        except Exception:
            _log.exception("request failed", request=trace.request_id, operation=trace.operation)
            return refusal(InternalError(f"Gateway error: report it with request id {trace.request_id}"))


def refusal(error: GatewayError) -> Answer:
    return Answer(error.status, codec.encode_error(error), error)
