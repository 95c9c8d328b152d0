"""What the user holds, and what became of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from math import sqrt
from typing import Final

from sandbox.milo.agents.agent import Holding, PositionSeen
from sandbox.milo.analysis import figures
from sandbox.milo.analysis import indicators as ind
from sandbox.milo.analysis.series import Horizon, MarketReader, series_of
from sandbox.milo.tokens import Token

_LISTED: Final = 8
_ZERO: Final = Decimal(0)


def holdings(held: Sequence[Holding], only: Sequence[Token] = ()) -> str:
    """``only`` some of the tokens, or all of them."""
    total = sum((holding.value_usd for holding in held), _ZERO)
    if total == 0:
        return "Your Milo wallet is empty: send SOL to its address to begin."
    if only:
        return " ".join(_one_holding(held, token, total) for token in only)
    ordered = sorted(held, key=lambda holding: holding.value_usd, reverse=True)
    lines = [
        f"{figures.quantity(holding.amount)} {holding.token.symbol} ({figures.usd(holding.value_usd)},"
        f" {figures.share(holding.value_usd / total)})"
        for holding in ordered[:_LISTED]
    ]
    more = f" and {len(ordered) - _LISTED} more" if len(ordered) > _LISTED else ""
    return f"You hold {figures.usd(total)}: {'; '.join(lines)}{more}. {_by_class(held, total)}"


def portfolio_risk(held: Sequence[Holding], market: MarketReader, horizon: Horizon) -> str:
    """The past of what is held now: quantities as they are, prices as they were."""
    values = portfolio_values(held, market, horizon)
    if len(values) < 3 or values[0] <= 0:
        return "There is nothing in your wallet whose risk could be computed."
    steps_per_day = 1440 / horizon.candle_minutes
    daily = (ind.volatility(values) or 0.0) * sqrt(steps_per_day)
    fall = ind.drawdown(values)
    deepest = fall.deepest if fall else 0.0
    change = figures.change(values[-1] / values[0] - 1)
    return (
        f"With what you hold now, the last {horizon.words} would have brought {change},"
        f" at a volatility of {figures.share(daily)} a day and a drawdown of at most {figures.share(deepest)}."
    )


def portfolio_values(held: Sequence[Holding], market: MarketReader, horizon: Horizon) -> list[float]:
    values: list[float] = []
    for holding in held:
        closes = series_of(market, holding.token.symbol, horizon).recent_closes
        worth = [float(holding.amount) * close for close in closes]
        values = [sum(pair) for pair in zip(values, worth, strict=False)] if values else worth
    return values


def positions(seen: Sequence[PositionSeen], only: Sequence[Token] = ()) -> str:
    chosen = [position for position in seen if not only or position.token in only]
    if not chosen:
        return "You have no open position" + (f" in {figures.listed([t.symbol for t in only])}." if only else ".")
    invested = sum((position.invested_usd for position in chosen), _ZERO)
    unrealized = sum((position.value_usd - position.invested_usd for position in chosen), _ZERO)
    realized = sum((position.realized_usd for position in chosen), _ZERO)
    lines = [_one_position(position) for position in chosen[:_LISTED]]
    return (
        f"Open positions: {'; '.join(lines)}. Together {figures.usd(invested)} invested,"
        f" {figures.usd(unrealized)} unrealized, {figures.usd(realized)} realized."
    )


def _one_position(position: PositionSeen) -> str:
    gain = position.value_usd - position.invested_usd
    relative = f", {figures.change(float(gain / position.invested_usd))}" if position.invested_usd else ""
    return (
        f"{figures.quantity(position.amount)} {position.token.symbol} for {figures.usd(position.invested_usd)}, now"
        f" {figures.usd(position.value_usd)} ({figures.usd(gain)}{relative})"
    )


def _one_holding(held: Sequence[Holding], token: Token, total: Decimal) -> str:
    found = next((holding for holding in held if holding.token == token), None)
    if found is None:
        return f"You hold no {token.symbol}."
    return (
        f"You hold {figures.quantity(found.amount)} {token.symbol}, worth {figures.usd(found.value_usd)}:"
        f" {figures.share(found.value_usd / total)} of your wallet."
    )


def _by_class(held: Sequence[Holding], total: Decimal) -> str:
    classes: dict[str, Decimal] = defaultdict(Decimal)
    for holding in held:
        classes[holding.token.asset_class] += holding.value_usd
    ordered = sorted(classes.items(), key=lambda entry: entry[1], reverse=True)
    return f"By asset class: {', '.join(f'{name} {figures.share(value / total)}' for name, value in ordered)}."
