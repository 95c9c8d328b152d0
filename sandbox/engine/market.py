"""One instrument: its path, the background that quotes around it, and the users' orders in it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cached_property
from heapq import merge
from typing import Final, NamedTuple

import msgspec

from normalization.market_data import Candle, Level
from normalization.orders import Side
from sandbox.engine.book import RestingOrders, WaitingTriggers, rank_of
from sandbox.engine.listings import Listing
from sandbox.engine.noise import SmoothNoise, uniforms
from sandbox.engine.orders import OrderRecord
from sandbox.engine.path import LEVEL_OF_MINUTES, SPANS, MarketPath

HOUR_S: Final = 3_600
LEVELS: Final = 30

_PREMIUM: Final = ((300, 0.00010), (3_600, 0.00020), (28_800, 0.00030))
_PREMIUM_SAMPLES: Final = 12
_INTEREST: Final = Decimal("0.0001")
_CLAMP: Final = Decimal("0.0005")
_RATE_STEP: Final = Decimal("1E-10")


class Taken(msgspec.Struct):
    """What users took of the background's levels in one second, by side and level number."""

    second: int = -1
    lots: dict[str, dict[int, int]] = {}


class Offer(NamedTuple):
    """Something to trade with. ``order`` is a user's, None for level number ``level`` of the background."""

    ticks: int
    lots: int
    order: OrderRecord | None
    level: int


