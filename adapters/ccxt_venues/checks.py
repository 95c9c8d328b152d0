"""What is refused before any venue sees it: the last look at an order, after the gateway's own."""

from __future__ import annotations

from decimal import Decimal

from adapters.base import Submission
from normalization.decimals import is_multiple, is_sane, trimmed
from normalization.instruments import Instrument
from normalization.orders import Limit, TimeInForce
from normalization.venue_failures import Reason, VenueRejected


def check(submission: Submission) -> None:
    """:raises VenueRejected: a size or price that is not positive, or off its step. Nothing was sent."""
    intent, instrument = submission.intent, submission.instrument
    if not _is_positive(intent.size) or not is_multiple(intent.size, instrument.lot_size):
        raise refused(f"size {intent.size:f} is no multiple of {trimmed(instrument.lot_size)}")
    for name, price in (("price", intent.price), ("trigger price", intent.trigger_price)):
        if price is not None and (not _is_positive(price) or not instrument.on_tick(price)):
            raise refused(f"{name} {price:f} is no multiple of {trimmed(instrument.tick_at(price))}")


def refuse_fill_or_kill(submission: Submission, exchange: str) -> None:
    """:raises VenueRejected: it is fill-or-kill, which the venue would take for something else."""
    execution = submission.intent.execution
    if isinstance(execution, Limit) and execution.time_in_force is TimeInForce.FOK:
        raise refused(f"{exchange} has no fill-or-kill orders: use IOC, which drops what does not fill at once")


def bound_price(instrument: Instrument, best: Decimal, slippage_bps: int, *, buying: bool) -> Decimal:
    """The worst price that a market order may pay, as a valid limit.

    :raises VenueRejected: there is no such price.
    """
    factor = Decimal(slippage_bps) / 10_000
    price = instrument.round_down(best * (1 + factor)) if buying else instrument.round_up(best * (1 - factor))
    if price <= 0:
        raise refused("the slippage bound leaves no price")
    return price


def _is_positive(value: Decimal) -> bool:
    return is_sane(value) and value > 0


def refused(problem: str) -> VenueRejected:
    """What was found wrong before anything was sent."""
    return VenueRejected(Reason.INVALID_ORDER, f"nothing was sent: {problem}")
