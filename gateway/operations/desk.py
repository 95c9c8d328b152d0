"""The order desk as operations see it: the only way to a venue for anything that places or moves an order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from adapters.base import Grouping
from normalization.errors import GatewayError
from normalization.instruments import Instrument
from normalization.orders import Order, OrderIntent
from storage.ports import OrderState

if TYPE_CHECKING:
    from gateway.operations.wire import Call


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One order to place. ``client_order_id`` is None where the caller gave none; ``field`` names it in complaints."""

    intent: OrderIntent
    instrument: Instrument
    client_order_id: str | None = None


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """Where an order stands after the desk has done what it could.

    ``order`` is the venue's last report, None while there is none. ``failure`` is set when it is known that there is no
    such order (refused, not sent, absence proved), or that it is over and nothing more is kept of it (then it is an
    ``OrderNoLongerKept``). ``final_by_ms`` is set while the outcome is unknown.
    ``client_order_id`` is None for an order of the account that was not placed through this gateway.
    """

    client_order_id: str | None
    intent: OrderIntent
    instrument: Instrument
    state: OrderState
    order: Order | None
    failure: GatewayError | None
    replayed: bool
    final_by_ms: int | None = None

    @property
    def is_unknown(self) -> bool:
        return self.order is None and self.failure is None


class Canceled(msgspec.Struct, frozen=True, kw_only=True):
    """``pending`` is True when the cancel is recorded against an order whose own outcome is not known yet."""

    pending: bool = False


class OrderDesk(Protocol):
    """Journal before, prove after. Raises ``GatewayError`` only before anything was sent, or when nothing will be."""

    async def place(
        self, call: Call, operation: str, legs: Sequence[Leg], *, grouping: Grouping = Grouping.NONE
    ) -> Sequence[Placed]:
        """Place every leg once, or tell how it stands when it was placed before. One entry per leg, in order.

        :raises ClientOrderIdConflict: an id was used with other parameters, or only some of a batch's ids were.
        :raises ServiceUnavailable: the journal could not take it; nothing was sent.
        """
        ...

    async def look_up(self, call: Call, *, order_id: str | None, client_order_id: str | None) -> Placed:
        """The present state of one order, from the venue where it can still change.

        :raises ExchangeError: ``ORDER_NOT_FOUND``, or why it was denied.
        :raises OrderNoLongerKept: it is over, too long ago for its details to be kept.
        """
        ...

    async def cancel(self, call: Call, *, order_id: str | None, client_order_id: str | None) -> Canceled: ...

    async def cancel_undecided(self, call: Call, instrument: Instrument) -> list[str]:
        """Record a cancel against every order of this market whose outcome is unknown; their client order ids."""
        ...
