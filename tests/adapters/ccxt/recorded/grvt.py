"""GRVT, as the venue's own SDK has it. Sessions, signatures and their expiry are checked."""

from __future__ import annotations

from decimal import Decimal
from email.utils import formatdate
from typing import Any, Final

from eth_account import Account
from eth_account.messages import encode_typed_data

from normalization.orders import OrderStatus, Side
from normalization.venue_failures import Reason
from tests.adapters.ccxt.orders_to_place import NOW_MS
from tests.adapters.ccxt.recorded.book import EQUITY, FUNDED_AT_MS, FUNDING_RATE, MARK, Execution, Kept, Refused
from tests.adapters.ccxt.recorded.wire import Wire
from tests.adapters.ccxt.recording_server import Answer, Sent, said

KEY: Final = "0x" + "11" * 32
SIGNER: Final = Account.from_key(KEY).address.lower()
SUB_ACCOUNT: Final = "2147050003876484"
COOKIE: Final = "gravity=session-canary"
MAINNET_CHAIN: Final = 325
MARKET: Final[dict[str, Any]] = {
    "instrument": "BTC_USDT_Perp",
    "instrument_hash": "0x030501",
    "base": "BTC",
    "quote": "USDT",
    "kind": "PERPETUAL",
    "venues": ["ORDERBOOK", "RFQ"],
    "settlement_period": "PERPETUAL",
    "base_decimals": 9,
    "quote_decimals": 6,
    "tick_size": "0.1",
    "min_size": "0.001",
    "min_notional": "20",
    "create_time": "1764303867576216941",
    "max_position_size": "3000.0",
    "funding_interval_hours": 8,
}
ORDER_TYPES: Final = {
    "Order": [
        {"name": "subAccountID", "type": "uint64"},
        {"name": "isMarket", "type": "bool"},
        {"name": "timeInForce", "type": "uint8"},
        {"name": "postOnly", "type": "bool"},
        {"name": "reduceOnly", "type": "bool"},
        {"name": "legs", "type": "OrderLeg[]"},
        {"name": "nonce", "type": "uint32"},
        {"name": "expiration", "type": "int64"},
    ],
    "OrderLeg": [
        {"name": "assetID", "type": "uint256"},
        {"name": "contractSize", "type": "uint64"},
        {"name": "limitPrice", "type": "uint64"},
        {"name": "isBuyingContract", "type": "bool"},
    ],
}
_TIMES: Final = {"GOOD_TILL_TIME": 1, "ALL_OR_NONE": 2, "IMMEDIATE_OR_CANCEL": 3, "FILL_OR_KILL": 4}
_KEPT_TIMES: Final = {"GOOD_TILL_TIME": "GTC", "IMMEDIATE_OR_CANCEL": "IOC", "FILL_OR_KILL": "FOK"}
_STATUSES: Final = {
    OrderStatus.OPEN: "OPEN",
    OrderStatus.PENDING: "OPEN",
    OrderStatus.FILLED: "FILLED",
    OrderStatus.CANCELED: "CANCELLED",
    OrderStatus.REJECTED: "REJECTED",
}


def error(code: int, message: str, status: int = 400) -> Answer:
    return said({"code": code, "message": message, "status": status}, status)


def signer_of(order: dict[str, Any], chain_id: int) -> str:
    """The address that signed it, by another implementation than ccxt's."""
    (leg,), signature = order["legs"], order["signature"]
    message = encode_typed_data(
        {"name": "GRVT Exchange", "version": "0", "chainId": chain_id},
        ORDER_TYPES,
        {
            "subAccountID": int(order["sub_account_id"]),
            "isMarket": order["is_market"],
            "timeInForce": _TIMES[order["time_in_force"]],
            "postOnly": order["post_only"],
            "reduceOnly": order["reduce_only"],
            "legs": [
                {
                    "assetID": int(MARKET["instrument_hash"], 16),
                    "contractSize": int(Decimal(leg["size"]) * 10**9),
                    "limitPrice": int(Decimal(leg["limit_price"] or 0) * 10**9),
                    "isBuyingContract": leg["is_buying_asset"],
                }
            ],
            "nonce": signature["nonce"],
            "expiration": int(signature["expiration"]),
        },
    )
    vrs = (signature["v"], int(signature["r"], 16), int(signature["s"], 16))
    return str(Account.recover_message(message, vrs=vrs)).lower()


