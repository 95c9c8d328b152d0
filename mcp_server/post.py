"""What is posted, and which of it is answered where its bytes arrive: all that cannot become a stream."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Set
from typing import Any, Final

import msgspec

from gateway.plain import Plain, Shown
from gateway.written import WrittenAtOnce
from mcp_server import protocol
from mcp_server.catalog import Groups
from mcp_server.envelope import Headers
from mcp_server.protocol import Message, RpcError
from mcp_server.wire import Accepted

CALL: Final = "tools/call"
LISTEN: Final = "subscriptions/listen"


class Post(msgspec.Struct, frozen=True):
    """What the head of a message says. ``headers`` are those of the protocol, at least."""

    headers: Headers
    accepts: Accepted
    groups: Groups | None


class PlainPost(Plain):
    """``read_only`` has the names, as JSON, of the tools that change nothing; ``answer`` gives one JSON message."""

    def __init__(
        self,
        post: Post,
        read_only: Set[bytes],
        answer: Callable[[Post, Shown, Message], Coroutine[Any, Any, WrittenAtOnce]],
    ) -> None:
        self._post = post
        self._read_only = read_only
        self._answer = answer

    def answer(self, shown: Shown, body: bytes) -> Coroutine[Any, Any, WrittenAtOnce] | None:
        try:
            message = protocol.read(body)
        except RpcError:
            return None
        return None if self._may_stream(message, shown) else self._answer(self._post, shown, message)

    def _may_stream(self, message: Message, shown: Shown) -> bool:
        """Whether its client may want to hear how it goes, or be asked something, before it has the answer."""
        if message.method != CALL:
            return message.method == LISTEN
        if bytes(message.params.get("name", b"")) in self._read_only:
            return False
        return shown.session_id is not None or message.progress_token() is not None
