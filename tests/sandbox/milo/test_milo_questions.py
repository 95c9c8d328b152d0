from __future__ import annotations

from decimal import Decimal

import pytest

from sandbox.milo.agents.questions import Topic, read_question
from sandbox.milo.analysis.naming import tokens_named
from sandbox.milo.tokens import BY_SYMBOL, TOKENS


def named(text: str) -> list[str]:
    return [token.symbol for token in tokens_named(text, TOKENS)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What about JUP?", ["JUP"]),
        ("is $bonk better than wif", ["BONK", "WIF"]),
        ("bitcoin or ethereum or solana?", ["wBTC", "wETH", "SOL"]),
        ("Tell me about Tesla", ["TSLAx"]),
        (f"what is {BY_SYMBOL['PYTH'].address} worth", ["PYTH"]),
        ("What tokens are trending on Solana?", []),
        ("the SOL ecosystem", []),
        ("solution, rays and wifi", []),
        ("", []),
    ],
)
def test_tokens_are_known_by_symbol_name_and_mint_but_not_inside_other_words(text: str, expected: list[str]) -> None:
    assert named(text) == expected


@pytest.mark.parametrize(
    ("text", "topics"),
    [
        ("How volatile is it?", {Topic.VOLATILITY}),
        ("RSI and moving averages please", {Topic.MOMENTUM, Topic.AVERAGES}),
        ("how deep is the liquidity", {Topic.DEPTH}),
        ("Is it oversold?", {Topic.MOMENTUM}),
        ("my portfolio", {Topic.HOLDINGS}),
        ("any drawdown?", {Topic.DRAWDOWN}),
        ("What is trending?", {Topic.TREND, Topic.STRENGTH}),
        ("good morning", set()),
    ],
)
def test_topics_are_known_by_their_words(text: str, topics: set[Topic]) -> None:
    assert set(read_question(text, TOKENS).topics) == topics


@pytest.mark.parametrize(
    ("text", "words", "minutes"),
    [
        ("over the last 30 days", "30 days", 43_200),
        ("in 24h", "24 hours", 1_440),
        ("the past 90 minutes", "90 minutes", 90),
        ("this week", "7 days", 10_080),
        ("over 3 months", "90 days", 129_600),
        ("in 5 minutes", "1 hour", 60),
        ("over 9999 days", "365 days", 525_600),
    ],
)
def test_a_stretch_of_time_is_understood_and_bounded(text: str, words: str, minutes: int) -> None:
    assert read_question(text, TOKENS).horizon == (words, minutes)


@pytest.mark.parametrize(
    ("text", "usd", "quantity"),
    [
        ("sell $25k of JUP", Decimal(25_000), None),
        ("1,500.50 dollars", Decimal("1500.50"), None),
        ("selling 1,000 JUP", None, Decimal(1_000)),
        ("JUP", None, None),
        ("$0 of JUP", None, None),
    ],
)
def test_amounts_are_in_dollars_or_in_tokens(text: str, usd: Decimal | None, quantity: Decimal | None) -> None:
    understood = read_question(text, TOKENS)
    assert (understood.amount_usd, understood.quantity) == (usd, quantity)


def test_a_question_without_a_topic_has_that_of_the_one_before() -> None:
    understood = read_question("What about JUP?", TOKENS, ["How volatile is BONK over 30 days?"])
    assert [token.symbol for token in understood.tokens] == ["JUP"]
    assert understood.topics == (Topic.VOLATILITY,)
    assert understood.horizon is not None
    assert understood.horizon.words == "30 days"


def test_a_question_without_a_token_has_that_of_the_one_before() -> None:
    understood = read_question("And its drawdown?", TOKENS, ["and the RSI?", "How is BONK?"])
    assert [token.symbol for token in understood.tokens] == ["BONK"]
    assert understood.topics == (Topic.DRAWDOWN,)


def test_a_question_about_ones_own_affairs_needs_no_token_from_before() -> None:
    assert read_question("How is my portfolio?", TOKENS, ["How is BONK?"]).tokens == ()


def test_a_long_and_hostile_text_is_read_in_no_time() -> None:
    read_question("$" * 1_000 + "1," * 1_000 + "a" * 1_000 + " 9" * 500, TOKENS)
