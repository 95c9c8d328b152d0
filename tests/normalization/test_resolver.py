from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from normalization.errors import UnknownMarket
from normalization.instruments import Instrument, InstrumentKind
from normalization.resolver import Markets, UnknownVenueSymbol

Make = Callable[..., Instrument]

MINT = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
FIXTURES = Path(__file__).parents[3] / "shared" / "fixtures" / "ccxt" / "markets"


def suggestions(markets: Markets, market: str) -> list[str]:
    with pytest.raises(UnknownMarket) as refused:
        markets.resolve(market)
    assert refused.value.details is not None
    found: list[str] = refused.value.details["suggestions"]
    return found


@pytest.fixture
def paradex(listing: Make) -> Markets:
    return Markets("paradex", [listing("BTC"), listing("ETH"), listing("kPEPE", multiplier=1000)])


@pytest.mark.parametrize(
    "spelling",
    [
        "BTC-USD-PERP",
        "BTC",
        "BTC-PERP",
        "BTC/USD",
        "BTC/USDT-P",
        "BTC-USDT-PERP",
        "BTCUSDT",
        "BTC-USD",
        "BTC_USDC_PERP",
        "BTC/USDC:USDC",
        "BTC/USD:USDC",
        "PERP_BTC_USDC",
    ],
)
def test_every_accepted_spelling_in_any_case_is_the_same_market(paradex: Markets, spelling: str) -> None:
    for cased in (spelling, spelling.lower(), spelling.title()):
        assert paradex.resolve(cased).symbol == "BTC-USD-PERP"


def test_the_venues_own_name_is_accepted(listing: Make) -> None:
    names = {"PERP_BTC_USDC": "BTC", "ETH_USDT_Perp": "ETH", "xyz:TSLA": "xyz:TSLA", "SOLUSDT": "SOL"}
    markets = Markets("venue", [listing(base, venue_symbol=name) for name, base in names.items()])
    for name, base in names.items():
        assert markets.resolve(name).base == base
        assert markets.resolve(name.lower()).base == base


def test_a_bare_base_is_the_perpetual_and_a_pair_is_spot_where_there_is_that_pair(listing: Make) -> None:
    markets = Markets("venue", [listing("BTC", "USDC"), listing("BTC", "USDC", spot=True)])
    assert markets.resolve("BTC").kind is InstrumentKind.PERP
    assert markets.resolve("BTC-PERP").kind is InstrumentKind.PERP
    assert markets.resolve("BTC/USDC:USDC").kind is InstrumentKind.PERP
    assert markets.resolve("BTC-USDC").kind is InstrumentKind.SPOT
    assert markets.resolve("BTC/USDC").kind is InstrumentKind.SPOT
    assert markets.resolve("SPOT_BTC_USDC").kind is InstrumentKind.SPOT
    assert markets.resolve("BTC-USDT").kind is InstrumentKind.PERP


def test_a_spot_token_without_a_perpetual_answers_to_its_ticker(listing: Make) -> None:
    markets = Markets("milo", [listing("SOL", spot=True, venue_symbol="So11111111111111111111111111111111111111112")])
    for spelling in ("SOL", "sol", "SOL-USD", "SOL/USDC", "SOLUSD"):
        assert markets.resolve(spelling).symbol == "SOL-USD"
    assert suggestions(markets, "SOL-PERP") == ["SOL-USD"]


def test_a_mint_address_is_matched_exactly_or_not_at_all(listing: Make) -> None:
    markets = Markets("milo", [listing("USDC", spot=True, venue_symbol=MINT)])
    assert markets.resolve(MINT).symbol == "USDC-USD"
    assert markets.with_venue_symbol(MINT).symbol == "USDC-USD"
    suggestions(markets, MINT.lower())
    suggestions(markets, MINT[:-1] + "w")


def test_two_mints_that_differ_only_in_case_are_two_tokens(listing: Make) -> None:
    one, other = MINT, MINT.swapcase()
    markets = Markets(
        "milo", [listing("USDC", spot=True, venue_symbol=one), listing("FAKE", spot=True, venue_symbol=other)]
    )
    assert markets.resolve(one).base == "USDC"
    assert markets.resolve(other).base == "FAKE"


