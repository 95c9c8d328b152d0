"""Derive, as its OpenAPI document (version 3) has it. Every action's signature, nonce and time is checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from eth_abi import encode  # type: ignore[attr-defined]
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_keys.datatypes import PrivateKey, Signature
from eth_utils.crypto import keccak

from adapters.base import Network
from normalization.orders import OrderStatus, Side
from normalization.venue_failures import Reason
from tests.adapters.ccxt.bridge_rig import path_of
from tests.adapters.ccxt.orders_to_place import NOW_MS
from tests.adapters.ccxt.recorded.book import EQUITY, FIRST_ID, FUNDING_RATE, MARK, Execution, Kept, Refused
from tests.adapters.ccxt.recorded.wire import Wire
from tests.adapters.ccxt.recording_server import Answer, Sent, said

OWNER: Final = "0x9050dfA063D1bE7cA711c750b18D51fDD13e90Ee"
SESSION_KEY: Final = "0x" + "4c" * 32
SIGNER: Final = PrivateKey(bytes.fromhex(SESSION_KEY[2:])).public_key.to_address()
SECRETS: Final = {"account_address": OWNER, "subaccount_id": "86815", "private_key": SESSION_KEY}
CHAINS: Final = {Network.PAPER: 1, Network.TESTNET: 11_155_111}
"""What is served here is signed for the venue's mainnet."""
MATCHING: Final = "0xeB8d770ec18DB98Db922E9D83260A585b9F0DeAD"
DOMAIN: Final = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
TRADE_MODULE: Final = "0xB8D20c2B7a1Ad2EE33Bc50eF10876eD3035b5e7b"
ACTION: Final = keccak(
    b"Action(uint256 subaccountId,uint256 nonce,address module,bytes data,uint256 expiry,address owner,address signer)"
)
ASSET: Final = "0x" + "d8" * 20
INSTRUMENT: Final[dict[str, Any]] = {
    "instrument_name": "BTC-PERP",
    "instrument_type": "perp",
    "is_active": True,
    "base_currency": "BTC",
    "quote_currency": "USD",
    "base_asset_address": ASSET,
    "base_asset_sub_id": "0",
    "tick_size": "1",
    "amount_step": "0.00001",
    "minimum_amount": "0.001",
    "maximum_amount": "10000",
    "maker_fee_rate": "0.0001",
    "taker_fee_rate": "0.0003",
    "base_fee": "0.1",
    "perp_details": {"index": "BTC-USD", "srm_perp_margin_requirements": {"max_leverage": "20"}},
}
TICKER: Final[dict[str, Any]] = {
    "A": "2.5",
    "B": "1.5",
    "I": "59999.5",
    "M": f"{MARK}.25",
    "a": "60010",
    "b": "59990",
    "f": str(FUNDING_RATE),
    "maxp": "66000",
    "minp": "54000",
    "stats": {"c": "10", "h": "61000", "l": "59000", "n": 7, "oi": "1500.5", "p": "0.01", "pr": "0", "v": "1000000"},
    "t": NOW_MS,
}
_STATUSES: Final = {
    OrderStatus.OPEN: "open",
    OrderStatus.PENDING: "untriggered",
    OrderStatus.FILLED: "filled",
    OrderStatus.CANCELED: "cancelled",
    OrderStatus.REJECTED: "rejected",
}


def ok(result: Any) -> dict[str, Any]:
    return {"id": "dd0fe5ec-043c-41ab-95e1-fc2421c6fc10", "result": result}


def error(code: int, message: str) -> Answer:
    return said({"id": "1", "error": {"code": code, "message": message}})


def uuid_of(order: Kept) -> str:
    return f"f690dfc9-5b9c-4f62-a2b0-{order.order_id - FIRST_ID:012x}"


def signer_of(body: Mapping[str, Any], chain: int) -> str:
    """Who signed that order, as an EIP-712 action of the trade module on that chain."""

    def scaled(name: str) -> int:
        return int(Decimal(body[name]).scaleb(18))

    trade = encode(
        ["address", "uint256", "int256", "int256", "uint256", "uint256", "bool"],
        [
            ASSET,
            int(INSTRUMENT["base_asset_sub_id"]),
            scaled("limit_price"),
            scaled("amount"),
            scaled("max_fee"),
            body["subaccount_id"],
            body["direction"] == "buy",
        ],
    )
    action = encode(
        ["bytes32", "uint256", "uint256", "address", "bytes32", "uint256", "address", "address"],
        [
            ACTION,
            body["subaccount_id"],
            int(body["nonce"]),
            TRADE_MODULE,
            keccak(trade),
            body["signature_expiry_sec"],
            OWNER,
            body["signer"],
        ],
    )
    domain = encode(
        ["bytes32", "bytes32", "bytes32", "uint256", "address"],
        [DOMAIN, keccak(b"Matching"), keccak(b"1.0"), chain, MATCHING],
    )
    digest = keccak(b"\x19\x01" + keccak(domain) + keccak(action))
    raw = bytes.fromhex(body["signature"][2:])
    recovered = Signature(raw[:64] + bytes([raw[64] - 27])).recover_public_key_from_msg_hash(digest)
    return recovered.to_address()


