"""Users' orders of one instrument: those that rest by price and time, those that wait for a trigger."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

from normalization.orders import Side, Stop
from sandbox.engine.orders import OrderRecord


class RestingOrders:
    """Both sides of the users' book. Within a price, in the order of arrival."""

    def __init__(self) -> None:
        self._queues: dict[Side, dict[int, list[OrderRecord]]] = {Side.BUY: {}, Side.SELL: {}}
        # Ranked so that the smallest is the best: the price of asks, its negative of bids.
        self._ranks: dict[Side, list[int]] = {Side.BUY: [], Side.SELL: []}

    def add(self, order: OrderRecord) -> None:
        rank = rank_of(order.side, _limit(order))
        queue = self._queues[order.side].get(rank)
        if queue is None:
            self._queues[order.side][rank] = [order]
            insort(self._ranks[order.side], rank)
        else:
            queue.append(order)

    def discard(self, order: OrderRecord) -> None:
        """Take the order out, if it is in."""
        rank = rank_of(order.side, _limit(order))
        queue = self._queues[order.side].get(rank, [])
        if order not in queue:
            return
        queue.remove(order)
        if not queue:
            del self._queues[order.side][rank]
            ranks = self._ranks[order.side]
            del ranks[bisect_left(ranks, rank)]

    @property
    def is_empty(self) -> bool:
        return not (self._ranks[Side.BUY] or self._ranks[Side.SELL])

    def best(self, side: Side) -> OrderRecord | None:
        """The order with priority over all others of its side."""
        ranks = self._ranks[side]
        return self._queues[side][ranks[0]][0] if ranks else None

    def in_priority(self, side: Side) -> Iterator[OrderRecord]:
        for rank in self._ranks[side]:
            yield from self._queues[side][rank]


class WaitingTriggers:
    """Stops and take-profits, by whether the mark price must rise or fall to their trigger."""

    def __init__(self) -> None:
        self._rising: list[tuple[int, int, OrderRecord]] = []
        self._falling: list[tuple[int, int, OrderRecord]] = []

    def add(self, order: OrderRecord) -> None:
        insort(self._side(order), (_trigger(order), order.number, order))

    def remove(self, order: OrderRecord) -> None:
        waiting = self._side(order)
        del waiting[bisect_left(waiting, (_trigger(order), order.number, order))]

    @property
    def is_empty(self) -> bool:
        return not (self._rising or self._falling)

    @property
    def lowest_rising(self) -> int | None:
        return self._rising[0][0] if self._rising else None

    @property
    def highest_falling(self) -> int | None:
        return self._falling[-1][0] if self._falling else None

    def reached(self, mark_ticks: int) -> list[OrderRecord]:
        """Those whose trigger the mark price has reached, oldest first."""
        up = [order for ticks, _, order in self._rising if ticks <= mark_ticks]
        down = [order for ticks, _, order in self._falling if ticks >= mark_ticks]
        return sorted(up + down, key=lambda order: order.number)

    def _side(self, order: OrderRecord) -> list[tuple[int, int, OrderRecord]]:
        return self._rising if fires_rising(order) else self._falling


def fires_rising(order: OrderRecord) -> bool:
    """A buy stop and a sell take-profit wait for the mark price to rise, the others for it to fall."""
    return isinstance(order.execution, Stop) == (order.side is Side.BUY)


def rank_of(side: Side, ticks: int) -> int:
    """Smaller is better: how a price on ``side`` of the book compares with others on it."""
    return -ticks if side is Side.BUY else ticks


def _limit(order: OrderRecord) -> int:
    if order.ticks is None:
        raise ValueError(f"{order.order_id} has no limit price and cannot rest")
    return order.ticks


def _trigger(order: OrderRecord) -> int:
    if order.trigger_ticks is None:
        raise ValueError(f"{order.order_id} has no trigger price and cannot wait")
    return order.trigger_ticks
