"""Carrying out what was triggered, and what follows from it for its position and its children."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from sandbox.milo.core import Core
from sandbox.milo.events import OrderFailed, OrderFilled
from sandbox.milo.tokens import Token
from sandbox.milo.trading.checks import HUNDRED
from sandbox.milo.trading.orders import Absolute, AbsoluteUsd, Fill, Order, OrderStatus, Relative
from sandbox.milo.trading.positions import Position, PositionStatus
from sandbox.milo.trading.registers import Registers
from sandbox.milo.trading.swaps import CannotTrade, Swaps
from sandbox.milo.trading.theses import Theses
from sandbox.milo.wallets import Wallet


class Execution:
    def __init__(self, core: Core, registers: Registers, theses: Theses) -> None:
        self._core = core
        self._registers = registers
        self._theses = theses
        self._swaps = Swaps(core)

    def fire_reached(self, token: Token) -> None:
        """Carry out every active order of a token whose price has been reached, the oldest first."""
        book = self._registers.book
        ticks = self._core.market.ticks(token, self._core.now_ms // 1_000)
        while numbers := book.reached(token, ticks):
            for number in numbers:
                order = book.numbered(number)
                # One that fired before it may have ended it.
                if order.status is OrderStatus.ACTIVE:
                    self._fire(order)

    def price(self, token: Token) -> Decimal:
        return self._core.market.price(token, self._core.now_ms // 1_000)

    def sellable(self, wallet: Wallet, token: Token, position: Position | None) -> int:
        """Of the position where there is one, else of what the wallet holds."""
        there = self._swaps.spendable(wallet, token)
        return there if position is None else min(there, position.units)

    def _fire(self, order: Order) -> None:
        try:
            with self._core.undoable():
                self._carry_out(order)
        except CannotTrade as failure:
            self._fail(order, str(failure))

    def _fail(self, order: Order, why: str) -> None:
        self._registers.change(order, status=OrderStatus.ERROR, error=why)
        self._theses.refresh(order.thesis_id)
        self._core.events.publish(
            OrderFailed(
                user_id=order.user_id,
                at_ms=self._core.now_ms,
                order_id=order.order_id,
                wallet_id=order.wallet_id,
                token=order.token,
                error=why,
            )
        )

    def _carry_out(self, order: Order) -> None:
        """:raises CannotTrade: nothing of it has happened, once the part is undone."""
        wallet = self._core.wallets.find(order.wallet_id)
        if wallet is None:
            raise CannotTrade("The order's wallet is gone")
        position = None if order.thesis_id is None else self._registers.positions.find(order.thesis_id)
        fill = self._bought(wallet, order) if order.is_buy else self._sold(wallet, order, position)
        if position is not None and order.is_buy:
            self._enter(order, fill, position)
        elif position is not None:
            fill = self._leave(order, fill, position)
        filled = self._registers.change(order, status=OrderStatus.FULFILLED, fill=fill)
        self._theses.refresh(order.thesis_id)
        self._registers.trades.add(self._core.new_id(), filled, fill)
        self._publish(filled, fill)

    def _bought(self, wallet: Wallet, order: Order) -> Fill:
        held = self._theses.spoken_for(wallet)
        match order.amount:
            case Absolute(units=units):
                return self._swaps.buy_units(wallet, order.token, units, held)
            case AbsoluteUsd(amount=usd):
                return self._swaps.buy_usd(wallet, order.token, usd, held)
            case Relative():
                raise CannotTrade("A buy has no position to be relative to")

    def _sold(self, wallet: Wallet, order: Order, position: Position | None) -> Fill:
        token, sellable = order.token, self.sellable(wallet, order.token, position)
        match order.amount:
            case Relative(percentage=percentage) if order.parent_id is not None:
                units = min(self._share_of_parent(order.parent_id, percentage), sellable)
            case Relative(percentage=percentage):
                units = int(sellable * percentage / HUNDRED)
            case Absolute(units=asked):
                units = asked
            case AbsoluteUsd(amount=usd):
                units = token.units(usd / self.price(token))
        if units > sellable:
            raise CannotTrade(f"It sells {token.text(units)}, there are {token.text(sellable)} to sell")
        return self._swaps.sell(wallet, token, units)

    def _share_of_parent(self, parent_id: str, percentage: Decimal) -> int:
        """Of what the parent bought, at most what its other children have left of it."""
        book = self._registers.book
        parent = book.find(parent_id)
        if parent is None or parent.fill is None:
            return 0
        sold = sum(child.fill.units for child in book.children(parent_id) if child.fill is not None)
        return min(int(parent.fill.units * percentage / HUNDRED), parent.fill.units - sold)

    def _enter(self, order: Order, fill: Fill, position: Position) -> None:
        entered = position.bought(fill.units, fill.value_usd + fill.fee_usd, self._core.now_ms)
        entered = msgspec.structs.replace(entered, status=PositionStatus.ACTIVE)
        self._registers.positions.update(position, entered)
        for child in self._registers.book.children(order.order_id):
            if child.status is OrderStatus.DRAFT:
                self._registers.change(child, status=OrderStatus.ACTIVE, entry_price=fill.price_usd)

    def _leave(self, order: Order, fill: Fill, position: Position) -> Fill:
        """The fill with what it made over what was paid for what it sold."""
        left = position.sold(fill.units, fill.value_usd - fill.fee_usd, self._core.now_ms)
        self._registers.positions.update(position, left)
        return msgspec.structs.replace(fill, realized_pnl_usd=left.realized_usd - position.realized_usd)

    def _publish(self, order: Order, fill: Fill) -> None:
        self._core.events.publish(
            OrderFilled(
                user_id=order.user_id,
                at_ms=self._core.now_ms,
                order_id=order.order_id,
                wallet_id=order.wallet_id,
                thesis_id=order.thesis_id,
                token=order.token,
                is_buy=order.is_buy,
                price_usd=fill.price_usd,
                value_usd=fill.value_usd,
                realized_pnl_usd=fill.realized_pnl_usd,
            )
        )
