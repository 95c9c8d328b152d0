"""dYdX, as the venue's own clients have it. Every transaction is taken apart and its signature checked."""

from __future__ import annotations

import base64
import importlib
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import coincurve
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from adapters.ccxt_venues.dydx import address_of
from adapters.ccxt_venues.secret_checks import SECP256K1_ORDER
from normalization.orders import OrderStatus, Side
from normalization.venue_failures import Reason
from tests.adapters.ccxt.orders_to_place import NOW_MS
from tests.adapters.ccxt.recorded.book import EQUITY, FUNDING_RATE, MARK, Execution, Kept
from tests.adapters.ccxt.recorded.wire import Wire, query
from tests.adapters.ccxt.recording_server import Answer, Sent, said

KEY: Final = "11" * 32
PUBLIC_KEY: Final = coincurve.PrivateKey(bytes.fromhex(KEY)).public_key.format(compressed=True)
ADDRESS: Final = address_of(PUBLIC_KEY)
ACCOUNT_NUMBER: Final = 33_707
HEIGHT: Final = 52_246_761
MAINNET: Final = "dydx-mainnet-1"
MARKET: Final[dict[str, Any]] = {
    "clobPairId": "0",
    "ticker": "BTC-USD",
    "status": "ACTIVE",
    "oraclePrice": str(MARK),
    "priceChange24H": "659.9736",
    "volume24H": "1292729.3605",
    "trades24H": 9387,
    "nextFundingRate": str(FUNDING_RATE),
    "initialMarginFraction": "0.02",
    "maintenanceMarginFraction": "0.012",
    "openInterest": "52.0691",
    "atomicResolution": -10,
    "quantumConversionExponent": -9,
    "tickSize": "1",
    "stepSize": "0.0001",
    "stepBaseQuantums": 1000000,
    "subticksPerTick": 100000,
    "marketType": "CROSS",
}
_NAMESPACE: Final = uuid.UUID("0f9da948-a6fb-4c45-9edc-4685c3f3317d")
_STATUSES: Final = {
    OrderStatus.OPEN: "OPEN",
    OrderStatus.PENDING: "UNTRIGGERED",
    OrderStatus.FILLED: "FILLED",
    OrderStatus.CANCELED: "CANCELED",
    OrderStatus.REJECTED: "CANCELED",
}
_QUANTUMS: Final = Decimal(10) ** 10
_SUBTICKS: Final = Decimal(10) ** 5


def refusal(space: str, code: int, log: str) -> Answer:
    return said({"jsonrpc": "2.0", "id": -1, "result": {"code": code, "data": "", "log": log, "codespace": space}})


def missing(message: str) -> Answer:
    return said({"errors": [{"msg": message}]}, 404)


def message_of(sent: Sent, chain: str = MAINNET) -> Any:
    """The order or cancel in a transaction whose signature is the account's.

    :raises InvalidSignature: it is not.
    """
    tx_pb2 = _transactions()
    raw = tx_pb2.TxRaw.FromString(bytes.fromhex(query(sent)["tx"].removeprefix("0x")))
    document = tx_pb2.SignDoc(
        body_bytes=raw.body_bytes,
        auth_info_bytes=raw.auth_info_bytes,
        chain_id=chain,
        account_number=ACCOUNT_NUMBER,
    ).SerializeToString()
    (signature,) = raw.signatures
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    assert s <= SECP256K1_ORDER // 2, "the chain takes one of the two signatures only"
    ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), PUBLIC_KEY).verify(
        encode_dss_signature(r, s), document, ec.ECDSA(hashes.SHA256())
    )
    (packed,) = tx_pb2.TxBody.FromString(raw.body_bytes).messages
    messages: Any = importlib.import_module("ccxt.static_dependencies.dydx_v4_client.registry")
    return messages.registry[packed.type_url].FromString(packed.value)


def sequence_of(sent: Sent) -> int:
    """The moment that stands for the transaction's number."""
    tx_pb2 = _transactions()
    raw = tx_pb2.TxRaw.FromString(bytes.fromhex(query(sent)["tx"].removeprefix("0x")))
    return int(tx_pb2.AuthInfo.FromString(raw.auth_info_bytes).signer_infos[0].sequence)


