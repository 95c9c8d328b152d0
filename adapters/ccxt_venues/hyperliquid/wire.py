"""Hyperliquid's documents. The order of fields in what is signed is the order in which they are signed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType


class Tif(Struct, frozen=True):
    tif: str


class LimitKind(Struct, frozen=True):
    limit: Tif


class TriggerTerms(Struct, frozen=True, rename={"is_market": "isMarket", "trigger_px": "triggerPx"}):
    is_market: bool
    trigger_px: str
    tpsl: str


class TriggerKind(Struct, frozen=True):
    trigger: TriggerTerms


class OrderWire(Struct, frozen=True):
    """Asset, is a buy, limit price, size, reduce only, kind, client order id."""

    a: int
    b: bool
    p: str
    s: str
    r: bool
    t: LimitKind | TriggerKind
    c: str


class PlaceAction(Struct, frozen=True, tag_field="type", tag="order"):
    orders: tuple[OrderWire, ...]
    grouping: str


class CancelWire(Struct, frozen=True):
    a: int
    o: int


class CancelAction(Struct, frozen=True, tag_field="type", tag="cancel"):
    cancels: tuple[CancelWire, ...]


class CloidWire(Struct, frozen=True):
    asset: int
    cloid: str


class CancelByCloidAction(Struct, frozen=True, tag_field="type", tag="cancelByCloid"):
    cancels: tuple[CloidWire, ...]


class LeverageAction(Struct, frozen=True, tag_field="type", tag="updateLeverage", rename={"is_cross": "isCross"}):
    asset: int
    is_cross: bool
    leverage: int


Action = PlaceAction | CancelAction | CancelByCloidAction | LeverageAction


class Signature(Struct, frozen=True):
    r: str
    s: str
    v: int


class Signed(Struct, frozen=True, kw_only=True, rename="camel"):
    action: Action
    nonce: int
    signature: Signature
    vault_address: str | UnsetType = UNSET
    expires_after: int | UnsetType = UNSET


# What comes back from /exchange.


class Resting(Struct, frozen=True):
    oid: int
    cloid: str | None = None


class Filled(Struct, frozen=True, rename="camel"):
    total_sz: Decimal
    avg_px: Decimal
    oid: int
    cloid: str | None = None


class LegStatus(Struct, frozen=True):
    """Exactly one of them is there."""

    resting: Resting | None = None
    filled: Filled | None = None
    error: str | None = None


class Statuses(Struct, frozen=True):
    statuses: list[LegStatus | str]


class Done(Struct, frozen=True):
    type: str
    data: Statuses | None = None


class ExchangeReply(Struct, frozen=True):
    """``response`` is a text where ``status`` is ``err``."""

    status: str
    response: Done | str


# What comes back from /info.


class AssetMeta(Struct, frozen=True, rename="camel"):
    name: str
    sz_decimals: int
    max_leverage: int
    is_delisted: bool = False
    only_isolated: bool = False


class Meta(Struct, frozen=True, rename="camel"):
    universe: list[AssetMeta]
    collateral_token: int = 0


class AssetContext(Struct, frozen=True, rename="camel"):
    mark_px: Decimal
    oracle_px: Decimal
    funding: Decimal
    open_interest: Decimal


class BookLevel(Struct, frozen=True):
    px: Decimal
    sz: Decimal


class Book(Struct, frozen=True):
    coin: str
    levels: tuple[list[BookLevel], list[BookLevel]]


class CandleWire(Struct, frozen=True):
    t: int
    o: Decimal
    h: Decimal
    l: Decimal  # noqa: E741
    c: Decimal
    v: Decimal


class MarginSummary(Struct, frozen=True, rename="camel"):
    account_value: Decimal
    total_margin_used: Decimal


class LeverageWire(Struct, frozen=True):
    type: str
    value: int


class PositionWire(Struct, frozen=True, rename="camel"):
    coin: str
    szi: Decimal
    leverage: LeverageWire
    entry_px: Decimal | None
    position_value: Decimal
    unrealized_pnl: Decimal
    liquidation_px: Decimal | None


class AssetPosition(Struct, frozen=True):
    position: PositionWire


class AccountState(Struct, frozen=True, rename="camel"):
    margin_summary: MarginSummary
    withdrawable: Decimal
    asset_positions: list[AssetPosition]


class OrderReport(Struct, frozen=True, rename="camel"):
    """An order as ``frontendOpenOrders`` and ``orderStatus`` have it. ``sz`` is what remains."""

    coin: str
    side: str
    limit_px: Decimal
    sz: Decimal
    oid: int
    timestamp: int
    orig_sz: Decimal
    is_trigger: bool
    trigger_px: Decimal
    reduce_only: bool
    order_type: str
    tif: str | None = None
    cloid: str | None = None


class ReportedOrder(Struct, frozen=True, rename="camel"):
    order: OrderReport
    status: str
    status_timestamp: int


class OrderStatusReply(Struct, frozen=True):
    status: str
    order: ReportedOrder | None = None


class FillWire(Struct, frozen=True, rename="camel"):
    coin: str
    px: Decimal
    sz: Decimal
    side: str
    time: int
    oid: int
    fee: Decimal
    tid: int


class UserFees(Struct, frozen=True, rename="camel"):
    user_cross_rate: Decimal
    user_add_rate: Decimal


class ActiveAsset(Struct, frozen=True):
    leverage: LeverageWire


class UserRole(Struct, frozen=True):
    role: str
    data: dict[str, Any] = msgspec.field(default_factory=dict)


class ExtraAgent(Struct, frozen=True, rename="camel"):
    address: str
    valid_until: int
