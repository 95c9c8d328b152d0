from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normalization.decimals import is_sane
from normalization.errors import InvalidParameter
from normalization.instruments import Instrument
from normalization.orders import Side

Make = Callable[..., Instrument]

positive = st.decimals(allow_nan=False, allow_infinity=False).filter(lambda value: is_sane(value) and value > 0)
steps = st.sampled_from(["0.1", "0.5", "0.25", "0.00000001", "1E-18", "1", "5", "10", "100"])
notionals = st.sampled_from(["0", "1", "5.5", "10", "100"])


def nearest(check: Callable[[], None]) -> Decimal | None:
    """The valid value that a refusal names, or None where there was none."""
    try:
        check()
    except InvalidParameter as refused:
        details = refused.details
    else:
        return None
    assert details is not None
    return Decimal(details["nearest"])


@given(price=positive, tick=steps, side=st.sampled_from(list(Side)))
@settings(max_examples=100, deadline=None)
def test_the_worst_price_never_crosses_the_price_it_stands_for(
    listing: Make, price: Decimal, tick: str, side: Side
) -> None:
    instrument = listing("BTC", tick=tick)
    worst = instrument.worst_price(side, price)
    assert instrument.on_tick(worst)
    assert (worst - price) * side.sign <= 0
    assert abs(Fraction(worst) - Fraction(price)) < Fraction(tick)


@given(price=positive, tick=steps)
@settings(max_examples=100, deadline=None)
def test_the_price_that_is_suggested_is_itself_valid(listing: Make, price: Decimal, tick: str) -> None:
    instrument = listing("BTC", tick=tick)
    suggested = nearest(lambda: instrument.check_price(price))
    if suggested is None:
        assert instrument.on_tick(price)
    else:
        assert suggested > 0
        assert nearest(lambda: instrument.check_price(suggested)) is None
        assert abs(Fraction(suggested) - Fraction(price)) <= Fraction(tick)


@given(size=positive, lot=steps)
@settings(max_examples=100, deadline=None)
def test_the_size_that_is_suggested_is_itself_valid(listing: Make, size: Decimal, lot: str) -> None:
    instrument = listing("BTC", lot=lot)
    suggested = nearest(lambda: instrument.check_size(size))
    if suggested is not None:
        assert suggested > 0
        assert nearest(lambda: instrument.check_size(suggested)) is None


@given(size=positive, price=positive, lot=steps, least=notionals)
@settings(max_examples=100, deadline=None)
def test_the_least_size_that_is_suggested_is_enough_and_on_the_lot(
    listing: Make, size: Decimal, price: Decimal, lot: str, least: str
) -> None:
    instrument = listing("BTC", lot=lot, min_notional=least)
    suggested = nearest(lambda: instrument.check_notional(size, price))
    if suggested is None:
        assert Fraction(size) * Fraction(price) >= Fraction(least)
    else:
        assert Fraction(size) * Fraction(price) < Fraction(least)
        assert nearest(lambda: instrument.check_notional(suggested, price)) is None
        assert nearest(lambda: instrument.check_size(suggested)) is None


@given(price=positive, tick=steps)
@settings(max_examples=100, deadline=None)
def test_the_text_of_a_price_is_its_exact_value(listing: Make, price: Decimal, tick: str) -> None:
    text = listing("BTC", tick=tick).price_text(price)
    assert Decimal(text) == price
    assert "E" not in text


@pytest.mark.parametrize(
    ("tick", "price", "text"),
    [
        ("0.01", "94000", "94000.00"),
        ("0.5", "94000.5", "94000.5"),
        ("0.25", "1", "1.00"),
        ("1", "94000.0", "94000"),
        ("10", "94000", "94000"),
        ("0.10", "94000", "94000.0"),
        ("1", "94000.5", "94000.5"),
        ("0.00000001", "0.0000123", "0.00001230"),
    ],
)
def test_a_price_has_every_decimal_place_of_its_tick(listing: Make, tick: str, price: str, text: str) -> None:
    assert listing("BTC", tick=tick).price_text(Decimal(price)) == text


