"""Aster, as the venue's documents of its third API have it. Every signature is checked."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qsl

from eth_account import Account
from eth_account.messages import encode_typed_data

from normalization.orders import OrderStatus, Side
from normalization.venue_failures import Reason
from tests.adapters.ccxt.hyperliquid_rig import ACCOUNT, AGENT, KEY
from tests.adapters.ccxt.orders_to_place import NOW_MS
from tests.adapters.ccxt.recorded.book import EQUITY, FUNDED_AT_MS, FUNDING_RATE, MARK, Execution, Kept, Refused
from tests.adapters.ccxt.recorded.wire import Wire, query
from tests.adapters.ccxt.recording_server import Answer, Sent, said

MARKET: Final[dict[str, Any]] = {
    "symbol": "BTCUSDT",
    "pair": "BTCUSDT",
    "contractType": "PERPETUAL",
    "deliveryDate": 4133404800000,
    "onboardDate": 1569398400000,
    "status": "TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "marginAsset": "USDT",
    "pricePrecision": 2,
    "quantityPrecision": 3,
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "0.10", "maxPrice": "1000000", "tickSize": "0.10"},
        {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
        {"filterType": "MIN_NOTIONAL", "notional": "5"},
    ],
    "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET"],
    "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
}
PREMIUM: Final[dict[str, Any]] = {
    "symbol": "BTCUSDT",
    "markPrice": f"{MARK}.84047826",
    "indexPrice": "59999.5",
    "estimatedSettlePrice": "59999.5",
    "lastFundingRate": str(FUNDING_RATE),
    "interestRate": "0.00010000",
    "nextFundingTime": FUNDED_AT_MS,
    "time": NOW_MS,
}
_DOMAIN: Final = {
    "name": "AsterSignTransaction",
    "version": "1",
    "chainId": 1666,
    "verifyingContract": "0x" + "0" * 40,
}
_TYPES: Final = {"Message": [{"name": "msg", "type": "string"}]}
_STATUSES: Final = {
    OrderStatus.OPEN: "NEW",
    OrderStatus.PENDING: "NEW",
    OrderStatus.PARTIALLY_FILLED: "PARTIALLY_FILLED",
    OrderStatus.FILLED: "FILLED",
    OrderStatus.CANCELED: "CANCELED",
}


def error(code: int, message: str, status: int = 400) -> Answer:
    return said({"code": code, "msg": message}, status)


def is_signed(text: str) -> bool:
    """By the wallet that it names, for the account that it names."""
    signed, _, signature = text.rpartition("&signature=")
    told = dict(parse_qsl(signed))
    message = encode_typed_data(domain_data=_DOMAIN, message_types=_TYPES, message_data={"msg": signed})
    signer = Account.recover_message(message, signature=signature).lower()
    return (told["user"], told["signer"], signer) == (ACCOUNT, AGENT, AGENT)


class AsterWire(Wire):
    def __init__(self) -> None:
        super().__init__(
            secrets={"account_address": ACCOUNT, "private_key": KEY},
            places=("POST /fapi/v3/order",),
            refuses={
                Reason.DUPLICATE_ORDER_ID: error(-4116, "ClientOrderId is duplicated."),
                Reason.ORDER_NOT_FOUND: error(-2013, "Order does not exist."),
                Reason.POST_ONLY_WOULD_TAKE: error(-5022, "Post Only order will be rejected."),
                Reason.INSUFFICIENT_FUNDS: error(-2019, "Margin is insufficient."),
                Reason.NO_POSITION: error(-2022, "ReduceOnly Order is rejected."),
            },
        )
        private = {
            "POST order": self._place,
            "GET order": lambda told: self.told(self._known(told)),
            "DELETE order": self._cancel,
            "GET openOrders": lambda told: [self.told(order) for order in self.book.open_orders()],
            "DELETE allOpenOrders": self._cancel_all,
            "POST leverage": self._leverage,
            "GET balance": lambda told: [self._balance(), {**self._balance(), "asset": "ASTER"}],
            "GET positionRisk": lambda told: [self._position()],
            "GET userTrades": lambda told: [self._trade(done) for done in self.book.executions],
            "GET commissionRate": lambda told: {
                "symbol": "BTCUSDT",
                "makerCommissionRate": "0.0001",
                "takerCommissionRate": "0.00035",
            },
        }
        self.routes = {
            "GET /fapi/v3/exchangeInfo": lambda sent: {"symbols": [MARKET]},
            "GET /api/v3/exchangeInfo": lambda sent: {"symbols": []},
            "GET /fapi/v3/depth": lambda sent: self._levels(int(query(sent)["limit"])),
            "GET /fapi/v3/premiumIndex": lambda sent: PREMIUM,
            "GET /fapi/v3/klines": self._candles,
            "([A-Z]+) /fapi/v3/(.+)": lambda sent, method, name: self._private(sent, private[f"{method} {name}"]),
        }

    def _private(self, sent: Sent, reply: Any) -> Any:
        text = sent.body.decode() or sent.path.partition("?")[2]
        return reply(dict(parse_qsl(text))) if is_signed(text) else error(-1000, "Signature check failed")

    def _known(self, told: Mapping[str, str]) -> Kept:
        found = self.book.by_client_id(told.get("origClientOrderId")) or self.book.orders.get(
            int(told.get("orderId", 0))
        )
        if found is None:
            raise Refused(Reason.ORDER_NOT_FOUND)
        return found

    def _place(self, told: Mapping[str, str]) -> Any:
        side, kind = Side(told["side"]), told["type"]
        waits = kind in ("STOP_MARKET", "TAKE_PROFIT_MARKET")
        assert waits or kind == "LIMIT"
        assert not waits or told["workingType"] == "MARK_PRICE"
        time_in_force = told.get("timeInForce", "GTC")
        kept = self.book.place(
            Kept(
                client_id=told["newClientOrderId"],
                side=side,
                size=Decimal(told["quantity"]),
                price=Decimal(told["price"]) if "price" in told else None,
                time_in_force="GTC" if time_in_force == "GTX" else time_in_force,
                post_only=time_in_force == "GTX",
                reduce_only=told.get("reduceOnly") == "true",
                trigger=Decimal(told["stopPrice"]) if waits else None,
                fires_up=(side is Side.BUY) is (kind == "STOP_MARKET"),
            )
        )
        return self.told(kept)

    def _cancel(self, told: Mapping[str, str]) -> Any:
        return self.told(self.book.cancel(self._known(told)))

    def _cancel_all(self, told: Mapping[str, str]) -> Any:
        assert told["symbol"] == "BTCUSDT"
        self.book.cancel_all()
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    def _leverage(self, told: Mapping[str, str]) -> Any:
        self.book.leverage = int(told["leverage"])
        return {"symbol": "BTCUSDT", "leverage": self.book.leverage, "maxNotionalValue": "1000000"}

    def _levels(self, depth: int) -> dict[str, Any]:
        bids, asks = (
            [[str(price), str(size)] for price, size in side[:depth]] for side in (self.book.bids, self.book.asks)
        )
        return {"lastUpdateId": 1, "E": NOW_MS, "T": NOW_MS, "bids": bids, "asks": asks}

    def _candles(self, sent: Sent) -> Any:
        asked = query(sent)
        minutes = {"1m": 1, "5m": 5, "15m": 15, "1h": 60, "4h": 240, "1d": 1440}[asked["interval"]]
        candles = self.book.candles(int(asked["startTime"]), minutes * 60_000, int(asked["limit"]))
        return [[*candle, candle[0] + minutes * 60_000 - 1, "0", 1, "0", "0", "0"] for candle in candles]

    def _balance(self) -> dict[str, Any]:
        return {
            "accountAlias": "SgsR",
            "asset": "USDT",
            "balance": str(EQUITY),
            "crossWalletBalance": str(EQUITY),
            "crossUnPnl": "0",
            "availableBalance": str(EQUITY - self.book.used),
            "maxWithdrawAmount": "9000",
            "marginAvailable": True,
            "updateTime": NOW_MS,
        }

    def _position(self) -> dict[str, Any]:
        """Also where there is none."""
        return {
            "symbol": "BTCUSDT",
            "positionAmt": str(self.book.position),
            "entryPrice": "60010.0" if self.book.position else "0.0",
            "markPrice": f"{MARK}.12345678",
            "unRealizedProfit": "-0.10",
            "liquidationPrice": "0",
            "leverage": str(self.book.leverage),
            "marginType": "cross",
            "notional": str(self.book.position * MARK),
            "isolatedMargin": "0",
            "isolatedWallet": "0",
            "positionSide": "BOTH",
            "updateTime": NOW_MS,
        }

    def _trade(self, done: Execution) -> dict[str, Any]:
        return {
            "symbol": "BTCUSDT",
            "id": 698759 + done.number,
            "orderId": done.order.order_id,
            "side": done.order.side,
            "price": str(done.price),
            "qty": str(done.size),
            "quoteQty": str(done.size * done.price),
            "realizedPnl": "-0.91",
            "commission": str(done.fee),
            "commissionAsset": "USDT",
            "time": NOW_MS + done.number,
            "positionSide": "BOTH",
            "maker": False,
            "buyer": done.order.side is Side.BUY,
        }

    def told(self, order: Kept) -> dict[str, Any]:
        kind = "LIMIT"
        if order.trigger is not None:
            kind = "TAKE_PROFIT_MARKET" if order.takes_profit else "STOP_MARKET"
        return {
            "orderId": order.order_id,
            "symbol": "BTCUSDT",
            "status": _STATUSES[order.status],
            "clientOrderId": order.client_id,
            "price": str(order.price or 0),
            "avgPrice": str(order.average or "0.00000"),
            "origQty": str(order.size),
            "executedQty": str(order.filled),
            "cumQuote": str(order.filled * (order.average or 0)),
            "timeInForce": "GTX" if order.post_only else order.time_in_force,
            "type": kind,
            "origType": kind,
            "reduceOnly": order.reduce_only,
            "closePosition": False,
            "side": order.side,
            "positionSide": "BOTH",
            "stopPrice": str(order.trigger or 0),
            "workingType": "MARK_PRICE",
            "priceProtect": False,
            "time": NOW_MS,
            "updateTime": NOW_MS,
        }
