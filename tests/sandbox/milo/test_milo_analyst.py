"""What the built-in agent says is what the market was computed to be, by other means than its own."""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import pairwise
from math import log, sqrt
from statistics import stdev

import pytest

from sandbox.engine.path import SPANS
from sandbox.milo.agents import analyst
from sandbox.milo.agents.agent import AgentType, Answer, Facts, Holding, PositionSeen, Question, Role, Said
from sandbox.milo.analysis.reader import MarketAt
from sandbox.milo.analysis.series import MarketReader
from sandbox.milo.autotrade.diary import Entry
from sandbox.milo.market import TokenMarket
from sandbox.milo.tokens import BY_SYMBOL
from tests.support.drawn_market import DrawnMarket, rising
from tests.support.manual_clock import START_MS
from tests.support.milo_facts import facts

MARKET = TokenMarket(seed=5)
NOW_MS = START_MS + 1_234_000
NOW = MarketAt(MARKET, NOW_MS)
HOURS = 3_600


def known(market: MarketReader = NOW, diary: tuple[Entry, ...] = ()) -> Facts:
    """Of somebody with 3 SOL, and 400 JUP that were bought for $150."""
    sol, jup = BY_SYMBOL["SOL"], BY_SYMBOL["JUP"]
    held = [(sol, Decimal(3)), (jup, Decimal(400))]
    return facts(
        market,
        holdings=tuple(Holding(token, amount, amount * market.price(token.symbol)) for token, amount in held),
        positions=(PositionSeen(jup, Decimal(400), Decimal(150), 400 * market.price("JUP"), Decimal(7)),),
        diary=diary,
    )


def ask(text: str, market: MarketReader = NOW, *, kind: str = "market-analyst", earlier: str = "") -> Answer:
    said = (Said(Role.USER, earlier), Said(Role.ASSISTANT, "…")) if earlier else ()
    return analyst.answer(Question(text=text, agent_type=AgentType(kind), earlier=said, facts=known(market)))


def trader(text: str, market: MarketReader = NOW) -> Answer:
    return ask(text, market, kind="auto-trader")


def figure(text: str, pattern: str) -> float:
    """The number in ``text`` that stands at the group of ``pattern``."""
    found = re.search(pattern, text)
    assert found is not None, text
    return float(found[1].replace(",", "").replace("$", ""))


def hourly(symbol: str, hours: int) -> list[float]:
    """The prices at the last full hours and now, straight from the market."""
    token, second = BY_SYMBOL[symbol], NOW_MS // 1_000
    full = second // HOURS * HOURS
    seconds = [full - HOURS * ago for ago in range(hours - 1, -1, -1)] + [second]
    return [float(MARKET.price(token, at)) for at in seconds]


def test_the_price_and_its_change_are_the_markets() -> None:
    text = ask("What is the price of JUP this week?").text
    assert figure(text, r"trades at \$([\d.]+)") == pytest.approx(float(NOW.price("JUP")), rel=1e-3)
    prices = hourly("JUP", 168)
    assert figure(text, r"([+-][\d.]+)% over 7 days") == pytest.approx((prices[-1] / prices[0] - 1) * 100, abs=0.06)


def test_volatility_is_the_deviation_of_the_markets_hourly_returns() -> None:
    text = ask("How volatile is JUP over the last 7 days?").text
    prices = hourly("JUP", 168)
    daily = stdev(log(after / before) for before, after in pairwise(prices)) * sqrt(24)
    assert figure(text, r"7 days: ([\d.]+)% a day") == pytest.approx(daily * 100, abs=0.06)


def test_rsi_is_computed_from_the_markets_closes() -> None:
    text = ask("RSI of JUP over 7 days?").text
    prices = hourly("JUP", 228)
    gains = losses = 0.0
    moves = [after - before for before, after in pairwise(prices)]
    for place, move in enumerate(moves):
        weight = 1 / 14 if place < 14 else 1
        if place < 14:
            gains, losses = gains + max(move, 0) * weight, losses + max(-move, 0) * weight
        else:
            gains, losses = (gains * 13 + max(move, 0)) / 14, (losses * 13 + max(-move, 0)) / 14
    assert figure(text, r"RSI14 is ([\d.]+)") == pytest.approx(100 - 100 / (1 + gains / losses), abs=0.06)


