from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normalization.instruments import InstrumentKind
from normalization.symbols import (
    DOLLARS,
    Reading,
    Scaled,
    canonical_base,
    canonical_symbol,
    fold,
    is_address,
    is_name,
    readings,
    scale_of,
    scale_read,
)

MINT = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"


@pytest.mark.parametrize(
    ("base", "quote", "kind", "symbol"),
    [
        ("BTC", "USD", InstrumentKind.PERP, "BTC-USD-PERP"),
        ("btc", "usdc", InstrumentKind.PERP, "BTC-USDC-PERP"),
        ("PURR", "USDC", InstrumentKind.SPOT, "PURR-USDC"),
        ("kPEPE", "USD", InstrumentKind.PERP, "kPEPE-USD-PERP"),
        ("1000PEPE", "USDT", InstrumentKind.PERP, "kPEPE-USDT-PERP"),
        ("1000000MOG", "USDT", InstrumentKind.PERP, "1000000MOG-USDT-PERP"),
        ("xyz:TSLA", "USDC", InstrumentKind.PERP, "XYZ:TSLA-USDC-PERP"),
        ("XYZ-TSLA", "USDC", InstrumentKind.PERP, "XYZ:TSLA-USDC-PERP"),
        ("币安人生", "USDT", InstrumentKind.PERP, "币安人生-USDT-PERP"),
    ],
)
def test_one_canonical_symbol_for_what_venues_write_differently(
    base: str, quote: str, kind: InstrumentKind, symbol: str
) -> None:
    assert canonical_symbol(base, quote, kind) == symbol


@pytest.mark.parametrize(
    ("base", "multiplier", "underlying"),
    [
        ("kPEPE", 1_000, "PEPE"),
        ("1000PEPE", 1_000, "PEPE"),
        ("10000LADYS", 10_000, "LADYS"),
        ("1000000MOG", 1_000_000, "MOG"),
        ("1MBABYDOGE", 1_000_000, "BABYDOGE"),
        ("BTC", 1, "BTC"),
        ("KAVA", 1, "KAVA"),
        ("1INCH", 1, "1INCH"),
        ("10SET", 1, "10SET"),
        ("1000", 1, "1000"),
        ("2000X", 1, "2000X"),
        ("kava", 1, "kava"),
        ("k", 1, "k"),
    ],
)
def test_a_scaled_base_says_how_many_of_what(base: str, multiplier: int, underlying: str) -> None:
    assert scale_of(base) == Scaled(scale_of(base).multiplier, underlying)
    assert scale_of(base).multiplier == multiplier


def test_a_caller_may_write_the_k_of_a_thousand_in_any_case() -> None:
    assert scale_read("KPEPE") == scale_of("kPEPE") == scale_read("1000PEPE")


def test_the_canonical_base_of_a_canonical_base_is_itself() -> None:
    for base in ("BTC", "kPEPE", "1000000MOG", "XYZ:TSLA"):
        assert canonical_base(base) == base


@given(st.text(max_size=12))
@settings(max_examples=100, deadline=None)
def test_folding_touches_only_ascii_letters(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert len(fold(text)) == len(text)
    assert all(a == b or (a.isascii() and a.upper() == b) for a, b in zip(text, fold(text), strict=True))


def test_letters_that_only_look_like_ascii_stay_what_they_are() -> None:
    assert fold("\u017fol") == "\u017fOL"
    assert fold("\u212aSM") == "\u212aSM"


@pytest.mark.parametrize(
    "text", ["", "A B", "BTC\n", "BTC\x00", "BTC\u202eUSD", "\u200bBTC", "BTC\u2066", "\ufeffBTC", "\ud800", "X" * 81]
)
def test_text_that_cannot_be_shown_is_no_name(text: str) -> None:
    assert not is_name(text)
    assert readings(text, DOLLARS) == []


@pytest.mark.parametrize("text", ["BTC-USD-PERP", "币安人生USDT", "@107", "xyz:TSLA", MINT])
def test_what_venues_really_list_are_names(text: str) -> None:
    assert is_name(text)


def test_an_address_is_not_taken_apart() -> None:
    assert is_address(MINT)
    assert not is_address("BTC-USD-PERP")
    assert readings(MINT, DOLLARS) == []


PERP, SPOT = InstrumentKind.PERP, InstrumentKind.SPOT


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("BTC", Reading("BTC")),
        ("BTC-PERP", Reading("BTC", kind=PERP)),
        ("BTC/USD", Reading("BTC", "USD")),
        ("BTC/USDT-P", Reading("BTC", "USDT", kind=PERP)),
        ("BTC-USDT-PERP", Reading("BTC", "USDT", kind=PERP)),
        ("BTCUSDT", Reading("BTC", "USDT")),
        ("BTCFDUSD", Reading("BTC", "FDUSD")),
        ("BTC-USD", Reading("BTC", "USD")),
        ("btc_usdc_perp", Reading("BTC", "USDC", kind=PERP)),
        ("BTC/USDC:USDC", Reading("BTC", "USDC", "USDC", PERP)),
        ("PERP_BTC_USDC", Reading("BTC", "USDC", kind=PERP)),
        ("SPOT_ETH_USDC", Reading("ETH", "USDC", kind=SPOT)),
        ("ETH-USDC-SPOT", Reading("ETH", "USDC", kind=SPOT)),
        ("PERP", Reading("PERP")),
        ("PERP-PERP", Reading("PERP", kind=PERP)),
        ("PERP-USD-PERP", Reading("PERP", "USD", kind=PERP)),
        ("PERP-USD", Reading("PERP", "USD")),
        ("XYZ-TSLA/USDC:USDC", Reading("XYZ:TSLA", "USDC", "USDC", PERP)),
        ("xyz:TSLA-USDC-PERP", Reading("XYZ:TSLA", "USDC", kind=PERP)),
    ],
)
def test_a_spelling_is_read_as_it_is_meant(text: str, reading: Reading) -> None:
    assert readings(text, DOLLARS)[-1] == reading


@pytest.mark.parametrize(
    "text",
    ["-", "--", "BTC-", "-BTC", "/", "BTC/", "/USD", "BTC/USD:", "BTC//USD", "BTC/USD:USDC-260327", "A/B/C", "A/B/P"],
)
def test_a_malformed_or_dated_spelling_has_no_reading(text: str) -> None:
    assert readings(text, DOLLARS) == []


def test_a_stablecoin_is_not_split_into_a_base_and_a_dollar() -> None:
    assert readings("TUSD", DOLLARS) == [Reading("TUSD")]
