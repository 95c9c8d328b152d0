"""ApeX, as its API documents have it. The HMAC of every request is checked, and the zkLink signature of every order:
that by the venue's own library, for want of another that knows how.
"""

from __future__ import annotations

import hmac
from base64 import standard_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final
from urllib.parse import parse_qsl

from adapters.ccxt_venues.apex import signing
from normalization.orders import OrderStatus, Side
from normalization.venue_failures import Reason
from tests.adapters.ccxt.bridge_rig import path_of
from tests.adapters.ccxt.orders_to_place import NOW_MS
from tests.adapters.ccxt.recorded.book import EQUITY, FUNDED_AT_MS, FUNDING_RATE, MARK, Execution, Kept, Refused
from tests.adapters.ccxt.recorded.wire import Wire, query
from tests.adapters.ccxt.recording_server import Answer, Sent, said

SEEDS: Final = "4c" * 65
SECRETS: Final = {
    "api_key": "d4fc8895-2aec-0025-a620",
    "api_secret": "l5oxJeCvjqApsA1b2C3d4",
    "passphrase": "vNLbPzOcAd1F",
    "seeds": SEEDS,
}
ACCOUNT_ID: Final = "570698921342534024"
MARKET: Final[dict[str, Any]] = {
    "crossSymbolId": 10,
    "crossSymbolName": "BTCUSDT",
    "displayMaxLeverage": "100",
    "displayMinLeverage": "1",
    "enableDisplay": True,
    "enableOpenPosition": True,
    "enableTrade": True,
    "initialMarginRate": "0.01",
    "maxOrderSize": "50",
    "minOrderSize": "0.0010",
    "settleAssetId": "USDT",
    "baseTokenId": "BTC",
    "stepSize": "0.00001",
    "symbol": "BTC-USDT",
    "symbolDisplayName": "BTCUSDT",
    "tickSize": "0.1",
    "defaultInitialMarginRate": "0.1",
    "l2PairId": "50001",
}
TICKER: Final[dict[str, Any]] = {
    "symbol": "BTCUSDT",
    "price24hPcnt": "0.450141",
    "lastPrice": "60001.0",
    "markPrice": f"{MARK}.50",
    "indexPrice": "59999.94",
    "openInterest": "1578.334",
    "fundingRate": str(FUNDING_RATE),
    "predictedFundingRate": "0.000111",
    "nextFundingTime": datetime.fromtimestamp(FUNDED_AT_MS / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    "tradeCount": 100,
}
_STATUSES: Final = {
    OrderStatus.OPEN: "OPEN",
    OrderStatus.PENDING: "UNTRIGGERED",
    OrderStatus.FILLED: "FILLED",
    OrderStatus.CANCELED: "CANCELED",
    OrderStatus.REJECTED: "CANCELED",
}
_TIMES_IN_FORCE: Final = {
    "GOOD_TIL_CANCEL": "GTC",
    "POST_ONLY": "GTC",
    "IMMEDIATE_OR_CANCEL": "IOC",
    "FILL_OR_KILL": "FOK",
}


def error(key: str, message: str) -> Answer:
    return said({"code": 3, "msg": message, "key": key, "timeCost": 1})


def body_of(sent: Sent) -> dict[str, str]:
    return dict(parse_qsl(sent.body.decode(), strict_parsing=True))


def is_signed(sent: Sent) -> bool:
    """By the secret, in base64, over the time, the method, the path with its query and the sorted body."""
    assert sent.body.decode() == "&".join(sorted(sent.body.decode().split("&")))
    text = sent.headers["APEX-TIMESTAMP"] + sent.method + sent.path + sent.body.decode()
    key = standard_b64encode(SECRETS["api_secret"].encode())
    digest = hmac.new(key, text.encode(), sha256).digest()
    named = (sent.headers["APEX-API-KEY"], sent.headers["APEX-PASSPHRASE"])
    expected = (SECRETS["api_key"], SECRETS["passphrase"])
    return sent.headers["APEX-SIGNATURE"] == standard_b64encode(digest).decode() and named == expected


def is_zk_signed(body: Mapping[str, str]) -> bool:
    """By the Omni key, over what the order says, with the account's fee rates in basis points."""
    library = signing.load()
    number = int.from_bytes(sha256(body["clientId"].encode()).digest())
    contract = library.ContractBuilder(
        int(ACCOUNT_ID) % 0xFFFFFFFF,
        0,
        int((number % 0xFFFFFFFFFFFFFFFF) / 0xFFFFFFFF),
        number % 0xFFFFFFFF,
        int(MARKET["l2PairId"]),
        str(int(Decimal(body["size"]).scaleb(18))),
        str(int(Decimal(body["price"]).scaleb(18))),
        body["side"] == "BUY",
        5,
        2,
        False,
    )
    key = library.ZkLinkSigner().new_from_seed(bytes.fromhex(SEEDS)).public_key()
    signature = library.ZkLinkSignature(pub_key=key, signature=body["signature"])
    return library.verify_musig(signature, library.Contract(contract).get_bytes()) is True


class ApexWire(Wire):
    def __init__(self) -> None:
        super().__init__(
            secrets=SECRETS,
            places=("POST /api/v3/order",),
            refuses={
                Reason.DUPLICATE_ORDER_ID: error("ORDER_CLIENT_ID_DUPLICATED", "the client id is in use"),
                Reason.ORDER_NOT_FOUND: error("ORDER_NOT_FOUND", "order not found"),
            },
        )
        self.routes = {
            "GET /api/v3/symbols": lambda sent: {
                "data": {
                    "contractConfig": {"assets": [{"token": "USDT", "decimals": 18}], "perpetualContract": [MARKET]}
                }
            },
            "GET /api/v3/ticker": lambda sent: {"data": [TICKER]},
            "GET /api/v3/data/all-ticker-info": lambda sent: {"data": [TICKER, {**TICKER, "symbol": "SOLUSDT"}]},
            "GET /api/v3/depth": self._levels,
            "GET /api/v3/klines": self._candles,
            "GET /api/v3/account": lambda sent: {"data": self._account()},
            "GET /api/v3/account-balance": lambda sent: {
                "data": {"totalEquityValue": str(EQUITY), "availableBalance": str(EQUITY - self.book.used)}
            },
            "GET /api/v3/fills": lambda sent: {
                "data": {"orders": [self._fill(done) for done in reversed(self.book.executions)], "totalSize": 1}
            },
            "GET /api/v3/open-orders": lambda sent: {"data": list(map(self._order, self.book.open_orders()))},
            "GET /api/v3/order": lambda sent: {"data": self._order(self._known(query(sent)["id"]))},
            "GET /api/v3/order-by-client-order-id": lambda sent: {"data": self._order(self._named(query(sent)["id"]))},
            "POST /api/v3/order": lambda sent: self._place(body_of(sent)),
            "POST /api/v3/delete-order": lambda sent: self._cancel(self._known(body_of(sent)["id"])),
            "POST /api/v3/delete-client-order-id": lambda sent: self._cancel(self._named(body_of(sent)["id"])),
            "POST /api/v3/delete-open-orders": lambda sent: self._cancel_all(body_of(sent)),
            "POST /api/v3/set-initial-margin-rate": lambda sent: self._leverage(body_of(sent)),
        }

    def answer(self, sent: Sent) -> Answer:
        public = ("/symbols", "/ticker", "/all-ticker-info", "/depth", "/klines")
        if not path_of(sent).endswith(public) and not is_signed(sent):
            return said({"code": 20006, "msg": "apikey sign error"})
        return super().answer(sent)

    def _known(self, number: str) -> Kept:
        """:raises Refused: there is none of that id."""
        found = self.book.orders.get(int(number))
        if found is None:
            raise Refused(Reason.ORDER_NOT_FOUND)
        return found

    def _named(self, client_id: str) -> Kept:
        """:raises Refused: there is none of that id."""
        found = self.book.by_client_id(client_id)
        if found is None:
            raise Refused(Reason.ORDER_NOT_FOUND)
        return found

    def _place(self, body: Mapping[str, str]) -> Any:
        if not is_zk_signed(body):
            return error("INVALID_L2_SIGNATURE", "the signature is wrong")
        assert NOW_MS < int(body["expiration"]) < NOW_MS + 90 * 86_400_000
        trigger, side = body.get("triggerPrice"), Side(body["side"])
        kept = self.book.place(
            Kept(
                client_id=body["clientId"],
                side=side,
                size=Decimal(body["size"]),
                price=Decimal(body["price"]),
                time_in_force=_TIMES_IN_FORCE[body["timeInForce"]],
                post_only=body["timeInForce"] == "POST_ONLY",
                reduce_only=body.get("reduceOnly") == "true",
                trigger=None if trigger is None else Decimal(trigger),
                fires_up=(side is Side.BUY) is (body["type"] == "STOP_MARKET"),
            ),
            judges_later=True,
        )
        return {"data": {**self._order(kept), "status": "PENDING", "cumMatchFillSize": "0"}}

    def _cancel(self, order: Kept) -> Any:
        self.book.cancel(order)
        return {"data": str(order.order_id)}

    def _cancel_all(self, body: Mapping[str, str]) -> Any:
        assert body == {"symbol": "BTC-USDT"}
        self.book.cancel_all()
        return {}

    def _leverage(self, body: Mapping[str, str]) -> Any:
        self.book.leverage = round(1 / Decimal(body["initialMarginRate"]))
        return {}

    def _levels(self, sent: Sent) -> Any:
        assert query(sent)["symbol"] == "BTCUSDT"
        bids, asks = ([[str(p), str(q)] for p, q in side] for side in (self.book.bids, self.book.asks))
        return {"data": {"a": asks, "b": bids, "s": "BTCUSDT", "u": 18665465}}

    def _candles(self, sent: Sent) -> Any:
        asked = query(sent)
        minutes = {"1": 1, "5": 5, "15": 15, "60": 60, "240": 240, "D": 1440}[asked["interval"]]
        candles = self.book.candles(int(asked["start"]) * 1000, minutes * 60_000, int(asked["limit"]))
        return {"data": {"BTCUSDT": [{"s": "BTCUSDT", **dict(zip("tohlcv", row, strict=True))} for row in candles]}}

    def _account(self) -> dict[str, Any]:
        rate = Decimal(0) if self.book.leverage == 10 else Decimal(1) / self.book.leverage
        position = {
            "symbol": "BTC-USDT",
            "status": "",
            "side": self.book.position_side,
            "size": str(abs(self.book.position)),
            "entryPrice": "60010.00",
            "exitPrice": "",
            "createdAt": NOW_MS,
            "customInitialMarginRate": f"{rate:.4f}",
        }
        return {
            "id": ACCOUNT_ID,
            "ethereumAddress": "0x" + "12" * 20,
            "contractAccount": {"makerFeeRate": "0.00020", "takerFeeRate": "0.00050", "status": "NORMAL"},
            "positions": [position],
        }

    def _fill(self, done: Execution) -> dict[str, Any]:
        return {
            **self._order(done.order),
            "id": str(700 + done.number),
            "orderId": str(done.order.order_id),
            "price": str(done.price),
            "size": str(done.size),
            "fee": str(done.fee),
            "status": "SUCCESS_L2_APPROVED",
            "createdAt": NOW_MS + done.number,
        }

    def _order(self, order: Kept) -> dict[str, Any]:
        kind = "LIMIT"
        if order.trigger is not None:
            kind = "TAKE_PROFIT_MARKET" if order.takes_profit else "STOP_MARKET"
        value = order.filled * (order.average or 0)
        return {
            "id": str(order.order_id),
            "clientId": order.client_id,
            "accountId": ACCOUNT_ID,
            "symbol": "BTC-USDT",
            "side": order.side,
            "price": str(order.price),
            "triggerPrice": "" if order.trigger is None else str(order.trigger),
            "size": str(order.size),
            "type": kind,
            "createdAt": NOW_MS,
            "expiresAt": NOW_MS + 86_400_000,
            "status": _STATUSES[order.status],
            "timeInForce": "GOOD_TIL_CANCEL",
            "reduceOnly": order.reduce_only,
            "cumMatchFillSize": str(order.filled),
            "cumMatchFillValue": str(value),
            "cumMatchFillFee": str(value * Decimal("0.0005")),
        }
