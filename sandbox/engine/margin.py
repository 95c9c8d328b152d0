"""Whether an account can bear an order. Margins are at the mark price; reduce-only orders need none."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from normalization.decimals import ZERO
from normalization.orders import OrderStatus, Side
from sandbox.engine.ledger import TAKER_BPS, Account, Ledger, fee_of
from sandbox.engine.market import Market
from sandbox.engine.matching import Plan
from sandbox.engine.orders import OrderRecord

Pending = dict[str, dict[Side, int]]


def pending_of(orders: Iterable[OrderRecord]) -> Pending:
    """Lots per symbol and side that those of the open ``orders`` that rest may still add to a position."""
    pending: Pending = {}
    for order in orders:
        if order.reduce_only or order.status is OrderStatus.PENDING:
            continue
        sides = pending.get(order.symbol)
        if sides is None:
            sides = pending[order.symbol] = {Side.BUY: 0, Side.SELL: 0}
        sides[order.side] += order.lots - order.filled_lots
    return pending


def exposure(held: int, sides: dict[Side, int] | None) -> int:
    """The largest position, in lots, that a position and its pending orders can come to."""
    if sides is None:
        return abs(held)
    return max(abs(held), abs(held + sides[Side.BUY]), abs(held - sides[Side.SELL]))


def initial_margin(ledger: Ledger, account: Account, pending: Pending, second: int) -> Decimal:
    """What the account's positions and resting orders tie up."""
    total = ZERO
    for symbol in {**account.positions, **pending}:
        market = ledger.market(symbol)
        lots = exposure(account.lots(symbol), pending.get(symbol))
        total += market.notional(market.mark_ticks(second), lots) / account.leverage(market)
    return total


def can_afford(
    ledger: Ledger,
    account: Account,
    market: Market,
    order: OrderRecord,
    found: Plan,
    open_orders: Iterable[OrderRecord],
    second: int,
) -> bool:
    """Whether the account can bear all of ``order``: what trades now, as in ``found``, and the rest as if it waited.

    An order that makes no exposure larger is always affordable: nobody is kept from getting out.
    """
    pending = pending_of(o for o in open_orders if o not in found.own) if found.own else pending_of(open_orders)
    held, sign = account.lots(market.symbol), order.side.sign
    exposed_before = exposure(held, pending.get(market.symbol))
    held += sign * found.lots
    rest = 0 if order.reduce_only else order.left - found.lots
    if rest:
        pending.setdefault(market.symbol, {Side.BUY: 0, Side.SELL: 0})[order.side] += rest
    exposed_after = exposure(held, pending.get(market.symbol))
    if exposed_after <= exposed_before:
        return True
    mark = market.mark_ticks(second)
    cost = ZERO
    for offer, lots in found.matches:
        cost += market.notional(offer.ticks - mark, sign * lots)
        cost += fee_of(market.notional(offer.ticks, lots), TAKER_BPS)
    margin = initial_margin(ledger, account, pending, second)
    grown = exposed_after - exposure(account.lots(market.symbol), pending.get(market.symbol))
    margin += market.notional(mark, grown) / account.leverage(market)
    return ledger.equity(account, second) - cost >= margin
