from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.ccxt_venues.refusals import MAX_TEXT, Action, Match, Meaning, Refusals, Row, presentable, rows_of
from adapters.ccxt_venues.rows import ROWS
from adapters.ccxt_venues.secret_checks import (
    ed25519_secret,
    ethereum_address,
    ethereum_key,
    hibachi_api_key,
    hibachi_key,
    nado_subaccount,
    orderly_account,
    starknet_address,
    starknet_key,
    zk_seeds,
)
from normalization.venue_failures import Reason, VenueDeferred, VenueRejected, VenueUnclear


def row(text: str, match: Match = Match.CODE, meaning: Meaning = Meaning.REJECTED) -> Row:
    return Row(
        text=text,
        match=match,
        meaning=meaning,
        reason=Reason.INVALID_ORDER,
        actions=frozenset({Action.PLACE}),
        source="docs",
    )


def test_a_code_decides_before_a_part_and_a_part_before_a_pattern() -> None:
    table = Refusals([row("(?i)funds", Match.PATTERN, Meaning.DEFERRED), row("funds", Match.PART), row("E1")])
    assert isinstance(table.judge(Action.PLACE, code="E1", message="Funds"), VenueRejected)
    assert isinstance(table.judge(Action.PLACE, message="no funds"), VenueRejected)
    assert isinstance(table.judge(Action.PLACE, message="NO FUNDS"), VenueDeferred)


def test_a_row_says_nothing_about_other_actions() -> None:
    assert isinstance(Refusals([row("E1")]).judge(Action.CANCEL, code="E1"), VenueUnclear)


@given(code=st.text(max_size=40), message=st.text(max_size=600), action=st.sampled_from(Action))
@settings(max_examples=100, deadline=None)
def test_what_no_row_knows_proves_nothing_and_can_be_shown(code: str, message: str, action: Action) -> None:
    failure = Refusals([]).judge(action, code=code, message=message)
    assert isinstance(failure, VenueUnclear)
    assert 0 < len(failure.text) <= MAX_TEXT
    assert failure.text.isprintable()


def test_a_venues_words_are_one_line_that_prints() -> None:
    assert presentable("a\n\tb\x00\u202ec" + "x" * 1_000) == ("a bc" + "x" * 1_000)[:MAX_TEXT]


@pytest.mark.parametrize("exchange", sorted(ROWS))
def test_no_venue_lists_a_text_twice_for_one_action(exchange: str) -> None:
    seen = [(row.match, row.text, action) for row in rows_of(exchange) for action in row.actions]
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (ethereum_address, "0x" + "aB" * 20, ["", "0x" + "ab" * 19, "ab" * 20, "0x" + "zz" * 20, " 0x" + "ab" * 20]),
        (ethereum_key, "0x" + "11" * 32, ["", "0x" + "00" * 32, "0x" + "ff" * 32, "11" * 31, "0x" + "11" * 32 + "\n"]),
        (starknet_address, "0x61e1d93f26", ["", "61e1", "0x0", "0x" + "ff" * 32, "0xg"]),
        (starknet_key, "0x30aa0920", ["", "12345", "0x0", "0x" + "ff" * 32, "0x1g"]),
        (orderly_account, "0x" + "aB" * 32, ["", "0x" + "ab" * 20, "ab" * 32, "0x" + "zz" * 32]),
        (ed25519_secret, "ed25519:4wBqpZM9xaSheZzJSMawUKKwhdpChKbZ5eu5ky4Vigw", ["", "ed25519:x", "0" * 44, "1" * 31]),
        (hibachi_api_key, "A" * 43 + "=", ["", "A" * 44, "A" * 42 + "=", "A" * 42 + " ="]),
        (hibachi_key, "A" * 43 + "=", ["", "A" * 44, "0x" + "11" * 31, "0x" + "00" * 32]),
        (hibachi_key, "0x" + "11" * 32, ["11" * 33, "\u202e" + "A" * 43 + "="]),
        (nado_subaccount, "desk 1", ["", "x" * 13, "\u00fc", "a\n"]),
        (zk_seeds, "0x" + "4c" * 65, ["", "4c" * 31, "4c" * 129, "4" * 65, "0x" + "zz" * 65]),
    ],
)
def test_a_secret_that_cannot_be_one_is_told_before_it_is_stored(check: Any, good: str, bad: list[str]) -> None:
    assert check(good) is None
    for value in bad:
        complaint = check(value)
        assert complaint
        assert value == "" or value not in complaint
