"""The tables of ``docs/venues.md`` are those of the venues' capabilities, which say what they have to."""

from __future__ import annotations

import pytest

from adapters.base import NATIVE
from adapters.registry import VENUES
from tests.support.venue_tables import PAGE, current


def test_the_tables_are_those_of_the_capabilities() -> None:
    page = PAGE.read_text()
    assert current(page) == page, "run: python -m tests.support.venue_tables"


@pytest.mark.parametrize("exchange", VENUES)
def test_what_a_venue_lacks_comes_with_what_to_do_instead(exchange: str) -> None:
    capabilities = VENUES[exchange].capabilities
    assert set(capabilities.unsupported) == NATIVE - capabilities.supports
    assert set(capabilities.emulated) <= capabilities.supports


@pytest.mark.parametrize("exchange", VENUES)
def test_a_venue_says_how_it_knows_an_order_and_which_key_is_the_weakest(exchange: str) -> None:
    capabilities = VENUES[exchange].capabilities
    assert capabilities.client_id
    assert capabilities.least_privilege


@pytest.mark.parametrize("exchange", VENUES)
def test_the_documentation_has_a_word_on_every_venue(exchange: str) -> None:
    assert f"`{exchange}`" in PAGE.read_text().partition("## What each can do")[0]
