"""Hibachi, as api-doc.hibachi.xyz and the venue's own SDK have it. Signatures and deadlines are checked."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final

from eth_keys.datatypes import PrivateKey, Signature

from normalization.orders import OrderStatus, PositionSide, Side
from normalization.venue_failures import Reason
from tests.adapters.ccxt.orders_to_place import NOW_MS
from tests.adapters.ccxt.recorded.book import EQUITY, FUNDED_AT_MS, FUNDING_RATE, MARK, Execution, Kept, Refused
from tests.adapters.ccxt.recorded.wire import Wire, query
from tests.adapters.ccxt.recording_server import Answer, Sent, said

KEY: Final = "0x" + "4c" * 32
SECRETS: Final = {"account_id": "128", "api_key": "A" * 43 + "=", "private_key": KEY}
MARKET: Final[dict[str, Any]] = {
    "displayName": "BTC/USDT Perps",
    "id": 2,
    "initialMarginRate": "0.066667",
    "maintenanceMarginRate": "0.046667",
    "marketCloseTimestamp": None,
    "marketCreationTimestamp": "1727701319.73488",
    "marketOpenTimestamp": None,
    "minNotional": "1",
    "minOrderSize": "0.0000000001",
    "orderbookGranularities": ["0.1", "1", "10", "100"],
    "settlementDecimals": 6,
    "settlementSymbol": "USDT",
    "status": "LIVE",
    "stepSize": "0.0000001",
    "symbol": "BTC/USDT-P",
    "tickSize": "0.1",
    "underlyingDecimals": 10,
    "underlyingSymbol": "BTC",
}
FEES: Final = {"tradeMakerFeeRate": "0.00000000", "tradeTakerFeeRate": "0.00045000"}
PRICES: Final[dict[str, Any]] = {
    "askPrice": "60010",
    "bidPrice": "59990",
    "fundingRateEstimation": {"estimatedFundingRate": str(FUNDING_RATE), "nextFundingTimestamp": FUNDED_AT_MS // 1000},
    "markPrice": f"{MARK}.28885",
    "spotPrice": "59999.71500",
    "symbol": "BTC/USDT-P",
    "tradePrice": "60001.1",
}
_STATUSES: Final = {
    OrderStatus.OPEN: "PLACED",
    OrderStatus.PENDING: "PENDING",
    OrderStatus.FILLED: "FILLED",
    OrderStatus.CANCELED: "CANCELLED",
    OrderStatus.REJECTED: "REJECTED",
}


def error(code: int, message: str, status: int = 400) -> Answer:
    return said({"errorCode": code, "message": message, "status": "failed"}, status)


def signed_bytes(body: Mapping[str, Any]) -> bytes:
    """Fixed-point integers: sizes in the token's smallest unit, prices in 2^-32 of what one such unit costs."""

    def fixed(value: str, scale: Decimal) -> bytes:
        return int(Decimal(value) * scale).to_bytes(8)

    price = b""
    if body["orderType"] == "LIMIT":
        price = fixed(body["price"], Decimal(1 << 32).scaleb(6 - 10))
    return b"".join(
        (
            int(body["nonce"]).to_bytes(8),
            int(MARKET["id"]).to_bytes(4),
            fixed(body["quantity"], Decimal(10) ** 10),
            {"ASK": 0, "BID": 1}[body["side"]].to_bytes(4),
            price,
            fixed(body["maxFeesPercent"], Decimal(10) ** 8),
        )
    )


def is_signed(message: bytes, signature: str) -> bool:
    """By the key above: r, s and the parity over the SHA-256 of the message."""
    key = PrivateKey(bytes.fromhex(KEY[2:])).public_key
    return key.verify_msg_hash(sha256(message).digest(), Signature(bytes.fromhex(signature)))


