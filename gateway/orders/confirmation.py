"""Orders that are worth more than a key may place by itself: valued before they are sent, and refused until a person
has said yes.

The value of a request is what its orders may cost at most, all of them together, in quote units:

    limit buy, post-only     size, at its price
    limit sell               size, at its price or the best price on the venue, whichever is higher: it may fill there
    market                   size, at the best price on the venue; of a buy, with its slippage bound on top
    stop, take-profit        size, at its trigger price or the best price on the venue, whichever is higher

Orders that can only reduce a position count nothing: whatever a key may do, it can get out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from adapters.base import Capability, Grouping
from gateway.operations.desk import Canceled, Leg, OrderDesk, Placed
from gateway.operations.wire import Call, money
from normalization.decimals import ZERO, plain, product
from normalization.errors import ExchangeError, OperationNotAllowed, UnsupportedOperation
from normalization.instruments import Instrument
from normalization.orders import Limit, Market, PostOnly, Side, Stop, TakeProfit
from normalization.venue_failures import RETRYABLE, Reason, VenueFailure
from storage.ports import Journal

PRICE_WITHIN_S: Final = 5.0

_BPS: Final = Decimal(10_000)


class ConfirmationRequired(OperationNotAllowed):
    """A person has to say yes to these orders first; nothing was sent."""

    def __init__(self, call: Call, legs: Sequence[Leg], value: Decimal, above: Decimal) -> None:
        self.exchange = call.credential.exchange
        self.network = call.credential.network
        self.legs = legs
        self.value = money(value)
        self.above = plain(above)
        self.quote = legs[0].instrument.quote
        super().__init__(
            f"A person has to confirm this: it is worth up to {self.value} {self.quote}, and the key may place orders "
            f"up to {self.above} by itself. Nothing was sent.",
            details={
                "reason": "CONFIRMATION_REQUIRED",
                "value": self.value,
                "confirmAbove": self.above,
                "quote": self.quote,
            },
        )


class ConfirmedOrders(OrderDesk):
    """A desk that places what is within the call's ``confirm_above``, or was placed before."""

    def __init__(self, desk: OrderDesk, journal: Journal) -> None:
        self._desk = desk
        self._journal = journal

    async def place(
        self, call: Call, operation: str, legs: Sequence[Leg], *, grouping: Grouping = Grouping.NONE
    ) -> Sequence[Placed]:
        """:raises ConfirmationRequired: they are worth more, and nobody has said yes.
        :raises ExchangeError: they could not be valued; nothing was sent.
        """
        above = call.confirm_above
        if above is not None:
            value = await value_of(call, legs)
            if value > above and not await self._were_placed_before(call, legs):
                raise ConfirmationRequired(call, legs, value, above)
        return await self._desk.place(call, operation, legs, grouping=grouping)

    async def look_up(self, call: Call, *, order_id: str | None, client_order_id: str | None) -> Placed:
        return await self._desk.look_up(call, order_id=order_id, client_order_id=client_order_id)

    async def cancel(self, call: Call, *, order_id: str | None, client_order_id: str | None) -> Canceled:
        return await self._desk.cancel(call, order_id=order_id, client_order_id=client_order_id)

    async def cancel_undecided(self, call: Call, instrument: Instrument) -> list[str]:
        return await self._desk.cancel_undecided(call, instrument)

    async def _were_placed_before(self, call: Call, legs: Sequence[Leg]) -> bool:
        """Then nothing is sent again: the desk tells how they stand."""
        account, credential = call.credential.account_id, call.credential.credential_id
        for leg in legs:
            if leg.client_order_id and await self._journal.find(account, credential, leg.client_order_id):
                return True
        return False


async def value_of(call: Call, legs: Sequence[Leg]) -> Decimal:
    """:raises ExchangeError: a price that it takes could not be had; nothing was sent."""
    prices = _BestPrices(call)
    growing = [leg for leg in legs if not leg.intent.reduce_only]
    return sum([product(leg.intent.size, await _highest_price(leg, prices)) for leg in growing], ZERO)


async def _highest_price(leg: Leg, prices: _BestPrices) -> Decimal:
    """What a unit may cost, as far as anybody can know."""
    intent = leg.intent
    match intent.execution:
        case PostOnly(price=price):
            return price
        case Limit(price=price) if intent.side is Side.BUY:
            return price
        case Limit(price=price):
            return max(price, await prices.of(leg.instrument))
        case Market(max_slippage_bps=bound):
            best = await prices.of(leg.instrument)
            return product(best, 1 + bound / _BPS) if intent.side is Side.BUY else best
        case Stop(trigger_price=trigger) | TakeProfit(trigger_price=trigger):
            return max(trigger, await prices.of(leg.instrument))


class _BestPrices:
    """The best ask of each market, or where nobody sells the best bid; asked of the venue once.

    A venue that shows no book tells what it has of a price.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._known: dict[str, Decimal] = {}

    async def of(self, instrument: Instrument) -> Decimal:
        """:raises ExchangeError: there is none to be had."""
        if instrument.symbol not in self._known:
            self._known[instrument.symbol] = await self._ask(instrument)
        return self._known[instrument.symbol]

    async def _ask(self, instrument: Instrument) -> Decimal:
        has_book = Capability.ORDERBOOK in self._call.capabilities.supports
        try:
            async with asyncio.timeout(PRICE_WITHIN_S):
                if not has_book:
                    return (await self._call.session.get_mark_price(instrument)).mark_price
                book = await self._call.session.get_orderbook(instrument, 1)
        except VenueFailure as failure:
            raise self._no_price(failure.reason) from failure
        except UnsupportedOperation:
            raise self._no_price(Reason.NO_LIQUIDITY) from None
        except TimeoutError:
            raise self._no_price(Reason.VENUE_TIMEOUT) from None
        if levels := book.asks or book.bids:
            return levels[0].price
        raise self._no_price(Reason.NO_LIQUIDITY)

    def _no_price(self, reason: Reason) -> ExchangeError:
        return ExchangeError(
            f"{self._call.credential.exchange} gives no price to value this order by, which has to be done before this "
            "key may place it. Nothing was sent.",
            outcome="not_sent",
            reason=reason,
            retryable=reason in RETRYABLE,
        )