class GrvtWire(Wire):
    def __init__(self, chain_id: int = MAINNET_CHAIN) -> None:
        super().__init__(
            secrets={"api_key": "api-key-canary", "private_key": KEY, "sub_account_id": SUB_ACCOUNT},
            places=("POST /full/v1/create_order",),
            refuses={
                Reason.DUPLICATE_ORDER_ID: error(2012, "Client Order ID overlaps with existing active order"),
                Reason.ORDER_NOT_FOUND: error(1004, "Data Not Found", 404),
            },
        )
        self.chain_id = chain_id
        private = {
            "account_summary": lambda body: self._account(),
            "positions": lambda body: self._positions(),
            "fill_history": lambda body: [self._fill(done) for done in self.book.executions],
            "open_orders": lambda body: [self.told(order) for order in self.book.open_orders()],
            "order_history": lambda body: [self.told(o) for o in self.book.orders.values() if not o.is_open],
            "order": lambda body: self.told(self._known(body)),
            "create_order": self._place,
            "cancel_order": self._cancel,
            "cancel_all_orders": self._cancel_all,
        }
        self.routes = {
            "POST /auth/api_key/login": self._log_in,
            "POST /full/v1/all_instruments": lambda sent: {"result": [MARKET]},
            "POST /full/v1/ticker": lambda sent: {"result": self._ticker()},
            "POST /full/v1/book": lambda sent: {"result": self._levels()},
            "POST /full/v1/kline": self._candles,
            "POST /full/v1/set_initial_leverage": self._leverage,
            "POST /full/v1/(.+)": lambda sent, name: self._private(sent, private[name]),
        }

    def _log_in(self, sent: Sent) -> Answer:
        if sent.document != {"api_key": "api-key-canary"}:
            return error(1000, "You need to authenticate", 401)
        until = formatdate(NOW_MS / 1000 + 86_400, usegmt=True)
        headers = {"Set-Cookie": f"{COOKIE}; Path=/; Expires={until}", "X-Grvt-Account-Id": "acc:1"}
        return Answer(b'{"status":"success","location":""}', 200, headers)

    def _private(self, sent: Sent, reply: Any) -> Any:
        if (sent.headers.get("Cookie"), sent.headers.get("X-Grvt-Account-Id")) != (COOKIE, "acc:1"):
            return error(1000, "You need to authenticate prior to using this functionality", 401)
        made = reply(sent.document)
        return made if isinstance(made, Answer) else {"result": made}

    def _known(self, body: Any) -> Kept:
        found = self.book.by_client_id(body.get("client_order_id")) or next(
            (order for order in self.book.orders.values() if _number(order) == body.get("order_id")), None
        )
        if found is None:
            raise Refused(Reason.ORDER_NOT_FOUND)
        return found

    def _place(self, body: Any) -> Any:
        order = body["order"]
        if signer_of(order, self.chain_id) != SIGNER or order["signature"]["signer"].lower() != SIGNER:
            return error(2002, "Signature does not match payload")
        expires_ms = int(order["signature"]["expiration"]) // 10**6
        if not NOW_MS <= expires_ms <= NOW_MS + 30 * 86_400_000:
            return error(2008, "Signature exceeds maximum allowed duration.")
        (leg,) = order["legs"]
        trigger = order["metadata"].get("trigger")
        side = Side.BUY if leg["is_buying_asset"] else Side.SELL
        stops = bool(trigger) and trigger["trigger_type"] == "STOP_LOSS"
        assert (leg["limit_price"] is None) is order["is_market"]
        kept = self.book.place(
            Kept(
                client_id=order["metadata"]["client_order_id"],
                side=side,
                size=Decimal(leg["size"]),
                price=Decimal(leg["limit_price"]) if leg["limit_price"] else None,
                time_in_force=_KEPT_TIMES[order["time_in_force"]],
                post_only=order["post_only"],
                reduce_only=order["reduce_only"],
                trigger=Decimal(trigger["tpsl"]["trigger_price"]) if trigger else None,
                fires_up=(side is Side.BUY) is stops,
            ),
            judges_later=True,
        )
        return {**self.told(kept), "order_id": "0x00", "state": {"status": "PENDING", "traded_size": ["0.0"]}}

    def _cancel(self, body: Any) -> Any:
        self.book.cancel(self._known(body))
        return {"ack": True}

    def _cancel_all(self, body: Any) -> Any:
        assert (body["base"], body["quote"]) == (["BTC"], ["USDT"])
        self.book.cancel_all()
        return {"ack": True}

    def _leverage(self, sent: Sent) -> Any:
        self.book.leverage = int(sent.document["leverage"])
        return {"success": True}

    def _ticker(self) -> dict[str, Any]:
        return {
            "event_time": str(NOW_MS * 10**6),
            "instrument": "BTC_USDT_Perp",
            "mark_price": f"{MARK}.300078773",
            "index_price": "59999.5",
            "last_price": "60001.0",
            "mid_price": "60000.0",
            "best_bid_price": "59990",
            "best_ask_price": "60010",
            "funding_rate": str(FUNDING_RATE * 100),
            "next_funding_time": str(FUNDED_AT_MS * 10**6),
            "open_interest": "1523.218935908",
        }

    def _levels(self) -> dict[str, Any]:
        def side(levels: list[tuple[Decimal, Decimal]]) -> list[dict[str, str]]:
            return [{"price": str(price), "size": str(size), "num_orders": "1"} for price, size in levels]

        return {
            "event_time": str(NOW_MS * 10**6),
            "instrument": "BTC_USDT_Perp",
            "bids": side(self.book.bids),
            "asks": side(self.book.asks),
        }

    def _candles(self, sent: Sent) -> Any:
        asked = sent.document
        names = {"CI_1_M": 1, "CI_5_M": 5, "CI_15_M": 15, "CI_1_H": 60, "CI_4_H": 240, "CI_1_D": 1440}
        interval_ms, start_ms = names[asked["interval"]] * 60_000, int(asked["start_time"]) // 10**6
        found = [
            {
                "open_time": str(start * 10**6),
                "open": opened,
                "high": high,
                "low": low,
                "close": close,
                "volume_b": volume,
                "instrument": "BTC_USDT_Perp",
            }
            for start, opened, high, low, close, volume in self.book.candles(start_ms, interval_ms, asked["limit"])
        ]
        return {"result": found[::-1], "next": ""}

    def _account(self) -> dict[str, Any]:
        return {
            "event_time": str(NOW_MS * 10**6),
            "sub_account_id": SUB_ACCOUNT,
            "margin_type": "SIMPLE_CROSS_MARGIN",
            "settle_currency": "USDT",
            "unrealized_pnl": "0.0",
            "total_equity": str(EQUITY),
            "initial_margin": str(self.book.used),
            "available_balance": str(EQUITY - self.book.used),
            "spot_balances": [{"currency": "USDT", "balance": "10000.0", "index_price": "1.000289735"}],
            "positions": [],
        }

    def _positions(self) -> list[dict[str, Any]]:
        if not self.book.position:
            return []
        position = {
            "event_time": str(NOW_MS * 10**6),
            "sub_account_id": SUB_ACCOUNT,
            "instrument": "BTC_USDT_Perp",
            "size": str(self.book.position),
            "notional": str(self.book.position * MARK),
            "entry_price": "60010.0",
            "mark_price": f"{MARK}.900008979",
            "unrealized_pnl": "-0.183099",
            "realized_pnl": "0.0",
            "est_liquidation_price": "38200.5",
            "leverage": f"{self.book.leverage}.0",
        }
        return [position]

    def _fill(self, done: Execution) -> dict[str, Any]:
        return {
            "event_time": str((NOW_MS + done.number) * 10**6),
            "sub_account_id": SUB_ACCOUNT,
            "instrument": "BTC_USDT_Perp",
            "is_buyer": done.order.side is Side.BUY,
            "is_taker": True,
            "size": str(done.size),
            "price": str(done.price),
            "fee": str(done.fee),
            "fee_rate": "5.0",
            "trade_id": f"65424692-{done.number}",
            "order_id": _number(done.order),
            "client_order_id": done.order.client_id,
        }

    def told(self, order: Kept) -> dict[str, Any]:
        kind = "UNSPECIFIED"
        if order.trigger is not None:
            kind = "TAKE_PROFIT" if order.takes_profit else "STOP_LOSS"
        return {
            "order_id": _number(order),
            "sub_account_id": SUB_ACCOUNT,
            "is_market": order.price is None,
            "time_in_force": "GOOD_TILL_TIME",
            "post_only": order.post_only,
            "reduce_only": order.reduce_only,
            "legs": [
                {
                    "instrument": "BTC_USDT_Perp",
                    "size": str(order.size),
                    "limit_price": str(order.price or "0.0"),
                    "is_buying_asset": order.side is Side.BUY,
                }
            ],
            "signature": {"signer": SIGNER, "r": "0x1", "s": "0x2", "v": 27, "expiration": "1", "nonce": 1},
            "metadata": {
                "client_order_id": order.client_id,
                "create_time": str(NOW_MS * 10**6),
                "trigger": {
                    "trigger_type": kind,
                    "tpsl": {
                        "trigger_by": "MARK" if order.trigger else "UNSPECIFIED",
                        "trigger_price": str(order.trigger or "0.0"),
                        "close_position": False,
                    },
                },
                "broker": "UNSPECIFIED",
            },
            "state": {
                "status": _STATUSES[order.status],
                "reject_reason": "FAIL_POST_ONLY" if order.refused else "UNSPECIFIED",
                "book_size": [str(order.size - order.filled)],
                "traded_size": [str(order.filled)],
                "update_time": str(NOW_MS * 10**6),
                "avg_fill_price": [str(order.average or "0.0")],
            },
        }


def _number(order: Kept) -> str:
    return f"0x{order.order_id:032x}"