def test_another_dollar_stands_in_where_there_is_one_perpetual(listing: Make) -> None:
    markets = Markets("venue", [listing("BTC", "USDT", "USDT")])
    for spelling in ("BTC-USD-PERP", "BTC/USDC:USDC", "BTC-USDC", "BTCUSD"):
        assert markets.resolve(spelling).symbol == "BTC-USDT-PERP"


def test_another_dollar_is_refused_where_there_are_two_perpetuals(listing: Make) -> None:
    markets = Markets("venue", [listing("BTC", "USDC", "USDC"), listing("BTC", "USDT", "USDT")])
    assert sorted(suggestions(markets, "BTC-USD-PERP")) == ["BTC-USDC-PERP", "BTC-USDT-PERP"]
    assert markets.resolve("BTC/USDT:USDT").symbol == "BTC-USDT-PERP"
    assert markets.resolve("BTC-USDC").symbol == "BTC-USDC-PERP"


def test_the_settle_asset_decides_between_two_quotes(listing: Make) -> None:
    markets = Markets("venue", [listing("BTC", "USD", "USDC"), listing("BTC", "USDT", "USDT")])
    assert markets.resolve("BTC/USDC:USDC").symbol == "BTC-USD-PERP"


@pytest.mark.parametrize("spelling", ["BTC-EUR", "BTC/ETH", "BTC-EUR-PERP", "BTC/USD:BTC", "BTC/EUR:EUR"])
def test_a_quote_or_settle_that_is_no_dollar_is_never_replaced(paradex: Markets, spelling: str) -> None:
    assert suggestions(paradex, spelling) == ["BTC-USD-PERP"]


def test_a_market_in_another_asset_never_stands_in_for_dollars(listing: Make) -> None:
    markets = Markets("venue", [listing("ETH", "BTC", "BTC")])
    assert suggestions(markets, "ETH-USD") == ["ETH-BTC-PERP"]
    assert markets.resolve("ETHBTC").symbol == "ETH-BTC-PERP"
    assert markets.resolve("ETH").symbol == "ETH-BTC-PERP"


def test_the_main_perpetual_is_the_one_in_the_venues_usual_quote(listing: Make) -> None:
    markets = Markets("venue", [listing("BTC", "USDC"), listing("BTC", "USDT", "USDT"), listing("ETH", "USDT", "USDT")])
    assert markets.resolve("BTC").symbol == "BTC-USDT-PERP"
    assert markets.resolve("btc-perp").symbol == "BTC-USDT-PERP"


def test_a_bare_base_is_refused_where_no_perpetual_is_the_main_one(listing: Make) -> None:
    markets = Markets("venue", [listing("BTC", "USDC"), listing("BTC", "USDT", "USDT")])
    assert sorted(suggestions(markets, "BTC")) == ["BTC-USDC-PERP", "BTC-USDT-PERP"]


@pytest.mark.parametrize(
    ("base", "multiplier"), [("kPEPE", 1000), ("KPEPE", 1000), ("1000PEPE", 1000), ("1000PEPE", 1), ("PEPE", 1000)]
)
def test_a_market_of_a_thousand_never_answers_to_the_name_of_one(listing: Make, base: str, multiplier: int) -> None:
    market = listing(base, symbol="kPEPE-USD-PERP", venue_symbol="17", multiplier=multiplier)
    markets = Markets("venue", [market, listing("BTC")])
    for spelling in ("kPEPE", "KPEPE", "kpepe", "1000PEPE", "1000pepe", "1000PEPEUSDT", "kPEPE/USDC:USDC"):
        assert markets.resolve(spelling) is market
    for spelling in ("PEPE", "PEPE-USD", "PEPEUSDT", "PEPE/USDC:USDC", "pepe-usd-perp"):
        assert suggestions(markets, spelling) == ["kPEPE-USD-PERP"]


