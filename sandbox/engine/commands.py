"""What can be asked of the exchange. Every change of its state is one of these: a log can replay it."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from normalization.orders import OrderIntent


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """``client_id`` is unique per account for ever. The order is refused later than ``valid_until_ms``.

    ``is_repeat`` says that the client id belongs to an order that the engine has been told to forget. ``half`` makes a
    market or IOC order find takers for at most half of its size: a venue on a thin day.
    """

    intent: OrderIntent
    client_id: str | None = None
    valid_until_ms: int | None = None
    is_repeat: bool = False
    half: bool = False


class OpenAccount(msgspec.Struct, frozen=True, kw_only=True, tag="open"):
    """Make the account with this much cash; nothing happens when it exists."""

    account: str
    cash: Decimal


class PlaceOrders(msgspec.Struct, frozen=True, kw_only=True, tag="place"):
    """Each order is judged on its own. With ``one_cancels_other``, the first to fill or fire cancels the rest."""

    account: str
    orders: tuple[NewOrder, ...]
    one_cancels_other: bool = False


class CancelOrder(msgspec.Struct, frozen=True, kw_only=True, tag="cancel"):
    account: str
    order_id: str


class CancelByClientId(msgspec.Struct, frozen=True, kw_only=True, tag="cancel_client"):
    account: str
    client_id: str


class CancelAll(msgspec.Struct, frozen=True, kw_only=True, tag="cancel_all"):
    """Everything open on one market, or on all."""

    account: str
    symbol: str | None = None


class SetLeverage(msgspec.Struct, frozen=True, kw_only=True, tag="leverage"):
    account: str
    symbol: str
    leverage: int


Command = OpenAccount | PlaceOrders | CancelOrder | CancelByClientId | CancelAll | SetLeverage
