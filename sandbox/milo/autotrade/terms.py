"""The words of auto-trading, and what the reference allows in each field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from sandbox.milo.errors import bad_request
from sandbox.milo.fields import one_of, text
from sandbox.milo.tokens import AssetClass
from sandbox.milo.wire import finite, plain

MOST_NAME: Final = 200
MOST_DESCRIPTION: Final = 2_000
MOST_INSTRUCTIONS: Final = 4_000
MOST_TICKERS: Final = 50
MOST_TICKER: Final = 44

_HUNDRED: Final = Decimal(100)


class RiskTolerance(StrEnum):
    CONSERVATIVE = "conservative"
    BALANCED = "balanced"
    DEGEN = "degen"


class Style(StrEnum):
    VALUE_INVESTOR = "VALUE INVESTOR"
    SWING_TRADER = "SWING TRADER"
    SCALPER = "SCALPER"
    CUSTOM = "CUSTOM"


_MINUTE_MS: Final = 60_000
# How long after one look at the market the next one is due.
ROUND_MS: Final = {
    Style.SCALPER: 5 * _MINUTE_MS,
    Style.SWING_TRADER: 60 * _MINUTE_MS,
    Style.CUSTOM: 60 * _MINUTE_MS,
    Style.VALUE_INVESTOR: 360 * _MINUTE_MS,
}

Allocation = Mapping[AssetClass, Decimal]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to trade by: a strategy's snapshot. ``allocation`` is in percent and adds up to 100, or is empty."""

    style: Style
    instructions: str = ""
    allocation: dict[AssetClass, Decimal] = {}
    custom_tickers: tuple[str, ...] = ()


def changed_plan(
    plan: Plan,
    style: str | UnsetType,
    instructions: str | UnsetType | None,
    shares: Mapping[str, Decimal] | UnsetType | None,
    custom_tickers: Sequence[str] | UnsetType | None,
) -> Plan:
    """``plan`` with what was given; null is the same as empty.

    :raises ApiError: 400; a field is not as the reference allows.
    """
    return Plan(
        style=plan.style if style is UNSET else one_of(Style, style, "strategy"),
        instructions=plan.instructions
        if instructions is UNSET
        else text(instructions or "", "instructions", most=MOST_INSTRUCTIONS),
        allocation=plan.allocation if shares is UNSET else allocation(shares or {}),
        custom_tickers=plan.custom_tickers if custom_tickers is UNSET else tickers(custom_tickers or ()),
    )


def tickers(values: Sequence[str], field: str = "customTickers") -> tuple[str, ...]:
    """:raises ApiError: 400; too many, or one that cannot be a ticker. The tickers themselves may be unknown here."""
    if len(values) > MOST_TICKERS:
        raise bad_request(f"`{field}` must have at most {MOST_TICKERS} tickers", field=field)
    found = tuple(dict.fromkeys(value.strip().removeprefix("$") for value in values))
    if any(not ticker or len(ticker) > MOST_TICKER or any(map(str.isspace, ticker)) for ticker in found):
        raise bad_request(f"`{field}` must be tickers of 1 to {MOST_TICKER} characters, such as SOL", field=field)
    return found


def allocation(shares: Mapping[str, Decimal], field: str = "allocation") -> dict[AssetClass, Decimal]:
    """Percentages by asset class. An empty one is none.

    :raises ApiError: 400; an unknown class, a share that is none, or shares that do not add up to 100.
    """
    found = {one_of(AssetClass, name, field): _share(share, f"{field}.{name}") for name, share in shares.items()}
    total = sum(found.values(), Decimal(0))
    if found and total != _HUNDRED:
        raise bad_request(f"`{field}` must add up to 100 percent, not {plain(total)}", field=field)
    return found


def _share(share: Decimal, field: str) -> Decimal:
    if not 0 <= finite(share, field) <= _HUNDRED:
        raise bad_request(f"`{field}` must be a percentage from 0 to 100", field=field)
    return share
