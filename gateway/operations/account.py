"""What a venue account holds, and which credentials there are."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.operations.wire import (
    AccountRequest,
    Call,
    Caller,
    ClientOrderId,
    CredentialRequest,
    DecimalText,
    EpochSeconds,
    MarketRequest,
    OptionalMarketRequest,
    OrderId,
    Reply,
    money,
    named_instrument,
    price,
    seconds,
)
from normalization.decimals import trimmed
from normalization.errors import InvalidParameter
from normalization.instruments import Instrument
from normalization.orders import Order, OrderType, PositionSide, Side
from normalization.venue_failures import Reason, VenueRejected


class GetBalance(CredentialRequest, frozen=True, kw_only=True):
    async def perform(self, call: Call) -> BalanceReply:
        balance = await call.session.get_balance()
        return BalanceReply(
            exchange_type=call.credential.exchange,
            equity=money(balance.equity),
            free_collateral=money(balance.free_collateral),
            account_value=money(balance.account_value),
        )


class BalanceReply(Reply, frozen=True, kw_only=True):
    exchange_type: str = msgspec.field(name="exchange_type")
    equity: DecimalText
    free_collateral: DecimalText
    account_value: DecimalText


class GetPositions(OptionalMarketRequest, frozen=True, kw_only=True):
    async def perform(self, call: Call) -> PositionsReply:
        entries = []
        for position in await call.session.get_positions(named_instrument(call)):
            instrument = call.markets.resolve(position.symbol)
            entries.append(
                PositionEntry(
                    market=position.symbol,
                    side=position.side,
                    size=trimmed(position.size),
                    entry_price=price(position.entry_price, instrument),
                    mark_price=price(position.mark_price, instrument),
                    unrealized_pnl=money(position.unrealized_pnl),
                    leverage=str(position.leverage),
                    liquidation_price=UNSET
                    if position.liquidation_price is None
                    else price(position.liquidation_price, instrument),
                )
            )
        return PositionsReply(positions=entries)


class PositionEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    market: str
    side: PositionSide
    size: DecimalText
    entry_price: DecimalText
    mark_price: DecimalText
    unrealized_pnl: DecimalText
    leverage: DecimalText
    liquidation_price: DecimalText | UnsetType = UNSET


class PositionsReply(Reply, frozen=True, kw_only=True):
    positions: list[PositionEntry]


class GetOrders(OptionalMarketRequest, frozen=True, kw_only=True):
    async def perform(self, call: Call) -> OrdersReply:
        orders = await call.session.get_open_orders(named_instrument(call))
        return OrdersReply(orders=[OrderEntry.of(order, call.markets.resolve(order.symbol)) for order in orders])


class OrderEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``price`` is null for market and trigger orders; ``trigger_price`` is there for trigger orders."""

    id: str
    market: str
    side: Side
    type: OrderType
    size: DecimalText
    price: DecimalText | None
    trigger_price: DecimalText | UnsetType = UNSET
    filled_size: DecimalText
    status: str
    created_at: EpochSeconds

    @staticmethod
    def of(order: Order, instrument: Instrument) -> OrderEntry:
        return OrderEntry(
            id=order.order_id,
            market=order.symbol,
            side=order.side,
            type=order.type,
            size=trimmed(order.size),
            price=None if order.price is None else price(order.price, instrument),
            trigger_price=UNSET if order.trigger_price is None else price(order.trigger_price, instrument),
            filled_size=trimmed(order.filled_size),
            status=order.status,
            created_at=seconds(order.created_at_ms),
        )


class OrdersReply(Reply, frozen=True, kw_only=True):
    orders: list[OrderEntry]


