"""The table of operations. Nothing else lists operations by hand: decoder, scopes, OpenAPI and docs read this."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from adapters.base import Capability
from gateway.operations import account, batches, management, market_data, placement
from gateway.operations.milo.table import MILO
from gateway.operations.rows import Group as Group
from gateway.operations.rows import Operation as Operation
from gateway.operations.wire import Reply, Request
from storage.ports import Tier

_CREDENTIAL: Final = {"credentialId": "9f2a0c1e-5b7d-4e8f-a1b2-c3d4e5f6d841"}
_BTC: Final = {**_CREDENTIAL, "market": "BTC-USD-PERP"}


def _read(
    name: str,
    group: Group,
    request: type[Request],
    reply: type[Reply],
    capability: Capability | None,
    description: str,
    example: Mapping[str, Any],
) -> Operation:
    return Operation(
        name=name,
        group=group,
        request=request,
        reply=reply,
        minimum_tier=Tier.FREE,
        capability=capability,
        read_only=True,
        idempotent=True,
        description=description,
        example=example,
    )


def _write(
    name: str,
    group: Group,
    request: type[Request],
    reply: type[Reply],
    capability: Capability,
    description: str,
    example: Mapping[str, Any],
    *,
    destructive: bool = False,
    idempotent: bool = False,
    places_orders: bool = True,
) -> Operation:
    return Operation(
        name=name,
        group=group,
        request=request,
        reply=reply,
        minimum_tier=Tier.BUILDER,
        capability=capability,
        read_only=False,
        destructive=destructive,
        idempotent=idempotent,
        places_orders=places_orders,
        description=description,
        example=example,
    )


_MARKET_DATA: Final = (
    _read(
        "getOrderbook",
        Group.MARKET_DATA,
        market_data.GetOrderbook,
        market_data.OrderbookReply,
        Capability.ORDERBOOK,
        "Current order book of a market, best price first on both sides.",
        {**_BTC, "depth": 20},
    ),
    _read(
        "getMarkPrice",
        Group.MARKET_DATA,
        market_data.GetMarkPrice,
        market_data.MarkPriceReply,
        Capability.MARK_PRICE,
        "Current mark price of a perpetual, which triggers and liquidations go by, and its index price.",
        _BTC,
    ),
    _read(
        "getCandles",
        Group.MARKET_DATA,
        market_data.GetCandles,
        market_data.CandlesReply,
        Capability.CANDLES,
        "OHLCV candles, oldest first. The interval is in minutes on every exchange.",
        {**_BTC, "interval": "60", "limit": 100},
    ),
    _read(
        "getFundingRate",
        Group.MARKET_DATA,
        market_data.GetFundingRate,
        market_data.FundingRateReply,
        Capability.FUNDING_RATE,
        "Current funding rate of a perpetual and when it is paid next.",
        _BTC,
    ),
    _read(
        "getMarketsWithFunding",
        Group.MARKET_DATA,
        market_data.GetMarketsWithFunding,
        market_data.MarketsWithFundingReply,
        Capability.MARKETS_WITH_FUNDING,
        "Every market with its mark price, funding rate and open interest.",
        _CREDENTIAL,
    ),
    _read(
        "getMarkets",
        Group.MARKET_DATA,
        market_data.GetMarkets,
        market_data.MarketsReply,
        None,
        "Every market with the steps its prices and sizes must keep, least order value and highest leverage.",
        _CREDENTIAL,
    ),
    _read(
        "getFeeInfo",
        Group.MARKET_DATA,
        market_data.GetFeeInfo,
        market_data.FeeInfoReply,
        Capability.FEES,
        "Maker and taker fee of a market in basis points (1 bps = 0.01%).",
        _BTC,
    ),
)

_ACCOUNT: Final = (
    _read(
        "getBalance",
        Group.ACCOUNT,
        account.GetBalance,
        account.BalanceReply,
        Capability.BALANCE,
        "Equity, free collateral and total value of the account.",
        _CREDENTIAL,
    ),
    _read(
        "getPositions",
        Group.ACCOUNT,
        account.GetPositions,
        account.PositionsReply,
        Capability.POSITIONS,
        "Open positions with size, entry price and unrealized profit.",
        _CREDENTIAL,
    ),
    _read(
        "getOrders",
        Group.ACCOUNT,
        account.GetOrders,
        account.OrdersReply,
        Capability.OPEN_ORDERS,
        "Open and pending orders.",
        _CREDENTIAL,
    ),
    _read(
        "getOrder",
        Group.ACCOUNT,
        account.GetOrder,
        account.OrderReply,
        Capability.ORDER,
        "One order by its orderId, or by the clientOrderId it was placed with; also tells what became of one whose "
        "placement was answered with UNKNOWN.",
        {**_CREDENTIAL, "clientOrderId": "my-order-1"},
    ),
    _read(
        "getFills",
        Group.ACCOUNT,
        account.GetFills,
        account.FillsReply,
        Capability.FILLS,
        "Executions of the account on a market, newest first.",
        {**_BTC, "limit": 100},
    ),
    _read(
        "testCredentials",
        Group.ACCOUNT,
        account.TestCredentials,
        account.CredentialTestReply,
        Capability.TEST,
        "Whether the exchange accepts the credential, and what a person should know about it.",
        _CREDENTIAL,
    ),
    _read(
        "listCredentials",
        Group.ACCOUNT,
        account.ListCredentials,
        account.CredentialsReply,
        None,
        "The exchange credentials that this key may use.",
        {},
    ),
)

_PLACEMENT: Final = (
    _write(
        "placeLimitOrder",
        Group.PLACEMENT,
        placement.PlaceLimitOrder,
        placement.LimitOrderReply,
        Capability.LIMIT_ORDER,
        "Place a limit order. Price and size must lie on the market's steps: they are never rounded.",
        {**_BTC, "side": "BUY", "size": "0.01", "price": "94000", "clientOrderId": "my-order-1"},
    ),
    _write(
        "placeMarketOrder",
        Group.PLACEMENT,
        placement.PlaceMarketOrder,
        placement.MarketOrderReply,
        Capability.MARKET_ORDER,
        "Execute at once at the best prices there are, no further than maxSlippageBps from the best.",
        {**_BTC, "side": "BUY", "size": "0.01"},
    ),
    _write(
        "placeStopOrder",
        Group.PLACEMENT,
        placement.PlaceStopOrder,
        placement.StopOrderReply,
        Capability.STOP_ORDER,
        "Place a stop: a market order that activates when the mark price reaches triggerPrice. Reduce-only unless "
        "told otherwise.",
        {**_BTC, "side": "SELL", "size": "0.01", "triggerPrice": "92000"},
    ),
    _write(
        "placeBatchOrder",
        Group.PLACEMENT,
        batches.PlaceBatchOrder,
        batches.BatchReply,
        Capability.BATCH,
        "Place up to 10 orders. All of them are checked before any is sent; each is answered for on its own.",
        {
            **_CREDENTIAL,
            "orders": [
                {"market": "BTC-USD-PERP", "side": "BUY", "size": "0.01", "price": "93000", "orderType": "LIMIT"},
                {"market": "BTC-USD-PERP", "side": "SELL", "size": "0.01", "price": "95000", "orderType": "LIMIT"},
            ],
        },
    ),
    _write(
        "placeProtectionOrders",
        Group.PLACEMENT,
        batches.PlaceProtectionOrders,
        batches.ProtectionReply,
        Capability.PROTECTION,
        "Place take-profit and stop-loss on a position in one call; the one that fills cancels the other.",
        {**_BTC, "side": "LONG", "size": "0.01", "entryPrice": "94000", "tpPercent": 5, "slPercent": 2},
    ),
)

_MANAGEMENT: Final = (
    _write(
        "cancelOrder",
        Group.MANAGEMENT,
        management.CancelOrder,
        management.CancelReply,
        Capability.CANCEL,
        "Cancel one order by its orderId, or by the clientOrderId it was placed with.",
        {**_BTC, "orderId": "ord_abc123"},
        destructive=True,
        idempotent=True,
        places_orders=False,
    ),
    _write(
        "cancelAllOrders",
        Group.MANAGEMENT,
        management.CancelAllOrders,
        management.CancelAllReply,
        Capability.CANCEL_ALL,
        "Cancel all open orders on a market, and tell which are still open afterwards.",
        _BTC,
        destructive=True,
        idempotent=True,
        places_orders=False,
    ),
    _write(
        "closeAllPositions",
        Group.MANAGEMENT,
        management.CloseAllPositions,
        management.CloseReply,
        Capability.CLOSE_POSITIONS,
        "Close all open positions on a market with reduce-only market orders, and tell what is still open afterwards.",
        _BTC,
        destructive=True,
        idempotent=True,
    ),
    _write(
        "setLeverage",
        Group.MANAGEMENT,
        management.SetLeverage,
        management.LeverageReply,
        Capability.LEVERAGE,
        "Set the cross-margin leverage of a market.",
        {**_BTC, "leverage": 10},
        idempotent=True,
        places_orders=False,
    ),
)


def _by_name(operations: Iterable[Operation]) -> Mapping[str, Operation]:
    return MappingProxyType({operation.name: operation for operation in operations})


OPERATIONS: Final = _by_name((*_MARKET_DATA, *_ACCOUNT, *_PLACEMENT, *_MANAGEMENT, *MILO))