class HibachiWire(Wire):
    def __init__(self) -> None:
        super().__init__(
            secrets=SECRETS,
            places=("POST /trade/order",),
            refuses={
                Reason.DUPLICATE_ORDER_ID: error(1, "clientId is not unique"),
                Reason.ORDER_NOT_FOUND: error(3, "Not found: order", 404),
            },
        )
        self.routes = {
            "GET /market/exchange-info": lambda sent: {
                "feeConfig": FEES,
                "futureContracts": [MARKET],
                "status": "NORMAL",
            },
            "GET /market/data/prices": lambda sent: PRICES,
            "GET /market/data/orderbook": lambda sent: {
                name: {"levels": [{"price": str(p), "quantity": str(q)} for p, q in side]}
                for name, side in (("bid", self.book.bids), ("ask", self.book.asks))
            },
            "GET /market/data/klines": self._candles,
            "GET /trade/account/info": lambda sent: self._account(),
            "GET /trade/account/trades": lambda sent: {
                "trades": [self._trade(done) for done in reversed(self.book.executions)]
            },
            "GET /trade/orders": lambda sent: [
                {**self._order(order), "creationTime": NOW_MS // 1000} for order in self.book.open_orders()
            ],
            "GET /trade/order": lambda sent: self._order(self._found(query(sent))),
            "POST /trade/order": lambda sent: self._place(sent.document),
            "DELETE /trade/order": lambda sent: self._cancel(sent.document),
            "POST /trade/account/leverage": lambda sent: self._leverage(sent.document),
        }

    def answer(self, sent: Sent) -> Answer:
        if "/trade/" in sent.path and sent.headers["Authorization"] != SECRETS["api_key"]:
            return error(2, "Unauthorized", 401)
        return super().answer(sent)

    def _found(self, asked: Mapping[str, str]) -> Kept:
        """:raises Refused: there is no such order."""
        assert asked["accountId"] == SECRETS["account_id"]
        found = self.book.by_client_id(asked.get("clientId")) or self.book.orders.get(int(asked.get("orderId", 0)))
        if found is None:
            raise Refused(Reason.ORDER_NOT_FOUND)
        return found

    def _place(self, body: Mapping[str, Any]) -> Any:
        if not is_signed(signed_bytes(body), body["signature"]):
            return error(2, "Invalid signature: Failed to verify signature")
        if body.get("creationDeadline", NOW_MS) * 1000 < NOW_MS:
            return error(4, "Creation deadline exceeded")
        flag = body.get("orderFlags")
        trigger = body.get("triggerPrice")
        kept = self.book.place(
            Kept(
                client_id=body.get("clientId"),
                side=Side.BUY if body["side"] == "BID" else Side.SELL,
                size=Decimal(body["quantity"]),
                price=Decimal(body["price"]) if body["orderType"] == "LIMIT" else None,
                time_in_force="IOC" if flag == "IOC" or body["orderType"] == "MARKET" else "GTC",
                post_only=flag == "POST_ONLY",
                reduce_only=flag == "REDUCE_ONLY",
                trigger=None if trigger is None else Decimal(trigger),
                fires_up=body.get("triggerDirection") == "HIGH",
            ),
            judges_later=True,
        )
        return {"orderId": str(kept.order_id)}

    def _cancel(self, body: Mapping[str, Any]) -> Any:
        assert body["accountId"] == int(SECRETS["account_id"])
        if not is_signed(int(body["orderId"]).to_bytes(8), body["signature"]):
            return error(2, "Invalid signature: Failed to verify signature")
        self.book.cancel(self.book.orders.get(int(body["orderId"])))
        return {}

    def _leverage(self, body: Mapping[str, Any]) -> Any:
        assert Decimal(MARKET["initialMarginRate"]) <= Decimal(body["initialMarginRate"]) <= 1
        self.book.leverage = round(1 / Decimal(body["initialMarginRate"]))
        return {"status": "success"}

    def _candles(self, sent: Sent) -> Any:
        asked = query(sent)
        minutes = {"1min": 1, "5min": 5, "15min": 15, "1h": 60, "4h": 240, "1d": 1440}[asked["interval"]]
        start_ms, interval_ms = int(asked["fromMs"]), minutes * 60_000
        names = ("timestamp", "open", "high", "low", "close", "volumeNotional")
        candles = self.book.candles(start_ms, interval_ms, (NOW_MS - start_ms) // interval_ms + 1)
        rows = [dict(zip(names, (start // 1000, *values), strict=True)) for start, *values in candles]
        return {"klines": rows}

    def _account(self) -> dict[str, Any]:
        rate = Decimal(1) / self.book.leverage
        return {
            "assets": [{"quantity": "10000", "symbol": "USDT"}],
            "balance": str(EQUITY),
            "initialMargin": "0.000000",
            "leverages": []
            if self.book.leverage == 10
            else [{"initialMarginRate": f"{rate:.6f}", "symbol": "BTC/USDT-P"}],
            "maximalWithdraw": str(EQUITY - self.book.used),
            "positions": self._positions(),
            "tradeMakerFeeRate": None,
            "tradeTakerFeeRate": None,
        }

    def _positions(self) -> list[dict[str, Any]]:
        if not self.book.position:
            return []
        size = abs(self.book.position)
        position = {
            "direction": "Long" if self.book.position_side is PositionSide.LONG else "Short",
            "entryNotional": f"{size * 60010:.6f}",
            "notionalValue": f"{size * MARK:.6f}",
            "quantity": str(size),
            "symbol": "BTC/USDT-P",
            "unrealizedFundingPnl": "0.000000",
            "unrealizedTradingPnl": "-0.077204",
        }
        return [position]

    def _trade(self, done: Execution) -> dict[str, Any]:
        buys = done.order.side is Side.BUY
        return {
            "askAccountId": 221,
            "askOrderId": 1 if buys else done.order.order_id,
            "bidAccountId": 128,
            "bidOrderId": done.order.order_id if buys else 1,
            "fee": str(done.fee),
            "id": 199511136 + done.number,
            "orderType": "MARKET",
            "price": str(done.price),
            "quantity": str(done.size),
            "realizedPnl": "-0.000352",
            "side": "Buy" if buys else "Sell",
            "symbol": "BTC/USDT-P",
            "timestamp": NOW_MS // 1000,
        }

    def _order(self, order: Kept) -> dict[str, Any]:
        told = {
            "accountId": 128,
            "availableQuantity": str(order.size - order.filled),
            "contractId": 2,
            "orderId": str(order.order_id),
            "clientId": order.client_id,
            "orderType": "LIMIT" if order.price else "MARKET",
            "side": "BID" if order.side is Side.BUY else "ASK",
            "status": _STATUSES[order.status],
            "symbol": "BTC/USDT-P",
            "totalQuantity": str(order.size),
        }
        if order.price is not None:
            told["price"] = str(order.price)
        if order.average is not None:
            told["avgFillPrice"] = str(order.average)
        if order.reduce_only:
            told["orderFlags"] = "REDUCE_ONLY"
        if order.trigger is not None:
            told |= {"triggerPrice": str(order.trigger), "triggerDirection": "HIGH" if order.fires_up else "LOW"}
        return told