class DeriveWire(Wire):
    def __init__(self) -> None:
        super().__init__(
            secrets=SECRETS,
            places=("POST /v3/private/order",),
            refuses={
                Reason.DUPLICATE_ORDER_ID: error(11017, "Nonce is not unique"),
                Reason.ORDER_NOT_FOUND: error(11006, "Order does not exist"),
                Reason.POST_ONLY_WOULD_TAKE: error(11008, "Post only order would take"),
                Reason.INSUFFICIENT_FUNDS: error(11000, "Insufficient funds"),
                Reason.NO_POSITION: error(11025, "Reduce only order would not reduce"),
            },
        )
        self.nonces: set[str] = set()
        self.chain = CHAINS[Network.PAPER]
        self.owner = OWNER
        self.routes = {
            "POST /v3/public/get_all_instruments": lambda sent: ok(
                {"instruments": [INSTRUMENT], "pagination": {"count": 1, "num_pages": 1}}
            ),
            "POST /v3/public/get_ticker": lambda sent: ok(TICKER),
            "POST /v3/public/get_tickers": lambda sent: ok({"tickers": {"BTC-PERP": TICKER, "DOGE-PERP": TICKER}}),
            "POST /v3/public/get_tradingview_chart_data": self._candles,
            "POST /v3/private/get_subaccount": lambda sent: ok(self._subaccount()),
            "POST /v3/private/get_positions": lambda sent: ok({"positions": self._positions()}),
            "POST /v3/private/get_trade_history": lambda sent: paged("trades", list(map(self._trade, self._done()))),
            "POST /v3/private/get_open_orders": lambda sent: ok({"orders": self._told(OrderStatus.OPEN)}),
            "POST /v3/private/get_trigger_orders": lambda sent: ok({"orders": self._told(OrderStatus.PENDING)}),
            "POST /v3/private/get_order_history": lambda sent: paged("orders", self._told(None)),
            "POST /v3/private/get_order": lambda sent: ok(
                self._order(self._known(sent, OrderStatus.PENDING, not_=True))
            ),
            "POST /v3/private/session_keys": lambda sent: ok({"public_session_keys": [self._key()]}),
            "POST /v3/private/order": lambda sent: self._place(sent.document),
            "POST /v3/private/cancel": lambda sent: ok(
                self._order(self.book.cancel(self._known(sent, OrderStatus.PENDING, not_=True)))
            ),
            "POST /v3/private/cancel_trigger_order": lambda sent: ok(
                self._order(self.book.cancel(self._known(sent, OrderStatus.PENDING)))
            ),
            "POST /v3/private/cancel_by_label": lambda sent: self._cancel_open(sent, sent.document["label"]),
            "POST /v3/private/cancel_by_instrument": lambda sent: self._cancel_open(sent, None),
        }

    def answer(self, sent: Sent) -> Answer:
        if "/private/" in path_of(sent):
            time = sent.headers["X-DeriveTimestamp"]
            signature = sent.headers["X-DeriveSignature"]
            signer = Account.recover_message(encode_defunct(text=time), signature=signature).lower()
            if (sent.headers["X-DeriveWallet"], signer) != (self.owner, SIGNER):
                return error(14000, "Account not found")
        return super().answer(sent)

    def _known(self, sent: Sent, status: OrderStatus, *, not_: bool = False) -> Kept:
        """:raises Refused: no order of that id is in that list."""
        for order in self.book.orders.values():
            if uuid_of(order) == sent.document["order_id"] and (order.status is status) is not not_:
                return order
        raise Refused(Reason.ORDER_NOT_FOUND)

    def _place(self, body: Mapping[str, Any]) -> Any:
        if (body["signer"], signer_of(body, self.chain)) != (SIGNER, SIGNER):
            return error(14014, "Signature invalid for message or transaction")
        if body.get("reject_timestamp", NOW_MS) < NOW_MS:
            return error(11022, "Reject timestamp has passed")
        if body["nonce"] in self.nonces:
            raise Refused(Reason.DUPLICATE_ORDER_ID)
        self.nonces.add(body["nonce"])
        trigger, side = body.get("trigger_price"), Side(body["direction"].upper())
        time_in_force = body.get("time_in_force", "gtc")
        assert time_in_force not in ("gtc", "post_only") or not body.get("reduce_only") or trigger
        kept = self.book.place(
            Kept(
                client_id=body["label"],
                side=side,
                size=Decimal(body["amount"]),
                price=Decimal(body["limit_price"]),
                time_in_force="GTC" if time_in_force == "post_only" else time_in_force.upper(),
                post_only=time_in_force == "post_only",
                reduce_only=body.get("reduce_only", False),
                trigger=None if trigger is None else Decimal(trigger),
                fires_up=(side is Side.BUY) is (body.get("trigger_type") == "stoploss"),
            )
        )
        return ok({"order": {**self._order(kept), "nonce": body["nonce"]}, "trades": []})

    def _cancel_open(self, sent: Sent, label: str | None) -> Any:
        assert sent.document["instrument_name"] == "BTC-PERP"
        found = [
            self.book.cancel(order)
            for order in self.book.open_orders()
            if order.status is not OrderStatus.PENDING and label in (None, order.client_id)
        ]
        return ok({"cancelled_orders": len(found)})

    def _candles(self, sent: Sent) -> Any:
        asked = sent.document
        period_s = int(asked["period"])
        start_s = -(-asked["start_timestamp"] // period_s) * period_s
        count = (asked["end_timestamp"] - start_s) // period_s + 1
        names = ("timestamp_bucket", "open_price", "high_price", "low_price", "close_price", "volume_contracts")
        candles = self.book.candles(start_s, period_s, count)
        return ok([{**dict(zip(names, candle, strict=True)), "timestamp": candle[0]} for candle in candles])

    def _subaccount(self) -> dict[str, Any]:
        return {
            "subaccount_id": 86815,
            "subaccount_value": str(EQUITY),
            "initial_margin": str(EQUITY - self.book.used),
            "open_orders_margin": "-1.5",
            "maintenance_margin": str(EQUITY),
            "is_under_liquidation": False,
        }

    def _key(self) -> dict[str, Any]:
        return {
            "public_session_key": SIGNER,
            "protocol_scopes": ["trade"],
            "offchain_scopes": [],
            "expiry_sec": NOW_MS,
        }

    def _done(self) -> list[Execution]:
        return self.book.executions[::-1]

    def _positions(self) -> list[dict[str, Any]]:
        position = {
            "instrument_name": "BTC-PERP",
            "instrument_type": "perp",
            "amount": str(self.book.position),
            "average_price": "60010",
            "mark_price": str(MARK),
            "leverage": "6.0001",
            "liquidation_price": "38200.5",
            "unrealized_pnl": "-0.1",
        }
        return [position] if self.book.position else []

    def _trade(self, done: Execution) -> dict[str, Any]:
        return {
            "trade_id": f"d2c5e5a6-0000-4000-8000-{done.number:012x}",
            "order_id": uuid_of(done.order),
            "instrument_name": "BTC-PERP",
            "direction": done.order.side.lower(),
            "trade_amount": str(done.size),
            "trade_price": str(done.price),
            "trade_fee": str(done.fee),
            "liquidity_role": "taker",
            "timestamp": NOW_MS + done.number,
        }

    def _told(self, status: OrderStatus | None) -> list[dict[str, Any]]:
        """Of that status, newest first; those that never waited for a trigger where there is none."""
        orders = reversed(self.book.orders.values())
        if status is None:
            return [self._order(order) for order in orders if order.status is not OrderStatus.PENDING]
        return [self._order(order) for order in orders if order.status is status]

    def _order(self, order: Kept) -> dict[str, Any]:
        return {
            "subaccount_id": 86815,
            "order_id": uuid_of(order),
            "instrument_name": "BTC-PERP",
            "direction": order.side.lower(),
            "label": order.client_id,
            "amount": str(order.size),
            "average_price": str(order.average or 0),
            "cancel_reason": "",
            "creation_timestamp": NOW_MS,
            "filled_amount": str(order.filled),
            "last_update_timestamp": NOW_MS,
            "limit_price": str(order.price),
            "max_fee": "100",
            "order_fee": str(order.filled * MARK * Decimal("0.0003")),
            "order_status": _STATUSES[order.status],
            "order_type": "limit" if order.trigger is None else "market",
            "time_in_force": "gtc",
            "algo_type": None,
            "trigger_type": _trigger_of(order),
            "trigger_price": None if order.trigger is None else str(order.trigger),
            "trigger_price_type": None if order.trigger is None else "mark",
        }


def _trigger_of(order: Kept) -> str | None:
    if order.trigger is None:
        return None
    return "takeprofit" if order.takes_profit else "stoploss"


def paged(name: str, rows: Sequence[Any]) -> dict[str, Any]:
    return ok({name: rows, "pagination": {"count": len(rows), "num_pages": 1}})
