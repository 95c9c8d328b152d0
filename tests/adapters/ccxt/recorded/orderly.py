"""Orderly, as the OpenAPI document of its public documentation has it. Signatures and their age are checked."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from solders.pubkey import Pubkey

from normalization.orders import OrderStatus, Side
from normalization.venue_failures import Reason
from tests.adapters.ccxt.bridge_rig import path_of
from tests.adapters.ccxt.orders_to_place import NOW_MS
from tests.adapters.ccxt.recorded.book import EQUITY, FUNDED_AT_MS, FUNDING_RATE, MARK, Execution, Kept, Refused
from tests.adapters.ccxt.recorded.wire import Wire, query
from tests.adapters.ccxt.recording_server import Answer, Sent, said

ACCOUNT: Final = "0x" + "ab" * 32
SEED: Final = bytes(range(1, 33))
"""Of the key that trades. What a user types in is this in base58, which is how Solana spells an address."""
PUBLIC: Final = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()
SECRETS: Final = {"account_id": ACCOUNT, "secret_key": f"ed25519:{Pubkey(SEED)}"}
MARKET: Final[dict[str, Any]] = {
    "symbol": "PERP_BTC_USDC",
    "quote_min": 0,
    "quote_max": 1_000_000,
    "quote_tick": 0.1,
    "base_min": 1e-05,
    "base_max": 20,
    "base_tick": 1e-05,
    "min_notional": 1,
    "price_range": 0.02,
    "price_scope": 0.4,
    "std_liquidation_fee": 0.03,
    "funding_period": 8,
    "imr_factor": 0.025,
    "created_time": 1684140107326,
    "updated_time": 1685345968053,
    "base_mmr": 0.05,
    "base_imr": 0.1,
}
FUTURES: Final[dict[str, Any]] = {
    "symbol": "PERP_BTC_USDC",
    "index_price": 59999.5,
    "mark_price": float(MARK),
    "sum_unitary_funding": 387.891,
    "est_funding_rate": float(FUNDING_RATE),
    "last_funding_rate": 0.00046875,
    "next_funding_time": FUNDED_AT_MS,
    "open_interest": 1500.5,
}
_STATUSES: Final = {
    OrderStatus.OPEN: "NEW",
    OrderStatus.PENDING: "NEW",
    OrderStatus.FILLED: "FILLED",
    OrderStatus.CANCELED: "CANCELLED",
    OrderStatus.REJECTED: "REJECTED",
}
_TIMES_IN_FORCE: Final = {"LIMIT": "GTC", "POST_ONLY": "GTC", "IOC": "IOC", "FOK": "FOK", "MARKET": "IOC"}


def ok(data: Any) -> dict[str, Any]:
    return {"success": True, "timestamp": NOW_MS, "data": data}


def error(code: int, message: str, status: int = 400) -> Answer:
    return said({"success": False, "code": code, "message": message}, status)


def paged(rows: list[Any]) -> dict[str, Any]:
    return ok({"meta": {"total": len(rows), "records_per_page": 500, "current_page": 1}, "rows": rows})


def is_signed(sent: Sent) -> bool:
    """By the key that the request names, over the time, the method, the path with its query and the body."""
    text = sent.headers["orderly-timestamp"] + sent.method + sent.path + sent.body.decode()
    key = Pubkey.from_string(sent.headers["orderly-key"].removeprefix("ed25519:"))
    signature = sent.headers["orderly-signature"]
    padded = signature + "=" * (-len(signature) % 4)
    try:
        Ed25519PublicKey.from_public_bytes(bytes(key)).verify(urlsafe_b64decode(padded), text.encode())
    except InvalidSignature:
        return False
    return sent.headers["orderly-account-id"] == ACCOUNT and bytes(key) == PUBLIC


class OrderlyWire(Wire):
    def __init__(self) -> None:
        super().__init__(
            secrets=SECRETS,
            places=("POST /v1/order", "POST /v1/algo/order"),
            refuses={
                Reason.DUPLICATE_ORDER_ID: error(-1007, "The data already exists"),
                Reason.ORDER_NOT_FOUND: error(-1006, "The data does not exist"),
            },
        )
        self.routes = {
            "GET /v1/public/info": lambda sent: ok({"rows": [MARKET]}),
            "GET /v1/public/futures": lambda sent: ok({"rows": [FUTURES]}),
            "GET /v1/public/futures/PERP_BTC_USDC": lambda sent: ok(FUTURES),
            "GET /v1/orderbook/PERP_BTC_USDC": lambda sent: ok(self._levels()),
            "GET /v1/kline": self._candles,
            "GET /v1/client/info": lambda sent: ok({"futures_maker_fee_rate": 2, "futures_taker_fee_rate": 5}),
            "GET /v1/client/key_info": lambda sent: ok({"rows": [self._key()]}),
            "GET /v1/positions": lambda sent: ok(self._account()),
            "GET /v1/trades": lambda sent: paged([self._trade(done) for done in reversed(self.book.executions)]),
            "GET /v1/orders": lambda sent: paged([self._order(o) for o in self._orders() if o.is_open]),
            "GET /v1/algo/orders": lambda sent: paged([self._algo(o) for o in self._waiting() if o.is_open]),
            "GET /v1/order/([0-9]+)": lambda sent, number: ok(self._order(_known(self._orders(), number))),
            "GET /v1/algo/order/([0-9]+)": lambda sent, number: ok(self._algo(_known(self._waiting(), number))),
            "GET /v1/client/order/(.+)": lambda sent, ours: ok(self._order(_named(self._orders(), ours))),
            "GET /v1/algo/client/order/(.+)": lambda sent, ours: ok(self._algo(_named(self._waiting(), ours))),
            "POST /v1/order": lambda sent: self._place(sent.document),
            "POST /v1/algo/order": lambda sent: self._place_algo(sent.document),
            "DELETE /v1/order": lambda sent: self._cancel(_known(self._orders(), query(sent)["order_id"])),
            "DELETE /v1/algo/order": lambda sent: self._cancel(_known(self._waiting(), query(sent)["order_id"])),
            "DELETE /v1/client/order": lambda sent: self._cancel(
                _named(self._orders(), query(sent)["client_order_id"])
            ),
            "DELETE /v1/algo/client/order": lambda sent: self._cancel(
                _named(self._waiting(), query(sent)["client_order_id"])
            ),
            "DELETE /v1/orders": lambda sent: self._cancel_all(self._orders()),
            "DELETE /v1/algo/orders": lambda sent: self._cancel_all(self._waiting()),
            "POST /v1/client/leverages": lambda sent: self._leverage(sent.document),
        }

    def answer(self, sent: Sent) -> Answer:
        if not path_of(sent).startswith(("/v1/public/", "/v1/kline")):
            if abs(int(sent.headers["orderly-timestamp"]) - NOW_MS) > 300_000:
                return error(-1001, "The orderly timestamp is off")
            if not is_signed(sent):
                return error(-1001, "The orderly key or the signature is wrong")
        return super().answer(sent)

    def _orders(self) -> list[Kept]:
        return [order for order in self.book.orders.values() if order.trigger is None]

    def _waiting(self) -> list[Kept]:
        return [order for order in self.book.orders.values() if order.trigger is not None]

    def _place(self, body: Mapping[str, Any]) -> Any:
        kind = body["order_type"]
        kept = self.book.place(
            Kept(
                client_id=body["client_order_id"],
                side=Side(body["side"]),
                size=Decimal(body["order_quantity"]),
                price=Decimal(body["order_price"]),
                time_in_force=_TIMES_IN_FORCE[kind],
                post_only=kind == "POST_ONLY",
                reduce_only=body.get("reduce_only", False),
            ),
            judges_later=True,
        )
        return ok(
            {
                "order_id": kept.order_id,
                "client_order_id": kept.client_id,
                "order_type": kind,
                "order_price": float(body["order_price"]),
                "order_quantity": float(kept.size),
                "error_message": "none",
            }
        )

    def _place_algo(self, body: Mapping[str, Any]) -> Any:
        """A ``STOP`` fires at its price from either side, a child of ``TP_SL`` when the price is better for it."""
        (leg,) = body["child_orders"] if body["algo_type"] == "TP_SL" else (body,)
        assert (leg["type"], body["trigger_price_type"]) == ("MARKET", "MARK_PRICE")
        side = Side(leg["side"])
        kept = self.book.place(
            Kept(
                client_id=body["client_order_id"],
                side=side,
                size=Decimal(body["quantity"]),
                reduce_only=leg.get("reduce_only", False),
                trigger=Decimal(leg["trigger_price"]),
                fires_up=(side is Side.SELL) is (leg["algo_type"] == "TAKE_PROFIT"),
            )
        )
        return ok(
            {
                "order_id": kept.order_id,
                "client_order_id": kept.client_id,
                "algo_type": body["algo_type"],
                "quantity": float(kept.size),
            }
        )

    def _cancel(self, order: Kept) -> Any:
        self.book.cancel(order)
        return {"success": True, "timestamp": NOW_MS, "data": {"status": "CANCEL_SENT"}}

    def _cancel_all(self, orders: list[Kept]) -> Any:
        for order in orders:
            if order.is_open:
                self.book.cancel(order)
        return {"success": True, "timestamp": NOW_MS, "data": {"status": "CANCEL_ALL_SENT"}}

    def _leverage(self, body: Mapping[str, Any]) -> Any:
        self.book.leverage = body["leverage"]
        return ok({"symbol": body["symbol"], "margin_mode": "CROSS", "leverage": body["leverage"]})

    def _key(self) -> dict[str, Any]:
        return {"orderly_key": f"ed25519:{Pubkey(PUBLIC)}", "key_status": "ACTIVE", "scope": "read,trading"}

    def _levels(self) -> dict[str, Any]:
        def side(levels: list[tuple[Decimal, Decimal]]) -> list[dict[str, float]]:
            return [{"price": float(price), "quantity": float(size)} for price, size in levels]

        return {"asks": side(self.book.asks), "bids": side(self.book.bids), "timestamp": NOW_MS}

    def _candles(self, sent: Sent) -> Any:
        asked = query(sent)
        minutes = {"1m": 1, "5m": 5, "15m": 15, "1h": 60, "4h": 240, "1d": 1440}[asked["type"]]
        interval_ms, count = minutes * 60_000, int(asked["limit"])
        start_ms = NOW_MS - NOW_MS % interval_ms - (count - 1) * interval_ms
        names = ("start_timestamp", "open", "high", "low", "close", "volume")
        rows = [dict(zip(names, candle, strict=True)) for candle in self.book.candles(start_ms, interval_ms, count)]
        return ok({"rows": [{**row, "symbol": "PERP_BTC_USDC", "type": asked["type"]} for row in reversed(rows)]})

    def _account(self) -> dict[str, Any]:
        return {
            "current_margin_ratio_with_orders": 1.2385,
            "free_collateral": float(EQUITY - self.book.used),
            "total_collateral_value": float(EQUITY),
            "total_pnl_24_h": 0,
            "rows": [self._position()],
        }

    def _position(self) -> dict[str, Any]:
        """It stays in the list when it is closed."""
        return {
            "symbol": "PERP_BTC_USDC",
            "position_qty": float(self.book.position),
            "average_open_price": 60010.0,
            "mark_price": float(MARK),
            "est_liq_price": 38200.5 if self.book.position else None,
            "unsettled_pnl": -0.1,
            "leverage": self.book.leverage,
            "margin_mode": "CROSS",
            "timestamp": NOW_MS,
        }

    def _trade(self, done: Execution) -> dict[str, Any]:
        return {
            "id": done.number,
            "symbol": "PERP_BTC_USDC",
            "fee": float(done.fee),
            "fee_asset": "USDC",
            "side": done.order.side,
            "order_id": done.order.order_id,
            "executed_price": float(done.price),
            "executed_quantity": float(done.size),
            "executed_timestamp": NOW_MS + done.number,
            "is_maker": 0,
            "realized_pnl": None,
        }

    def _order(self, order: Kept) -> dict[str, Any]:
        return {
            "order_id": order.order_id,
            "user_id": 12345,
            "price": float(order.price or 0),
            "type": "POST_ONLY" if order.post_only else {"GTC": "LIMIT"}.get(order.time_in_force, order.time_in_force),
            "quantity": float(order.size),
            "amount": None,
            "total_executed_quantity": float(order.filled),
            "symbol": "PERP_BTC_USDC",
            "side": order.side,
            "status": _STATUSES[order.status],
            "total_fee": float(order.filled * MARK) * 0.0005,
            "fee_asset": "USDC",
            "client_order_id": order.client_id,
            "average_executed_price": None if order.average is None else float(order.average),
            "reduce_only": order.reduce_only,
            "created_time": NOW_MS,
            "updated_time": NOW_MS,
        }

    def _algo(self, order: Kept) -> dict[str, Any]:
        leg = {
            "side": order.side,
            "type": "MARKET",
            "trigger_price": float(order.trigger or 0),
            "trigger_price_type": "MARK_PRICE",
            "is_triggered": "false",
            "reduce_only": order.reduce_only,
            "executed_quantity": 0,
            "total_executed_quantity": 0,
            "total_fee": 0,
        }
        common = {
            "algo_order_id": order.order_id,
            "algo_status": _STATUSES[order.status],
            "client_order_id": order.client_id,
            "quantity": float(order.size),
            "symbol": "PERP_BTC_USDC",
            "created_time": NOW_MS,
            "updated_time": NOW_MS,
        }
        if order.takes_profit:
            return {**common, "algo_type": "TP_SL", "child_orders": [{**leg, "algo_type": "TAKE_PROFIT"}]}
        return {**common, **leg, "algo_type": "STOP", "child_orders": []}


def _known(orders: list[Kept], number: str) -> Kept:
    """:raises Refused: none of them has that number."""
    return _first([order for order in orders if order.order_id == int(number)])


def _named(orders: list[Kept], client_id: str) -> Kept:
    """:raises Refused: none of them has that id."""
    return _first([order for order in orders if order.client_id == client_id])


def _first(orders: list[Kept]) -> Kept:
    if not orders:
        raise Refused(Reason.ORDER_NOT_FOUND)
    return orders[0]
