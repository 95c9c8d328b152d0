"""The exchange behind a wire: durable, on a thread of its own, and telling all that it knows of orders and fills."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple, TypeVar

from normalization.orders import Order
from sandbox.durable import DurableEngine
from sandbox.engine import Command, Engine, LegResult, Listing, OpenAccount
from sandbox.engine.orders import FillRecord
from sandbox.worker import Worker

Result = TypeVar("Result")


class Found(NamedTuple):
    """An order of the exchange. ``ended_because`` is the exchange's own remark, empty for a plain end."""

    order: Order
    ended_at_ms: int | None
    ended_because: str


class _TellingEngine(DurableEngine):
    def found(self, account: str, client_id: str) -> Found | None:
        store, engine = self._open()
        engine.advance(self._now_ms())
        record = engine.orders.by_client_id(account, client_id) or store.order_by_client_id(account, client_id)
        return None if record is None else Found(engine.views.order(record), record.ended_at_ms, record.ended_because)

    def fill_records(self, account: str, limit: int) -> Sequence[FillRecord]:
        store, engine = self._open()
        engine.advance(self._now_ms())
        found = list(engine.orders.fills_of(account, None))
        if len(found) < limit:
            older = [fill for symbol in engine.markets for fill in store.fills(account, symbol, limit - len(found))]
            found += sorted(older, key=lambda fill: fill.number, reverse=True)
        return found[:limit]


class WireExchange:
    """``path`` is its file, None for memory only; ``instruments`` what it lists. Failures are ``VenueFailure``."""

    def __init__(
        self, *, seed: int, path: Path | None, now_ms: Callable[[], int], instruments: Sequence[Listing]
    ) -> None:
        self.instruments = instruments
        self.now_ms = now_ms
        self._engine = _TellingEngine(seed=seed, path=path, now_ms=now_ms, instruments=instruments)
        self._worker = Worker(self._engine)
        self._known_accounts: set[str] = set()

    async def execute(self, command: Command) -> Sequence[LegResult]:
        return await self._worker.command(command)

    async def read(self, query: Callable[[Engine], Result]) -> Result:
        """``query`` of the engine as it is now; it must change nothing."""
        return await self._worker.ask(lambda durable: durable.read(query))

    async def has_account(self, account: str) -> bool:
        if account not in self._known_accounts:
            if not await self._worker.ask(lambda durable: durable.has_account(account)):
                return False
            # Accounts are never closed.
            self._known_accounts.add(account)
        return True

    async def open_account(self, account: str, cash: Decimal) -> None:
        """Make the account, funded with ``cash``, unless it exists."""
        if not await self.has_account(account):
            await self.execute(OpenAccount(account=account, cash=cash))

    async def find(self, account: str, client_id: str) -> Found | None:
        """An order by the client id that the exchange knows it under, long finished or not."""
        return await self._worker.ask(lambda _: self._engine.found(account, client_id))

    async def find_all(self, account: str, client_ids: Sequence[str]) -> dict[str, Found]:
        """Those of them that there are."""

        def look(_: DurableEngine) -> dict[str, Found]:
            looked = {client_id: self._engine.found(account, client_id) for client_id in client_ids}
            return {client_id: found for client_id, found in looked.items() if found is not None}

        return await self._worker.ask(look)

    async def fills(self, account: str, limit: int) -> Sequence[FillRecord]:
        """Newest first, of all markets."""
        return await self._worker.ask(lambda _: self._engine.fill_records(account, limit))

    async def close(self) -> None:
        await self._worker.close()
