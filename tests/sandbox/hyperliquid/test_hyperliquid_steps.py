from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.engine import Engine
from sandbox.hyperliquid.spelling import canonical, price_complaint, size_complaint, spelled
from sandbox.hyperliquid.universe import Universe, hyperliquid_listings

LISTINGS = hyperliquid_listings()


@pytest.mark.parametrize(
    ("value", "text"), [("60000", "60000.0"), ("0.0125", "0.0125"), ("1E-7", "0.0000001"), ("-5", "-5.0"), ("0", "0.0")]
)
def test_numbers_have_at_least_one_decimal_place(value: str, text: str) -> None:
    assert spelled(Decimal(value)) == text


@pytest.mark.parametrize(("given_", "signed"), [("100.0", "100"), ("0.0100", "0.01"), ("7", "7")])
def test_numbers_are_signed_without_trailing_zeros(given_: str, signed: str) -> None:
    assert canonical(given_) == signed


@pytest.mark.parametrize(
    ("price", "complaint"),
    [
        ("123456", None),
        ("12345", None),
        ("1234.5", None),
        ("1234.56", "Price must be divisible by tick size."),
        ("0.00001", "Order has invalid price."),
        ("0", "Order has invalid price."),
        ("-1", "Order has invalid price."),
    ],
)
def test_prices_have_five_significant_digits_or_none_after_the_point(price: str, complaint: str | None) -> None:
    assert price_complaint(Decimal(price), size_decimals=2) == complaint


def test_sizes_have_the_decimals_of_their_asset() -> None:
    assert size_complaint(Decimal("0.001"), 3) is None
    assert size_complaint(Decimal("0.0001"), 3) == "Order has invalid size."
    assert size_complaint(Decimal("0"), 3) == "Order has zero size."


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 400), st.sampled_from(range(len(LISTINGS))))
def test_every_price_in_a_book_is_one_that_the_venue_has(day: int, place: int) -> None:
    asset = Universe(LISTINGS).assets[place]
    engine = Engine(3, "x", [LISTINGS[place]])
    engine.advance(1_700_000_000_000 + day * 86_400_000)
    book = engine.views.orderbook(asset.symbol, 20)
    for level in (*book.bids, *book.asks):
        assert price_complaint(level.price, asset.size_decimals) is None
        assert size_complaint(level.size, asset.size_decimals) is None
