"""The venue as one thread sees it: opened, asked, closed. Every question is a transaction of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from sandbox.milo import chain, chain_records, timeline, users, wallets
from sandbox.milo.calls import Reply
from sandbox.milo.chain import Chain
from sandbox.milo.core import Background, Core
from sandbox.milo.database import Database
from sandbox.milo.errors import ApiError, internal
from sandbox.milo.handling import Request, allowance, reply
from sandbox.milo.market import TokenMarket
from sandbox.milo.parts import Part
from sandbox.milo.timeline import Timeline
from sandbox.milo.wallets import Wallets
from sandbox.milo.wire import encoded

_SCHEMAS: Final = (chain_records.SCHEMA, chain.SCHEMA, users.SCHEMA, wallets.SCHEMA, timeline.SCHEMA)

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Answer(msgspec.Struct, frozen=True):
    status: int
    body: bytes
    headers: Mapping[str, str]


class Machine:
    """Opens its file when it is made: ``path`` None keeps everything in memory.

    :raises sqlite3.Error: the file cannot be opened, or another process has it.
    """

    def __init__(self, *, seed: int, path: Path | None, now_ms: Callable[[], int], parts: Sequence[Part]) -> None:
        self._now_ms = now_ms
        db = Database(path, [*_SCHEMAS, *(part.schema for part in parts)])
        try:
            solana = Chain(db)
            self.core = Core(db=db, chain=solana, market=TokenMarket(seed), wallets=Wallets(db, solana))
            self._timeline = Timeline(self.core, parts)
            with self.core.transaction():
                solana.start()
                self._timeline.start(now_ms())
                for part in parts:
                    part.start(self.core)
        except BaseException:
            db.close()
            raise

    def run(self, job: Callable[[Core], T]) -> T:
        """``job`` in a transaction of its own, after what happened by itself until now."""
        self._timeline.advance(self._now_ms())
        core = self.core
        with core.transaction():
            before = core.db.changes
            result = job(core)
            if core.db.changes != before:
                self._timeline.remember()
        return result

    def answer(self, request: Request) -> Answer:
        """Never raises. A refusal has changed nothing but its rate limit."""
        limited: Mapping[str, str] = {}

        def job(core: Core) -> Reply:
            nonlocal limited
            caller, allowed = allowance(core, request)
            limited = allowed.headers()
            return reply(core, request, caller, allowed)

        try:
            made = self.run(job)
            status, body, headers = made.status, encoded(made.body), made.headers
        except ApiError as refusal:
            status, body, headers = refusal.status, encoded(refusal.body()), refusal.headers
        except Exception:
            _log.exception("%s %s failed", request.route.method, request.route.path)
            status, body, headers = 500, encoded(internal().body()), {}
        return Answer(status, body, {**limited, **headers})

    def spawned(self) -> list[Background]:
        """What was asked to be done beside the requests, told once. In the thread of the rest."""
        found, self.core.spawned = self.core.spawned, []
        return found

    def close(self) -> None:
        self.core.db.close()
