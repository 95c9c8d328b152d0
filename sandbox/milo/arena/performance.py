"""The figures of the leaderboard. Pure."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import Final, NamedTuple

_DAY_MS: Final = 86_400_000
_CENT: Final = Decimal("0.01")
_FINE: Final = Decimal("0.0001")
ZERO: Final = Decimal(0)


class Timeframe(StrEnum):
    DAY = "1d"
    MONTH = "30d"
    QUARTER = "90d"

    @property
    def length_ms(self) -> int:
        return int(self.removesuffix("d")) * _DAY_MS


class SortKey(StrEnum):
    PNL = "pnl"
    WIN_RATE = "winRate"
    RETURN_PCT = "returnPct"
    ACCOUNT_VALUE = "accountValue"


class Direction(StrEnum):
    ASCENDING = "asc"
    DESCENDING = "desc"


class Performance(NamedTuple):
    """In USD; ``win_rate`` is a share of the sales, ``return_pct`` a percentage of what was at work."""

    pnl: Decimal
    win_rate: Decimal
    return_pct: Decimal
    account_value: Decimal

    def by(self, key: SortKey) -> Decimal:
        return {
            SortKey.PNL: self.pnl,
            SortKey.WIN_RATE: self.win_rate,
            SortKey.RETURN_PCT: self.return_pct,
            SortKey.ACCOUNT_VALUE: self.account_value,
        }[key]


def performance(*, before: Decimal, sent: Decimal, now: Decimal, sales: tuple[int, int]) -> Performance:
    """Of an account that was worth ``before`` at the beginning and is worth ``now``, and was ``sent`` so much between.
    ``sales`` are how many it made, and how many of them at a profit."""
    count, won = sales
    pnl, at_work = now - before - sent, before + max(sent, ZERO)
    return Performance(
        pnl=pnl.quantize(_CENT, ROUND_HALF_EVEN),
        win_rate=_ratio(Decimal(won), Decimal(count)),
        return_pct=_ratio(100 * pnl, at_work),
        account_value=now.quantize(_CENT, ROUND_HALF_EVEN),
    )


def _ratio(part: Decimal, whole: Decimal) -> Decimal:
    return (part / whole).quantize(_FINE, ROUND_HALF_EVEN) if whole > 0 else ZERO
