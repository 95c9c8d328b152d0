"""The engine with a memory: every command is on disk before it is carried out, and a restart carries on from there.

State is the last snapshot and the commands since, replayed; the engine being a function of them, a process that is
killed loses nothing it has answered for. Orders that ended and old fills move to the archive with each snapshot, so
memory and the cost of a restart stay small. Not thread-safe: one thread uses it.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from normalization.accounts import Fill
from normalization.orders import Order
from normalization.venue_failures import Reason, VenueDeferred, VenueFailure, VenueNotReached
from sandbox.engine import (
    CancelByClientId,
    CancelOrder,
    Command,
    Engine,
    IncompatibleState,
    LegResult,
    Listing,
    PlaceOrders,
    decoded,
    encoded,
)
from sandbox.engine.floor import already_closed
from sandbox.engine.orders import OrderRecord
from sandbox.engine.views import fill_of
from sandbox.store import Entry, Store

SNAPSHOT_EVERY: Final = 2_000
# Between the commands of one commit, so that an event loop in another thread never waits for all of them.
_PAUSE_S: Final = 0.000_02

_log = logging.getLogger(__name__)

Answer = Sequence[LegResult] | Exception
T = TypeVar("T")


class DurableEngine:
    """Opens its file when it is first used. ``path`` None keeps everything in memory.

    A file goes on with the seed that it was made with, whatever ``seed`` says; ``instruments`` are what it lists, None
    for the usual ones. Time is ``now_ms()`` but never goes back. Every method raises ``VenueNotReached`` while the file
    cannot be opened, and tries again when called again.
    """

    def __init__(
        self,
        *,
        seed: int,
        path: Path | None,
        now_ms: Callable[[], int],
        snapshot_every: int = SNAPSHOT_EVERY,
        instruments: Sequence[Listing] | None = None,
    ) -> None:
        self._seed = seed
        self._instruments = instruments
        self._path = path
        self._now_ms = now_ms
        self._snapshot_every = snapshot_every
        self._opened: tuple[Store, Engine] | None = None
        self._number = 0
        self._since_snapshot = 0

    def execute(self, commands: Sequence[Command]) -> Sequence[Answer]:
        """Log all of them in one commit, then carry each out. One answer per command: its results or its failure.

        A command that could not be logged was not carried out either: ``VenueDeferred``.
        """
        store, engine = self._open()
        at_ms = max(self._now_ms(), engine.now_ms)
        commands = [self._with_repeats_marked(store, command) for command in commands]
        entries = [Entry(self._number + place, at_ms, command) for place, command in enumerate(commands, 1)]
        try:
            store.append(entries)
        except sqlite3.Error as error:
            _log.error("The paper exchange cannot write its log: %s", error)
            return [VenueDeferred(Reason.VENUE_UNAVAILABLE, "The exchange cannot write its log") for _ in commands]
        self._number += len(entries)
        self._since_snapshot += len(entries)
        answers: list[Answer] = []
        for entry in entries:
            if answers:
                # A pause of nothing would not do: the interpreter is not handed over unless somebody is let in.
                time.sleep(_PAUSE_S)
            answers.append(self._carry_out(store, engine, entry))
        if self._since_snapshot >= self._snapshot_every:
            self._save(store, engine)
        return answers

    def read(self, query: Callable[[Engine], T]) -> T:
        """``query`` of the exchange as it is now. It must not change it."""
        _, engine = self._open()
        engine.advance(self._now_ms())
        return query(engine)

    def has_account(self, account: str) -> bool:
        return account in self._open()[1].ledger.accounts

    def order_by_id(self, account: str, order_id: str) -> Order | None:
        """Any order there ever was."""
        store, engine = self._open()
        engine.advance(self._now_ms())
        record = engine.orders.by_id(account, order_id) or store.order_by_id(account, order_id)
        return None if record is None else engine.views.order(record)

    def order_by_client_id(self, account: str, client_id: str) -> Order | None:
        """Any order there ever was."""
        store, engine = self._open()
        engine.advance(self._now_ms())
        record = engine.orders.by_client_id(account, client_id) or store.order_by_client_id(account, client_id)
        return None if record is None else engine.views.order(record)

    def fills(self, account: str, symbol: str, limit: int) -> Sequence[Fill]:
        """Newest first."""
        store, engine = self._open()
        engine.advance(self._now_ms())
        recent = list(engine.views.fills(engine.account(account), symbol, limit))
        return recent + [fill_of(record) for record in store.fills(account, symbol, limit - len(recent))]

    def close(self) -> None:
        """Take a last snapshot, so that the next start has nothing to replay."""
        if self._opened is not None:
            store, engine = self._opened
            self._opened = None
            try:
                self._save(store, engine)
            finally:
                store.close()

    def _open(self) -> tuple[Store, Engine]:
        if self._opened is None:
            try:
                self._opened = self._load()
            except (sqlite3.Error, OSError, IncompatibleState, msgspec.DecodeError) as error:
                _log.error("The paper exchange cannot open %s: %s", self._path, error)
                raise VenueNotReached(Reason.VENUE_UNAVAILABLE, "The paper exchange cannot open its file") from error
        return self._opened

    def _load(self) -> tuple[Store, Engine]:
        store = Store(self._path)
        try:
            found = store.snapshot()
            if found is None:
                engine = Engine(self._seed, f"{self._now_ms():x}", self._instruments)
                store.save(0, encoded(engine.state()), (), ())
                self._number = self._since_snapshot = 0
                return store, engine
            self._number, state = found
            engine = Engine.restored(decoded(state), self._instruments)
            first = self._number
            for entry in store.log():
                self._carry_out(store, engine, entry)
                self._number = entry.number
            self._since_snapshot = self._number - first
        except BaseException:
            store.close()
            raise
        return store, engine

    def _with_repeats_marked(self, store: Store, command: Command) -> Command:
        if not isinstance(command, PlaceOrders):
            return command
        orders = tuple(
            msgspec.structs.replace(new, is_repeat=True)
            if new.client_id is not None and store.order_by_client_id(command.account, new.client_id) is not None
            else new
            for new in command.orders
        )
        return msgspec.structs.replace(command, orders=orders)

    def _carry_out(self, store: Store, engine: Engine, entry: Entry) -> Answer:
        try:
            return engine.execute(entry.command, entry.at_ms)
        except VenueFailure as failure:
            archived = _archived(store, entry.command) if failure.reason is Reason.ORDER_NOT_FOUND else None
            return failure if archived is None else already_closed(archived)
        except Exception as defect:
            # It is in the log, and a replay runs into it the same way: the caller hears it, the exchange goes on.
            return defect

    def _save(self, store: Store, engine: Engine) -> None:
        """Snapshot and archive. When it cannot be written the log simply goes on, and the next one holds it all."""
        orders, fills = engine.ended
        self._since_snapshot = 0
        try:
            store.save(self._number, encoded(engine.state()), orders, fills)
        except sqlite3.Error as error:
            _log.error("The paper exchange cannot write a snapshot: %s", error)
        else:
            engine.forget_ended()


def _archived(store: Store, command: Command) -> OrderRecord | None:
    """The order that ``command`` is to cancel."""
    match command:
        case CancelOrder():
            return store.order_by_id(command.account, command.order_id)
        case CancelByClientId():
            return store.order_by_client_id(command.account, command.client_id)
        case _:
            return None
