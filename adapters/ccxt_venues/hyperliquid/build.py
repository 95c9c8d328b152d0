"""Our orders as Hyperliquid's. Pure: an order and what it needs to know go in, the action to sign comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from adapters.base import Grouping, Submission
from adapters.ccxt_venues.checks import bound_price, check, refuse_fill_or_kill
from adapters.ccxt_venues.hyperliquid.wire import (
    LimitKind,
    OrderWire,
    PlaceAction,
    Tif,
    TriggerKind,
    TriggerTerms,
)
from normalization.decimals import trimmed
from normalization.orders import Limit, Market, OrderIntent, PostOnly, Side, Stop, TakeProfit, TimeInForce

TRIGGERED_SLIPPAGE_BPS: Final = 1_000
"""How far from its trigger price a triggered market order may fill: what the venue's own screen allows."""

_GTC: Final = LimitKind(Tif("Gtc"))
_IOC: Final = LimitKind(Tif("Ioc"))
_POST_ONLY: Final = LimitKind(Tif("Alo"))

# Legs of a position's protection leave the book together when the position is closed.
_GROUPINGS: Final = {Grouping.NONE: "na", Grouping.ONE_CANCELS_OTHER: "positionTpsl"}


def place_action(
    submissions: Sequence[Submission],
    asset_of: Callable[[str], int],
    best_prices: Mapping[tuple[str, Side], Decimal],
    grouping: Grouping,
) -> PlaceAction:
    """``asset_of`` is the venue's number of a symbol, ``best_prices`` what market orders will meet first.

    :raises VenueRejected: the venue could not be told what is meant; nothing was sent.
    """
    orders = tuple(order_wire(s, asset_of(s.intent.symbol), best_prices) for s in submissions)
    return PlaceAction(orders=orders, grouping=_GROUPINGS[grouping])


def order_wire(submission: Submission, asset: int, best_prices: Mapping[tuple[str, Side], Decimal]) -> OrderWire:
    check(submission)
    refuse_fill_or_kill(submission, "hyperliquid")
    intent = submission.intent
    price, kind = _terms(submission, best_prices)
    return OrderWire(
        a=asset,
        b=intent.side is Side.BUY,
        p=trimmed(price),
        s=trimmed(intent.size),
        r=intent.reduce_only,
        t=kind,
        c=submission.client_id,
    )


def needs_best_price(intent: OrderIntent) -> bool:
    """The venue has no market orders: ours are IOC limits at the slippage bound."""
    return isinstance(intent.execution, Market)


def _terms(
    submission: Submission, best_prices: Mapping[tuple[str, Side], Decimal]
) -> tuple[Decimal, LimitKind | TriggerKind]:
    intent, instrument = submission.intent, submission.instrument
    buying = intent.side is Side.BUY
    match intent.execution:
        case Limit(price=price, time_in_force=time_in_force):
            return price, _IOC if time_in_force is TimeInForce.IOC else _GTC
        case PostOnly(price=price):
            return price, _POST_ONLY
        case Market(max_slippage_bps=slippage_bps):
            best = best_prices[intent.symbol, intent.side]
            return bound_price(instrument, best, slippage_bps, buying=buying), _IOC
        case Stop(trigger_price=trigger) | TakeProfit(trigger_price=trigger):
            terms = TriggerTerms(
                is_market=True,
                trigger_px=trimmed(trigger),
                tpsl="sl" if isinstance(intent.execution, Stop) else "tp",
            )
            return bound_price(instrument, trigger, TRIGGERED_SLIPPAGE_BPS, buying=buying), TriggerKind(terms)
