from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normalization.decimals import (
    ceil_to,
    floor_to,
    is_multiple,
    is_sane,
    least_multiple,
    nearest_to,
    padded,
    plain,
    product,
    require_positive,
    trimmed,
)
from normalization.errors import InvalidParameter

numbers = st.decimals(allow_nan=False, allow_infinity=False).filter(is_sane)
positive = numbers.filter(lambda value: value > 0)
steps = st.one_of(
    st.sampled_from([Decimal(s) for s in ("0.1", "0.5", "0.25", "1E-8", "1E-18", "3", "10", "1E+18")]), positive
)
exact = Fraction


@given(value=numbers, step=steps)
@settings(max_examples=100, deadline=None)
def test_rounding_goes_one_way_by_less_than_a_step(value: Decimal, step: Decimal) -> None:
    below, above = floor_to(value, step), ceil_to(value, step)
    assert exact(below) <= exact(value) <= exact(above)
    assert exact(value) - exact(below) < exact(step)
    assert exact(above) - exact(value) < exact(step)
    assert (exact(below) / exact(step)).denominator == (exact(above) / exact(step)).denominator == 1


@given(value=numbers, step=steps)
@settings(max_examples=100, deadline=None)
def test_the_nearest_multiple_is_the_nearer_neighbour_and_of_two_the_lower(value: Decimal, step: Decimal) -> None:
    below, above = floor_to(value, step), ceil_to(value, step)
    down, up = exact(value) - exact(below), exact(above) - exact(value)
    assert nearest_to(value, step) == (below if down <= up else above)


@given(count=st.integers(-(10**17), 10**17), step=steps.filter(lambda step: step < 10))
@settings(max_examples=100, deadline=None)
def test_a_multiple_is_left_alone(count: int, step: Decimal) -> None:
    multiple = product(Decimal(count), step)
    assert is_multiple(multiple, step)
    assert floor_to(multiple, step) == ceil_to(multiple, step) == nearest_to(multiple, step) == multiple


@given(total=positive, price=positive, step=steps)
@settings(max_examples=100, deadline=None)
def test_the_least_multiple_is_enough_and_one_step_less_is_not(total: Decimal, price: Decimal, step: Decimal) -> None:
    least = least_multiple(total, price, step)
    assert (exact(least) / exact(step)).denominator == 1
    assert exact(least) * exact(price) >= exact(total)
    assert (exact(least) - exact(step)) * exact(price) < exact(total)


@given(value=numbers)
@settings(max_examples=100, deadline=None)
def test_spelling_a_number_keeps_its_value_without_an_exponent(value: Decimal) -> None:
    for text in (plain(value), trimmed(value)):
        assert Decimal(text) == value
        assert "E" not in text.upper()
    assert "." not in trimmed(value) or trimmed(value)[-1] not in "0."


@pytest.mark.parametrize(
    ("value", "short"),
    [
        ("0.0100", "0.01"),
        ("100", "100"),
        ("1E+3", "1000"),
        ("1E-8", "0.00000001"),
        ("-0.00", "0"),
        ("0E-8", "0"),
        ("-1.50", "-1.5"),
    ],
)
def test_trimmed_drops_only_zeros_that_say_nothing(value: str, short: str) -> None:
    assert trimmed(Decimal(value)) == short


@pytest.mark.parametrize(
    "text", ["NaN", "sNaN", "Infinity", "-Infinity", "1e400", "1e-400", "0e400", "1e19", "1e-19", "9" * 31, "9" * 5_000]
)
def test_numbers_that_money_cannot_be_are_not_sane(text: str) -> None:
    assert not is_sane(Decimal(text))
    with pytest.raises(InvalidParameter, match="size: expected a positive decimal string"):
        require_positive(Decimal(text), "size")


@pytest.mark.parametrize("text", ["0", "-0", "0.000", "-1", "-0.0001"])
def test_zero_and_less_are_not_positive(text: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        require_positive(Decimal(text), "orders[2].size")
    assert refused.value.field == "orders[2].size"


@pytest.mark.parametrize("text", ["0.01", "94000", "1E-18", "1E+18", "123456789012.345678901234567890"[:30]])
def test_what_traders_write_is_positive(text: str) -> None:
    require_positive(Decimal(text), "size")


def test_more_digits_than_the_default_precision_are_kept() -> None:
    wide = Decimal("1000000000000000000.1")
    assert plain(padded(wide, Decimal("1E-18"))) == "1000000000000000000.100000000000000000"
    assert product(wide, Decimal("1.000000000000000001")) == Decimal("1000000000000000001.1000000000000000001")
