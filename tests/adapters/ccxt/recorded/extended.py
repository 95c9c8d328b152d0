"""Extended, as api.docs.extended.exchange and the venue's own SDK have it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from normalization.orders import OrderStatus, Side
from normalization.venue_failures import Reason
from tests.adapters.ccxt.orders_to_place import NOW_MS
from tests.adapters.ccxt.recorded.book import (
    EQUITY,
    FUNDED_AT_MS,
    FUNDING_RATE,
    MARK,
    Kept,
    Refused,
)
from tests.adapters.ccxt.recorded.wire import Wire, query
from tests.adapters.ccxt.recording_server import Answer, Sent, said

PRIVATE_KEY: Final = "0x7a7ff6fd3cab02ccdcd4a572563f5976f8976899b03a39773795a3c486d4986"
PUBLIC_KEY: Final = "0x61c5e7e8339b7d56f197f54ea91b776776690e3232313de0f2ecbd0ef76f466"
VAULT: Final = "10002"
ACCOUNT: Final = {
    "accountId": 3342,
    "description": "Main account",
    "accountIndex": 0,
    "status": "ACTIVE",
    "l2Key": PUBLIC_KEY,
    "l2Vault": VAULT,
    "apiKeys": ["..."],
}
STATS: Final = {
    "dailyVolume": "231016077.512960",
    "lastPrice": "60001",
    "askPrice": "60010",
    "bidPrice": "59990",
    "markPrice": f"{MARK}.000000000004",
    "indexPrice": "59999.5",
    "fundingRate": str(FUNDING_RATE),
    "nextFundingRate": FUNDED_AT_MS,
    "openInterest": "115861923.311902",
    "openInterestBase": "1500.40958",
}
MARKET: Final[dict[str, Any]] = {
    "name": "BTC-USD",
    "category": "Crypto",
    "assetName": "BTC",
    "assetPrecision": 5,
    "collateralAssetName": "USD",
    "collateralAssetPrecision": 6,
    "active": True,
    "status": "ACTIVE",
    "type": "PERP",
    "marketStats": STATS,
    "tradingConfig": {
        "minOrderSize": "0.0001",
        "minOrderSizeChange": "0.00001",
        "minPriceChange": "1",
        "maxMarketOrderValue": "3000000",
        "maxLimitOrderValue": "15000000",
        "maxPositionValue": "60000000",
        "maxLeverage": "50.00",
        "maxNumOrders": "200",
        "limitPriceCap": "0.05",
        "limitPriceFloor": "0.05",
    },
    "l2Config": {
        "type": "STARKX",
        "collateralId": "0x31857064564ed0ff978e687456963cba09c2c6985d8f9300a1de4962fafa054",
        "collateralResolution": 1000000,
        "syntheticId": "0x4254432d3600000000000000000000",
        "syntheticResolution": 10000000000,
    },
}
_STATUSES: Final = {
    OrderStatus.OPEN: "NEW",
    OrderStatus.PENDING: "UNTRIGGERED",
    OrderStatus.PARTIALLY_FILLED: "PARTIALLY_FILLED",
    OrderStatus.FILLED: "FILLED",
    OrderStatus.CANCELED: "CANCELLED",
    OrderStatus.REJECTED: "REJECTED",
}
_REASONS: Final = {
    Reason.POST_ONLY_WOULD_TAKE: "POST_ONLY_FAILED",
    Reason.INSUFFICIENT_FUNDS: "NOT_ENOUGH_FUNDS",
    Reason.NO_POSITION: "REDUCE_ONLY_FAILED",
}


def ok(data: Any) -> dict[str, Any]:
    return {"status": "OK", "data": data}


def error(code: int, message: str, status: int = 400) -> Answer:
    return said({"status": "ERROR", "error": {"code": code, "message": message}}, status)


class ExtendedWire(Wire):
    def __init__(self) -> None:
        super().__init__(
            secrets={"api_key": "f4aa1ba3e3038adf522981a90d2a1c57", "private_key": PRIVATE_KEY, "vault": VAULT},
            places=("POST /api/v1/user/order",),
            refuses={
                Reason.DUPLICATE_ORDER_ID: error(1134, "Duplicate Order"),
                Reason.ORDER_NOT_FOUND: error(1142, "Order not found", 404),
            },
        )
        self.routes = {
            "GET /api/v1/info/markets": lambda sent: ok([MARKET]),
            "GET /api/v1/info/markets/BTC-USD/stats": lambda sent: ok(STATS),
            "GET /api/v1/info/markets/BTC-USD/orderbook": lambda sent: ok(self._levels()),
            "GET /api/v1/info/candles/BTC-USD/trades": self._candles,
            "GET /api/v1/user/account/info": lambda sent: ok(ACCOUNT),
            "GET /api/v1/user/balance": lambda sent: ok(self._balance()),
            "GET /api/v1/user/fees": lambda sent: ok(
                [{"market": "BTC-USD", "makerFeeRate": "0.00000", "takerFeeRate": "0.00025"}]
            ),
            "GET /api/v1/user/positions": lambda sent: ok(self._positions()),
            "GET /api/v1/user/trades": lambda sent: ok(self._trades()),
            "GET /api/v1/user/orders": lambda sent: ok([self.told(o) for o in self.book.open_orders()]),
            "GET /api/v1/user/orders/history": lambda sent: ok([self.told(o) for o in self.book.orders.values()]),
            "GET /api/v1/user/orders/([0-9]+)": lambda sent, number: ok(self.told(self._known(number))),
            "GET /api/v1/user/orders/external/(.+)": self._external,
            "POST /api/v1/user/order": self._place,
            "DELETE /api/v1/user/order/([0-9]+)": lambda sent, number: ok(self._cancel(self._known(number))),
            "DELETE /api/v1/user/order": lambda sent: ok(
                self._cancel(self.book.by_client_id(query(sent)["externalId"]))
            ),
            "POST /api/v1/user/order/massCancel": self._cancel_all,
            "PATCH /api/v1/user/leverage": self._leverage,
        }

    def _known(self, number: str) -> Kept:
        found = self.book.orders.get(int(number))
        if found is None:
            raise Refused(Reason.ORDER_NOT_FOUND)
        return found

    def _external(self, sent: Sent, external_id: str) -> Any:
        found = self.book.by_client_id(external_id)
        return ok([self.told(found)] if found else [])

    def _place(self, sent: Sent) -> Any:
        order = sent.document
        trigger = order.get("trigger")
        kept = self.book.place(
            Kept(
                client_id=order["id"],
                side=Side(order["side"]),
                size=Decimal(order["qty"]),
                price=Decimal(order["price"]),
                time_in_force="GTC" if order["timeInForce"] == "GTT" else order["timeInForce"],
                post_only=order["postOnly"],
                reduce_only=order["reduceOnly"],
                trigger=Decimal(trigger["triggerPrice"]) if trigger else None,
                fires_up=bool(trigger) and trigger["direction"] == "UP",
            ),
            judges_later=True,
        )
        return ok({"id": kept.order_id, "externalId": kept.client_id})

    def _cancel(self, order: Kept | None) -> dict[str, Any]:
        self.book.cancel(order)
        return {}

    def _cancel_all(self, sent: Sent) -> Any:
        assert sent.document == {"markets": ["BTC-USD"]}
        self.book.cancel_all()
        return ok({})

    def _leverage(self, sent: Sent) -> Any:
        self.book.leverage = int(sent.document["leverage"])
        return ok(sent.document)

    def _levels(self) -> dict[str, Any]:
        def side(levels: list[tuple[Decimal, Decimal]]) -> list[dict[str, str]]:
            return [{"price": str(price), "qty": str(size)} for price, size in levels]

        return {"market": "BTC-USD", "bid": side(self.book.bids), "ask": side(self.book.asks)}

    def _candles(self, sent: Sent) -> Any:
        asked = query(sent)
        minutes = {"PT1M": 1, "PT5M": 5, "PT15M": 15, "PT1H": 60, "PT4H": 240, "PT24H": 1440}[asked["interval"]]
        interval_ms, count = minutes * 60_000, int(asked["limit"])
        start_ms = NOW_MS - NOW_MS % interval_ms - (count - 1) * interval_ms
        candles = self.book.candles(start_ms, interval_ms, count)
        return ok([dict(zip("Tohlcv", candle, strict=True)) for candle in reversed(candles)])

    def _balance(self) -> dict[str, Any]:
        return {
            "collateralName": "USDC",
            "balance": "10000",
            "equity": str(EQUITY),
            "availableForTrade": str(EQUITY - self.book.used),
            "availableForWithdrawal": "9000",
            "unrealisedPnl": "0.5",
            "initialMargin": str(self.book.used),
            "marginRatio": "0.01",
            "updatedTime": NOW_MS,
        }

    def _positions(self) -> list[dict[str, Any]]:
        if not self.book.position:
            return []
        position = {
            "id": 1,
            "accountId": 3342,
            "market": "BTC-USD",
            "side": self.book.position_side,
            "leverage": str(self.book.leverage),
            "size": str(abs(self.book.position)),
            "value": str(abs(self.book.position) * MARK),
            "openPrice": "60010",
            "markPrice": str(MARK),
            "liquidationPrice": "38200",
            "margin": "20",
            "unrealisedPnl": "-0.1",
            "realisedPnl": "1.2",
            "createdAt": NOW_MS,
            "updatedAt": NOW_MS,
        }
        return [position]

    def _trades(self) -> list[dict[str, Any]]:
        return [
            {
                "id": 1_784_980_437_895_231_200 + done.number,
                "orderId": done.order.order_id,
                "accountId": 3342,
                "market": "BTC-USD",
                "side": done.order.side,
                "price": str(done.price),
                "qty": str(done.size),
                "value": str(done.size * done.price),
                "fee": str(done.fee),
                "tradeType": "TRADE",
                "isTaker": True,
                "createdTime": NOW_MS + done.number,
            }
            for done in self.book.executions
        ]

    def told(self, order: Kept) -> dict[str, Any]:
        told: dict[str, Any] = {
            "id": order.order_id,
            "accountId": 3342,
            "externalId": order.client_id,
            "market": "BTC-USD",
            "type": "CONDITIONAL" if order.trigger else "LIMIT",
            "side": order.side,
            "status": _STATUSES[order.status],
            "price": str(order.price),
            "qty": str(order.size),
            "filledQty": str(order.filled),
            "reduceOnly": order.reduce_only,
            "postOnly": order.post_only,
            "payedFee": "0",
            "createdTime": NOW_MS,
            "updatedTime": NOW_MS,
            "timeInForce": "GTT",
            "expireTime": NOW_MS + 86_400_000,
        }
        if order.average is not None:
            told["averagePrice"] = str(order.average)
        if order.refused is not None:
            told["statusReason"] = _REASONS[order.refused]
        if order.trigger is not None:
            told["trigger"] = {
                "triggerPrice": str(order.trigger),
                "triggerPriceType": "MARK",
                "triggerPriceDirection": "UP" if order.fires_up else "DOWN",
                "executionPriceType": "MARKET",
            }
        return told
