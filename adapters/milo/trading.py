"""Orders, positions, and what a wallet holds and did.

The reference names the fields of an order's creation, of closing and of holdings. What else is here is as the local
Milo has it; every field that the reference does not promise may be absent.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec import UNSET, UnsetType

from adapters.milo.wire import Body, IsoTime, Number, Wire


class NewAmount(Body, frozen=True, kw_only=True):
    """``amount`` in whole tokens (``absolute``) or US dollars; ``percentage`` of the position (``relative``)."""

    type: str
    amount: Decimal | UnsetType = UNSET
    percentage: Decimal | UnsetType = UNSET


class NewTrigger(Body, frozen=True, kw_only=True):
    """When: at a price (``gte``, ``lte``), or after a change from the entry in percent (``rise``, ``drop``)."""

    type: str
    trigger: str = "price"
    operator: str
    value: Decimal


class NewPayload(Body, frozen=True, kw_only=True):
    type: str
    amount: NewAmount
    trigger: NewTrigger


class NewTakeProfit(Body, frozen=True, kw_only=True):
    percentage: Decimal
    profit_percentage: Decimal


class NewStopLoss(Body, frozen=True, kw_only=True):
    percentage: Decimal
    loss_percentage: Decimal


class NewOrder(Body, frozen=True, kw_only=True):
    token_address: str
    type: str
    status: str
    payload: NewPayload
    take_profits: list[NewTakeProfit] | UnsetType = UNSET
    stop_losses: list[NewStopLoss] | UnsetType = UNSET


class Amount(Wire, frozen=True, kw_only=True):
    type: str
    amount: Number | UnsetType = UNSET
    percentage: Number | UnsetType = UNSET


class Trigger(Wire, frozen=True, kw_only=True):
    type: str
    trigger: str | UnsetType = UNSET
    operator: str
    value: Number


class Payload(Wire, frozen=True, kw_only=True):
    type: str
    amount: Amount
    trigger: Trigger


class Fill(Wire, frozen=True, kw_only=True):
    """``amount`` of the token; money in US dollars."""

    signature: str
    amount: Number
    price: Number
    value: Number | UnsetType = UNSET
    fee: Number | UnsetType = UNSET
    realized_pnl: Number | UnsetType | None = UNSET
    executed_at: IsoTime | UnsetType = UNSET


class OrderLine(Wire, frozen=True, kw_only=True):
    """An order. ``parent_id`` and ``sub_type`` belong to take-profits and stop-losses of a buy, drafts until it fills.

    ``status`` is active, paused, error, fulfilled, archived or draft; ``trigger_price`` is what a relative trigger
    comes to.
    """

    id: str
    type: str | UnsetType = UNSET
    status: str
    sub_type: str | UnsetType | None = UNSET
    user_id: str | UnsetType = UNSET
    wallet_id: str | UnsetType = UNSET
    token_address: str | UnsetType = UNSET
    parent_id: str | UnsetType | None = UNSET
    thesis_id: str | UnsetType | None = UNSET
    payload: Payload | UnsetType = UNSET
    trigger_price: Number | UnsetType | None = UNSET
    error: str | UnsetType | None = UNSET
    fill: Fill | UnsetType | None = UNSET
    created_at: IsoTime | UnsetType = UNSET
    updated_at: IsoTime | UnsetType = UNSET


class Dependant(Wire, frozen=True, kw_only=True):
    """A take-profit or stop-loss. ``error`` says why it was not made: the main order stands all the same."""

    type: str
    order: OrderLine | UnsetType | None = UNSET
    error: str | UnsetType | None = UNSET


class WholeOrder(OrderLine, frozen=True, kw_only=True):
    """An order with its take-profits and stop-losses."""

    dependants: list[Dependant] | UnsetType = UNSET


class Position(Wire, frozen=True, kw_only=True):
    """What Milo calls a thesis. Amounts in whole tokens, money in US dollars."""

    thesis_id: str
    status: str
    user_id: str | UnsetType = UNSET
    wallet_id: str | UnsetType = UNSET
    token_address: str | UnsetType = UNSET
    amount: Number | UnsetType = UNSET
    bought_amount: Number | UnsetType = UNSET
    sold_amount: Number | UnsetType = UNSET
    invested_amount: Number | UnsetType = UNSET
    average_entry_price: Number | UnsetType | None = UNSET
    current_price: Number | UnsetType = UNSET
    current_value: Number | UnsetType = UNSET
    realized_pnl: Number | UnsetType = UNSET
    unrealized_pnl: Number | UnsetType = UNSET
    entry_orders: list[OrderLine] | UnsetType = UNSET
    exit_orders: list[OrderLine] | UnsetType = UNSET
    take_profit_orders: list[OrderLine] | UnsetType = UNSET
    stop_loss_orders: list[OrderLine] | UnsetType = UNSET
    created_at: IsoTime | UnsetType = UNSET
    updated_at: IsoTime | UnsetType = UNSET
    closed_at: IsoTime | UnsetType | None = UNSET


class Closed(Wire, frozen=True, kw_only=True):
    """``cancelled`` orders were pending; ``sell_order_created`` says whether something was left to sell."""

    thesis_id: str
    cancelled: int
    sell_order_created: bool


class NotClosed(Wire, frozen=True, kw_only=True):
    thesis_id: str
    error: str


class ClosedAll(Wire, frozen=True, kw_only=True):
    successes: list[Closed]
    failures: list[NotClosed]


class Sent(Body, frozen=True, kw_only=True):
    recipient: str
    token: str
    amount: Decimal


class Holding(Wire, frozen=True, kw_only=True):
    """``total_holdings`` is in the token's smallest units, of which one token has ten to the power of ``decimals``."""

    id: str
    token_address: str
    chain: str
    decimals: int
    asset_class: str
    total_holdings: Number
    token_usd_price: Number = msgspec.field(name="tokenUSDPrice")
    token_sol_price: Number
    total_usd_val: Number = msgspec.field(name="totalUSDval")
    total_sol_val: Number = msgspec.field(name="totalSolval")
    updated_at: IsoTime


class Movement(Wire, frozen=True, kw_only=True):
    """What the wallet gained of a token, negative for what it lost."""

    token_address: str
    amount: Number


class Transaction(Wire, frozen=True, kw_only=True):
    """``fee`` in SOL."""

    signature: str
    slot: int | UnsetType = UNSET
    chain: str | UnsetType = UNSET
    status: str | UnsetType = UNSET
    fee: Number | UnsetType = UNSET
    fee_payer: str | UnsetType = UNSET
    movements: list[Movement] | UnsetType = UNSET
    created_at: IsoTime | UnsetType = UNSET


class Trade(Wire, frozen=True, kw_only=True):
    """An executed transaction: ``amount`` of the token against ``paid_amount`` of another; money in US dollars."""

    id: str
    order_id: str
    tx_type: str
    token_address: str
    amount: Number
    price: Number
    created_at: IsoTime
    thesis_id: str | UnsetType | None = UNSET
    wallet_id: str | UnsetType = UNSET
    signature: str | UnsetType = UNSET
    value: Number | UnsetType = UNSET
    fee: Number | UnsetType = UNSET
    paid_token_address: str | UnsetType = UNSET
    paid_amount: Number | UnsetType = UNSET
    realized_pnl: Number | UnsetType | None = UNSET
