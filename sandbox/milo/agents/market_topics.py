"""The market as a whole: who leads, who lags, and how many take part."""

from __future__ import annotations

from collections import defaultdict
from typing import Final, NamedTuple

from sandbox.milo.agents.token_topics import Subject
from sandbox.milo.analysis import figures
from sandbox.milo.analysis import indicators as ind
from sandbox.milo.analysis.series import Horizon, MarketReader

STABLES: Final = "stables"
_NAMED: Final = 3
_AVERAGE: Final = 20


class Standing(NamedTuple):
    change: float
    daily_volatility: float
    is_above_average: bool
    subject: Subject


def standings(market: MarketReader, horizon: Horizon) -> list[Standing]:
    """Every token that moves, the one that rose most first."""
    found = []
    for token in market.tokens():
        if token.asset_class == STABLES:
            continue
        subject = Subject(token, market, horizon)
        average = ind.moving_average(subject.series.closes, _AVERAGE)
        is_above = average is not None and subject.series.closes[-1] > average
        found.append(Standing(subject.change, subject.daily_volatility, is_above, subject))
    return sorted(found, key=lambda standing: standing.change, reverse=True)


def ranking(ordered: list[Standing], horizon: Horizon) -> str:
    leaders, laggards = ordered[:_NAMED], ordered[-_NAMED:][::-1]
    return (
        f"Strongest over {horizon.words}: {figures.listed([_named(one) for one in leaders])}. Weakest:"
        f" {figures.listed([_named(one) for one in laggards])}."
    )


def calm_and_wild(ordered: list[Standing], horizon: Horizon) -> str:
    by_volatility = sorted(ordered, key=lambda standing: standing.daily_volatility)
    calm, wild = by_volatility[0], by_volatility[-1]
    return (
        f"Volatility over {horizon.words}: least {calm.subject.token.symbol} ({figures.share(calm.daily_volatility)} a"
        f" day), most {wild.subject.token.symbol} ({figures.share(wild.daily_volatility)} a day)."
    )


def breadth(ordered: list[Standing], horizon: Horizon) -> str:
    rising = sum(standing.change > 0 for standing in ordered)
    above = sum(standing.is_above_average for standing in ordered)
    text = (
        f"Breadth over {horizon.words}: {rising} of {len(ordered)} tokens rose, {above} are above their SMA{_AVERAGE}. "
    )
    by_class: dict[str, list[float]] = defaultdict(list)
    for standing in ordered:
        by_class[standing.subject.token.asset_class].append(standing.change)
    means = sorted(((sum(one) / len(one), name) for name, one in by_class.items()), reverse=True)
    return f"{text}By asset class: {', '.join(f'{name} {figures.change(mean)}' for mean, name in means)}."


def _named(standing: Standing) -> str:
    return f"{standing.subject.token.symbol} {figures.change(standing.change)}"
