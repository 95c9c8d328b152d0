from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.codec import Codec
from gateway.operations.batches import PlaceBatchOrder
from gateway.operations.placement import PlaceLimitOrder
from gateway.operations.table import OPERATIONS
from gateway.operations.wire import Request
from normalization.errors import GatewayError, InvalidJson, InvalidParameter, MissingOperation, UnknownOperation

CODEC = Codec(OPERATIONS)
LIMIT: dict[str, Any] = {
    "operation": "placeLimitOrder",
    "credentialId": "9f2a0c1e-5b7d-4e8f-a1b2-c3d4e5f6d841",
    "market": "BTC-USD-PERP",
    "side": "BUY",
    "size": "0.01",
    "price": "94000",
}


def decode(body: bytes | dict[str, Any]) -> Request:
    return CODEC.read(body if isinstance(body, bytes) else json.dumps(body).encode()).request()


def refusal(body: bytes | dict[str, Any]) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        decode(body)
    return caught.value


def outcome(body: bytes) -> GatewayError | None:
    try:
        decode(body)
    except GatewayError as error:
        return error
    return None


def with_field(name: str, value: str) -> bytes:
    """The limit order with one field as raw JSON text."""
    rest = json.dumps({k: v for k, v in LIMIT.items() if k != name})
    return (rest[:-1] + f', "{name}": {value}}}').encode()


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_example_of_every_operation_decodes(name: str) -> None:
    row = OPERATIONS[name]
    assert isinstance(decode({"operation": name, **row.example}), row.request)


@pytest.mark.parametrize("text", ['"0.01"', "0.01", "1e-2", '"1E-2"', "0.010", '"+0.01"'])
def test_a_number_is_read_exactly_however_it_is_spelled(text: str) -> None:
    request = decode(with_field("size", text))
    assert isinstance(request, PlaceLimitOrder)
    assert request.size == Decimal("0.01")


def test_a_number_with_many_digits_does_not_pass_through_a_float() -> None:
    request = decode(with_field("price", "94000.12345678901234567"))
    assert isinstance(request, PlaceLimitOrder)
    assert request.price == Decimal("94000.12345678901234567")


@pytest.mark.parametrize(
    "text",
    [
        *("0", "-1", '"-0.01"', '"NaN"', '"Infinity"', '"-inf"', "1e400", '"1e400"', "9" * 5000, f'"{"9" * 5000}"'),
        *(
            "1e-400",
            '"abc"',
            '""',
            "true",
            "null",
            "[]",
            "{}",
            '"1_000"',
            '" 1"',
            '"1 "',
            '"１２"',
            '"1,000"',
            '"0x10"',
        ),
    ],
)
def test_what_is_not_a_positive_sane_number_is_refused(text: str) -> None:
    error = refusal(with_field("size", text))
    assert isinstance(error, InvalidParameter)
    assert error.field == "size"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"[]",
        b"5",
        b"null",
        b'"getBalance"',
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{",
        b'{"operation": "getBalance",}',
        b'{"operation": "getBalance"} {}',
        b'{"operation": "getBalance", "a": NaN}',
        b'{"operation": "getBalance", "a": 01}',
        b'{"operation": "getBalance", "a": "\\ud800"}',
        b'{"operation": "getBalance", "a": "\xff"}',
        b'{"operation": "getBalance", "a": "\x00"}',
        b'{"operation": "getBalance", "a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 50_000,
        b"9" * 60_000,
    ],
    ids=range(19),
)
def test_what_is_not_one_json_object_is_invalid_json(body: bytes) -> None:
    assert isinstance(refusal(body), InvalidJson)


@pytest.mark.parametrize(
    "body",
    [
        b'{"operation": "getBalance", "operation": "getMarkets"}',
        b'{"operation":"getBalance","market":"BTC","market":"ETH"}',
        b'{"operation":"getBalance","market" :"BTC","market" :"ETH"}',
        b'{"operation":"getBalance","mark\\u0065t":"BTC","market":"ETH"}',
        b'{"operation":"placeBatchOrder","orders":[{"size":"1","size":"2"}]}',
        b'{"operation":"getBalance","a":":","a":":"}',
    ],
)
def test_a_field_that_stands_twice_is_refused_and_named(body: bytes) -> None:
    error = refusal(body)
    assert isinstance(error, InvalidJson)
    assert "twice" in error.message


def test_the_same_field_in_two_legs_is_not_twice_in_one_object() -> None:
    request = decode({"operation": "placeBatchOrder", **OPERATIONS["placeBatchOrder"].example})
    assert isinstance(request, PlaceBatchOrder)


def test_colons_inside_of_strings_do_not_matter() -> None:
    assert isinstance(decode({**LIMIT, "market": "BTC/USDC:USDC", "clientOrderId": "a:b::c"}), PlaceLimitOrder)


