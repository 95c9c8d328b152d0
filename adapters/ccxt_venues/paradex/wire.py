"""Paradex's documents. Decimals are strings there, and empty ones where there is nothing to say."""

from __future__ import annotations

from decimal import Decimal

from msgspec import UNSET, Struct, UnsetType, field


class OrderWire(Struct, frozen=True, kw_only=True):
    market: str
    side: str
    type: str
    size: str
    price: str | UnsetType = UNSET
    trigger_price: str | UnsetType = UNSET
    instruction: str
    client_id: str
    flags: tuple[str, ...] | UnsetType = UNSET
    recv_window: int
    signature: str
    signature_timestamp: int


class Refusal(Struct, frozen=True):
    error: str = ""
    message: str = ""


class OrderReport(Struct, frozen=True, kw_only=True):
    id: str
    market: str
    side: str
    type: str
    size: str
    remaining_size: str
    status: str
    created_at: int | str
    price: str = ""
    avg_fill_price: str = ""
    trigger_price: str = ""
    cancel_reason: str | None = ""
    client_id: str | None = ""
    flags: tuple[str, ...] | None = ()


class OrderList(Struct, frozen=True):
    results: list[OrderReport]


class BatchReply(Struct, frozen=True):
    orders: list[OrderReport | None] | None = None
    errors: list[Refusal | None] | None = None


class Token(Struct, frozen=True):
    jwt_token: str


class MarginParameters(Struct, frozen=True):
    imf_base: str


class FeeRate(Struct, frozen=True):
    fee: str


class FeeSchedule(Struct, frozen=True):
    maker_fee: FeeRate
    taker_fee: FeeRate


class FeeConfig(Struct, frozen=True):
    api_fee: FeeSchedule


class MarketWire(Struct, frozen=True, kw_only=True):
    symbol: str
    base_currency: str
    quote_currency: str
    settlement_currency: str
    asset_kind: str
    price_tick_size: str
    order_size_increment: str
    min_notional: str
    delta1_cross_margin_params: MarginParameters | None = None
    funding_period_hours: Decimal = Decimal(8)
    fee_config: FeeConfig | None = None


class MarketList(Struct, frozen=True):
    results: list[MarketWire]


class SystemConfig(Struct, frozen=True):
    starknet_chain_id: str
    paraclear_account_hash: str
    paraclear_account_proxy_hash: str


class Documents(Struct, frozen=True):
    """What is kept of the venue: its markets, and what signatures need to know of its chain."""

    config: SystemConfig
    markets: MarketList


class Book(Struct, frozen=True):
    market: str
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


class BestPrices(Struct, frozen=True):
    market: str
    bid: str = ""
    ask: str = ""


class Summary(Struct, frozen=True):
    symbol: str
    mark_price: str
    funding_rate: str
    open_interest: str
    underlying_price: str = ""


class SummaryList(Struct, frozen=True):
    results: list[Summary]


class CandleList(Struct, frozen=True):
    """Start, open, high, low, close, volume."""

    results: list[tuple[int, Decimal, Decimal, Decimal, Decimal, Decimal]]


class Account(Struct, frozen=True):
    account_value: str
    free_collateral: str
    status: str = ""


class PositionWire(Struct, frozen=True, kw_only=True):
    """``size`` is negative for a short."""

    market: str
    status: str
    side: str
    size: str
    average_entry_price: str
    unrealized_pnl: str
    liquidation_price: str = ""
    leverage: str = ""


class PositionList(Struct, frozen=True):
    results: list[PositionWire]


class FillWire(Struct, frozen=True, kw_only=True):
    id: str
    order_id: str
    market: str
    side: str
    size: str
    price: str
    fee: str
    created_at: int | str


class FillList(Struct, frozen=True):
    results: list[FillWire]


class MarginConfig(Struct, frozen=True):
    market: str
    leverage: int
    margin_type: str


class Margins(Struct, frozen=True):
    configs: list[MarginConfig]


class AccountFees(Struct, frozen=True):
    maker_rate: str
    taker_rate: str


class AccountInfo(Struct, frozen=True):
    account: str
    fees: AccountFees | None = None


class AccountInfoList(Struct, frozen=True):
    results: list[AccountInfo] = field(default_factory=list)
