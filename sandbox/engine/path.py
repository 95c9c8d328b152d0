"""The market path: the price of one instrument at any second, as a function of seed and time.

It is a tree of candles. A day is drawn first (from slow noise and its hash), then split into six four-hour candles that
fit inside it, those into hours, and so on to the second:

    86,400 s → 14,400 → 3,600 → 900 → 300 → 60 → 10 → 1

The children of a candle start at its open, end at its close, touch its high and its low, and share out its volume.
So the price of any instant costs at most seven splits, a candle is exactly what its minutes and seconds make of it, and
the range of every stretch of time is known without visiting it: what lets ``first_second`` leap over a week in which
nothing happens and still find the very second that stepping would have found.

Prices are whole ticks, volumes whole lots, instants whole UTC seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import sqrt
from typing import Final, NamedTuple

from sandbox.engine.listings import Listing
from sandbox.engine.noise import SmoothNoise, growth, uniforms

SPANS: Final = (86_400, 14_400, 3_600, 900, 300, 60, 10, 1)
SECOND: Final = len(SPANS) - 1
LEVEL_OF_MINUTES: Final = {1440: 0, 240: 1, 60: 2, 15: 3, 5: 4, 1: 5}

_FANOUT: Final = tuple(parent // child for parent, child in pairwise(SPANS))
# In typical ranges of a child: how far the walk goes from child to child, and how far a child strays beyond its ends.
_STEP: Final = 0.85
_WICK: Final = 0.65
_DAY_WICK: Final = 0.8
# A day's typical range in daily volatilities; shorter candles scale with the square root of time.
_DAY_RANGE: Final = 1.6
_SLOW_DAYS: Final = ((1, 0.7), (4, 1.2), (16, 2.0), (64, 2.5))
_KEPT: Final = 4_096


class Node(NamedTuple):
    """A candle of the tree. ``close`` is the price with which the next one opens."""

    open: int
    high: int
    low: int
    close: int
    volume: int


class MarketPath:
    def __init__(self, seed: int, listing: Listing) -> None:
        instrument = listing.instrument
        self._place = (seed, instrument.symbol)
        self._base_ticks = listing.base_price / float(instrument.tick_size)
        self._volatility = listing.daily_volatility
        typical = self._base_ticks * self._volatility * _DAY_RANGE
        self._typical_range = tuple(typical * sqrt(span / SPANS[0]) for span in SPANS)
        self._daily_lots = listing.daily_volume_usd / listing.base_price / float(instrument.lot_size)
        self._slow = SmoothNoise(seed, f"{instrument.symbol}/day", _SLOW_DAYS)
        self._days: dict[int, Node] = {}
        self._splits: dict[tuple[int, int], Sequence[Node]] = {}

    def price(self, second: int) -> int:
        return self.node(SECOND, second).open

    def node(self, level: int, index: int) -> Node:
        """The candle number ``index`` since the epoch of those that last ``SPANS[level]``."""
        if level == 0:
            return self._day(index)
        parent, child = divmod(index, _FANOUT[level - 1])
        return self._children(level - 1, parent)[child]

    def so_far(self, level: int, index: int, second: int) -> Node:
        """The candle as it looks in ``second``: whole when that lies behind it."""
        start = index * SPANS[level]
        if second >= start + SPANS[level]:
            return self.node(level, index)
        if level == SECOND:
            node = self.node(level, index)
            return Node(node.open, node.open, node.open, node.open, node.volume)
        fanout = _FANOUT[level]
        last = (second - start) // SPANS[level + 1]
        parts = [self.so_far(level + 1, index * fanout + child, second) for child in range(last + 1)]
        return Node(
            parts[0].open,
            max(part.high for part in parts),
            min(part.low for part in parts),
            parts[-1].close,
            sum(part.volume for part in parts),
        )

    def _day(self, day: int) -> Node:
        node = self._days.get(day)
        if node is None:
            if len(self._days) >= _KEPT:
                self._days.clear()
            node = self._days[day] = self._draw_day(day)
        return node

    def _draw_day(self, day: int) -> Node:
        opened, closed = self._boundary(day), self._boundary(day + 1)
        up, down, busy = uniforms(*self._place, "day", day)[:3]
        wick = opened * self._volatility * _DAY_WICK
        return Node(
            opened,
            max(opened, closed) + int(wick * (0.2 + up)),
            max(1, min(opened, closed) - int(wick * (0.2 + down))),
            closed,
            max(1, int(self._daily_lots * (0.6 + 0.8 * busy))),
        )

    def _boundary(self, day: int) -> int:
        return max(1, round(self._base_ticks * growth(self._volatility * self._slow.at(day))))

    def _children(self, level: int, index: int) -> Sequence[Node]:
        children = self._splits.get((level, index))
        if children is None:
            if len(self._splits) >= _KEPT:
                self._splits.clear()
            chance = uniforms(*self._place, level, index)
            split = _split_into_seconds if level + 1 == SECOND else _split
            node, count = self.node(level, index), _FANOUT[level]
            # Calm hours have calm minutes, but not so that ever shorter candles end up not moving at all.
            reach = ((node.high - node.low) / sqrt(count) + self._typical_range[level + 1]) / 2
            children = self._splits[level, index] = split(node, count, reach, chance)
        return children


def first_second(after: int, until: int, may_hit: Callable[[int, int], bool]) -> int | None:
    """The first second in (``after``, ``until``] for which ``may_hit`` holds all the way down, or None.

    ``may_hit(level, index)`` says whether something can happen within a candle of the tree; for ``SECOND`` it must be
    exact, above it may err on the side of True.
    """
    if after >= until:
        return None
    for day in range((after + 1) // SPANS[0], until // SPANS[0] + 1):
        found = _first_within(0, day, after, until, may_hit)
        if found is not None:
            return found
    return None


def reaches(node_at: Callable[[int, int], Node], below: int | None, above: int | None) -> Callable[[int, int], bool]:
    """For ``first_second``: whether the price is at or below ``below``, or at or above ``above``; None for neither."""

    def may_hit(level: int, index: int) -> bool:
        if below is None and above is None:
            return False
        node = node_at(level, index)
        low, high = (node.open, node.open) if level == SECOND else (node.low, node.high)
        return (below is not None and low <= below) or (above is not None and high >= above)

    return may_hit


def _first_within(level: int, index: int, after: int, until: int, may_hit: Callable[[int, int], bool]) -> int | None:
    start = index * SPANS[level]
    if start > until or start + SPANS[level] <= after + 1 or not may_hit(level, index):
        return None
    if level == SECOND:
        return index
    fanout = _FANOUT[level]
    for child in range(index * fanout, (index + 1) * fanout):
        found = _first_within(level + 1, child, after, until, may_hit)
        if found is not None:
            return found
    return None


def _walk(node: Node, count: int, reach: float, chance: Sequence[float]) -> list[int]:
    """The prices between ``count`` children: a random walk from open to close, kept inside the range."""
    strayed = [0.0]
    for draw in chance[:count]:
        strayed.append(strayed[-1] + reach * _STEP * (2.0 * draw - 1.0))
    drift = (node.close - node.open - strayed[count]) / count
    points = [node.open + round(drift * place + strayed[place]) for place in range(count)]
    return [_reflected(point, node.low, node.high) for point in points] + [node.close]


def _reflected(point: int, low: int, high: int) -> int:
    """``point``, thrown back by the end of the range that it overshot."""
    if point > high:
        return max(low, 2 * high - point)
    if point < low:
        return min(high, 2 * low - point)
    return point


def _share(volume: int, weights: Sequence[float]) -> list[int]:
    total = sum(weights) + 0.1 * len(weights)
    shares = [int(volume * ((weight + 0.1) / total)) for weight in weights[1:]]
    return [volume - sum(shares), *shares]


def _split(node: Node, count: int, reach: float, chance: Sequence[float]) -> Sequence[Node]:
    points = _walk(node, count, reach, chance)
    wick = reach * _WICK
    up, down, busy = (chance[count * part : count * (part + 1)] for part in (1, 2, 3))
    highs = [min(node.high, max(points[i], points[i + 1]) + int(wick * up[i])) for i in range(count)]
    lows = [max(node.low, min(points[i], points[i + 1]) - int(wick * down[i])) for i in range(count)]
    highs[highs.index(max(highs))] = node.high
    lows[lows.index(min(lows))] = node.low
    volumes = _share(node.volume, busy)
    return [Node(points[i], highs[i], lows[i], points[i + 1], volumes[i]) for i in range(count)]


def _split_into_seconds(node: Node, count: int, reach: float, chance: Sequence[float]) -> Sequence[Node]:
    points = _walk(node, count, reach, chance)
    inner = range(1, count)
    # Below the second there is nothing left to touch the extremes, so two of the seconds do.
    top = max(inner, key=points.__getitem__)
    if max(points) < node.high:
        points[top] = node.high
    if min(points) > node.low:
        points[min((i for i in inner if i != top), key=points.__getitem__)] = node.low
    volumes = _share(node.volume, chance[count : 2 * count])
    return [
        Node(points[i], max(points[i], points[i + 1]), min(points[i], points[i + 1]), points[i + 1], volumes[i])
        for i in range(count)
    ]
