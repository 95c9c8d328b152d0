"""How positions begin and end: which one an order is of, and what its status is after anything of it has changed."""

from __future__ import annotations

import msgspec

from sandbox.milo.core import Core
from sandbox.milo.events import PositionClosed
from sandbox.milo.tokens import SOL, USDC, Token
from sandbox.milo.trading.orders import Order, OrderStatus
from sandbox.milo.trading.positions import Position, PositionStatus
from sandbox.milo.trading.registers import Registers
from sandbox.milo.wallets import Wallet


class Theses:
    def __init__(self, core: Core, registers: Registers) -> None:
        self._core = core
        self._registers = registers
        self._positions = registers.positions

    def open_in(self, wallet: Wallet, token: Token) -> Position | None:
        return self._positions.open_in(wallet.wallet_id, token)

    def to_enter(self, wallet: Wallet, token: Token) -> Position | None:
        """The position that a buy enters, a new one where none is open. USDC makes none: it is what is paid with."""
        if token is USDC:
            return None
        return self.open_in(wallet, token) or self._positions.open(
            self._core.new_id(), wallet.user_id, wallet.wallet_id, token, self._core.now_ms
        )

    def to_enter_again(self, order: Order) -> Order:
        """Of a buy that is activated: its position may have ended, and another may be open."""
        if not order.is_buy or order.thesis_id is None:
            return order
        wallet_position = self._positions.open_in(order.wallet_id, order.token)
        if wallet_position is not None:
            return self._registers.change(order, thesis_id=wallet_position.thesis_id)
        ended = self._positions.find(order.thesis_id)
        if ended is not None:
            pending = msgspec.structs.replace(ended, status=PositionStatus.PENDING, closed_at_ms=None)
            self._positions.update(ended, pending)
        return order

    def spoken_for(self, wallet: Wallet) -> int:
        """Lamports that are of a position in SOL, and not for paying with."""
        position = self.open_in(wallet, SOL)
        return 0 if position is None else position.units

    def withdraw(self, wallet: Wallet, token: Token, units: int) -> None:
        """Tokens are about to leave the wallet: what a position loses by it is neither gain nor loss."""
        position = self.open_in(wallet, token)
        if position is None:
            return
        beside = max(0, self._core.chain.balance(wallet.address, token) - position.units)
        self.take_out(position, min(position.units, max(0, units - beside)))

    def take_out(self, position: Position, units: int) -> None:
        if units:
            self._positions.update(position, position.withdrawn(units, self._core.now_ms))
            self.refresh(position.thesis_id)

    def refresh(self, thesis_id: str | None) -> None:
        """Settle the status after a change; end the sales of a position that has nothing left."""
        position = None if thesis_id is None else self._positions.find(thesis_id)
        if position is None:
            return
        if not position.units and position.status is PositionStatus.ACTIVE:
            self._archive_sales(position)
        status = self._status(position)
        if status is position.status:
            return
        is_over = status is PositionStatus.NOT_ACTIVE
        closed_at_ms = self._core.now_ms if is_over else None
        self._positions.update(position, msgspec.structs.replace(position, status=status, closed_at_ms=closed_at_ms))
        if is_over and position.bought_units:
            self._publish_closed(position)

    def _status(self, position: Position) -> PositionStatus:
        if position.units:
            return PositionStatus.ACTIVE
        waiting = self._registers.book.open_of_thesis(position.thesis_id)
        if any(order.is_buy and order.status is not OrderStatus.ERROR for order in waiting):
            return PositionStatus.PENDING
        return PositionStatus.NOT_ACTIVE

    def _archive_sales(self, position: Position) -> None:
        """But not the children of buys that have still to fill."""
        waiting = self._registers.book.open_of_thesis(position.thesis_id)
        buys = {order.order_id for order in waiting if order.is_buy}
        for order in waiting:
            if not order.is_buy and order.parent_id not in buys:
                self._registers.change(order, status=OrderStatus.ARCHIVED)

    def _publish_closed(self, position: Position) -> None:
        self._core.events.publish(
            PositionClosed(
                user_id=position.user_id,
                at_ms=self._core.now_ms,
                wallet_id=position.wallet_id,
                thesis_id=position.thesis_id,
                token=position.token,
                realized_pnl_usd=position.realized_usd,
            )
        )
