"""Heads of requests that the parser has taken before.

A client sends one head again and again, the same to the byte as long as its bodies have the same length. Where a
message begins, the same bytes mean the same, so what aiohttp's parser took once need not be parsed again.

What is kept of a head is a keyed hash, the length of the body that follows, what its endpoint has read in it, and where
API key and session stand in it. They themselves are not.
"""

from __future__ import annotations

import hashlib
import os
from typing import Final

from gateway.pipeline import Credentials
from gateway.plain import Plain, Shown

END: Final = b"\r\n\r\n"
_CAPACITY: Final = 4_096


class Head:
    """A head that was found good, and what its endpoint read in it. ``length`` is that of the body which follows."""

    __slots__ = ("_in_api_key", "_key", "_session", "length", "plain")

    def __init__(self, plain: Plain, length: int, key: slice, session: slice | None, *, in_api_key: bool) -> None:
        self.plain = plain
        self.length = length
        self._key = key
        self._session = session
        self._in_api_key = in_api_key

    def shown(self, head: bytes, peer: str) -> Shown:
        key = head[self._key].decode(errors="surrogateescape")
        session_id = None if self._session is None else head[self._session].decode(errors="surrogateescape")
        return Shown(Credentials(key, None, peer) if self._in_api_key else Credentials(None, key, peer), session_id)


class Heads:
    """The good heads that this process has met, the oldest forgotten for the newest. Heads are without their last line.

    One that comes only once, because its client puts something new into each, is never kept.
    """

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._capacity = capacity
        self._hash = hashlib.blake2b(key=os.urandom(32), digest_size=16)
        self._met: dict[bytes, Head | None] = {}

    def __len__(self) -> int:
        return len(self._met)

    def find(self, head: bytes) -> Head | None:
        name = self._hash.copy()
        name.update(head)
        return self._met.get(name.digest())

    def meet(self, head: bytes, plain: Plain, shown: Shown, length: int) -> None:
        """Take note of a head that said nothing but ``plain``, ``shown`` and the ``length`` of its body."""
        named = self._hash.copy()
        named.update(head)
        name = named.digest()
        if name not in self._met:
            self._met[name] = None
            if len(self._met) > self._capacity:
                del self._met[next(iter(self._met))]
            return
        api_key, authorization, _ = shown.credentials
        key = _place(head, api_key or authorization or "")
        session = None if shown.session_id is None else _place(head, shown.session_id)
        self._met[name] = Head(plain, length, key, session, in_api_key=bool(api_key))


def _place(head: bytes, text: str) -> slice:
    # As the parser decodes what is no text. Perhaps the same stands somewhere before it: that will do.
    shown = text.encode(errors="surrogateescape")
    start = head.index(shown)
    return slice(start, start + len(shown))