def test_a_market_of_one_never_answers_to_the_name_of_a_thousand(listing: Make) -> None:
    markets = Markets("venue", [listing("PEPE")])
    for spelling in ("kPEPE", "1000PEPE", "1000PEPE-USD"):
        assert suggestions(markets, spelling) == ["PEPE-USD-PERP"]


def test_a_market_of_one_and_a_market_of_a_thousand_can_be_listed_together(listing: Make) -> None:
    markets = Markets("venue", [listing("PEPE"), listing("1000PEPE", multiplier=1000)])
    assert markets.resolve("PEPE").symbol == "PEPE-USD-PERP"
    assert markets.resolve("kPEPE").symbol == "kPEPE-USD-PERP"


def test_a_token_that_begins_with_k_is_not_a_thousand(listing: Make) -> None:
    markets = Markets("venue", [listing("KAVA"), listing("AVA")])
    assert markets.resolve("kava").base == "KAVA"
    assert markets.resolve("AVA").base == "AVA"


def test_a_contract_of_part_of_a_unit_does_not_answer_to_the_bare_base(listing: Make) -> None:
    markets = Markets("venue", [listing("BTC", multiplier="0.001")])
    assert markets.resolve("BTC-USD-PERP").contract_multiplier < 1
    assert suggestions(markets, "BTC") == ["BTC-USD-PERP"]


def test_a_number_is_an_id_and_not_a_spelling(listing: Make) -> None:
    markets = Markets("venue", [listing("ETH", venue_symbol="4"), listing("4", venue_symbol="9")])
    assert markets.resolve("4").base == "4"
    assert markets.with_venue_symbol("4").base == "ETH"
    suggestions(markets, "9")


def test_the_bare_base_means_the_perpetual_even_where_the_venue_calls_its_spot_market_so(listing: Make) -> None:
    markets = Markets("venue", [listing("SOL", venue_symbol="SOL-PERP"), listing("SOL", spot=True, venue_symbol="SOL")])
    assert markets.resolve("SOL").kind is InstrumentKind.PERP
    assert markets.with_venue_symbol("SOL").kind is InstrumentKind.SPOT


def test_our_symbol_wins_over_another_markets_name_on_the_venue(listing: Make) -> None:
    markets = Markets(
        "venue", [listing("BTC", venue_symbol="BTC-USD"), listing("BTC", spot=True, venue_symbol="BTC-USD-SPOT")]
    )
    for spelling in ("BTC-USD", "btc-usd"):
        assert markets.resolve(spelling).kind is InstrumentKind.SPOT


def test_a_name_that_the_venue_gives_to_both_kinds_needs_the_kind(listing: Make) -> None:
    markets = Markets(
        "venue",
        [listing("BTC", "USDT", venue_symbol="BTCUSDT"), listing("BTC", "USDT", spot=True, venue_symbol="BTCUSDT")],
    )
    assert suggestions(markets, "BTCUSDT") == ["BTC-USDT-PERP", "BTC-USDT"]
    assert markets.with_venue_symbol("BTCUSDT", InstrumentKind.SPOT).symbol == "BTC-USDT"
    with pytest.raises(UnknownVenueSymbol, match="two markets called 'BTCUSDT'"):
        markets.with_venue_symbol("BTCUSDT")


def test_an_unlisted_venue_symbol_has_an_error_of_its_own(paradex: Markets) -> None:
    with pytest.raises(UnknownVenueSymbol, match="paradex has no market called 'btc-usd-perp'"):
        paradex.with_venue_symbol("btc-usd-perp")


def test_chinese_tickers_work(listing: Make) -> None:
    markets = Markets("aster", [listing("币安人生", "USDT", venue_symbol="币安人生USDT"), listing("BTC", "USDT")])
    for spelling in (
        "币安人生",
        "币安人生USDT",
        "币安人生usdt",
        "币安人生-USDT-PERP",
        "币安人生/USDT:USDT",
        "币安人生-perp",
    ):
        assert markets.resolve(spelling).base == "币安人生"
    assert suggestions(markets, "币安人") == ["币安人生-USDT-PERP"]


