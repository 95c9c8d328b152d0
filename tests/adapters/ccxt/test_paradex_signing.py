"""Signatures on the STARK curve, against published vectors, ccxt's pure Python and the textbook."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import ccxt  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.ccxt_venues.paradex.signing import Signer, account_address, domain_hash, quantums
from tests.adapters.ccxt import stark_curve
from tests.adapters.ccxt.paradex_rig import ACCOUNT, CHAIN, CONFIG, MAIN_KEY, MAIN_PUBLIC_KEY

SIGNER = Signer(MAIN_KEY, ACCOUNT, CHAIN)
DOMAIN = {"name": "Paradex", "chainId": CHAIN, "version": 1}
ORDER_FIELDS = [
    {"name": name, "type": "felt"} for name in ("timestamp", "market", "side", "orderType", "size", "price")
]


def test_the_key_and_the_address_are_those_of_the_published_vector() -> None:
    assert SIGNER.public_key == MAIN_PUBLIC_KEY == stark_curve.public_key(int(MAIN_KEY, 16))
    classes = (int(CONFIG["paraclear_account_hash"], 16), int(CONFIG["paraclear_account_proxy_hash"], 16))
    assert account_address(SIGNER.public_key, *classes) == int(ACCOUNT, 16)


def test_the_hashes_are_those_of_the_published_vectors() -> None:
    assert domain_hash(CHAIN) == 0x38B9242CB46EB19FF458C80A8F0EDA7E8E26D8D6D54A63D9B5ED89750E39EF2
    order = SIGNER.order_hash(1700000000000, "BTC-USD-PERP", "BUY", "LIMIT", Decimal("0.1"), Decimal(60000))
    assert order == 0xD33F3A849407663746700A9FD82E268070976C19D84B105E2B59B13EB6E1A9


def test_the_signature_is_the_one_of_the_published_vector() -> None:
    text = SIGNER.sign_order(
        timestamp_ms=1700000000000,
        market="BTC-USD-PERP",
        side="BUY",
        order_type="LIMIT",
        size=Decimal("0.1"),
        price=Decimal(60000),
    )
    assert [int(part) for part in json.loads(text)] == [
        0x3828B1EAA71307EF8BF53246F7EF4B4C2AB95C984BD808192C13D3F8064F3E1,
        0x64D451A2D6B5485DAD3F5A634B4A1A802C03BB2A10DF153797FE9C92196D971,
    ]


sizes = st.integers(1, 10**14).map(lambda n: Decimal(n).scaleb(-8))
markets = st.sampled_from(["BTC-USD-PERP", "kPEPE-USD-PERP", "A-USD-PERP"])
order_types = st.sampled_from(["LIMIT", "MARKET", "STOP_MARKET", "TAKE_PROFIT_MARKET", "STOP_LOSS_LIMIT"])


@given(
    timestamp_ms=st.integers(1_600_000_000_000, 2_000_000_000_000),
    market=markets,
    side=st.sampled_from(["BUY", "SELL"]),
    order_type=order_types,
    size=sizes,
    price=st.one_of(st.just(Decimal(0)), sizes),
)
@settings(max_examples=5, deadline=None)
def test_an_order_is_hashed_as_ccxts_pure_python_does_and_its_signature_verifies(
    timestamp_ms: int, market: str, side: str, order_type: str, size: Decimal, price: Decimal
) -> None:
    plain: Any = ccxt.paradex()
    message = {
        "timestamp": timestamp_ms,
        "market": plain.string_to_base16(market),
        "side": "1" if side == "BUY" else "2",
        "orderType": plain.string_to_base16(order_type),
        "size": plain.scale_number(f"{size:f}"),
        "price": "0" if price == 0 else plain.scale_number(f"{price:f}"),
    }
    expected = plain.starknet_encode_structured_data(DOMAIN, {"Order": ORDER_FIELDS}, message, ACCOUNT)
    assert SIGNER.order_hash(timestamp_ms, market, side, order_type, size, price) == expected
    text = SIGNER.sign_order(
        timestamp_ms=timestamp_ms, market=market, side=side, order_type=order_type, size=size, price=price
    )
    r, s = (int(part) for part in json.loads(text))
    assert stark_curve.is_signed_by(int(MAIN_KEY, 16), expected, r, s)
    assert not stark_curve.is_signed_by(int(MAIN_KEY, 16), expected ^ 1, r, s)


def test_an_authentication_is_signed_over_what_ccxt_hashes() -> None:
    plain: Any = ccxt.paradex()
    fields = [{"name": name, "type": "felt"} for name in ("method", "path", "body", "timestamp", "expiration")]
    message = {
        "method": "POST",
        "path": "/v1/auth",
        "body": "",
        "timestamp": 1700000000,
        "expiration": 1700000180,
    }
    expected = plain.starknet_encode_structured_data(DOMAIN, {"Request": fields}, message, ACCOUNT)
    assert expected == 0x5A03B79838728DCDC43D9F0B66EF71AD16D98EDD3C5D20D806D55FAF8538CC4
    r, s = (int(part) for part in json.loads(SIGNER.sign_authentication(1700000000, 1700000180)))
    assert stark_curve.is_signed_by(int(MAIN_KEY, 16), expected, r, s)


def test_what_is_finer_than_the_venue_can_verify_is_not_signed() -> None:
    assert quantums(Decimal("0.00000001")) == 1
    with pytest.raises(ValueError, match="eight"):
        quantums(Decimal("0.000000001"))


def test_a_market_whose_name_does_not_fit_is_not_signed() -> None:
    with pytest.raises(ValueError, match="short string"):
        SIGNER.order_hash(1, "A" * 32, "BUY", "LIMIT", Decimal(1), Decimal(1))
