"""An order as the venue keeps it: what to trade, when, and what came of it."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Literal

import msgspec

from sandbox.milo.tokens import BY_ADDRESS, Token


class OrderType(StrEnum):
    BUY = "buy"
    SELL = "sell"


class SubType(StrEnum):
    """Of the children of a buy: what they are for."""

    TAKE_PROFIT = "take_profit"
    STOP_LOSS = "stop_loss"


class OrderStatus(StrEnum):
    """``draft`` waits for its parent to fill, or to be activated; ``error`` was triggered and failed.

    ``archived`` is an order that was deleted, or whose position ended without it.
    """

    ACTIVE = "active"
    PAUSED = "paused"
    ERROR = "error"
    FULFILLED = "fulfilled"
    ARCHIVED = "archived"
    DRAFT = "draft"

    @property
    def is_final(self) -> bool:
        return self in (OrderStatus.FULFILLED, OrderStatus.ARCHIVED)


class _Amount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    pass


class Absolute(_Amount, frozen=True, kw_only=True, tag="absolute"):
    """The token's smallest units: 1500000000 of SOL, whose units are lamports, are one and a half."""

    amount: Decimal

    @property
    def units(self) -> int:
        return int(self.amount)


class AbsoluteUsd(_Amount, frozen=True, kw_only=True, tag="absolute_usd"):
    """Of a buy what is paid in all, of a sell the worth of what is sold."""

    amount: Decimal


class Relative(_Amount, frozen=True, kw_only=True, tag="relative"):
    """Of the position when the order is carried out; of a child, of what its parent bought. Sells only."""

    percentage: Decimal


Amount = Absolute | AbsoluteUsd | Relative


class _Trigger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    pass


class AbsoluteTrigger(_Trigger, frozen=True, kw_only=True, tag="absolute"):
    """The price in US dollars, from which on (``gte``) or down from which (``lte``) the order is carried out."""

    trigger: Literal["price"] = "price"
    operator: Literal["gte", "lte"]
    value: Decimal


class RelativeTrigger(_Trigger, frozen=True, kw_only=True, tag="relative"):
    """A change from the entry price, in percent."""

    trigger: Literal["price"] = "price"
    operator: Literal["rise", "drop"]
    value: Decimal


Trigger = AbsoluteTrigger | RelativeTrigger

AT_ONCE = AbsoluteTrigger(operator="gte", value=Decimal(0))


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be placed. ``status`` is ``active``, ``paused`` or ``draft``."""

    token: Token
    type: OrderType
    amount: Amount
    trigger: Trigger = AT_ONCE
    status: OrderStatus = OrderStatus.ACTIVE
    take_profits: tuple[TakeProfit, ...] = ()
    stop_losses: tuple[StopLoss, ...] = ()


class TakeProfit(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Sell ``percentage`` of what the order bought once the price has risen by ``profit_percentage``."""

    percentage: Decimal
    profit_percentage: Decimal


class StopLoss(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Sell ``percentage`` of what the order bought once the price has fallen by ``loss_percentage``."""

    percentage: Decimal
    loss_percentage: Decimal


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """What an order did. ``units`` are of its token, ``paid_units`` of ``paid_token``: what was given for them, or got.

    ``price_usd`` is of one token, ``value_usd`` before the fee: a buy cost their sum, a sell brought the difference.
    """

    signature: str
    at_ms: int
    units: int
    price_usd: Decimal
    value_usd: Decimal
    fee_usd: Decimal
    paid_token: str
    paid_units: int
    realized_pnl_usd: Decimal | None = None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """``number`` rises with time. ``entry_price`` is what a relative trigger counts from: None until it is known.

    ``thesis_id`` is the position that it enters or leaves, None where it makes none.
    """

    number: int
    order_id: str
    user_id: str
    wallet_id: str
    token_address: str
    type: OrderType
    sub_type: SubType | None
    status: OrderStatus
    parent_id: str | None
    thesis_id: str | None
    amount: Amount
    trigger: Trigger
    entry_price: Decimal | None
    error: str | None
    fill: Fill | None
    created_at_ms: int
    updated_at_ms: int

    @property
    def token(self) -> Token:
        return BY_ADDRESS[self.token_address]

    @property
    def is_buy(self) -> bool:
        return self.type is OrderType.BUY

    @property
    def trigger_price(self) -> Decimal | None:
        """At which price it fires; None where that is not known yet."""
        match self.trigger:
            case AbsoluteTrigger(value=value):
                return value
            case RelativeTrigger(operator=operator, value=percent):
                if self.entry_price is None:
                    return None
                return self.entry_price * (100 + (percent if operator == "rise" else -percent)) / 100

    @property
    def fires_rising(self) -> bool:
        return self.trigger.operator in ("gte", "rise")