def test_dated_futures_and_options_are_not_taken_for_the_perpetual(paradex: Markets) -> None:
    for spelling in ("BTC-USD-260327", "BTC/USD:USDC-260327", "BTC-260327-60000-P", "BTC-60000-P", "BTC/USD-260327"):
        suggestions(paradex, spelling)


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("BTTC", "BTC-USD-PERP"),
        ("ETHH-USD-PERP", "ETH-USD-PERP"),
        ("XETH", "ETH-USD-PERP"),
        ("EHT-USD", "ETH-USD-PERP"),
    ],
)
def test_a_typo_is_answered_with_what_may_have_been_meant(paradex: Markets, typo: str, meant: str) -> None:
    assert meant in suggestions(paradex, typo)


def test_there_are_at_most_three_suggestions(listing: Make) -> None:
    quotes = ("USDC", "USDT", "USDE", "USDH")
    markets = Markets("venue", [listing("BTC", quote, quote) for quote in quotes])
    assert len(suggestions(markets, "BTC")) == 3
    assert set(suggestions(markets, "BTC-USD")) <= {i.symbol for i in markets}


def test_what_a_caller_wrote_is_shown_short_and_harmless() -> None:
    markets = Markets("venue", [])
    with pytest.raises(UnknownMarket) as refused:
        markets.resolve("\u202e\x1b[31m\ud800" + "A" * 5_000)
    assert len(refused.value.message) < 200
    assert refused.value.message.isascii()
    assert refused.value.message.isprintable()


def test_spellings_that_never_end_do_not_fill_the_memory(listing: Make) -> None:
    markets = Markets("venue", [listing("ABCDEFGHIJKLMNO")])
    base = "ABCDEFGHIJKLMNO"
    for bits in range(5_000):
        markets.resolve("".join(c.lower() if bits >> n & 1 else c for n, c in enumerate(base)))
    assert len(markets._seen) <= 2_048


def test_ambiguous_or_unprintable_lists_are_refused_when_they_are_made(listing: Make) -> None:
    with pytest.raises(ValueError, match="two instruments are called 'BTC-USD-PERP'"):
        Markets("venue", [listing("BTC"), listing("BTC", venue_symbol="other")])
    with pytest.raises(ValueError, match="have the venue symbol 'X'"):
        Markets("venue", [listing("BTC", venue_symbol="X"), listing("ETH", venue_symbol="X")])
    for name in ("BTC\u202e-USD-PERP", "BTC USD", "A" * 81, "BTC\n"):
        with pytest.raises(ValueError, match="not a name"):
            Markets("venue", [listing("BTC", symbol=name)])


def test_a_list_knows_its_symbols(paradex: Markets) -> None:
    assert len(paradex) == 3
    assert [i.symbol for i in paradex] == ["BTC-USD-PERP", "ETH-USD-PERP", "kPEPE-USD-PERP"]
    assert "BTC-USD-PERP" in paradex
    assert "BTC" not in paradex
    assert repr(paradex) == "Markets(paradex, 3 instruments)"


def test_an_empty_venue_has_no_markets_and_says_so() -> None:
    assert suggestions(Markets("venue", []), "BTC") == []


@pytest.mark.skipif(not FIXTURES.is_dir(), reason="the recorded ccxt markets are not here")
@pytest.mark.parametrize("exchange", ["paradex", "hyperliquid"])
def test_ccxt_and_venue_names_of_recorded_markets_resolve(listing: Make, exchange: str) -> None:
    recorded = json.loads((FIXTURES / f"{exchange}.json").read_text())
    made = {
        raw["symbol"]: listing(
            raw["base"],
            raw["quote"],
            raw.get("settle") or raw["quote"],
            spot=raw["type"] == "spot",
            venue_symbol=raw["info"].get("name") or raw["id"],
        )
        for raw in recorded.values()
    }
    markets = Markets(exchange, made.values())
    for ccxt_symbol, instrument in made.items():
        assert markets.resolve(ccxt_symbol) is instrument
        assert markets.resolve(instrument.venue_symbol) is instrument
        assert markets.resolve(instrument.base) is instrument
