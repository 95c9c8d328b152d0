"""Pacifica, as docs.pacifica.fi and the venue's own SDK have it. Signatures and their expiry are checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature

from normalization.orders import OrderStatus, Side
from normalization.venue_failures import Reason
from tests.adapters.ccxt.orders_to_place import NOW_MS
from tests.adapters.ccxt.recorded.book import EQUITY, FUNDING_RATE, MARK, Execution, Kept
from tests.adapters.ccxt.recorded.wire import Wire, query
from tests.adapters.ccxt.recording_server import Answer, Sent, said

ACCOUNT: Final = str(Keypair.from_seed(bytes(range(32))).pubkey())
AGENT: Final = Keypair.from_seed(bytes(range(1, 33)))
MARKET: Final[dict[str, Any]] = {
    "symbol": "BTC",
    "tick_size": "1",
    "min_tick": "0",
    "max_tick": "1000000",
    "lot_size": "0.00001",
    "max_leverage": 50,
    "isolated_only": False,
    "min_order_size": "10",
    "max_order_size": "5000000",
    "funding_rate": "0.0000125",
    "next_funding_rate": "0.0000125",
    "created_at": 1748881333944,
    "instrument_type": "perpetual",
    "base_asset": "BTC",
}
SPOT: Final[dict[str, Any]] = {**MARKET, "symbol": "SOL-USDC", "instrument_type": "spot", "base_asset": "SOL"}
PRICE: Final[dict[str, Any]] = {
    "funding": "0.00010529",
    "mark": str(MARK),
    "mid": "60000",
    "next_funding": str(FUNDING_RATE),
    "open_interest": "3634796",
    "oracle": "59999.5",
    "symbol": "BTC",
    "timestamp": NOW_MS,
    "volume_24h": "20896698.0672",
    "yesterday_price": "61000",
}
_HEADER: Final = ("account", "agent_wallet", "signature", "timestamp", "expiry_window")
_TYPES: Final = {
    "/orders/create": "create_order",
    "/orders/stop/create": "create_stop_order",
    "/positions/tpsl": "set_position_tpsl",
    "/orders/cancel": "cancel_order",
    "/orders/stop/cancel": "cancel_stop_order",
    "/orders/cancel_all": "cancel_all_orders",
    "/account/leverage": "update_leverage",
}
_STATUSES: Final = {
    OrderStatus.OPEN: "open",
    OrderStatus.PENDING: "open",
    OrderStatus.FILLED: "filled",
    OrderStatus.CANCELED: "cancelled",
    OrderStatus.REJECTED: "rejected",
}


def ok(data: Any) -> dict[str, Any]:
    return {"success": True, "data": data, "error": None, "code": None}


def error(code: int, message: str, status: int = 422) -> Answer:
    return said({"success": False, "data": None, "error": message, "code": code}, status)


def signed_text(kind: str, body: Mapping[str, Any]) -> str:
    """What is signed: the header of the message and its payload, sorted and compact."""
    payload = {name: value for name, value in body.items() if name not in _HEADER}
    header = {"type": kind, "timestamp": body["timestamp"], "expiry_window": body["expiry_window"]}
    return json.dumps({**header, "data": payload}, sort_keys=True, separators=(",", ":"))


class PacificaWire(Wire):
    def __init__(self) -> None:
        super().__init__(
            secrets={"account_address": ACCOUNT, "private_key": str(AGENT)},
            places=("POST /api/v1/orders/create", "POST /api/v1/orders/stop/create"),
            refuses={
                Reason.DUPLICATE_ORDER_ID: error(36, "Duplicate client order id"),
                Reason.ORDER_NOT_FOUND: error(6, "Order not found"),
            },
        )
        self.protecting: list[Kept] = []
        self.routes = {
            "GET /api/v1/info": lambda sent: ok([MARKET, SPOT]),
            "GET /api/v1/info/prices": lambda sent: ok([PRICE, {**PRICE, "symbol": "SOL-USDC"}]),
            "GET /api/v1/book": lambda sent: ok({"s": "BTC", "l": self._levels(), "t": NOW_MS}),
            "GET /api/v1/kline": self._candles,
            "GET /api/v1/account": lambda sent: ok(self._account()),
            "GET /api/v1/account/settings": lambda sent: ok(self._settings()),
            "GET /api/v1/positions": lambda sent: ok(self._positions()),
            "GET /api/v1/trades/history": lambda sent: ok([self._trade(done) for done in self.book.executions]),
            "GET /api/v1/orders": lambda sent: ok([self._open(order) for order in self.book.open_orders()]),
            "GET /api/v1/orders/history": self._history,
            "GET /api/v1/orders/history_by_id": self._events,
            "POST /api/v1(/.+)": self._signed,
        }
        self.actions = {
            "/orders/create": self._place,
            "/orders/stop/create": self._place_stop,
            "/positions/tpsl": self._protect,
            "/orders/cancel": lambda body: self._cancel(body, waiting=False),
            "/orders/stop/cancel": lambda body: self._cancel(body, waiting=True),
            "/orders/cancel_all": self._cancel_all,
            "/account/leverage": self._leverage,
        }

    def _signed(self, sent: Sent, path: str) -> Any:
        body = sent.document
        assert (body["account"], body["agent_wallet"]) == (ACCOUNT, str(AGENT.pubkey()))
        text = signed_text(_TYPES[path], body)
        if not Signature.from_string(body["signature"]).verify(Pubkey.from_string(body["agent_wallet"]), text.encode()):
            return error(400, "Verification failed", 400)
        if body["timestamp"] + body["expiry_window"] < NOW_MS:
            return error(400, "Invalid message: expired", 400)
        return self.actions[path](body)

    def _place(self, body: Mapping[str, Any]) -> Any:
        kept = self.book.place(
            Kept(
                client_id=body["client_order_id"],
                side=Side.BUY if body["side"] == "bid" else Side.SELL,
                size=Decimal(body["amount"]),
                price=Decimal(body["price"]),
                time_in_force={"GTC": "GTC", "IOC": "IOC", "ALO": "GTC"}[body["tif"]],
                post_only=body["tif"] == "ALO",
                reduce_only=body["reduce_only"],
            ),
            judges_later=True,
        )
        if not self.book.position:
            for order in self.protecting:
                order.status = OrderStatus.CANCELED
        return ok({"order_id": kept.order_id})

    def _place_stop(self, body: Mapping[str, Any]) -> Any:
        side = Side.BUY if body["side"] == "bid" else Side.SELL
        kept = self._wait(body["stop_order"], side, fires_up=side is Side.BUY, reduce_only=body["reduce_only"])
        return ok({"order_id": kept.order_id})

    def _protect(self, body: Mapping[str, Any]) -> Any:
        side = Side.BUY if body["side"] == "bid" else Side.SELL
        self.protecting = [
            self._wait(body["stop_loss"], side, fires_up=side is Side.BUY, reduce_only=True),
            self._wait(body["take_profit"], side, fires_up=side is Side.SELL, reduce_only=True),
        ]
        return {"success": True}

    def _wait(self, leg: Mapping[str, str], side: Side, *, fires_up: bool, reduce_only: bool) -> Kept:
        return self.book.place(
            Kept(
                client_id=leg["client_order_id"],
                side=side,
                size=Decimal(leg["amount"]),
                reduce_only=reduce_only,
                trigger=Decimal(leg["stop_price"]),
                fires_up=fires_up,
            )
        )

    def _cancel(self, body: Mapping[str, Any], *, waiting: bool) -> Any:
        found = self.book.by_client_id(body.get("client_order_id")) or self.book.orders.get(body.get("order_id", 0))
        self.book.cancel(found if found and (found.trigger is not None) is waiting else None)
        return ok(None)

    def _cancel_all(self, body: Mapping[str, Any]) -> Any:
        assert (body["symbol"], body["all_symbols"]) == ("BTC", False)
        resting = [order for order in self.book.open_orders() if order.trigger is None]
        return ok({"cancelled_count": len([self.book.cancel(order) for order in resting])})

    def _leverage(self, body: Mapping[str, Any]) -> Any:
        self.book.leverage = body["leverage"]
        return {"success": True}

    def _levels(self) -> list[list[dict[str, Any]]]:
        return [[{"p": str(p), "a": str(a), "n": 1} for p, a in side] for side in (self.book.bids, self.book.asks)]

    def _candles(self, sent: Sent) -> Any:
        asked = query(sent)
        minutes = {"1m": 1, "5m": 5, "15m": 15, "1h": 60, "4h": 240, "1d": 1440}[asked["interval"]]
        start_ms, interval_ms = int(asked["start_time"]), minutes * 60_000
        count = (int(asked["end_time"]) - start_ms) // interval_ms + 1
        candles = self.book.candles(start_ms, interval_ms, count)
        return ok(
            [{"s": "BTC", "i": asked["interval"], **dict(zip("tohlcv", candle, strict=True))} for candle in candles]
        )

    def _account(self) -> dict[str, Any]:
        return {
            "balance": "10000",
            "fee_level": 0,
            "maker_fee": "0.00015",
            "taker_fee": "0.0004",
            "account_equity": str(EQUITY),
            "available_to_spend": str(EQUITY - self.book.used),
            "available_to_withdraw": "9000",
            "total_margin_used": str(self.book.used),
            "spot_balances": [],
            "updated_at": NOW_MS,
        }

    def _settings(self) -> list[dict[str, Any]]:
        """Of markets that were never set there is nothing."""
        if self.book.leverage == 10:
            return []
        return [{"symbol": "BTC", "isolated": False, "leverage": self.book.leverage, "created_at": NOW_MS}]

    def _positions(self) -> list[dict[str, Any]]:
        if not self.book.position:
            return []
        position = {
            "symbol": "BTC",
            "side": "bid" if self.book.position > 0 else "ask",
            "amount": str(abs(self.book.position)),
            "entry_price": "60010",
            "margin": "0",
            "funding": "13.159593",
            "isolated": False,
            "created_at": NOW_MS,
            "updated_at": NOW_MS,
        }
        return [position]

    def _trade(self, done: Execution) -> dict[str, Any]:
        return {
            "history_id": 19329801 + done.number,
            "order_id": done.order.order_id,
            "client_order_id": done.order.client_id,
            "symbol": "BTC",
            "amount": str(done.size),
            "price": str(done.price),
            "entry_price": "60010",
            "fee": str(done.fee),
            "pnl": "-0.001415",
            "event_type": "fulfill_taker",
            "side": "open_long" if done.order.side is Side.BUY else "close_long",
            "created_at": NOW_MS + done.number,
            "cause": "normal",
        }

    def _open(self, order: Kept) -> dict[str, Any]:
        return {
            **self._named(order),
            "price": str(order.price or order.trigger),
            "initial_amount": str(order.size),
            "filled_amount": str(order.filled),
            "cancelled_amount": "0",
            "updated_at": NOW_MS,
        }

    def _history(self, sent: Sent) -> Any:
        rows = [
            {
                **self._named(order),
                "initial_price": str(order.price or order.trigger),
                "average_filled_price": str(order.average or 0),
                "amount": str(order.size),
                "filled_amount": str(order.filled),
                "order_status": _STATUSES[order.status],
                "reason": None,
                "updated_at": NOW_MS,
            }
            for order in reversed(self.book.orders.values())
        ]
        return {**ok(rows), "next_cursor": "1111Hyd74", "has_more": False}

    def _events(self, sent: Sent) -> Any:
        order = self.book.orders.get(int(query(sent)["order_id"]))
        if order is None:
            return ok([])
        made = {
            **self._named(order),
            "history_id": 641452513,
            "price": str(order.price or order.trigger),
            "initial_amount": str(order.size),
            "filled_amount": "0",
            "cancelled_amount": "0",
            "event_type": "make",
            "order_status": "open",
        }
        last = {**made, "history_id": 641452639, "order_status": _STATUSES[order.status], "created_at": NOW_MS + 5}
        if order.average is not None:
            last |= {"price": str(order.average), "filled_amount": str(order.filled), "event_type": "fulfill_limit"}
        return ok([made] if order.is_open else [last, made])

    def _named(self, order: Kept) -> dict[str, Any]:
        waiting = "take_profit_market" if order.takes_profit else "stop_loss_market"
        return {
            "order_id": order.order_id,
            "client_order_id": order.client_id,
            "symbol": "BTC",
            "side": "bid" if order.side is Side.BUY else "ask",
            "order_type": "limit" if order.trigger is None else waiting,
            "stop_price": None if order.trigger is None else str(order.trigger),
            "stop_parent_order_id": None,
            "reduce_only": order.reduce_only,
            "created_at": NOW_MS,
        }
