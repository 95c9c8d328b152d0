"""The HTTP side of an answer: what a client takes, and a reply in one write."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from aiohttp import web

from gateway.clock import Clock
from gateway.pipeline import Trace
from gateway.plain import SESSION
from gateway.written import HttpDate, WrittenAtOnce, lines_of
from mcp_server import protocol
from mcp_server.protocol import INVALID_REQUEST, RpcError
from mcp_server.results import envelope
from normalization.errors import GatewayError

ALLOW: Final = "GET, POST, DELETE"
SESSION_HEADER: Final = str(SESSION)

# aiohttp's own for streams, the gateway's for everything else.
Reply = web.StreamResponse | WrittenAtOnce

_JSON: Final = frozenset({"application/json", "application/*", "*/*"})
_STREAM: Final = frozenset({"text/event-stream", "text/*", "*/*"})


class Accepted(NamedTuple):
    json: bool
    stream: bool


@lru_cache(maxsize=256)
def accepted(header: str | None) -> Accepted:
    """What a client takes; everything where it does not say."""
    if not header:
        return Accepted(True, True)
    taken = set()
    for part in header.lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        if not any(parameter.replace(" ", "") in ("q=0", "q=0.0", "q=0.00", "q=0.000") for parameter in parameters):
            taken.add(kind)
    return Accepted(bool(taken & _JSON), bool(taken & _STREAM))


def not_acceptable(*kinds: str) -> RpcError:
    return RpcError(INVALID_REQUEST, f"Not acceptable: the client must accept {' or '.join(kinds)}", status=406)


def refusal(error: GatewayError, id: bytes) -> RpcError:
    """An error of the gateway outside a call. Its code is the HTTP status; ``data`` has the envelope of ``/v1``."""
    return RpcError(
        error.status, error.message, status=error.status, data=envelope(error), id=id or b"null", cause=error
    )


class Replies:
    """What is written, and the headers that go with it: those that every answer of the gateway has."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._date = HttpDate(clock)

    def message(self, body: bytes, trace: Trace, accepts: Accepted, more: str = "") -> WrittenAtOnce:
        """A JSON-RPC message; as a single event for a client that takes nothing else. ``more`` are header lines."""
        if accepts.json:
            return self._written(200, body, trace, f"Content-Type: application/json\r\n{more}")
        return self._written(200, protocol.event(body), trace, f"Content-Type: text/event-stream\r\n{more}")

    def nothing(self, status: int, trace: Trace) -> WrittenAtOnce:
        return self._written(status, b"", trace, "")

    def error(self, error: RpcError, trace: Trace) -> WrittenAtOnce:
        lines = "Content-Type: application/json\r\n"
        if error.cause is not None and error.cause.retry_after_s is not None:
            lines += f"Retry-After: {error.cause.retry_after_s}\r\n"
        if error.status == 401:
            lines += "WWW-Authenticate: Bearer\r\n"
        if error.status == 405:
            lines += f"Allow: {ALLOW}\r\n"
        return self._written(error.status, error.body(), trace, lines)

    def _written(self, status: int, body: bytes, trace: Trace, more: str) -> WrittenAtOnce:
        seconds = self._clock.monotonic() - trace.started
        return WrittenAtOnce(status, more + lines_of(trace, self._date(), seconds), body)