class Market:
    def __init__(self, seed: int, listing: Listing) -> None:
        self.listing = listing
        self.instrument = listing.instrument
        self.symbol = listing.instrument.symbol
        self.path = MarketPath(seed, listing)
        self.resting = RestingOrders()
        self.triggers = WaitingTriggers()
        self.taken = Taken()
        self._seed = seed
        self._premium = SmoothNoise(seed, f"{self.symbol}/premium", _PREMIUM)
        self._interest = SmoothNoise(seed, f"{self.symbol}/interest", ((86_400, 0.15), (7 * 86_400, 0.25)))
        self._ladders: dict[Side, tuple[int, tuple[tuple[int, int], ...]]] = {}
        # Prices are multiples of the tick and sizes of the lot, so a notional is a whole number of these.
        self._notional_unit = self.instrument.tick_size * self.instrument.lot_size

    # Units.

    def price(self, ticks: int) -> Decimal:
        return self.instrument.tick_size * ticks

    def size(self, lots: int) -> Decimal:
        return self.instrument.lot_size * lots

    def notional(self, ticks: int, lots: int) -> Decimal:
        return self._notional_unit * (ticks * lots)

    @cached_property
    def maintenance_rate(self) -> Decimal:
        return 1 / (Decimal(2) * self.instrument.max_leverage)

    # Prices.

    def mark_ticks(self, second: int) -> int:
        return self.path.price(second)

    def mark(self, second: int) -> Decimal:
        return self.price(self.path.price(second))

    def index(self, second: int) -> Decimal:
        """What the perpetual is measured against: the mark price without its premium, on the tick."""
        return self.price(max(1, round(self.path.price(second) / (1.0 + self._premium.at(second)))))

    def candle(self, interval_minutes: int, number: int, second: int) -> Candle:
        """Candle ``number`` since the epoch as seen in ``second``."""
        level = LEVEL_OF_MINUTES[interval_minutes]
        node = self.path.so_far(level, number, second)
        return Candle(
            opened_at_ms=number * SPANS[level] * 1_000,
            open=self.price(node.open),
            high=self.price(node.high),
            low=self.price(node.low),
            close=self.price(node.close),
            volume=self.size(node.volume),
        )

    def funding_rate(self, second: int) -> Decimal:
        """What longs pay shorts for the hour that holds ``second``: its average premium so far and some interest.

        The premium is sampled every five minutes; at the hour's last sample the rate is what will be paid.
        """
        start = second - second % HOUR_S
        step = HOUR_S // _PREMIUM_SAMPLES
        samples = [self._premium.at(at) for at in range(start, second + 1, step)]
        premium = Decimal(sum(samples) / len(samples)).quantize(_RATE_STEP, ROUND_HALF_EVEN)
        toward_interest = max(-_CLAMP, min(_CLAMP, _INTEREST - premium))
        return ((premium + toward_interest) / 8).quantize(_RATE_STEP, ROUND_HALF_EVEN)

    def background_interest(self, second: int) -> Decimal:
        """Open interest of everybody but the users, in quote units."""
        usd = self.listing.open_interest_usd * (1.0 + self._interest.at(second))
        return self.notional(self.mark_ticks(second), round(usd / float(self.notional(self.mark_ticks(second), 1))))

    # Liquidity.

    def offers(self, side: Side, second: int) -> Iterator[Offer]:
        """Users' orders and the background on one side of the book, in price-time priority.

        The background quotes anew with every second: orders from before it come first at the same price.
        """
        quoted_at_ms = second * 1_000
        users = (
            (rank_of(side, o.ticks or 0), o.accepted_at_ms, o.number, Offer(o.ticks or 0, o.left, o, -1))
            for o in self.resting.in_priority(side)
        )
        background = (
            (rank_of(side, ticks), quoted_at_ms, -1, Offer(ticks, lots, None, level))
            for level, ticks, lots in self._background(side, second)
        )
        return (entry[3] for entry in merge(users, background, key=lambda entry: entry[:3]))

    def best_background(self, side: Side, second: int) -> tuple[int, int, int] | None:
        """(level, ticks, lots) of the best level that users have left standing."""
        return next(self._background(side, second), None)

    def take(self, side: Side, level: int, lots: int, second: int) -> None:
        """Remove ``lots`` of a background level until the second is over."""
        if self.taken.second != second:
            self.taken = Taken(second, {})
        taken = self.taken.lots.setdefault(side.value, {})
        taken[level] = taken.get(level, 0) + lots

    def levels(self, side: Side, second: int, depth: int) -> tuple[Level, ...]:
        """The visible book, best first."""
        found: list[tuple[int, int]] = []
        for offer in self.offers(side, second):
            if found and found[-1][0] == offer.ticks:
                found[-1] = (offer.ticks, found[-1][1] + offer.lots)
            elif len(found) == depth:
                break
            else:
                found.append((offer.ticks, offer.lots))
        return tuple(Level(self.price(ticks), self.size(lots)) for ticks, lots in found)

    def watched(self) -> tuple[int | None, int | None]:
        """Mark prices at or below, and at or above, which something happens here."""
        if self.resting.is_empty and self.triggers.is_empty:
            return None, None
        half = self.listing.half_spread_ticks
        bid, ask = self.resting.best(Side.BUY), self.resting.best(Side.SELL)
        below = [self.triggers.highest_falling, None if bid is None or bid.ticks is None else bid.ticks - half]
        above = [self.triggers.lowest_rising, None if ask is None or ask.ticks is None else ask.ticks + half]
        return (
            max((ticks for ticks in below if ticks is not None), default=None),
            min((ticks for ticks in above if ticks is not None), default=None),
        )

    def _background(self, side: Side, second: int) -> Iterator[tuple[int, int, int]]:
        taken = self.taken.lots.get(side.value, {}) if self.taken.second == second else {}
        for level, (ticks, lots) in enumerate(self._ladder(side, second)):
            left = lots - taken.get(level, 0)
            if left > 0:
                yield level, ticks, left

    def _ladder(self, side: Side, second: int) -> tuple[tuple[int, int], ...]:
        known = self._ladders.get(side)
        if known is not None and known[0] == second:
            return known[1]
        mark, listing = self.mark_ticks(second), self.listing
        lots_at_best = listing.depth_usd / float(self.notional(mark, 1))
        chance = uniforms(self._seed, self.symbol, side.value, second)
        ladder: list[tuple[int, int]] = []
        for level in range(LEVELS):
            away = listing.half_spread_ticks + listing.level_gap_ticks * (level + level * level // 10)
            ticks = mark - side.sign * away
            if ticks <= 0:
                break
            ladder.append((ticks, max(1, int(lots_at_best * (0.4 + 1.2 * chance[level]) * (1.0 + level / 4)))))
        self._ladders[side] = (second, tuple(ladder))
        return self._ladders[side][1]
