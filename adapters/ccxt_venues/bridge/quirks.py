"""What is particular about a venue that ccxt speaks to for us."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any, Final

import msgspec

from adapters.base import Network, Submission
from normalization.accounts import Balance
from normalization.orders import Limit, Market, Side, Stop, TakeProfit, TimeInForce

Document = Any
"""A venue's reply, decoded: its decimals are strings."""

Params = Mapping[str, Any]
"""What is added to a call of ccxt's."""

Urls = Mapping[Network, Mapping[str, str]]
"""ccxt's ``urls.api`` per network."""


class MarkSource(Enum):
    """Which of ccxt's calls tells a market's mark price."""

    FUNDING_RATE = auto()
    TICKER = auto()


class Requirement(msgspec.Struct, frozen=True, kw_only=True):
    """``module`` is what has to be importable for a venue, ``install`` the command that makes it so."""

    module: str
    install: str


def no_expiry(submission: Submission, now_ms: int) -> Params:
    """The venue cannot be told until when a request is good."""
    return {}


class Quirks(msgspec.Struct, frozen=True, kw_only=True):
    """What a session says to ccxt, and how it takes what comes back.

    ``urls`` are ccxt's ``urls.api``, ``config`` what ccxt is constructed with for a credential, ``tame`` what makes of
    ccxt's class one that does only what it was asked for.

    Parameters of a limit order: ``limit`` per time in force (one that is missing is refused), ``post_only``,
    ``reduce_only``, ``expiry`` of the request and of the order, seen from now. Of a trigger order: ``trigger``, with
    ccxt's type ``triggered_as`` and, where the venue wants a limit of what it triggers, ``triggered_slippage_bps``.
    ``listing`` is a parameter of a question about all markets, ``leverage`` of a change of it.

    ``client_id`` is what ccxt takes for our client id. ``order_ids`` is a pattern of the venue's own ids: others are
    not asked for. ``needs_market``: an order is asked for and canceled together with its market.

    ``refusal`` finds the venue's code and message in a reply that refuses, None in any other. ``is_shaped`` says
    whether a reply to that path is one at all: ccxt makes an empty list of nearly anything.

    ``quote`` is the quote in our symbols where ccxt names the settle asset. ``signs_in_threads`` where a signature
    takes more than a millisecond. ``weight`` is what a request costs, by its path.
    """

    ccxt_id: str
    urls: Urls
    config: Callable[[Mapping[str, str], Network], Params]
    tame: Callable[[Any], Any] = lambda base: base
    needs: Requirement | None = None
    signs_in_threads: bool = False

    limit: Mapping[TimeInForce, Params]
    post_only: Params
    reduce_only: Params
    expiry: Callable[[Submission, int], Params] = no_expiry
    trigger: Callable[[Side, Stop | TakeProfit], Params]
    triggered_as: str = "market"
    triggered_slippage_bps: int | None = None
    listing: Params = {}
    leverage: Params = {}

    client_id: Callable[[str], Any] = str
    order_ids: str = "[0-9]+"
    needs_market: bool = True
    quote: str | None = None
    mark_source: MarkSource = MarkSource.FUNDING_RATE

    refusal: Callable[[int, Document], tuple[str, str] | None]
    is_shaped: Callable[[str, Document], bool]
    balance: Callable[[Document], Balance]
    weight: Callable[[str], float] = lambda path: 1
    weight_per_minute: float


def rests(submission: Submission) -> bool:
    """Whether the order may stay at the venue: all but one that executes at once or not at all."""
    execution = submission.intent.execution
    if isinstance(execution, Limit):
        return execution.time_in_force is TimeInForce.GTC
    return not isinstance(execution, Market)


def fires_on_the_way_up(side: Side, execution: Stop | TakeProfit) -> bool:
    """Whether a trigger order waits for the price to rise: a stop that buys, or a take-profit that sells."""
    return (side is Side.BUY) is isinstance(execution, Stop)


ALL_TIMES_IN_FORCE: Final[Mapping[TimeInForce, Params]] = {
    time_in_force: {"timeInForce": time_in_force.value} for time_in_force in TimeInForce
}
