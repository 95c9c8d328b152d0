from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from normalization.errors import UnknownMarket
from normalization.instruments import Instrument, InstrumentKind
from normalization.resolver import Markets
from normalization.symbols import DOLLARS, fold, is_name, scale_of

Make = Callable[..., Instrument]
Listed = tuple[str, str, str, bool]

BASES = (
    "BTC",
    "ETH",
    "PERP",
    "SPOT",
    "P",
    "USD",
    "K",
    "KAVA",
    "AVA",
    "kPEPE",
    "PEPE",
    "1000PEPE",
    "1INCH",
    "4",
    "xyz:A",
    "人生",
)
QUOTES = ("USD", "USDC", "USDT")
bases = st.one_of(st.sampled_from(BASES), st.from_regex(r"[A-Z][A-Z0-9]{0,5}", fullmatch=True))
listed = st.tuples(bases, st.sampled_from((*QUOTES, "BTC")), st.sampled_from(QUOTES), st.booleans())


def make_markets(listing: Make, wanted: list[Listed]) -> Markets:
    made: dict[str, Instrument] = {}
    for base, quote, settle, spot in wanted:
        multiplier = 1000 if base.startswith(("k", "1000")) else 1
        instrument = listing(base, quote, settle, spot=spot, multiplier=multiplier)
        made.setdefault(instrument.symbol, instrument)
    return Markets("venue", made.values())


def spellings(instrument: Instrument) -> list[str]:
    base, quote, settle = instrument.base, instrument.quote, instrument.settle
    if instrument.kind is InstrumentKind.SPOT:
        return [f"{base}/{quote}", f"{base}-{quote}", f"{base}-{quote}-SPOT", f"SPOT_{base}_{quote}"]
    explicit = [f"{base}/{quote}-P", f"{base}_{quote}_PERP", f"{base}/{quote}:{settle}", f"PERP_{base}_{quote}"]
    together = [] if ":" in base or fold(base + quote) in DOLLARS else [base + quote]
    return [base, f"{base}-PERP", f"{base}/{quote}", f"{base}-{quote}", *together, *explicit]


def meaning(instrument: Instrument) -> tuple[str, Decimal]:
    """What one unit of size is."""
    return scale_of(instrument.base).underlying, instrument.contract_multiplier


def resolved(markets: Markets, market: str) -> Instrument | None:
    try:
        return markets.resolve(market)
    except UnknownMarket as refused:
        refusal = refused
    suggested = (refusal.details or {})["suggestions"]
    assert len(refusal.message) < 500
    assert len(suggested) <= 3
    assert all(symbol in markets for symbol in suggested)
    return None


@given(wanted=st.lists(listed, max_size=12))
@settings(max_examples=100, deadline=None)
def test_the_canonical_symbol_of_every_instrument_is_that_instrument(listing: Make, wanted: list[Listed]) -> None:
    for instrument in (markets := make_markets(listing, wanted)):
        assert markets.resolve(instrument.symbol) is instrument
        assert markets.with_venue_symbol(instrument.venue_symbol) is instrument


@given(wanted=st.lists(listed, max_size=12))
@settings(max_examples=100, deadline=None)
def test_a_spelling_never_means_another_asset_size_or_kind(listing: Make, wanted: list[Listed]) -> None:
    for instrument in (markets := make_markets(listing, wanted)):
        for spelling in spellings(instrument):
            found = resolved(markets, spelling)
            assert found is None or meaning(found) == meaning(instrument) or found.symbol == spelling


@given(wanted=st.lists(listed, min_size=1, max_size=1))
@settings(max_examples=100, deadline=None)
def test_where_there_is_one_market_every_spelling_of_it_is_accepted(listing: Make, wanted: list[Listed]) -> None:
    for instrument in (markets := make_markets(listing, wanted)):
        for spelling in spellings(instrument):
            assert markets.resolve(spelling) is instrument


@given(wanted=st.lists(listed, max_size=12), data=st.data())
@settings(max_examples=100, deadline=None)
def test_case_does_not_matter_and_asking_again_gives_the_same(
    listing: Make, wanted: list[Listed], data: st.DataObject
) -> None:
    markets = make_markets(listing, wanted)
    every = [s for instrument in markets for s in (*spellings(instrument), instrument.symbol)]
    if not every:
        return
    spelling = data.draw(st.sampled_from(every))
    found = resolved(markets, spelling)
    assert resolved(markets, spelling) is found
    for other in (spelling.lower(), spelling.upper(), spelling.swapcase()):
        assert resolved(markets, other) is found


@given(wanted=st.lists(listed, max_size=6))
@settings(max_examples=100, deadline=None)
def test_the_order_in_which_a_venue_lists_its_markets_changes_nothing(listing: Make, wanted: list[Listed]) -> None:
    markets = make_markets(listing, wanted)
    backwards = Markets("venue", reversed(list(markets)))
    for instrument in markets:
        for spelling in spellings(instrument):
            assert resolved(markets, spelling) == resolved(backwards, spelling)


garbage = st.one_of(
    st.text(max_size=100),
    st.text(alphabet="BTCUSDkPERP10-_/:@. \u202e\x00币", max_size=30),
    st.builds("-".join, st.lists(st.sampled_from(("", "BTC", "USD", "PERP", "P", "SPOT", "1000")), max_size=6)),
)


@given(wanted=st.lists(listed, max_size=6), text=garbage)
@settings(max_examples=100, deadline=None)
def test_garbage_is_an_unknown_market_and_nothing_else(listing: Make, wanted: list[Listed], text: str) -> None:
    found = resolved(make_markets(listing, wanted), text)
    assert found is None or is_name(text)


def test_ten_thousand_markets_are_told_apart(listing: Make) -> None:
    made = [listing(f"T{n}X", venue_symbol=f"t{n}") for n in range(10_000)]
    markets = Markets("venue", made)
    for n in range(0, 10_000, 97):
        for spelling in (f"T{n}X", f"T{n}X/USDT:USDT", f"T{n}"):
            assert markets.resolve(spelling) is made[n]
        assert resolved(markets, f"T{n}Z") is None