def test_a_missing_operation_is_told_apart_from_an_unknown_one() -> None:
    assert isinstance(refusal(b"{}"), MissingOperation)
    unknown = refusal({"operation": "getBalanse"})
    assert isinstance(unknown, UnknownOperation)
    assert "getBalance" in unknown.message


@pytest.mark.parametrize("name", ["__class__", "", "GETBALANCE", "getBalance\u0000", "\u202egetBalance", "x" * 9999])
def test_a_strange_operation_name_is_unknown(name: str) -> None:
    error = refusal({"operation": name})
    assert isinstance(error, UnknownOperation)
    assert len(error.message) < 300


@pytest.mark.parametrize("value", [5, None, True, ["getBalance"], {"a": 1}])
def test_an_operation_that_is_no_string_is_an_invalid_parameter(value: Any) -> None:
    assert isinstance(refusal({"operation": value}), InvalidParameter)


def test_an_unknown_field_is_refused_and_the_nearest_named() -> None:
    error = refusal({**LIMIT, "postonly": True})
    assert isinstance(error, InvalidParameter)
    assert "postOnly" in error.message


def test_an_unknown_field_of_a_leg_is_named_with_its_path() -> None:
    leg = {"market": "BTC", "side": "BUY", "size": "1", "prise": "1"}
    error = refusal({"operation": "placeBatchOrder", "credentialId": LIMIT["credentialId"], "orders": [leg]})
    assert isinstance(error, InvalidParameter)
    assert "price" in error.message


@pytest.mark.parametrize(
    ("field", "text", "expected"),
    [
        ("side", '"hold"', "BUY or SELL"),
        ("side", "1", "BUY or SELL"),
        ("postOnly", '"yes"', "true or false"),
        ("credentialId", '"YOUR_CRED_ID"', "a UUID"),
        ("market", "5", "a string"),
        ("clientOrderId", '"two words"', "printable ASCII"),
        ("clientOrderId", f'"{"x" * 65}"', "64"),
        ("timeInForce", '"GTD"', "GTC, IOC or FOK"),
    ],
)
def test_a_wrong_type_is_answered_with_what_was_expected(field: str, text: str, expected: str) -> None:
    error = refusal(with_field(field, text))
    assert isinstance(error, InvalidParameter)
    assert error.field == field
    assert expected in error.expected


@pytest.mark.parametrize("market", ["BTC\u0000", "BTC\u202e", "\u200bBTC", "B\nTC", "\u2066x"])
def test_a_symbol_with_characters_that_do_not_show_is_refused(market: str) -> None:
    error = refusal({**LIMIT, "market": market})
    assert isinstance(error, InvalidParameter)
    assert error.field == "market"


def test_a_missing_field_is_named() -> None:
    error = refusal({k: v for k, v in LIMIT.items() if k != "price"})
    assert isinstance(error, InvalidParameter)
    assert error.field == "price"


def test_a_wrong_leg_is_named_with_its_number() -> None:
    good = {"market": "BTC", "side": "BUY", "size": "1", "price": "1"}
    for bad, path in (({"size": "-1"}, "orders[1].size"), ({"orderType": "MARKET"}, "orders[1].price")):
        body = {
            "operation": "placeBatchOrder",
            "credentialId": LIMIT["credentialId"],
            "orders": [good, {**good, **bad}],
        }
        error = refusal(body)
        assert isinstance(error, InvalidParameter)
        assert error.field == path


def test_a_batch_holds_one_to_ten_orders_with_ids_of_their_own() -> None:
    leg = {"market": "BTC", "side": "BUY", "size": "1", "price": "1", "clientOrderId": "same"}
    for orders in ([], [leg] * 11, [leg, leg]):
        body = {"operation": "placeBatchOrder", "credentialId": LIMIT["credentialId"], "orders": orders}
        assert isinstance(refusal(body), InvalidParameter)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(list(OPERATIONS)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=5),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(OPERATIONS)), st.data())
def test_a_mutated_request_is_decoded_or_refused_with_a_stable_code(name: str, data: st.DataObject) -> None:
    body: dict[str, Any] = {"operation": name, **OPERATIONS[name].example}
    for field in data.draw(st.lists(st.sampled_from([*body, "extra"]), max_size=3)):
        body[field] = data.draw(JSON)
    encoded = bytearray(json.dumps(body).encode())
    for position in data.draw(st.lists(st.integers(0, len(encoded) - 1), max_size=2)):
        encoded[position] = data.draw(st.integers(0, 255))
    error = outcome(bytes(encoded))
    assert error is None or (400 <= error.status < 500 and len(error.message) < 600)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_bytes_that_mean_nothing_are_refused(body: bytes) -> None:
    with pytest.raises(GatewayError):
        decode(body)
