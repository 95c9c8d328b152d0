"""Plain requests, which are answered where their bytes arrive: what a connection and an endpoint say to each other.

Most of what a head says is the same each time that a client sends it. An endpoint reads it once, for ``Plain``; what
changes hands with every request is what the client shows, and the body.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Final, NamedTuple, Protocol

from aiohttp import hdrs
from aiohttp.http import RawRequestMessage
from multidict import CIMultiDictProxy, istr

from gateway.pipeline import Credentials
from gateway.written import WrittenAtOnce

API_KEY: Final = istr("X-API-Key")
SESSION: Final = istr("Mcp-Session-Id")


class Shown(NamedTuple):
    """What lets a request in, and must not be kept: its credentials, and the session that it names, if any."""

    credentials: Credentials
    session_id: str | None


class Plain(Protocol):
    """All that an endpoint needs of a head but what is ``Shown``. It may be kept for when the same head comes again."""

    def answer(self, shown: Shown, body: bytes) -> Coroutine[Any, Any, WrittenAtOnce] | None:
        """The answer to one request; None where its body needs more than an answer, so that it goes aiohttp's way."""
        ...


class PlainEndpoint(Protocol):
    def plain(self, message: RawRequestMessage, length: int) -> Plain | None:
        """What there is to know of this head, with ``length`` bytes of body; None where it says anything unusual."""
        ...


def is_whole_post(message: RawRequestMessage) -> bool:
    """Whether its body, once all there, is what was posted, to the byte."""
    return (
        message.method == hdrs.METH_POST
        and not message.upgrade
        and hdrs.CONTENT_ENCODING not in message.headers
        and hdrs.TRANSFER_ENCODING not in message.headers
    )


def shown_in(headers: CIMultiDictProxy[str], peer: str) -> Shown:
    """``peer`` is where the request came from."""
    credentials = Credentials(headers.get(API_KEY), headers.get(hdrs.AUTHORIZATION), peer)
    return Shown(credentials, headers.get(SESSION))
