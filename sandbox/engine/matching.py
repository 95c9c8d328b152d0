"""Who would trade with whom. Nothing is changed here: a plan is made, judged by whoever asked, and then carried out."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from normalization.orders import Side
from sandbox.engine.book import rank_of
from sandbox.engine.market import Market, Offer
from sandbox.engine.orders import OrderRecord


class Match(NamedTuple):
    offer: Offer
    lots: int


class Plan(NamedTuple):
    """``own`` are resting orders of the taker itself that are in the way: they are canceled, never traded with."""

    matches: list[Match]
    own: list[OrderRecord]

    @property
    def lots(self) -> int:
        return sum(match.lots for match in self.matches)

    @property
    def crosses(self) -> bool:
        return bool(self.matches or self.own)


class Taker(NamedTuple):
    """What wants to trade now. ``limit_ticks`` is None for whatever price it takes."""

    account: str
    side: Side
    lots: int
    limit_ticks: int | None


def plan(market: Market, taker: Taker, second: int, lots_held: Callable[[str], int]) -> Plan:
    """What ``taker`` gets from the other side of the book, best price first. ``lots_held`` is an account's position.

    Reduce-only orders in the way give no more than what their position, as the plan itself leaves it, still has to
    close, and of orders that cancel one another only the first is met.
    """
    found = Plan([], [])
    wanted = taker.lots
    makers = _Makers(taker.side.opposite, lots_held)
    for offer in market.offers(taker.side.opposite, second):
        if wanted == 0 or not _is_within(taker, offer.ticks):
            break
        if offer.order is not None and offer.order.account == taker.account:
            found.own.append(offer.order)
            continue
        lots = min(wanted, offer.lots if offer.order is None else makers.available(offer.order))
        if lots > 0:
            found.matches.append(Match(offer, lots))
            wanted -= lots
            if offer.order is not None:
                makers.note(offer.order, lots)
    return found


def closable(lots_held: int, side: Side) -> int:
    """How much of a position an order of ``side`` can close."""
    return max(0, -side.sign * lots_held)


class _Makers:
    """The positions and groups of the users whose orders are met, as the plan would leave them."""

    def __init__(self, side: Side, lots_held: Callable[[str], int]) -> None:
        self._side = side
        self._lots_held = lots_held
        self._moved: dict[str, int] = {}
        self._met: dict[str, str] = {}

    def available(self, order: OrderRecord) -> int:
        if order.group is not None and self._met.get(order.group, order.order_id) != order.order_id:
            return 0
        if not order.reduce_only:
            return order.left
        held = self._lots_held(order.account) + self._moved.get(order.account, 0)
        return min(order.left, closable(held, self._side))

    def note(self, order: OrderRecord, lots: int) -> None:
        self._moved[order.account] = self._moved.get(order.account, 0) + self._side.sign * lots
        if order.group is not None:
            self._met[order.group] = order.order_id


def _is_within(taker: Taker, ticks: int) -> bool:
    if taker.limit_ticks is None:
        return True
    resting_side = taker.side.opposite
    return rank_of(resting_side, ticks) <= rank_of(resting_side, taker.limit_ticks)