def test_the_candle_that_still_grows_ends_at_the_present_price() -> None:
    for minutes, span in ((1440, SPANS[0]), (240, SPANS[1]), (60, SPANS[2]), (15, SPANS[3]), (5, SPANS[4])):
        before, last = NOW.candles("wBTC", minutes, 2)
        assert last.close == NOW.price("wBTC")
        assert last.opened_at_ms == NOW_MS // (span * 1_000) * span * 1_000
        assert before.opened_at_ms == last.opened_at_ms - span * 1_000
        assert last.low <= last.close <= last.high


def test_depth_says_what_the_asked_amount_would_be_filled_at() -> None:
    text = ask("How liquid is JUP for $50k?").text
    quote, middle = NOW.quote("JUP", Decimal(50_000)), NOW.price("JUP")
    assert "$50,000.00 moves it" in text
    assert figure(text, r"buying costs ([\d.]+)%") == pytest.approx(float(quote.buy / middle - 1) * 100, abs=0.001)
    assert figure(text, r"selling ([\d.]+)% under") == pytest.approx(float(1 - quote.sell / middle) * 100, abs=0.001)


def test_the_strongest_token_is_the_one_that_rose_most() -> None:
    market = DrawnMarket(JUP=rising(0.3), BONK=rising(-0.2), WIF=rising(0.1))
    text = ask("Which tokens are trending this week?", market).text
    assert text.startswith("Strongest over 7 days: JUP +")
    assert "WIF" in text.split("Weakest")[0]
    assert "Weakest: BONK -" in text


def test_the_trend_of_what_rises_is_up_and_of_what_falls_down() -> None:
    market = DrawnMarket(JUP=rising(0.3), BONK=rising(-0.3))
    assert "Trend over 7 days: up" in ask("What is the trend of JUP?", market).text
    assert "Trend over 7 days: down" in ask("What is the trend of BONK?", market).text
    assert "above the slower one" in ask("moving averages of JUP", market).text
    assert "RSI14 is" in ask("is JUP overbought?", market).text


def test_drawdown_is_from_the_highest_close_to_the_lowest_after_it() -> None:
    # Down to a half 20 candles ago, up to nine tenths since.
    market = DrawnMarket(JUP=lambda ago: 1.0 if ago > 20 else 0.5 + 0.4 * (20 - ago) / 20)
    text = ask("drawdown of JUP over 7 days", market).text
    assert "at most 50.0%, from $1.00 to $0.5000" in text
    assert "now 10.0% below" in text


def test_holdings_add_up_and_shares_are_of_the_whole() -> None:
    text = ask("What is in my portfolio?").text
    sol, jup = 3 * NOW.price("SOL"), 400 * NOW.price("JUP")
    assert figure(text, r"You hold \$([\d,.]+):") == pytest.approx(float(sol + jup), abs=0.01)
    assert figure(text, r"3 SOL \(\$[\d,.]+, ([\d.]+)%\)") == pytest.approx(float(sol / (sol + jup)) * 100, abs=0.06)
    assert "You hold no BONK" in ask("Do I have BONK in my wallet?").text


def test_positions_are_told_with_what_they_made() -> None:
    text = ask("How are my positions?").text
    assert figure(text, r"now \$[\d.]+ \((-?\$[\d.]+)") == pytest.approx(float(400 * NOW.price("JUP") - 150), abs=0.01)
    assert "$7.00 realized" in text


def test_an_empty_wallet_is_told_as_one() -> None:
    asked = Question(
        text="How risky is my portfolio?", agent_type=AgentType.MARKET_ANALYST, earlier=(), facts=facts(NOW)
    )
    assert "empty" in analyst.answer(asked).text


