"""What a request, and whatever happens by itself, works with. All of it in one thread, within one transaction.

Nothing may be remembered outside the database: a transaction that is undone takes everything with it. (The chain's
accounts are in memory too, and are set back with the database.)
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from sandbox.milo.chain import Chain
from sandbox.milo.database import Database
from sandbox.milo.events import Events
from sandbox.milo.limits import Limiter
from sandbox.milo.market import TokenMarket
from sandbox.milo.wallets import Wallets

T = TypeVar("T")


class Runner(Protocol):
    """What work outside the venue's thread has: a way in."""

    async def run(self, job: Callable[[Core], T]) -> T:
        """``job`` in the venue's thread and a transaction of its own, after what happened by itself until now."""
        ...


Background = Callable[[Runner], Awaitable[None]]


class Core:
    """``now_ms`` is the time of the request, or of what is happening by itself; it never goes back."""

    def __init__(self, *, db: Database, chain: Chain, market: TokenMarket, wallets: Wallets) -> None:
        self.db = db
        self.chain = chain
        self.market = market
        self.wallets = wallets
        self.events = Events()
        self.limiter = Limiter()
        self.now_ms = 0
        self.spawned: list[Background] = []

    def new_id(self) -> str:
        return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))

    def spawn(self, work: Background) -> None:
        """Start ``work`` on the event loop once this transaction is durable. What it is needed for must be in the
        database too, so that the next start finds it when the process dies before it has ended."""
        self.spawned.append(work)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block, on the chain too, or nothing. What it spawned is in ``spawned`` when it ends."""
        spawned_before = len(self.spawned)
        try:
            with self.chain.undoable(), self.db.transaction():
                yield
                self.chain.store()
        except BaseException:
            del self.spawned[spawned_before:]
            raise
        self.chain.committed()

    @contextmanager
    def undoable(self) -> Iterator[None]:
        """A part of the transaction that is undone alone, on the chain too, when it fails. May be nested."""
        with self.chain.undoable(), self.db.undoable():
            yield
