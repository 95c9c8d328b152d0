"""Lighter, as the venue's own SDK has it. Of its signatures only the stand-in's can be checked: what they sign is."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qsl

from adapters.ccxt_venues.lighter import LIGHTER
from normalization.orders import OrderStatus, Side
from normalization.venue_failures import Reason
from tests.adapters.ccxt.lighter_stand_in import CHAINS, STANDING_IN, signature
from tests.adapters.ccxt.orders_to_place import NOW_MS
from tests.adapters.ccxt.recorded.book import EQUITY, FUNDING_RATE, MARK, Execution, Kept
from tests.adapters.ccxt.recorded.wire import Wire, query
from tests.adapters.ccxt.recording_server import Answer, Sent, said

ACCOUNT: Final = 42
KEY_INDEX: Final = 7
PRIVATE_KEY: Final = "f1162e98434e8341b7b2e7eba77367f5abc8ecdf8fbb1cdec53bb78c4c364e07f6a6023f8229fb57"
DETAIL: Final[dict[str, Any]] = {
    "symbol": "BTC",
    "market_id": 1,
    "market_type": "perp",
    "base_asset_id": 0,
    "quote_asset_id": 0,
    "status": "active",
    "taker_fee": "0.0000",
    "maker_fee": "0.0000",
    "liquidation_fee": "1.0000",
    "min_base_amount": "0.00020",
    "min_quote_amount": "10.000000",
    "order_quote_limit": "",
    "supported_size_decimals": 5,
    "supported_price_decimals": 1,
    "supported_quote_decimals": 6,
    "size_decimals": 5,
    "price_decimals": 1,
    "quote_multiplier": 1,
    "default_initial_margin_fraction": 500,
    "min_initial_margin_fraction": 200,
    "maintenance_margin_fraction": 120,
    "closeout_margin_fraction": 80,
    "last_trade_price": 60001.5,
    "open_interest": 39559.3278,
    "mark_price": f"{MARK}.1",
    "index_price": "59999.5",
}
_PLACES: Final = (Decimal(10) ** 5, Decimal(10))
_STATUSES: Final = {
    OrderStatus.OPEN: "open",
    OrderStatus.PENDING: "pending",
    OrderStatus.FILLED: "filled",
    OrderStatus.CANCELED: "canceled-too-much-slippage",
}
_REFUSED: Final = {
    Reason.POST_ONLY_WOULD_TAKE: "canceled-post-only",
    Reason.INSUFFICIENT_FUNDS: "canceled-margin-not-allowed",
    Reason.NO_POSITION: "canceled-reduce-only",
}


def ok(**told: Any) -> dict[str, Any]:
    return {"code": 200, **told}


def error(code: int, message: str, status: int = 400) -> Answer:
    return said({"code": code, "message": message}, status)


def transaction(sent: Sent) -> tuple[int, Any]:
    """Type and content of one that was sent."""
    form = dict(parse_qsl(sent.body.decode()))
    return int(form["tx_type"]), json.loads(form["tx_info"])


class LighterWire(Wire):
    """``native`` where the venue's own library signs."""

    def __init__(self, chain: int = CHAINS["mainnet"], *, native: bool = False) -> None:
        super().__init__(
            secrets={
                "account_index": str(ACCOUNT),
                "api_key_index": str(KEY_INDEX),
                "private_key": PRIVATE_KEY,
            },
            places=("POST /api/v1/sendTx",),
            refuses={
                Reason.DUPLICATE_ORDER_ID: error(21728, "client order index already exists"),
                Reason.ORDER_NOT_FOUND: error(21600, "given order is not an active limit order"),
            },
        )
        self.row = LIGHTER if native else STANDING_IN
        self.chain = chain
        self.nonces: list[int] = []
        self.actions = {14: self._place, 15: self._cancel, 16: self._cancel_all, 20: self._leverage}
        self.routes = {
            "GET /api/v1/orderBookDetails": lambda sent: ok(order_book_details=[DETAIL], spot_order_book_details=[]),
            "GET /api/v1/orderBookOrders": lambda sent: ok(**self._book_orders()),
            "GET /api/v1/funding-rates": lambda sent: ok(funding_rates=self._rates()),
            "GET /api/v1/candles": self._candles,
            "GET /api/v1/account": lambda sent: ok(total=1, accounts=[self._account()]),
            "GET /api/v1/accountLimits": lambda sent: self._private(
                sent, {"user_tier": "premium", "current_maker_fee_tick": 20, "current_taker_fee_tick": 200}
            ),
            "GET /api/v1/accountActiveOrders": lambda sent: self._private(
                sent, {"orders": [self.told(order) for order in self.book.open_orders()]}
            ),
            "GET /api/v1/accountInactiveOrders": lambda sent: self._private(
                sent, {"orders": [self.told(o) for o in self.book.orders.values() if not o.is_open]}
            ),
            "GET /api/v1/accountOrders": self._by_client_ids,
            "GET /api/v1/trades": lambda sent: self._private(
                sent, {"trades": [self._trade(done) for done in self.book.executions]}
            ),
            "POST /api/v1/sendTx": self._send,
        }

    def _private(self, sent: Sent, told: dict[str, Any]) -> Any:
        deadline, account, index, signed = sent.headers.get("Authorization", "0:0:0:").split(":")
        if (account, index) != (str(ACCOUNT), str(KEY_INDEX)) or not self._is_ours({"deadline": int(deadline)}, signed):
            return error(21120, "invalid signature")
        return ok(**told)

    def _is_ours(self, content: dict[str, Any], signed: str) -> bool:
        return self.row is LIGHTER or signed == signature(PRIVATE_KEY, self.chain, content)

    def _send(self, sent: Sent) -> Any:
        kind, content = transaction(sent)
        assert (content["AccountIndex"], content["ApiKeyIndex"]) == (ACCOUNT, KEY_INDEX)
        assert set(content["L2TxAttributes"]) <= {"4", "5"}, "nobody is paid a fee"
        if not self._is_ours(content, content["Sig"]):
            return error(21120, "invalid signature")
        if self.nonces and content["Nonce"] <= self.nonces[-1]:
            return error(21104, "invalid nonce")
        self.nonces.append(content["Nonce"])
        self.actions[kind](content)
        return ok(message='{"ratelimit": "didn\'t use volume quota"}', tx_hash="ab", predicted_execution_time_ms=NOW_MS)

    def _place(self, content: Any) -> None:
        sizes, prices = _PLACES
        waits = content["Type"] in (2, 4)
        assert waits or content["Type"] == 0
        side = Side.SELL if content["IsAsk"] else Side.BUY
        self.book.place(
            Kept(
                client_id=str(content["ClientOrderIndex"]),
                side=side,
                size=Decimal(content["BaseAmount"]) / sizes,
                price=Decimal(content["Price"]) / prices,
                time_in_force="IOC" if content["TimeInForce"] == 0 else "GTC",
                post_only=content["TimeInForce"] == 2,
                reduce_only=content["ReduceOnly"] == 1,
                trigger=Decimal(content["TriggerPrice"]) / prices if waits else None,
                fires_up=(side is Side.BUY) is (content["Type"] == 2),
            ),
            judges_later=True,
        )

    def _cancel(self, content: Any) -> None:
        number = content["Index"]
        self.book.cancel(self.book.by_client_id(str(number)) or self.book.orders.get(number))

    def _cancel_all(self, content: Any) -> None:
        assert content["L2TxAttributes"]["5"] == 1
        self.book.cancel_all()

    def _leverage(self, content: Any) -> None:
        assert content["MarginMode"] == 0
        self.book.leverage = round(10_000 / content["InitialMarginFraction"])

    def _by_client_ids(self, sent: Sent) -> Any:
        found = self.book.by_client_id(query(sent)["client_order_indexes"])
        return self._private(sent, {"orders": [self.told(found)] if found else []})

    def _book_orders(self) -> dict[str, Any]:
        def side(levels: list[tuple[Decimal, Decimal]]) -> list[dict[str, Any]]:
            """Two orders at each price."""
            return [
                {
                    "order_index": 281475565888172,
                    "order_id": "281475565888172",
                    "owner_account_index": 134436,
                    "initial_base_amount": "9.0",
                    "remaining_base_amount": str(size / 2),
                    "price": f"{price}.0",
                    "order_expiry": 1765419046808,
                }
                for price, size in levels
                for _ in range(2)
            ]

        return {"asks": side(self.book.asks), "bids": side(self.book.bids), "total_asks": 40, "total_bids": 40}

    def _rates(self) -> list[dict[str, Any]]:
        ours = {"market_id": 1, "exchange": "lighter", "symbol": "BTC", "rate": float(FUNDING_RATE * 8)}
        return [{**ours, "exchange": "binance", "rate": 0.5}, ours]

    def _candles(self, sent: Sent) -> Any:
        asked = query(sent)
        minutes = {"1m": 1, "5m": 5, "15m": 15, "1h": 60, "4h": 240, "1d": 1440}[asked["resolution"]]
        start_ms, interval_ms = int(asked["start_timestamp"]), minutes * 60_000
        count = (int(asked["end_timestamp"]) - start_ms) // interval_ms
        rows = []
        for start, *rest in self.book.candles(start_ms, interval_ms, count):
            opened, high, low, close, volume = map(float, rest)
            rows.append({"t": start, "o": opened, "h": high, "l": low, "c": close, "v": volume, "i": 1})
        return ok(r=asked["resolution"], c=rows)

    def _account(self) -> dict[str, Any]:
        return {
            "code": 0,
            "account_type": 0,
            "index": ACCOUNT,
            "available_balance": str(EQUITY - self.book.used),
            "status": 1,
            "collateral": "10000.000000",
            "account_index": ACCOUNT,
            "total_asset_value": str(EQUITY),
            "cross_asset_value": str(EQUITY),
            "positions": [self._position(), {**self._position(), "position": "0.00000", "sign": 1}][
                0 if self.book.position else 1 :
            ],
            "assets": [],
        }

    def _position(self) -> dict[str, Any]:
        size = abs(self.book.position)
        return {
            "market_id": 1,
            "symbol": "BTC",
            "initial_margin_fraction": f"{100 / self.book.leverage:.2f}",
            "open_order_count": 0,
            "sign": 1 if self.book.position > 0 else -1,
            "position": str(size),
            "avg_entry_price": "60010.0",
            "position_value": str(size * MARK),
            "unrealized_pnl": "-0.1",
            "realized_pnl": "0",
            "liquidation_price": "38200.5",
            "margin_mode": 0,
            "allocated_margin": "0",
        }

    def told(self, order: Kept) -> dict[str, Any]:
        kind = "limit"
        if order.trigger is not None:
            kind = "take-profit" if order.takes_profit else "stop-loss"
        return {
            "order_index": order.order_id,
            "client_order_index": int(order.client_id or 0),
            "order_id": str(order.order_id),
            "client_order_id": order.client_id,
            "market_index": 1,
            "owner_account_index": ACCOUNT,
            "initial_base_amount": str(order.size),
            "price": str(order.price),
            "nonce": 643418,
            "remaining_base_amount": str(order.size - order.filled),
            "is_ask": order.side is Side.SELL,
            "filled_base_amount": str(order.filled),
            "filled_quote_amount": str(order.filled * (order.average or 0)),
            "side": "",
            "type": kind,
            "time_in_force": "good-till-time",
            "reduce_only": order.reduce_only,
            "trigger_price": str(order.trigger or "0.00"),
            "order_expiry": 0,
            "status": _REFUSED[order.refused] if order.refused else _STATUSES[order.status],
            "trigger_status": "mark-price" if order.trigger else "na",
            "block_height": 102202,
            "timestamp": NOW_MS // 1000,
            "created_at": NOW_MS // 1000,
            "updated_at": NOW_MS // 1000,
        }

    def _trade(self, done: Execution) -> dict[str, Any]:
        ours, other = ("ask", "bid") if done.order.side is Side.SELL else ("bid", "ask")
        return {
            "trade_id": 17609 + done.number,
            "tx_hash": "99ffeaa3",
            "type": "trade",
            "market_id": 1,
            "size": str(done.size),
            "price": str(done.price),
            "usd_amount": str(done.size * done.price),
            f"{ours}_id": done.order.order_id,
            f"{other}_id": 562949952870533,
            f"{ours}_client_id": int(done.order.client_id or 0),
            f"{other}_client_id": 0,
            f"{ours}_account_id": ACCOUNT,
            f"{other}_account_id": 20,
            "is_maker_ask": ours == "bid",
            "taker_fee": 500,
            "block_height": 102070,
            "timestamp": NOW_MS + done.number,
        }
