"""MCP sessions that all workers know of. Their ids let somebody in, so only digests of them are kept."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from storage.ports import DELETED, Deleted, KnownSession, SessionStore
from storage.redis_store.servers import Server

_DELETED: Final = b"deleted"
_decode: Final = msgspec.json.Decoder(KnownSession).decode


class RedisSessions(SessionStore):
    def __init__(self, server: Server) -> None:
        self._server = server

    async def put(self, session_id: str, session: KnownSession, *, keep_s: int) -> None:
        await self._server.ask("SET", _key(session_id), msgspec.json.encode(session), "EX", keep_s)

    async def get(self, session_id: str, *, keep_s: int) -> KnownSession | Deleted | None:
        found = await self._server.ask("GETEX", _key(session_id), "EX", keep_s)
        return None if found is None else DELETED if found == _DELETED else _decode(found)

    async def delete(self, session_id: str, *, keep_s: int) -> None:
        await self._server.ask("SET", _key(session_id), _DELETED, "EX", keep_s)


def _key(session_id: str) -> str:
    return f"vg:mcp-session:{hashlib.sha256(session_id.encode()).hexdigest()}"
