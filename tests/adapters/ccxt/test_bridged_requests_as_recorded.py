"""What bridged venues are sent, beside what plain ccxt sent for the same: where the two differ, ours is meant."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import pytest

from normalization.orders import Execution, Limit, Market, PostOnly, Side, Stop, TakeProfit, TimeInForce
from tests.adapters.ccxt.benches import Bench, bench_of
from tests.adapters.ccxt.bridge_rig import path_of
from tests.adapters.ccxt.recorded import WIRES
from tests.adapters.ccxt.recorded.grvt import SUB_ACCOUNT
from tests.adapters.ccxt.recorded.wire import Wire, query
from tests.adapters.ccxt.recording_server import Sent

RECORDED: Final = Path(__file__).resolve().parents[3].parent / "shared/fixtures/ccxt/recorded_requests.json"

THEIR_CLIENT_IDS: Final = ("my-order-1", "f47ac10b-58cc-4372-a567-0e02b2c3d479", r"\b123456\b")

Doing = Callable[[Bench[Wire]], Awaitable[object]]
Flat = dict[str, Any]
Differences = Mapping[str, tuple[Any, Any]]
"""By field, theirs and ours; None where it is not there."""


def placing(execution: Execution, side: Side = Side.BUY, *, reduce_only: bool = False) -> Doing:
    return lambda bench: bench.session.place_order(bench.rig.order(execution, side=side, reduce_only=reduce_only))


# ccxt sends on what it was told by another name.
STRAY: Final[Differences] = {"subAccountId": (SUB_ACCOUNT, None)}

DOINGS: Final[Mapping[str, Doing]] = {
    "limit+postOnly+reduceOnly+clientOrderId": placing(PostOnly(price=Decimal(50_000)), reduce_only=True),
    "limit IOC": placing(Limit(price=Decimal(50_000), time_in_force=TimeInForce.IOC)),
    "limit FOK": placing(Limit(price=Decimal(50_000), time_in_force=TimeInForce.FOK)),
    "market, with price": placing(Market(), Side.SELL),
    "stop market on mark (triggerPrice, triggerPriceType=mark)": placing(
        Stop(trigger_price=Decimal(49_000)), Side.SELL, reduce_only=True
    ),
    "stopLossPrice market": placing(Stop(trigger_price=Decimal(49_000)), Side.SELL, reduce_only=True),
    "takeProfitPrice market": placing(TakeProfit(trigger_price=Decimal(60_000)), Side.SELL, reduce_only=True),
    "cancel by id": lambda bench: bench.session.cancel_order("123", bench.rig.btc),
    "cancel by clientOrderId": lambda bench: bench.session.cancel_by_client_id(bench.rig.client_id, bench.rig.btc),
    "cancelAll(symbol)": lambda bench: bench.session.cancel_all(bench.rig.btc),
    "setLeverage 5": lambda bench: bench.session.set_leverage(bench.rig.btc, 5),
    "fetch order by clientOrderId": lambda bench: bench.session.find_order(bench.rig.client_id, bench.rig.btc),
}

# What is another's in every run: ids, keys, signatures, nonces, times.
PARTICULAR: Final = {
    "extended": ("id", "nonce", "expiryEpochMillis", "settlement"),
    "pacifica": ("account", "agent_wallet", "signature", "timestamp", "expiry_window", "client_order_id"),
    "grvt": ("order.signature", "order.metadata.client_order_id"),
    "lighter": (
        "tx_info.ClientOrderIndex",
        "tx_info.OrderExpiry",
        "tx_info.ExpiredAt",
        "tx_info.Nonce",
        "tx_info.Sig",
        "tx_info.Time",
    ),
}

DIFFERENCES: Final[Mapping[str, Mapping[str, Differences]]] = {
    "extended": {
        "limit+postOnly+reduceOnly+clientOrderId": {},
        "limit IOC": {},
        "limit FOK": {},
        "market, with price": {"price": ("50000", "59391"), "type": ("MARKET", "LIMIT")},
        # The venue requires what a trigger goes by and what it does, and has other words for its direction.
        "stop market on mark (triggerPrice, triggerPriceType=mark)": {
            "price": ("48000", "46550"),
            "trigger.direction": ("DESCENDING", "DOWN"),
            "trigger.executionPriceType": (None, "MARKET"),
            "trigger.triggerPriceType": (None, "MARK"),
            "triggerPriceType": ("mark", None),
        },
        "stopLossPrice market": {
            "price": ("48000", "46550"),
            "trigger.executionPriceType": (None, "MARKET"),
            "trigger.triggerPriceType": (None, "MARK"),
        },
        "takeProfitPrice market": {
            "price": ("48000", "57000"),
            "trigger.executionPriceType": (None, "MARKET"),
            "trigger.triggerPriceType": (None, "MARK"),
        },
        "cancel by id": {},
        "cancel by clientOrderId": {},
        # That is the whole account's.
        "cancelAll(symbol)": {"cancelAll": (True, None)},
        "setLeverage 5": {},
        "fetch order by clientOrderId": {},
    },
    "pacifica": {
        # The venue knows no such field: the order would take.
        "limit+postOnly+reduceOnly+clientOrderId": {"postOnly": (True, None), "tif": ("GTC", "ALO")},
        "limit IOC": {},
        "market, with price": {
            "": ("POST /api/v1/orders/create_market", "POST /api/v1/orders/create"),
            "price": (None, "59391"),
            "slippage_percent": ("0.5", None),
            "tif": (None, "IOC"),
        },
        # A market order, at once.
        "stop market on mark (triggerPrice, triggerPriceType=mark)": {
            "": ("POST /api/v1/orders/create_market", "POST /api/v1/orders/stop/create"),
            "amount": ("0.01", None),
            "slippage_percent": ("0.5", None),
            "stop_order.amount": (None, "0.01"),
            "stop_order.client_order_id": (None, "ID"),
            "stop_order.stop_price": (None, "49000"),
            "triggerDirection": ("descending", None),
            "triggerPriceType": ("mark", None),
        },
        "stopLossPrice market": {
            "": ("POST /api/v1/orders/create_market", "POST /api/v1/orders/stop/create"),
            "amount": ("0.01", None),
            "slippage_percent": ("0.5", None),
            "stop_loss.limit_price": ("48000", None),
            "stop_loss.stop_price": ("49000", None),
            "stop_order.amount": (None, "0.01"),
            "stop_order.client_order_id": (None, "ID"),
            "stop_order.stop_price": (None, "49000"),
        },
        "cancel by id": {},
        "cancel by clientOrderId": {},
        "cancelAll(symbol)": {},
        "setLeverage 5": {},
        # The venue's history goes by its own number: ours is looked for among the orders.
        "fetch order by clientOrderId": {
            "": ("GET /api/v1/orders/history_by_id", "GET /api/v1/orders"),
            "clientOrderId": ("ID", None),
            "order_id": ("", None),
        },
    },
    "grvt": {
        "limit+postOnly+reduceOnly+clientOrderId": STRAY,
        "limit IOC": STRAY,
        "limit FOK": STRAY,
        "market, with price": {
            **STRAY,
            "order.is_market": (True, False),
            "order.legs[0].limit_price": ("50000", "59390.1"),
            "order.time_in_force": ("GOOD_TILL_TIME", "IMMEDIATE_OR_CANCEL"),
        },
        "stop market on mark (triggerPrice, triggerPriceType=mark)": {
            **STRAY,
            "order.legs[0].limit_price": ("48000", None),
        },
        # The one for the other: it would have executed at once.
        "stopLossPrice market": {
            **STRAY,
            "order.legs[0].limit_price": ("48000", None),
            "order.metadata.trigger.tpsl.trigger_by": ("LAST", "MARK"),
            "order.metadata.trigger.trigger_type": ("TAKE_PROFIT", "STOP_LOSS"),
        },
        "takeProfitPrice market": {
            **STRAY,
            "order.legs[0].limit_price": ("48000", None),
            "order.metadata.trigger.tpsl.trigger_by": ("LAST", "MARK"),
            "order.metadata.trigger.trigger_type": ("STOP_LOSS", "TAKE_PROFIT"),
        },
        "cancel by clientOrderId": STRAY,
        "cancelAll(symbol)": STRAY,
        "setLeverage 5": STRAY,
        "fetch order by clientOrderId": STRAY,
    },
    "lighter": {
        "limit+postOnly+reduceOnly+clientOrderId": {},
        "limit IOC": {},
        "market, with price": {"tx_info.Price": (500_000, 593_901), "tx_info.Type": (1, 0)},
        "cancel by id": {},
        "cancel by clientOrderId": {},
        "cancelAll(symbol)": {},
    },
}
"""A market order is ours at the slippage bound; what a trigger sets off is bounded at 5 %, or not at all."""


def flat(document: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(document, dict):
        for name, value in document.items():
            yield from flat(value, f"{at}.{name}" if at else name)
    elif isinstance(document, list):
        for number, value in enumerate(document):
            yield from flat(value, f"{at}[{number}]")
    else:
        yield at, document


def theirs(exchange: str, name: str) -> Flat:
    if not RECORDED.exists():
        pytest.skip("the recorded requests are not beside this repository")
    request = json.loads(RECORDED.read_text())[exchange][name]["requests"][-1]
    path = urlsplit(request["url"]).path
    return {"": f"{request['method']} {path}", **(request["query"] or {}), **dict(flat(request["body"] or {}))}


def ours(sent: Sent) -> Flat:
    body: Any = {}
    if sent.body.startswith(b"{"):
        body = sent.document
    elif sent.body:
        form = dict(parse_qsl(sent.body.decode()))
        body = {"tx_type": int(form["tx_type"]), "tx_info": json.loads(form["tx_info"])}
    return {"": f"{sent.method} {path_of(sent)}", **query(sent), **dict(flat(body))}


def named(request: Flat, *client_ids: str) -> Flat:
    """With one name for every client id."""
    pattern = re.compile("|".join(client_ids))
    found = {field: pattern.sub("ID", str(value)) for field, value in request.items()}
    return {field: text if "ID" in text else request[field] for field, text in found.items()}


@pytest.mark.parametrize(
    ("exchange", "name"), [(exchange, name) for exchange, names in DIFFERENCES.items() for name in names]
)
async def test_a_request_is_that_of_ccxt_but_for_what_is_meant(exchange: str, name: str, tmp_path: Path) -> None:
    recorded = named(theirs(exchange, name), *THEIR_CLIENT_IDS)
    async with bench_of(exchange, WIRES[exchange](), tmp_path) as bench:
        await bench.session.get_balance()
        sent = await bench.sends(DOINGS[name](bench))
        made = named(ours((bench.placements() or sent)[0]), bench.rig.client_id)
    fields = [f for f in recorded.keys() | made.keys() if not f.startswith(PARTICULAR[exchange])]
    differences = {f: (recorded.get(f), made.get(f)) for f in fields if recorded.get(f) != made.get(f)}
    assert differences == DIFFERENCES[exchange][name]