def test_refusals_name_the_step_and_the_nearest_valid_value(listing: Make) -> None:
    instrument = listing("BTC", tick="0.5", lot="0.01", min_notional="10")
    with pytest.raises(InvalidParameter, match=r"price: expected a multiple of the tick size 0\.5, such as 94000\.0"):
        instrument.check_price(Decimal("94000.2"))
    with pytest.raises(InvalidParameter, match=r"orders\[1\]\.size: .* lot size 0\.01, such as 0\.01"):
        instrument.check_size(Decimal("0.001"), "orders[1].size")
    with pytest.raises(InvalidParameter, match=r"worth at least 10 USD, which is 0\.04 at that price"):
        instrument.check_notional(Decimal("0.01"), Decimal(300))


def test_a_price_below_one_tick_is_answered_with_one_tick(listing: Make) -> None:
    instrument = listing("BTC", tick="0.5")
    assert nearest(lambda: instrument.check_price(Decimal("0.0001"))) == Decimal("0.5")
    assert instrument.worst_price(Side.BUY, Decimal("0.0001")) == 0
    assert instrument.worst_price(Side.SELL, Decimal("0.0001")) == Decimal("0.5")


@pytest.mark.parametrize("step", ["0", "-1", "NaN", "Infinity", "1E-19"])
@pytest.mark.parametrize("field", ["tick", "lot", "multiplier"])
def test_an_instrument_without_usable_steps_cannot_be_made(listing: Make, field: str, step: str) -> None:
    with pytest.raises(ValueError, match=r"venue 'BTC-USD-PERP': .* is "):
        listing("BTC", **{field: step})


def test_an_instrument_with_a_senseless_least_value_cannot_be_made(listing: Make) -> None:
    with pytest.raises(ValueError, match="min_notional is -1"):
        listing("BTC", min_notional="-1")


def test_an_instrument_never_changes_and_equals_its_copy(listing: Make) -> None:
    instrument = listing("BTC")
    with pytest.raises(AttributeError):
        setattr(instrument, "symbol", "ETH-USD-PERP")  # noqa: B010
    assert msgspec.structs.replace(instrument) == instrument
    assert len({instrument, listing("BTC")}) == 1


@pytest.mark.parametrize(
    ("price", "tick", "below", "above"),
    [
        ("12345.67", "1", "12345", "12346"),
        ("1234.567", "0.1", "1234.5", "1234.6"),
        ("99999.5", "1", "99999", "100000"),
        ("9999.99", "0.1", "9999.9", "10000"),
        ("123456.7", "1", "123456", "123457"),
        ("0.0123456", "0.000001", "0.012345", "0.012346"),
        ("0.000000004", "0.000001", "0", "0.000001"),
    ],
)
def test_where_digits_are_counted_the_step_grows_with_the_price(
    listing: Make, price: str, tick: str, below: str, above: str
) -> None:
    instrument = msgspec.structs.replace(listing("BTC", tick="0.000001"), max_price_digits=5)
    assert instrument.tick_at(Decimal(price)) == Decimal(tick)
    assert instrument.round_down(Decimal(price)) == Decimal(below)
    assert instrument.round_up(Decimal(price)) == Decimal(above)
    assert not instrument.on_tick(Decimal(price))


@given(price=positive, tick=st.sampled_from(["0.1", "0.01", "0.000001", "1"]), side=st.sampled_from(list(Side)))
@settings(max_examples=100, deadline=None)
def test_a_price_rounded_to_so_many_digits_is_valid_and_on_the_right_side(
    listing: Make, price: Decimal, tick: str, side: Side
) -> None:
    instrument = msgspec.structs.replace(listing("BTC", tick=tick), max_price_digits=5)
    worst = instrument.worst_price(side, price)
    assert instrument.on_tick(worst)
    assert (worst - price) * side.sign <= 0
    suggested = nearest(lambda: instrument.check_price(price))
    assert suggested is None or instrument.on_tick(suggested)
