"""The paper exchange as a venue: many accounts, asynchronous, durable, and failing when told to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from normalization.accounts import Fill
from normalization.orders import Order
from normalization.venue_failures import (
    Reason,
    VenueDeferred,
    VenueNotReached,
    VenueRejected,
    VenueUnclear,
)
from sandbox.durable import SNAPSHOT_EVERY, DurableEngine
from sandbox.engine import (
    CancelAll,
    CancelByClientId,
    CancelOrder,
    Command,
    Engine,
    LegResult,
    NewOrder,
    OpenAccount,
    PlaceOrders,
    SetLeverage,
)
from sandbox.faults import Fault, Faults, Injected, Request
from sandbox.worker import Worker

_SLOW_S: Final = 3.0

T = TypeVar("T")


async def _wait_long() -> None:
    await asyncio.sleep(_SLOW_S)


class PaperExchange:
    """One exchange with any number of accounts, addressed by a key of the caller's choice.

    ``path`` is its file, None for memory only; ``seed`` makes its market. ``faults`` decides what goes wrong, and
    ``slowly`` is how long a slow answer takes. Failures are ``VenueFailure``, and ``TimeoutError`` where told to.
    """

    def __init__(
        self,
        *,
        seed: int,
        path: Path | None,
        now_ms: Callable[[], int],
        snapshot_every: int = SNAPSHOT_EVERY,
        slowly: Callable[[], Awaitable[None]] = _wait_long,
    ) -> None:
        self.faults = Faults()
        self._now_ms = now_ms
        self._slowly = slowly
        self._worker = Worker(DurableEngine(seed=seed, path=path, now_ms=now_ms, snapshot_every=snapshot_every))
        self._hidden_until_ms: dict[tuple[str, str], int] = {}

    async def start(self) -> None:
        """Open the file and catch up now rather than with the first request."""
        await self._worker.ask(lambda durable: durable.read(lambda engine: None))

    async def close(self) -> None:
        await self._worker.close()

    async def open_account(self, account: str, cash: Decimal) -> None:
        """Make the account, funded with ``cash``, unless it exists."""
        if not await self._worker.ask(lambda durable: durable.has_account(account)):
            await self._worker.command(OpenAccount(account=account, cash=cash))

    async def read(self, query: Callable[[Engine], T]) -> T:
        """``query`` of the engine as it is now; it must change nothing."""
        return await self._worker.ask(lambda durable: durable.read(query))

    # Commands.

    async def place(
        self, account: str, orders: Sequence[NewOrder], *, one_cancels_other: bool = False
    ) -> Sequence[LegResult]:
        """One result per order, in order."""
        fault = self.faults.draw(account, Request.PLACE, next((o.client_id for o in orders if o.client_id), ""))
        if fault is not None and fault.fault is Fault.PARTIAL_FILL:
            orders = [msgspec.structs.replace(new, half=True) for new in orders]
        if fault is not None and fault.fault is Fault.LATE_VISIBILITY:
            visible_at_ms = self._now_ms() + fault.delay_ms
            self._hidden_until_ms |= {(account, new.client_id): visible_at_ms for new in orders if new.client_id}
        return await self._send(
            PlaceOrders(account=account, orders=tuple(orders), one_cancels_other=one_cancels_other), fault
        )

    async def cancel(self, account: str, order_id: str) -> None:
        """:raises VenueRejected: with ``ORDER_NOT_FOUND`` or ``ORDER_ALREADY_CLOSED``."""
        fault = self.faults.draw(account, Request.CANCEL, order_id)
        await self._send(CancelOrder(account=account, order_id=order_id), fault)

    async def cancel_by_client_id(self, account: str, client_id: str) -> None:
        """:raises VenueRejected: with ``ORDER_NOT_FOUND`` or ``ORDER_ALREADY_CLOSED``."""
        fault = self.faults.draw(account, Request.CANCEL, client_id)
        await self._send(CancelByClientId(account=account, client_id=client_id), fault)

    async def cancel_all(self, account: str, symbol: str | None = None) -> None:
        fault = self.faults.draw(account, Request.CANCEL, symbol or "")
        await self._send(CancelAll(account=account, symbol=symbol), fault)

    async def set_leverage(self, account: str, symbol: str, leverage: int) -> None:
        await self._worker.command(SetLeverage(account=account, symbol=symbol, leverage=leverage))

    # Lookups: also of orders that ended long ago.

    async def find_order(self, account: str, client_id: str) -> Order | None:
        async def look() -> Order | None:
            return await self._worker.ask(lambda durable: durable.order_by_client_id(account, client_id))

        return self._visible(account, await self._look_up(account, client_id, look))

    async def get_order(self, account: str, order_id: str) -> Order | None:
        async def look() -> Order | None:
            return await self._worker.ask(lambda durable: durable.order_by_id(account, order_id))

        return self._visible(account, await self._look_up(account, order_id, look))

    async def open_orders(self, account: str, symbol: str | None = None) -> Sequence[Order]:
        orders = await self.read(lambda engine: engine.views.open_orders(engine.account(account), symbol))
        return [order for order in orders if self._visible(account, order) is not None]

    async def fills(self, account: str, symbol: str, limit: int) -> Sequence[Fill]:
        """Newest first."""
        return await self._worker.ask(lambda durable: durable.fills(account, symbol, limit))

    async def _send(self, command: Command, fault: Injected | None) -> Sequence[LegResult]:
        if fault is None:
            return await self._worker.command(command)
        _fail_before(fault)
        results = await self._worker.command(command)
        await self._fail_after(fault)
        return results

    async def _look_up(self, account: str, key: str, look: Callable[[], Awaitable[T]]) -> T:
        fault = self.faults.draw(account, Request.LOOKUP, key)
        if fault is None:
            return await look()
        _fail_before(fault)
        found = await look()
        await self._fail_after(fault)
        return found

    async def _fail_after(self, injected: Injected) -> None:
        match injected.fault:
            case Fault.TIMEOUT_AFTER_ACCEPT:
                raise TimeoutError
            case Fault.DISCONNECT_AFTER:
                raise VenueUnclear(Reason.VENUE_UNREACHABLE, "Connection reset before the answer")
            case Fault.SLOW if injected.until is not None:
                await injected.until.wait()
            case Fault.SLOW:
                await self._slowly()
            case _:
                pass

    def _visible(self, account: str, order: Order | None) -> Order | None:
        if order is None or order.client_id is None:
            return order
        key = (account, order.client_id)
        if self._now_ms() < self._hidden_until_ms.get(key, 0):
            return None
        self._hidden_until_ms.pop(key, None)
        return order


def _fail_before(injected: Injected) -> None:
    match injected.fault:
        case Fault.DISCONNECT_BEFORE:
            raise VenueNotReached(Reason.VENUE_UNREACHABLE, "Connection refused")
        case Fault.RATE_LIMIT:
            raise VenueDeferred(Reason.VENUE_RATE_LIMITED, "Too many requests", retry_after_s=1)
        case Fault.REJECT:
            raise VenueRejected(Reason.OTHER, "Rejected by an injected fault")
        case Fault.LOOKUP_ERROR:
            raise VenueUnclear(Reason.VENUE_UNAVAILABLE, "The lookup failed by an injected fault")
        case _:
            pass
