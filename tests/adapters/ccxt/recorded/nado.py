"""Nado, as docs.nado.xyz and the venue's own SDKs have it. What is signed is checked, and gives an order its digest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data
from eth_utils.crypto import keccak

from normalization.orders import OrderStatus, Side
from normalization.venue_failures import Reason
from tests.adapters.ccxt.hyperliquid_rig import AGENT, KEY
from tests.adapters.ccxt.orders_to_place import NOW_MS
from tests.adapters.ccxt.recorded.book import EQUITY, FUNDED_AT_MS, FUNDING_RATE, MARK, Execution, Kept, Refused
from tests.adapters.ccxt.recorded.wire import Wire, query
from tests.adapters.ccxt.recording_server import Answer, Sent, said

OWNER: Final = "0x9050dfa063d1be7ca711c750b18d51fdd13e90ee"
SECRETS: Final = {"account_address": OWNER, "private_key": KEY}
SENDER: Final = OWNER + b"default".hex() + "0" * 10
CHAIN: Final = 57_073
ENDPOINT: Final = "0x05ec92d78ed421f3d3ada77ffde167106565974e"
SYMBOL: Final[dict[str, Any]] = {
    "type": "perp",
    "product_id": 2,
    "symbol": "BTC-PERP",
    "price_increment_x18": "1000000000000000000",
    "size_increment": "10000000000000",
    "min_size": "10000000000000000000",
    "maker_fee_rate_x18": "100000000000000",
    "taker_fee_rate_x18": "350000000000000",
    "long_weight_initial_x18": "950000000000000000",
    "long_weight_maintenance_x18": "970000000000000000",
    "trading_status": "live",
}
PAIR: Final = {"product_id": 2, "ticker_id": "BTC-PERP_USDT0", "base": "BTC-PERP", "quote": "USDT0"}
ASSET: Final = {
    "product_id": 2,
    "ticker_id": "BTC-PERP_USDT0",
    "market_type": "perp",
    "name": "Bitcoin Perp",
    "symbol": "BTC-PERP",
}
CONTRACT: Final[dict[str, Any]] = {
    "product_id": 2,
    "ticker_id": "BTC-PERP_USDT0",
    "base_currency": "BTC-PERP",
    "funding_rate": float(FUNDING_RATE * 24),
    "index_price": 59999.5,
    "last_price": 60001.0,
    "mark_price": float(MARK),
    "next_funding_rate_timestamp": FUNDED_AT_MS // 1000,
    "open_interest": 1500.5,
    "open_interest_usd": 90030000.0,
}
_TYPES: Final = {
    "Order": [
        "bytes32 sender",
        "int128 priceX18",
        "int128 amount",
        "uint64 expiration",
        "uint64 nonce",
        "uint128 appendix",
    ],
    "Cancellation": ["bytes32 sender", "uint32[] productIds", "bytes32[] digests", "uint64 nonce"],
    "CancellationProducts": ["bytes32 sender", "uint32[] productIds", "uint64 nonce"],
    "ListTriggerOrders": ["bytes32 sender", "uint64 recvTime"],
}


def x18(value: Decimal) -> str:
    return f"{value.scaleb(18):.0f}"


def from_x18(value: str) -> Decimal:
    return Decimal(value).scaleb(-18)


def ok(data: Any) -> dict[str, Any]:
    return {"status": "success", "data": data, "request_type": "query"}


def error(code: int, message: str) -> Answer:
    return said({"status": "failure", "error": message, "error_code": code, "request_type": "execute"})


def message_of(kind: str, document: Mapping[str, Any], contract: str) -> SignableMessage:
    """What is signed: the document as an EIP-712 struct of that kind, for that contract."""
    fields = [dict(zip(("type", "name"), field.split(), strict=True)) for field in _TYPES[kind]]
    values = {
        field["name"]: int(document[field["name"]])
        if field["type"].endswith(("64", "128"))
        else document[field["name"]]
        for field in fields
    }
    return encode_typed_data(
        domain_data={"name": "Nado", "version": "0.0.1", "chainId": CHAIN, "verifyingContract": contract},
        message_types={kind: fields},
        message_data=values,
    )


def is_signed(
    kind: str, document: Mapping[str, Any], signature: str, contract: str = ENDPOINT, *, sender: str = SENDER
) -> bool:
    signer: str = Account.recover_message(message_of(kind, document, contract), signature=signature)
    return (signer.lower(), document["sender"]) == (AGENT, sender)


class Placed(msgspec.Struct):
    """An order as it was signed. A trigger order also has what it waits for."""

    digest: str
    order: Mapping[str, str]
    kept: Kept
    trigger: Mapping[str, Any] | None = None


class NadoWire(Wire):
    def __init__(self) -> None:
        super().__init__(
            secrets=SECRETS,
            places=("POST /v1/execute",),
            refuses={
                Reason.DUPLICATE_ORDER_ID: error(2013, "Order with the provided digest already exists"),
                Reason.ORDER_NOT_FOUND: error(2020, "Order with the provided digest could not be found"),
                Reason.POST_ONLY_WOULD_TAKE: error(2008, "Post-only order crosses the book"),
                Reason.INSUFFICIENT_FUNDS: error(2006, "Insufficient account health"),
                Reason.NO_POSITION: error(2064, "Reduce only order increases position"),
            },
        )
        self.placed: dict[str, Placed] = {}
        self.sender = SENDER
        self.routes = {
            "GET /v1/symbols": lambda sent: [SYMBOL],
            "GET /v2/pairs": lambda sent: [PAIR],
            "GET /v2/assets": lambda sent: [ASSET],
            "GET /v2/contracts": lambda sent: {
                "BTC-PERP_USDT0": CONTRACT,
                "SOL-PERP_USDT0": {**CONTRACT, "product_id": 8},
            },
            "GET /v2/orderbook": self._levels,
            "GET /v1/query": lambda sent: self.queries[query(sent)["type"]](query(sent)),
            "POST /v1/query": lambda sent: self.queries[sent.document["type"]](sent.document),
            "POST /v1/execute": self._execute,
            "POST /v1": lambda sent: self._archived(sent.document),
        }
        self.queries = {
            "contracts": lambda asked: ok({"chain_id": str(CHAIN), "endpoint_addr": ENDPOINT}),
            "linked_signer": lambda asked: ok({"linked_signer": AGENT}),
            "subaccount_info": lambda asked: ok(self._subaccount()),
            "order": lambda asked: ok(self._resting(self._open_order(asked["digest"]))),
            "orders": lambda asked: ok(
                {"product_orders": [{"product_id": 2, "orders": list(map(self._resting, self._all_open()))}]}
            ),
            "list_trigger_orders": self._triggers,
        }

    def _execute(self, sent: Sent) -> Any:
        ((kind, body),) = sent.document.items()
        waiting = "/trigger." in sent.path
        if kind == "place_order":
            return self._place(body, waiting=waiting)
        struct = {"cancel_orders": "Cancellation", "cancel_product_orders": "CancellationProducts"}[kind]
        if not is_signed(struct, body["tx"], body["signature"]):
            return error(2028, "Invalid signature")
        if kind == "cancel_orders":
            return self._cancel(body["tx"]["digests"], waiting=waiting)
        return self._cancel([placed.digest for placed in self._all_open(waiting=waiting)], waiting=waiting)

    def _place(self, body: Mapping[str, Any], *, waiting: bool) -> Any:
        order, appendix = body["order"], int(body["order"]["appendix"])
        contract = f"0x{body['product_id']:040x}"
        assert appendix & 0xFF == 1
        assert appendix >> 13 == 0, "a builder or something else that nobody asked for"
        if not is_signed("Order", order, body["signature"], contract, sender=self.sender):
            return error(2028, "Invalid signature")
        if int(order["nonce"]) >> 20 < NOW_MS:
            return error(2011, "The request arrived after recv_time")
        message = message_of("Order", order, contract)
        digest = "0x" + keccak(b"\x19\x01" + message.header + message.body).hex()
        if digest in self.placed:
            raise Refused(Reason.DUPLICATE_ORDER_ID)
        kept = self.book.place(_kept(order, appendix, body.get("trigger") if waiting else None))
        self.placed[digest] = Placed(digest=digest, order=order, kept=kept, trigger=body.get("trigger"))
        return {"status": "success", "signature": body["signature"], "data": {"digest": digest}}

    def _cancel(self, digests: Sequence[str], *, waiting: bool) -> Any:
        """The gateway tells what it canceled; the trigger service tells what it has not got."""
        found = [placed for placed in self._all_open(waiting=waiting) if placed.digest in digests]
        for placed in found:
            self.book.cancel(placed.kept)
        if waiting:
            return error(2058, "Trigger order not found") if digests and not found else ok(None)
        return ok({"cancelled_orders": list(map(self._resting, found))})

    def _all_open(self, *, waiting: bool = False) -> list[Placed]:
        return [p for p in self.placed.values() if p.kept.is_open and (p.kept.trigger is not None) is waiting]

    def _open_order(self, digest: str) -> Placed:
        """:raises Refused: there is none of that digest."""
        found = next((placed for placed in self._all_open() if placed.digest == digest), None)
        if found is None:
            raise Refused(Reason.ORDER_NOT_FOUND)
        return found

    def _triggers(self, asked: Mapping[str, Any]) -> Any:
        if not is_signed("ListTriggerOrders", asked["tx"], asked["signature"]):
            return error(2028, "Invalid signature")
        assert NOW_MS < int(asked["tx"]["recvTime"]) < NOW_MS + 60_000
        return ok({"orders": [self._waiting(placed) for placed in self.placed.values() if placed.trigger]})

    def _archived(self, asked: Mapping[str, Any]) -> Any:
        if "candlesticks" in asked:
            return self._candles(asked["candlesticks"])
        if "matches" in asked:
            done = self.book.executions[::-1]
            times = [{"submission_idx": str(e.number), "timestamp": str(NOW_MS // 1000 + e.number)} for e in done]
            return {"matches": [self._match(e) for e in done], "txs": times}
        wanted = asked["orders"].get("digests")
        rows = [
            self._finished(placed)
            for placed in self.placed.values()
            if not placed.kept.is_open and not placed.trigger and (wanted is None or placed.digest in wanted)
        ]
        return {"orders": rows}

    def _levels(self, sent: Sent) -> Any:
        assert query(sent)["ticker_id"] == "BTC-PERP_USDT0"
        depth = int(query(sent)["depth"])
        bids, asks = ([[float(p), float(q)] for p, q in side[:depth]] for side in (self.book.bids, self.book.asks))
        return {"product_id": 2, "ticker_id": "BTC-PERP_USDT0", "bids": bids, "asks": asks, "timestamp": NOW_MS}

    def _candles(self, asked: Mapping[str, Any]) -> Any:
        period_s, count = asked["granularity"], asked["limit"]
        now_s = NOW_MS // 1000
        start_s = now_s - now_s % period_s - (count - 1) * period_s
        names = ("open_x18", "high_x18", "low_x18", "close_x18", "volume")
        rows = [
            {
                "product_id": 2,
                "timestamp": str(start),
                **dict(zip(names, (x18(Decimal(v)) for v in values), strict=True)),
            }
            for start, *values in self.book.candles(start_s, period_s, count)
        ]
        return {"candlesticks": rows[::-1]}

    def _subaccount(self) -> dict[str, Any]:
        health = [EQUITY - self.book.used, EQUITY - self.book.used / 2, EQUITY]
        quote = -self.book.position * 60_010
        return {
            "subaccount": SENDER,
            "exists": True,
            "healths": [{"assets": "0", "liabilities": "0", "health": x18(value)} for value in health],
            "perp_balances": [
                {"product_id": 2, "balance": {"amount": x18(self.book.position), "v_quote_balance": x18(quote)}},
                {"product_id": 99, "balance": {"amount": "5", "v_quote_balance": "5"}},
            ],
            "perp_products": [
                {"product_id": 2, "oracle_price_x18": x18(MARK)},
                {"product_id": 99, "oracle_price_x18": "1"},
            ],
        }

    def _resting(self, placed: Placed) -> dict[str, Any]:
        order = placed.order
        return {
            "product_id": 2,
            "sender": order["sender"],
            "price_x18": order["priceX18"],
            "amount": order["amount"],
            "expiration": order["expiration"],
            "nonce": order["nonce"],
            "unfilled_amount": order["amount"],
            "digest": placed.digest,
            "placed_at": NOW_MS // 1000,
            "appendix": order["appendix"],
            "order_type": "default",
        }

    def _waiting(self, placed: Placed) -> dict[str, Any]:
        status = {OrderStatus.PENDING: "waiting_price", OrderStatus.CANCELED: {"cancelled": "user_requested"}}
        signed = {"product_id": 2, "order": placed.order, "trigger": placed.trigger, "digest": placed.digest}
        return {
            "order": signed,
            "status": status[placed.kept.status],
            "placed_at": NOW_MS,
            "updated_at": NOW_MS,
        }

    def _finished(self, placed: Placed) -> dict[str, Any]:
        kept = placed.kept
        base = kept.filled * kept.side.sign
        fee = kept.filled * (kept.average or 0) * Decimal("0.00035")
        return {
            "digest": placed.digest,
            "subaccount": SENDER,
            "product_id": 2,
            "submission_idx": "1",
            "amount": placed.order["amount"],
            "price_x18": placed.order["priceX18"],
            "base_filled": x18(base),
            "quote_filled": x18(-base * (kept.average or 0) - fee),
            "fee": x18(fee),
            "expiration": placed.order["expiration"],
            "nonce": placed.order["nonce"],
            "appendix": placed.order["appendix"],
            "first_fill_timestamp": str(NOW_MS // 1000) if kept.filled else None,
        }

    def _match(self, done: Execution) -> dict[str, Any]:
        (placed,) = (p for p in self.placed.values() if p.kept is done.order)
        base = done.size * done.order.side.sign
        return {
            "digest": placed.digest,
            "base_filled": x18(base),
            "quote_filled": x18(-base * done.price - done.fee),
            "fee": x18(done.fee),
            "submission_idx": str(done.number),
            "order": placed.order,
        }


def _kept(order: Mapping[str, str], appendix: int, trigger: Mapping[str, Any] | None) -> Kept:
    amount = from_x18(order["amount"])
    kind = appendix >> 9 & 3
    kept = Kept(
        side=Side.BUY if amount > 0 else Side.SELL,
        size=abs(amount),
        price=from_x18(order["priceX18"]),
        time_in_force=("GTC", "IOC", "FOK", "GTC")[kind],
        post_only=kind == 3,
        reduce_only=bool(appendix >> 11 & 1),
    )
    assert bool(appendix >> 12 & 1) is (trigger is not None)
    if trigger is not None:
        ((name, at),) = trigger["price_trigger"]["price_requirement"].items()
        kept.trigger, kept.fires_up = from_x18(at), {"oracle_price_above": True, "oracle_price_below": False}[name]
    return kept
