"""Our orders as Paradex's. Pure: an order and what it needs to know go in, the signed order comes out."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from msgspec import UNSET

from adapters.base import Grouping, Submission
from adapters.ccxt_venues.checks import bound_price, check, refuse_fill_or_kill
from adapters.ccxt_venues.paradex.signing import Signer
from adapters.ccxt_venues.paradex.wire import OrderWire
from normalization.decimals import ZERO, trimmed
from normalization.orders import Limit, Market, PostOnly, Side, Stop, TakeProfit, TimeInForce
from normalization.venue_failures import Reason, VenueRejected

_MIN_WINDOW_MS: Final = 10


class _Terms(NamedTuple):
    """``price`` is None for what fills at any price once it is triggered."""

    type: str
    instruction: str
    price: Decimal | None
    trigger_price: Decimal | None = None


def signed_order(
    submission: Submission,
    timestamp_ms: int,
    best_prices: Mapping[tuple[str, Side], Decimal],
    grouping: Grouping,
    signer: Signer,
) -> OrderWire:
    """It takes most of a millisecond.

    :raises VenueRejected: the venue could not be told what is meant; nothing was sent.
    """
    check(submission)
    refuse_fill_or_kill(submission, "paradex")
    window_ms = submission.valid_until_ms - timestamp_ms
    if window_ms < _MIN_WINDOW_MS:
        raise VenueRejected(Reason.REQUEST_EXPIRED, "nothing was sent: its time was over")
    intent, instrument = submission.intent, submission.instrument
    terms = _terms(submission, best_prices, grouping)
    return OrderWire(
        market=instrument.venue_symbol,
        side=intent.side,
        type=terms.type,
        size=trimmed(intent.size),
        price=UNSET if terms.price is None else trimmed(terms.price),
        trigger_price=UNSET if terms.trigger_price is None else trimmed(terms.trigger_price),
        instruction=terms.instruction,
        client_id=submission.client_id,
        flags=("REDUCE_ONLY",) if intent.reduce_only else UNSET,
        recv_window=window_ms,
        signature=signer.sign_order(
            timestamp_ms=timestamp_ms,
            market=instrument.venue_symbol,
            side=intent.side,
            order_type=terms.type,
            size=intent.size,
            price=ZERO if terms.price is None else terms.price,
        ),
        signature_timestamp=timestamp_ms,
    )


def _terms(submission: Submission, best_prices: Mapping[tuple[str, Side], Decimal], grouping: Grouping) -> _Terms:
    intent = submission.intent
    match intent.execution:
        case Limit(price=price, time_in_force=time_in_force):
            return _Terms("LIMIT", "IOC" if time_in_force is TimeInForce.IOC else "GTC", price)
        case PostOnly(price=price):
            return _Terms("LIMIT", "POST_ONLY", price)
        case Market(max_slippage_bps=slippage_bps):
            # The venue's own market orders take its own slippage bound, not the caller's.
            best = best_prices[intent.symbol, intent.side]
            buying = intent.side is Side.BUY
            return _Terms("LIMIT", "IOC", bound_price(submission.instrument, best, slippage_bps, buying=buying))
        case Stop(trigger_price=trigger):
            # Only orders of the venue's position kinds cancel each other.
            kind = "STOP_LOSS_MARKET" if grouping is Grouping.ONE_CANCELS_OTHER else "STOP_MARKET"
            return _Terms(kind, "GTC", None, trigger)
        case TakeProfit(trigger_price=trigger):
            return _Terms("TAKE_PROFIT_MARKET", "GTC", None, trigger)