def _transactions() -> Any:
    """Its classes are only known at run time."""
    return importlib.import_module("ccxt.static_dependencies.dydx_v4_client.cosmos.tx.v1beta1.tx_pb2")


class DydxWire(Wire):
    def __init__(self, chain: str = MAINNET) -> None:
        super().__init__(
            secrets={"address": ADDRESS, "private_key": KEY},
            places=("GET /broadcast_tx_sync",),
            refuses={
                Reason.DUPLICATE_ORDER_ID: refusal("clob", 3005, "Existing stateful order"),
                Reason.ORDER_NOT_FOUND: refusal("clob", 3006, "Stateful order does not exist"),
            },
        )
        self.chain = chain
        self.kinds: dict[int, int] = {}
        self.markets: dict[str, Any] = {"BTC-USD": MARKET}
        self.routes = {
            "GET /v4/perpetualMarkets": lambda sent: {"markets": self.markets},
            "GET /v4/orderbooks/perpetualMarket/BTC-USD": lambda sent: self._levels(),
            "GET /v4/candles/perpetualMarkets/BTC-USD": self._candles,
            f"GET /v4/addresses/{ADDRESS}/subaccountNumber/0": lambda sent: {"subaccount": self._account()},
            "GET /v4/perpetualPositions": lambda sent: {"positions": self._positions()},
            "GET /v4/fills": lambda sent: {"fills": [self._fill(done) for done in self.book.executions]},
            "GET /v4/orders": self._orders,
            "GET /v4/orders/(.+)": self._by_id,
            "GET /abci_info": lambda sent: {"result": {"response": {"last_block_height": str(HEIGHT)}}},
            f"GET /cosmos/auth/v1beta1/account_info/{ADDRESS}": lambda sent: {
                "info": {
                    "address": ADDRESS,
                    "pub_key": {
                        "@type": "/cosmos.crypto.secp256k1.PubKey",
                        "key": base64.b64encode(PUBLIC_KEY).decode(),
                    },
                    "account_number": str(ACCOUNT_NUMBER),
                    "sequence": "7",
                }
            },
            "GET /broadcast_tx_sync": self._broadcast,
        }

    def _broadcast(self, sent: Sent) -> Any:
        try:
            message = message_of(sent, self.chain)
        except InvalidSignature:
            return refusal("sdk", 4, "signature verification failed")
        if abs(sequence_of(sent) - NOW_MS) > 30_000:
            return refusal("sdk", 32, "timestamp nonce not within valid time window")
        if message.DESCRIPTOR.name == "MsgPlaceOrder":
            self._place(message.order)
        else:
            self._cancel(message.order_id)
        return {
            "jsonrpc": "2.0",
            "id": -1,
            "result": {"code": 0, "data": "", "log": "[]", "codespace": "", "hash": "A"},
        }

    def _place(self, order: Any) -> None:
        assert order.order_router_address == "", "nobody is paid a share of the fees"
        kind = order.order_id.order_flags
        assert (order.good_til_block > HEIGHT) is (kind == 0)
        side = {1: Side.BUY, 2: Side.SELL}[order.side]
        waits = kind == 32
        kept = self.book.place(
            Kept(
                client_id=str(order.order_id.client_id),
                side=side,
                size=order.quantums / _QUANTUMS,
                price=order.subticks / _SUBTICKS,
                time_in_force="IOC" if order.time_in_force == 1 and not waits else "GTC",
                post_only=order.time_in_force == 2,
                reduce_only=order.reduce_only,
                trigger=order.conditional_order_trigger_subticks / _SUBTICKS if waits else None,
                fires_up=(side is Side.BUY) is (order.condition_type == 1),
            ),
            judges_later=True,
        )
        self.kinds[kept.order_id] = kind

    def _cancel(self, order_id: Any) -> None:
        found = self.book.by_client_id(str(order_id.client_id))
        self.book.cancel(found if found and self.kinds[found.order_id] == order_id.order_flags else None)

    def _by_id(self, sent: Sent, order_id: str) -> Any:
        found = next((order for order in self.book.orders.values() if self._id(order) == order_id), None)
        return missing(f"Unable to find order id {order_id}") if found is None else self.told(found)

    def _orders(self, sent: Sent) -> Any:
        asked = query(sent)
        assert (asked["address"], asked["subaccountNumber"]) == (ADDRESS, "0")
        return [order for order in map(self.told, self.book.orders.values()) if order["status"] == asked["status"]]

    def _levels(self) -> dict[str, Any]:
        def side(levels: list[tuple[Decimal, Decimal]]) -> list[dict[str, str]]:
            return [{"price": str(price), "size": str(size)} for price, size in levels]

        return {"bids": side(self.book.bids), "asks": side(self.book.asks)}

    def _candles(self, sent: Sent) -> Any:
        asked = query(sent)
        names = {"1MIN": 1, "5MINS": 5, "15MINS": 15, "1HOUR": 60, "4HOURS": 240, "1DAY": 1440}
        interval_ms = names[asked["resolution"]] * 60_000
        start_ms = int(datetime.fromisoformat(asked["fromIso"]).timestamp() * 1000)
        found = [
            {
                "startedAt": _moment(start),
                "ticker": "BTC-USD",
                "open": opened,
                "high": high,
                "low": low,
                "close": close,
                "baseTokenVolume": volume,
            }
            for start, opened, high, low, close, volume in self.book.candles(start_ms, interval_ms, int(asked["limit"]))
        ]
        return {"candles": found[::-1]}

    def _account(self) -> dict[str, Any]:
        return {
            "address": ADDRESS,
            "subaccountNumber": 0,
            "equity": f"{EQUITY}16029",
            "freeCollateral": str(EQUITY - self.book.used),
            "openPerpetualPositions": {},
            "assetPositions": {},
            "marginEnabled": True,
        }

    def _positions(self) -> list[dict[str, Any]]:
        if not self.book.position:
            return []
        position = {
            "market": "BTC-USD",
            "status": "OPEN",
            "side": self.book.position_side,
            "size": str(self.book.position),
            "maxSize": str(self.book.position),
            "entryPrice": "60010.04840909090909090909",
            "realizedPnl": "476.42665909090909090909088",
            "unrealizedPnl": "-0.26681734000000000000037",
            "createdAt": _moment(NOW_MS),
            "subaccountNumber": 0,
        }
        return [position]

    def _fill(self, done: Execution) -> dict[str, Any]:
        return {
            "id": f"fill-{done.number}",
            "side": done.order.side,
            "liquidity": "TAKER",
            "type": "LIMIT",
            "market": "BTC-USD",
            "marketType": "PERPETUAL",
            "price": str(done.price),
            "size": str(done.size),
            "fee": str(done.fee),
            "createdAt": _moment(NOW_MS + done.number),
            "orderId": self._id(done.order),
            "clientMetadata": "0",
            "subaccountNumber": 0,
        }

    def told(self, order: Kept) -> dict[str, Any]:
        told: dict[str, Any] = {
            "id": self._id(order),
            "subaccountId": "x",
            "clientId": order.client_id,
            "clobPairId": "0",
            "side": order.side,
            "size": str(order.size),
            "totalFilled": str(order.filled),
            "price": str(order.price),
            "type": "LIMIT",
            "status": _STATUSES[order.status],
            "timeInForce": "GTT",
            "reduceOnly": order.reduce_only,
            "orderFlags": str(self.kinds[order.order_id]),
            "postOnly": order.post_only,
            "ticker": "BTC-USD",
            "updatedAt": _moment(NOW_MS),
            "subaccountNumber": 0,
        }
        if order.trigger is not None:
            told["type"] = "TAKE_PROFIT_MARKET" if order.takes_profit else "STOP_MARKET"
            told["triggerPrice"] = str(order.trigger)
        return told

    def _id(self, order: Kept) -> str:
        subaccount = uuid.uuid5(_NAMESPACE, f"{ADDRESS}-0")
        return str(uuid.uuid5(_NAMESPACE, f"{subaccount}-{order.client_id}-0-{self.kinds[order.order_id]}"))


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