def test_a_follow_up_keeps_the_topic() -> None:
    text = ask("What about JUP?", earlier="How volatile is BONK?").text
    assert "JUP trades at" in text
    assert "Volatility over 7 days" in text
    assert "BONK" not in text


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "?",
        "¿Qué tal BONK?",
        "compare JUP, BONK, WIF, RAY, ORCA and SOL",
        "correlation of SOL",
        "correlation, volume and support of TSLAx in the last hour",
        "volatility of USDC over 365 days",
        "levels, strength, trend, outlook, depth, drawdown, volume, averages and momentum of mSOL",
        "what's the sentiment and the news on PNUT today",
        "x" * 4_000,
    ],
)
def test_whatever_is_asked_there_is_an_answer_of_reasonable_length(text: str) -> None:
    assert 20 < len(ask(text).text) < 4_000


def test_the_trader_tells_what_it_would_do_now_and_what_it_did_last() -> None:
    entry = Entry(entry_id="e", user_id="u", log="Opened thesis on JUP", thoughts="why", token_address=None, at_ms=0)
    question = Question(
        text="What are you up to?", agent_type=AgentType.AUTO_TRADER, earlier=(), facts=known(diary=(entry,))
    )
    text = analyst.answer(question).text
    assert "risk tolerance balanced, strategy SWING TRADER" in text
    assert "- buy $" in text
    assert "1970-01-01T00:00:00.000Z: Opened thesis on JUP. why" in text


def test_the_trader_changes_what_it_is_told_to() -> None:
    answer = trader("Set my risk to degen, allocate 60% majors and 40% memes, and focus on JUP and bonk.")
    assert answer.change is not None
    assert answer.change.risk_tolerance == "degen"
    assert answer.change.allocation == {"majors": Decimal(60), "memes": Decimal(40)}
    assert answer.change.custom_tickers == ("JUP", "BONK")
    assert "risk tolerance is degen (it was balanced)" in answer.text


@pytest.mark.parametrize(
    ("text", "is_active"),
    [("Please turn on auto-trading", True), ("stop trading!", False), ("switch trading off", False)],
)
def test_the_trader_is_switched_on_and_off(text: str, is_active: bool) -> None:
    change = trader(text).change
    assert change is not None
    assert change.is_active is is_active


def test_instructions_are_taken_as_they_are_and_not_read_as_demands() -> None:
    change = trader("New instructions: set risk to degen only above $200 and stop trading on Sundays").change
    assert change is not None
    assert change.instructions == "set risk to degen only above $200 and stop trading on Sundays"
    assert not isinstance(change.risk_tolerance, str)
    assert not isinstance(change.is_active, bool)


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("go degen", "risk_tolerance", "degen"),
        ("Please be more conservative.", "risk_tolerance", "conservative"),
        ("Could you set the risk tolerance to balanced?", "risk_tolerance", "balanced"),
        ("Switch to scalping", "strategy", "SCALPER"),
        ("my strategy should be value investor", "strategy", "VALUE INVESTOR"),
        ("trade like a swing trader", "strategy", "SWING TRADER"),
        ("Put 70% in majors, 30% into stables", "allocation", {"majors": Decimal(70), "stables": Decimal(30)}),
    ],
)
def test_demands_are_understood_in_other_words(text: str, field: str, value: object) -> None:
    change = trader(text).change
    assert change is not None
    assert getattr(change, field) == value


@pytest.mark.parametrize(
    "text",
    [
        "Should I go degen?",
        "What if you were a scalper?",
        "Is auto-trading on?",
        "How conservative are you?",
        "Please explain: would it help to switch to degen?",
        "Can you tell me what happens when you go degen?",
        "I use conservative stop losses.",
        "Scalping worked well for me, make me a summary.",
        "I have 60% majors and 40% memes at another place.",
    ],
)
def test_what_is_no_demand_changes_nothing(text: str) -> None:
    assert trader(text).change is None


@pytest.mark.parametrize("symbol", BY_SYMBOL)
def test_of_every_token_there_is_something_to_say_on_every_topic(symbol: str) -> None:
    everything = "price trend sma rsi volatility depth support strong drawdown volume correlation outlook sentiment"
    for horizon in ("1 hour", "24 hours", "7 days"):
        text = ask(f"{everything} of {symbol} over {horizon}").text
        assert text.count("\n") >= 11
        assert "nan" not in text


def test_the_analyst_changes_nothing_whatever_it_is_told() -> None:
    assert ask("Set my risk to degen and turn on auto-trading").change is None