class GetOrder(OptionalMarketRequest, frozen=True, kw_only=True):
    order_id: OrderId | None = None
    client_order_id: ClientOrderId | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_id(self.order_id, self.client_order_id)

    async def perform(self, call: Call) -> OrderReply:
        placed = await call.orders.look_up(call, order_id=self.order_id, client_order_id=self.client_order_id)
        if placed.failure is not None:
            raise placed.failure
        order, intent, instrument = placed.order, placed.intent, placed.instrument
        return OrderReply(
            order_id=order.order_id if order else None,
            client_order_id=placed.client_order_id,
            market=intent.symbol,
            side=intent.side,
            type=intent.type,
            size=trimmed(intent.size),
            price=None if intent.price is None else price(intent.price, instrument),
            trigger_price=UNSET if intent.trigger_price is None else price(intent.trigger_price, instrument),
            filled_size=trimmed(order.filled_size) if order else "0",
            filled_price=None if not order or order.average_price is None else price(order.average_price, instrument),
            fee=None if not order or order.fee is None else money(order.fee),
            reduce_only=intent.reduce_only,
            status=order.status if order else "UNKNOWN",
            created_at=UNSET if order is None else seconds(order.created_at_ms),
            final_by=UNSET if placed.final_by_ms is None else seconds(placed.final_by_ms),
        )


class OrderReply(Reply, frozen=True, kw_only=True):
    """``status`` is UNKNOWN, and ``order_id`` null, while it is not known whether the exchange has the order.

    ``client_order_id`` is null for orders that were not placed through this gateway.
    """

    order_id: str | None
    client_order_id: str | None
    market: str
    side: Side
    type: OrderType
    size: DecimalText
    price: DecimalText | None
    trigger_price: DecimalText | UnsetType = UNSET
    filled_size: DecimalText
    filled_price: DecimalText | None
    fee: DecimalText | None
    reduce_only: bool
    status: str
    created_at: EpochSeconds | UnsetType = UNSET
    final_by: EpochSeconds | UnsetType = UNSET

    @property
    def http_status(self) -> int:
        return 202 if self.status == "UNKNOWN" else 200


class GetFills(MarketRequest, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=500, description="Most fills to return")] = 100

    async def perform(self, call: Call) -> FillsReply:
        instrument = call.instruments[0]
        return FillsReply(
            fills=[
                FillEntry(
                    id=fill.fill_id,
                    order_id=fill.order_id,
                    market=fill.symbol,
                    side=fill.side,
                    size=trimmed(fill.size),
                    price=price(fill.price, instrument),
                    fee=money(fill.fee),
                    timestamp=seconds(fill.at_ms),
                )
                for fill in await call.session.get_fills(instrument, self.limit)
            ]
        )


class FillEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``fee`` is in the settle asset; negative is a rebate."""

    id: str
    order_id: str
    market: str
    side: Side
    size: DecimalText
    price: DecimalText
    fee: DecimalText
    timestamp: EpochSeconds


class FillsReply(Reply, frozen=True, kw_only=True):
    """Newest first."""

    fills: list[FillEntry]


class TestCredentials(CredentialRequest, frozen=True, kw_only=True):
    __test__ = False

    async def perform(self, call: Call) -> CredentialTestReply:
        exchange = call.credential.exchange
        try:
            warnings = await call.session.test()
        except VenueRejected as refusal:
            if refusal.reason is not Reason.AUTHENTICATION_FAILED:
                raise
            return CredentialTestReply(valid=False, exchange=exchange, warnings=[refusal.text])
        return CredentialTestReply(valid=True, exchange=exchange, warnings=list(warnings))


class CredentialTestReply(Reply, frozen=True, kw_only=True):
    """``warnings`` tells what a person should know of a credential, such as that it could withdraw."""

    valid: bool
    exchange: str
    warnings: list[str]


class ListCredentials(AccountRequest, frozen=True, kw_only=True):
    async def answer(self, caller: Caller) -> CredentialsReply:
        return CredentialsReply(
            credentials=[
                CredentialEntry(
                    credential_id=c.credential_id,
                    exchange=c.exchange,
                    network=c.network,
                    label=c.label,
                    address=c.address or None,
                )
                for c in await caller.usable_credentials()
            ]
        )


class CredentialEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``address`` is the account's public address where the venue has one."""

    credential_id: str
    exchange: str
    network: str
    label: str
    address: str | None


class CredentialsReply(Reply, frozen=True, kw_only=True):
    """Those that this key may use."""

    credentials: list[CredentialEntry]


def require_one_id(order_id: str | None, client_order_id: str | None) -> None:
    """:raises InvalidParameter: unless exactly one of the two is given."""
    if (order_id is None) == (client_order_id is None):
        raise InvalidParameter("orderId", "either orderId or clientOrderId")
