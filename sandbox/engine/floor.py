"""Where orders are accepted, filled and canceled, and where what follows from a fill is done at once.

Refusals are ``VenueRejected`` with a ``Reason``, before anything has changed; a repeated client id is a
``VenueDuplicate``.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from normalization.decimals import BPS, is_multiple, is_sane, trimmed
from normalization.orders import Limit, OrderStatus, PostOnly, Side, Stop, TakeProfit, TimeInForce
from normalization.orders import Market as MarketOrder
from normalization.venue_failures import Reason, VenueDuplicate, VenueRejected
from sandbox.engine.book import fires_rising
from sandbox.engine.commands import NewOrder
from sandbox.engine.ledger import MAKER_BPS, TAKER_BPS, Account, Ledger
from sandbox.engine.margin import can_afford
from sandbox.engine.market import Market
from sandbox.engine.matching import Plan, Taker, closable, plan
from sandbox.engine.orders import FillRecord, OrderIndex, OrderRecord

MAX_OPEN_ORDERS: Final = 1_000
FIRED_SLIPPAGE_BPS: Final = 1_000
# Buys beyond one and a half times the mark price, and sells below half of it, are taken for mistakes.
_PRICE_BAND: Final = Decimal("0.5")


class Floor:
    """The trading floor. ``touched`` collects the accounts whose money moved, for whoever checks their margin."""

    def __init__(self, markets: Mapping[str, Market], ledger: Ledger, orders: OrderIndex, instance: str) -> None:
        self._markets = markets
        self._ledger = ledger
        self._orders = orders
        self._instance = instance
        self.number = 0
        self.now_ms = 0
        self.touched: dict[str, Account] = {}

    @property
    def second(self) -> int:
        return self.now_ms // 1_000

    def next_number(self) -> int:
        """Rises for ever: ids are made of it."""
        self.number += 1
        return self.number

    # Placing.

    def place(self, account: Account, new: NewOrder, group: str | None) -> OrderRecord:
        """Accept an order and do at once what it can do now. The record goes on changing afterwards."""
        market = self._check(account, new)
        order = self._draft(account, market, new, group)
        if isinstance(order.execution, Stop | TakeProfit):
            return self._wait_for_trigger(account, market, order)
        if order.reduce_only:
            order.lots = min(order.lots, closable(account.lots(market.symbol), order.side))
            if order.lots == 0:
                raise VenueRejected(Reason.REDUCE_ONLY_WOULD_INCREASE, "Reduce only order would increase position")
        limit = self._limit_of(market, order.side, order.execution)
        at_most = max(1, order.lots // 2) if new.half and not order.may_rest else order.lots
        found = self._plan(market, Taker(order.account, order.side, at_most, limit))
        self._check_execution(order, found)
        if not can_afford(self._ledger, account, market, order, found, self._orders.open_of(account.key), self.second):
            raise VenueRejected(Reason.INSUFFICIENT_FUNDS, "Insufficient margin to place order")
        self._orders.add(order)
        self._carry_out(market, order, found)
        if order.left and not order.status.is_final:
            if order.may_rest:
                market.resting.add(order)
            else:
                self._end(order, OrderStatus.CANCELED, "the rest found no taker")
        return order

    def _check(self, account: Account, new: NewOrder) -> Market:
        intent = new.intent
        known = None if new.client_id is None else self._orders.by_client_id(account.key, new.client_id)
        if new.is_repeat or known is not None:
            raise VenueDuplicate(Reason.DUPLICATE_ORDER_ID, "Client order id was used before")
        if new.valid_until_ms is not None and self.now_ms > new.valid_until_ms:
            raise VenueRejected(Reason.REQUEST_EXPIRED, "Request already expired")
        market = self._markets.get(intent.symbol)
        if market is None:
            raise VenueRejected(Reason.INVALID_ORDER, f"No market {intent.symbol[:40]!a}")
        if self._orders.open_count(account.key) >= MAX_OPEN_ORDERS:
            raise VenueRejected(Reason.TOO_MANY_ORDERS, f"At most {MAX_OPEN_ORDERS} orders may be open")
        instrument = market.instrument
        price = intent.trigger_price if intent.price is None else intent.price
        if not is_sane(intent.size) or intent.size <= 0 or not is_multiple(intent.size, instrument.lot_size):
            raise VenueRejected(Reason.INVALID_ORDER, f"Size must be a multiple of {trimmed(instrument.lot_size)}")
        if price is not None and not (is_sane(price) and price > 0 and is_multiple(price, instrument.tick_size)):
            raise VenueRejected(Reason.INVALID_ORDER, f"Price must be a multiple of {trimmed(instrument.tick_size)}")
        if (
            not intent.reduce_only
            and intent.size * (market.mark(self.second) if price is None else price) < instrument.min_notional
        ):
            raise VenueRejected(
                Reason.INVALID_ORDER, f"Order must have minimum value of {trimmed(instrument.min_notional)} USD"
            )
        if intent.price is not None and self._is_absurd(market, intent.side, intent.price):
            raise VenueRejected(Reason.PRICE_OUT_OF_RANGE, "Price too far from the mark price")
        return market

    def _is_absurd(self, market: Market, side: Side, price: Decimal) -> bool:
        return (price / market.mark(self.second) - 1) * side.sign > _PRICE_BAND

    def _draft(self, account: Account, market: Market, new: NewOrder, group: str | None) -> OrderRecord:
        intent, instrument = new.intent, market.instrument
        price, trigger = intent.price, intent.trigger_price
        number = self.next_number()
        return OrderRecord(
            order_id=f"ord_{self._instance}{number:09x}",
            number=number,
            account=account.key,
            client_id=new.client_id,
            symbol=market.symbol,
            side=intent.side,
            execution=intent.execution,
            lots=int(intent.size / instrument.lot_size),
            ticks=None if price is None else int(price / instrument.tick_size),
            trigger_ticks=None if trigger is None else int(trigger / instrument.tick_size),
            reduce_only=intent.reduce_only,
            group=group,
            accepted_at_ms=self.now_ms,
        )

    def _wait_for_trigger(self, account: Account, market: Market, order: OrderRecord) -> OrderRecord:
        mark, trigger = market.mark_ticks(self.second), order.trigger_ticks or 0
        if mark >= trigger if fires_rising(order) else mark <= trigger:
            raise VenueRejected(Reason.TRIGGER_WOULD_FIRE, "The mark price has already reached the trigger price")
        if order.group is not None and order.reduce_only and not closable(account.lots(market.symbol), order.side):
            raise VenueRejected(Reason.NO_POSITION, "There is no position to protect")
        order.status = OrderStatus.PENDING
        self._orders.add(order)
        market.triggers.add(order)
        return order

    def _limit_of(self, market: Market, side: Side, execution: Limit | PostOnly | MarketOrder) -> int:
        if not isinstance(execution, MarketOrder):
            return int(execution.price / market.instrument.tick_size)
        best = next(market.offers(side.opposite, self.second), None)
        if best is None:
            raise VenueRejected(Reason.NO_LIQUIDITY, "No liquidity available for market order")
        return slipped(best.ticks, side, execution.max_slippage_bps)

    def _plan(self, market: Market, taker: Taker) -> Plan:
        return plan(market, taker, self.second, lambda key: self._ledger.accounts[key].lots(market.symbol))

    def _check_execution(self, order: OrderRecord, found: Plan) -> None:
        match order.execution:
            case PostOnly() if found.crosses:
                raise VenueRejected(Reason.POST_ONLY_WOULD_TAKE, "Post only order would have immediately matched")
            case Limit(time_in_force=TimeInForce.FOK) if found.lots < order.lots:
                raise VenueRejected(Reason.NO_LIQUIDITY, "Order could not be filled in full at once")
            case Limit(time_in_force=TimeInForce.IOC) | MarketOrder() if not found.matches:
                raise VenueRejected(Reason.NO_LIQUIDITY, "Order could not immediately match against any resting orders")
            case _:
                pass

    # Filling.

    def _carry_out(self, market: Market, order: OrderRecord, found: Plan) -> None:
        for own in found.own:
            self._end(own, OrderStatus.CANCELED, "it would have traded with its own account")
        for offer, lots in found.matches:
            maker = offer.order
            if maker is not None:
                lots = min(lots, maker.left) if maker.is_resting else 0
            lots = min(lots, order.left)
            if lots == 0 or order.status.is_final:
                continue
            if maker is None:
                market.take(order.side.opposite, offer.level, lots, self.second)
                self._ledger.trade_house(market, -order.side.sign * lots, offer.ticks)
            self._fill(market, order, lots, offer.ticks, is_maker=False)
            if maker is not None:
                self._fill(market, maker, lots, offer.ticks, is_maker=True)

    def fill_from_background(self, market: Market, order: OrderRecord, level: int, lots: int) -> None:
        """A resting order meets background that has come to its price: it fills as maker, at its own price."""
        ticks = order.ticks or 0
        market.take(order.side.opposite, level, lots, self.second)
        self._ledger.trade_house(market, -order.side.sign * lots, ticks)
        self._fill(market, order, lots, ticks, is_maker=True)

    def _fill(self, market: Market, order: OrderRecord, lots: int, ticks: int, *, is_maker: bool) -> None:
        account = self._ledger.accounts[order.account]
        before, notional = account.lots(market.symbol), market.notional(ticks, lots)
        realized = self._ledger.trade(account, market, order.side.sign * lots, ticks)
        fee = self._ledger.charge_fee(account, notional, MAKER_BPS if is_maker else TAKER_BPS)
        order.filled_lots += lots
        order.paid += notional
        order.fee += fee
        number = self.next_number()
        self._orders.add_fill(
            FillRecord(
                fill_id=f"fill_{self._instance}{number:09x}",
                number=number,
                order_id=order.order_id,
                account=order.account,
                symbol=order.symbol,
                side=order.side,
                size=market.size(lots),
                price=market.price(ticks),
                fee=fee,
                is_maker=is_maker,
                position_before=market.size(before),
                realized_pnl=realized,
                at_ms=self.now_ms,
            )
        )
        self.touched[account.key] = account
        if order.left == 0:
            self._end(order, OrderStatus.FILLED, "")
        else:
            order.status = OrderStatus.PARTIALLY_FILLED
        self.cancel_siblings(order)
        self._adjust_reduce_only(account, market, order, before)

    def cancel_siblings(self, order: OrderRecord) -> None:
        """One cancels the other: the rest of its group goes."""
        if order.group is None:
            return
        for other in self._orders.open_of(order.account):
            if other.group == order.group and other is not order:
                self._end(other, OrderStatus.CANCELED, "the other order of the pair came first")

    def _adjust_reduce_only(self, account: Account, market: Market, filled: OrderRecord, before: int) -> None:
        """Keep every reduce-only order within what is left to reduce, after ``filled`` has moved the position."""
        held = account.lots(market.symbol)
        was_closed = before != 0 and held * before <= 0
        for order in self._orders.open_of(account.key):
            if order is filled or not order.reduce_only or order.symbol != market.symbol:
                continue
            if was_closed and order.group is not None:
                self._end(order, OrderStatus.CANCELED, "its position was closed")
            elif order.is_resting and closable(held, order.side) < order.left:
                self._cut(order, closable(held, order.side))

    def _cut(self, order: OrderRecord, left: int) -> None:
        if left == 0:
            self._end(order, OrderStatus.CANCELED, "nothing is left to reduce")
        else:
            order.lots = order.filled_lots + left

    # Triggers, cancels, liquidation.

    def fire(self, market: Market, order: OrderRecord) -> None:
        """Turn a trigger order into a market order, which is canceled where it cannot trade."""
        account = self._ledger.accounts[order.account]
        market.triggers.remove(order)
        order.trigger_ticks, order.status = None, OrderStatus.OPEN
        self.cancel_siblings(order)
        if order.reduce_only:
            order.lots = min(order.lots, closable(account.lots(market.symbol), order.side))
        best = next(market.offers(order.side.opposite, self.second), None)
        if order.lots == 0 or best is None:
            self._end(order, OrderStatus.CANCELED, "nothing to reduce" if best else "no liquidity")
            return
        limit = slipped(best.ticks, order.side, FIRED_SLIPPAGE_BPS)
        found = self._plan(market, Taker(order.account, order.side, order.lots, limit))
        others = [other for other in self._orders.open_of(account.key) if other is not order]
        if not can_afford(self._ledger, account, market, order, found, others, self.second):
            self._end(order, OrderStatus.CANCELED, "insufficient margin when it fired")
            return
        self._carry_out(market, order, found)
        if order.left and not order.status.is_final:
            self._end(order, OrderStatus.CANCELED, "the rest found no taker")

    def cancel(self, order: OrderRecord, because: str = "canceled by its owner") -> None:
        """:raises VenueRejected: with ``ORDER_ALREADY_CLOSED``."""
        if order.status.is_final:
            raise already_closed(order)
        self._end(order, OrderStatus.CANCELED, because)

    def liquidate(self, account: Account) -> None:
        """Cancel everything, close everything at what the book gives, the house taking the rest at the mark price."""
        for order in self._orders.open_of(account.key):
            self._end(order, OrderStatus.CANCELED, "liquidation")
        account.liquidations += 1
        for symbol in sorted(account.positions):
            self._close(account, self._markets[symbol])
        self._ledger.cover(account)

    def _close(self, account: Account, market: Market) -> None:
        held = account.lots(market.symbol)
        number = self.next_number()
        order = OrderRecord(
            order_id=f"ord_{self._instance}{number:09x}",
            number=number,
            account=account.key,
            client_id=None,
            symbol=market.symbol,
            side=Side.SELL if held > 0 else Side.BUY,
            execution=MarketOrder(max_slippage_bps=int(BPS)),
            lots=abs(held),
            reduce_only=True,
            accepted_at_ms=self.now_ms,
            ended_because="liquidation",
        )
        self._orders.add(order)
        self._carry_out(market, order, self._plan(market, Taker(account.key, order.side, order.lots, None)))
        if order.left:
            left, ticks = order.left, market.mark_ticks(self.second)
            self._ledger.trade_house(market, -order.side.sign * left, ticks)
            self._fill(market, order, left, ticks, is_maker=False)

    def _end(self, order: OrderRecord, status: OrderStatus, because: str) -> None:
        market = self._markets[order.symbol]
        if order.status is OrderStatus.PENDING:
            market.triggers.remove(order)
        elif order.may_rest:
            market.resting.discard(order)
        order.status, order.ended_at_ms = status, self.now_ms
        order.ended_because = because or order.ended_because
        self._orders.end(order)


def already_closed(order: OrderRecord) -> VenueRejected:
    return VenueRejected(Reason.ORDER_ALREADY_CLOSED, f"Order is {order.status.value.lower()}")


def slipped(ticks: int, side: Side, bps: int) -> int:
    """The worst price that is within ``bps`` of ``ticks``."""
    scaled = ticks * (int(BPS) + side.sign * min(bps, int(BPS)))
    return scaled // int(BPS) if side is Side.BUY else max(1, -(-scaled // int(BPS)))
