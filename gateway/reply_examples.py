"""A plausible reply for every reply schema, made from the names and types of its fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Json = dict[str, Any]

# What a reply repeats from the request it answers.
_REPEATED: Final = ("market", "side", "size", "clientOrderId", "leverage")

_BY_NAME: Final[Mapping[str, Any]] = {
    "accountValue": "10452.38",
    "address": "0x7f3a9c5e2b81d4066a0ef1c29d58b734e6a1c0d2",
    "asks": [["94210.0", "0.8"], ["94220.0", "2.1"]],
    "avgClosePrice": "94180.0",
    "base": "BTC",
    "bids": [["94200.0", "1.5"], ["94190.0", "3.2"]],
    "cancelledCount": 3,
    "clientOrderId": "my-order-1",
    "close": "94200.0",
    "closedSize": "0.01",
    "contractMultiplier": "1",
    "createdAt": 1_710_000_000,
    "credentialId": "9f2a0c1e-5b7d-4e8f-a1b2-c3d4e5f6d841",
    "entryPrice": "92000.0",
    "equity": "10452.38",
    "exchange": "paradex",
    "exchange_type": "paradex",
    "fee": "0.47",
    "filledPrice": "94212.5",
    "filledSize": "0.01",
    "freeCollateral": "8200.00",
    "fundingRate": "0.0001",
    "high": "94500.0",
    "id": "ord_abc123",
    "indexPrice": "94198.2",
    "label": "main account",
    "liquidationPrice": "71240.0",
    "lotSize": "0.001",
    "low": "93500.0",
    "makerFee": "2",
    "market": "BTC-USD-PERP",
    "markPrice": "94205.5",
    "maxLeverage": 50,
    "minNotional": "10",
    "network": "mainnet",
    "nextFundingTime": 1_710_014_400,
    "open": "93800.0",
    "openInterest": "12400000.00",
    "orderId": "ord_abc123",
    "price": "94000.0",
    "quote": "USD",
    "reduceOnly": False,
    "remainingSize": "0",
    "settle": "USDC",
    "size": "0.01",
    "slOrderId": "ord_sl1",
    "symbol": "BTC-USD-PERP",
    "takerFee": "5",
    "tickSize": "0.1",
    "time": 1_710_000_000,
    "timestamp": 1_710_001_000,
    "tpOrderId": "ord_tp1",
    "triggerPrice": "92000.0",
    "unrealizedPnl": "220.00",
    "venueSymbol": "BTC-USD-PERP",
    "volume": "1204.5",
}
_BY_TYPE: Final[Mapping[str, Any]] = {"string": "…", "integer": 1, "number": 1, "boolean": True, "null": None}
# Lists that are empty when all went well.
_EMPTY: Final = frozenset({"remaining", "warnings"})


def example_of(ref: Json, components: Json, request: Mapping[str, Any]) -> Json:
    """A reply of that schema to that request, without the fields that are not always there."""
    schema = components[ref["$ref"].rpartition("/")[2]]
    repeated = {name: request[name] for name in _REPEATED if name in request}
    found: Json = _object(schema, components, repeated)
    return found


def _object(schema: Json, components: Json, known: Mapping[str, Any]) -> Json:
    properties: Json = schema.get("properties", {})
    required = schema.get("required", ())
    return {
        name: known[name] if name in known else _value(name, field, schema, components)
        for name, field in properties.items()
        if name in required
    }


def _value(name: str, field: Json, parent: Json, components: Json) -> Any:
    schema = _followed(field, components)
    if name == "status":
        return _status(parent)
    if name == "filledSize" and "filledPrice" not in parent["properties"]:
        return "0"
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    types = schema["type"] if isinstance(schema.get("type"), list) else [schema.get("type")]
    if name in _BY_NAME and _fits(_BY_NAME[name], types):
        return _BY_NAME[name]
    if "array" in types:
        return [] if name in _EMPTY else [_value("", schema["items"], schema, components)]
    if "object" in types:
        return _object(schema, components, {})
    if "pattern" in schema:
        return "10"
    return _BY_TYPE.get(str(types[0]))


def _followed(schema: Json, components: Json) -> Json:
    while "$ref" in schema or "anyOf" in schema:
        schema = components[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema["anyOf"][0]
    return schema


def _fits(value: Any, types: list[Any]) -> bool:
    kind = {str: "string", int: "integer", bool: "boolean", list: "array"}[type(value)]
    return kind in types


def _status(parent: Json) -> str:
    """An order that tells its fill is filled, a trigger waits, any other rests on the book."""
    fields = parent.get("required", ())
    if "filledPrice" in fields:
        return "FILLED"
    return "PENDING" if "triggerPrice" in fields else "OPEN"
