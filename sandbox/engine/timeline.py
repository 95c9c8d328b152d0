"""What happens by itself: the background reaching resting orders, triggers, funding, liquidation.

Everything happens at the start of a UTC second. ``advance`` goes straight from one second in which something can happen
to the next, and finds it from the state and the market paths alone: nothing depends on when anybody looked. Within a
second the order is: funding (on the hour), then per instrument resting orders and triggers, then liquidations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from normalization.orders import OrderStatus, Side
from sandbox.engine.floor import Floor
from sandbox.engine.ledger import Account, Ledger
from sandbox.engine.market import HOUR_S, Market
from sandbox.engine.path import SECOND, first_second, reaches

# How far beyond what was asked it is worth looking, so that the next seconds need no search of their own.
_AHEAD_S: Final = 60


class Timeline:
    def __init__(self, markets: Mapping[str, Market], ledger: Ledger, floor: Floor) -> None:
        self._markets = markets
        self._ledger = ledger
        self._floor = floor
        # Searches that came to nothing, to be taken up where they ended: pure memory, no part of the state.
        self._quiet_markets: dict[str, tuple[tuple[int | None, int | None], int]] = {}
        self._quiet_accounts: dict[str, int] = {}

    def advance(self, to_ms: int) -> None:
        """Bring the exchange to ``to_ms``. Time never goes back: an earlier instant changes nothing."""
        if to_ms <= self._floor.now_ms:
            return
        target = to_ms // 1_000
        while (second := self._next_event(target)) is not None:
            self._run(second)
        self._floor.now_ms = to_ms

    def settle(self) -> None:
        """Liquidate whoever the last trades left without maintenance margin."""
        floor = self._floor
        while floor.touched:
            touched, floor.touched = floor.touched, {}
            for key, account in touched.items():
                self._quiet_accounts.pop(key, None)
                if self._ledger.is_liquidatable(account, floor.second):
                    floor.liquidate(account)

    def _next_event(self, target: int) -> int | None:
        now = self._floor.second
        if now >= target:
            return None
        found = target + 1
        for market in self._markets.values():
            found = min(found, self._next_in_market(market, now, found - 1) or found)
        for account in self._ledger.exposed():
            found = min(found, self._next_liquidation(account, now, found - 1) or found, now - now % HOUR_S + HOUR_S)
        return found if found <= target else None

    def _next_in_market(self, market: Market, now: int, until: int) -> int | None:
        levels = market.watched()
        if levels == (None, None):
            return None
        known, quiet_until = self._quiet_markets.get(market.symbol, (levels, now))
        after = max(now, quiet_until) if known == levels else now
        if after >= until:
            return None
        found = first_second(after, until + _AHEAD_S, reaches(market.path.node, *levels))
        self._quiet_markets[market.symbol] = (levels, until + _AHEAD_S if found is None else found - 1)
        return found

    def _next_liquidation(self, account: Account, now: int, until: int) -> int | None:
        after = max(now, self._quiet_accounts.get(account.key, now))
        if after >= until:
            return None

        def may_hit(level: int, index: int) -> bool:
            if level == SECOND:
                return self._ledger.is_liquidatable(account, index)
            return self._ledger.may_be_liquidatable(account, level, index)

        found = first_second(after, until + _AHEAD_S, may_hit)
        self._quiet_accounts[account.key] = until + _AHEAD_S if found is None else found - 1
        return found

    def _run(self, second: int) -> None:
        self._floor.now_ms = second * 1_000
        if second % HOUR_S == 0:
            self._pay_funding(second)
        for market in self._markets.values():
            if not reaches(market.path.node, *market.watched())(SECOND, second):
                continue
            self._meet_background(market, Side.BUY, second)
            self._meet_background(market, Side.SELL, second)
            for order in market.triggers.reached(market.mark_ticks(second)):
                if order.status is OrderStatus.PENDING:
                    self._floor.fire(market, order)
        for account in list(self._ledger.exposed()):
            if self._quiet_accounts.get(account.key, 0) < second:
                self._floor.touched[account.key] = account
        self.settle()

    def _meet_background(self, market: Market, side: Side, second: int) -> None:
        """Fill the orders of ``side`` that the background's new quotes have reached, in priority, until it runs out."""
        while (order := market.resting.best(side)) is not None:
            offer = market.best_background(side.opposite, second)
            if offer is None or order.ticks is None or (order.ticks - offer[1]) * side.sign < 0:
                return
            level, _, lots = offer
            self._floor.fill_from_background(market, order, level, min(lots, order.left))

    def _pay_funding(self, second: int) -> None:
        # The second before the hour is the last of the interval that is paid for.
        rates = {}
        for account in self._ledger.exposed():
            for symbol, position in account.positions.items():
                market = self._markets[symbol]
                if symbol not in rates:
                    rates[symbol] = market.funding_rate(second - 1)
                notional = market.notional(market.mark_ticks(second), position.lots)
                self._ledger.pay_funding(account, notional * rates[symbol])
            self._floor.touched[account.key] = account
