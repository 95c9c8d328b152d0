"""Heads of requests that the parser has taken before.

A client sends one head again and again, the same to the byte as long as its bodies have the same length. Where a
message begins, the same bytes mean the same, so what aiohttp's parser took once need not be parsed again.

What is kept of a head is a keyed hash, the length of the body that follows, and where the API key stands in it. The key
itself is not.
"""

from __future__ import annotations

import hashlib
import os
from typing import Final

from aiohttp import hdrs
from multidict import CIMultiDictProxy, istr

from gateway.pipeline import Credentials

API_KEY: Final = istr("X-API-Key")
END: Final = b"\r\n\r\n"
_CAPACITY: Final = 4_096


def credentials_in(headers: CIMultiDictProxy[str], peer: str) -> Credentials:
    """What a request shows: the headers that may bear a key, and where it came from."""
    return Credentials(headers.get(API_KEY), headers.get(hdrs.AUTHORIZATION), peer)


class Head:
    """A head that was found good. ``length`` is that of the body which has to follow."""

    __slots__ = ("_at", "_in_api_key", "length")

    def __init__(self, length: int, at: slice, *, in_api_key: bool) -> None:
        self.length = length
        self._at = at
        self._in_api_key = in_api_key

    def credentials(self, head: bytes, peer: str) -> Credentials:
        shown = head[self._at].decode()
        return Credentials(shown, None, peer) if self._in_api_key else Credentials(None, shown, peer)


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

    def meet(self, head: bytes, credentials: Credentials, length: int) -> None:
        """Take note of a head that said nothing of interest but ``credentials`` and the ``length`` of its body."""
        named = self._hash.copy()
        named.update(head)
        name = named.digest()
        if name not in self._met:
            self._met[name] = None
            if len(self._met) > self._capacity:
                del self._met[next(iter(self._met))]
            return
        shown = (credentials.api_key or credentials.authorization or "").encode()
        # Perhaps the same text stands somewhere before it: that will do.
        start = head.index(shown)
        self._met[name] = Head(length, slice(start, start + len(shown)), in_api_key=bool(credentials.api_key))
