"""Orders placed, paused, activated and deleted; positions closed.

Whatever makes an order active is followed by ``fire_reached``, so that no active order ever stands whose price has been
reached: ``triggers`` only has to look for the next price.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple

from sandbox.milo.core import Core
from sandbox.milo.errors import ApiError, bad_request
from sandbox.milo.events import OrderCreated
from sandbox.milo.tokens import Token
from sandbox.milo.trading.checks import HUNDRED, check
from sandbox.milo.trading.dependants import Dependant, Wanted, wanted
from sandbox.milo.trading.execution import Execution
from sandbox.milo.trading.orders import (
    AT_ONCE,
    Absolute,
    AbsoluteUsd,
    NewOrder,
    Order,
    OrderStatus,
    OrderType,
    Relative,
    RelativeTrigger,
    SubType,
)
from sandbox.milo.trading.positions import Position, PositionStatus
from sandbox.milo.trading.registers import Registers
from sandbox.milo.trading.theses import Theses
from sandbox.milo.wallets import Wallet

_ACTIVATABLE: Final = (OrderStatus.PAUSED, OrderStatus.DRAFT, OrderStatus.ERROR)


class Placed(NamedTuple):
    """The order as it was accepted. A market order has been carried out meanwhile: look it up again."""

    order: Order
    dependants: tuple[Dependant, ...]


class Closed(NamedTuple):
    """How many orders were archived, and whether something was sold."""

    cancelled: int
    has_sold: bool


class Desk:
    """Made when it is needed: all it knows is in the database."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._registers = Registers(core)
        self._theses = Theses(core, self._registers)
        self._execution = Execution(core, self._registers, self._theses)
        self.book = self._registers.book
        self.positions = self._registers.positions
        self.trades = self._registers.trades

    def place(self, wallet: Wallet, new: NewOrder) -> Placed:
        """Accept an order, with its children as drafts, and carry it out if its price is there already.

        A child that cannot be made is told in ``dependants`` and keeps neither the order nor the others back. An order
        that cannot be carried out, say for want of funds, ends as ``error``.

        :raises ApiError: 400; not a valid order, or one that sells more than there is.
        """
        check(new)
        if new.type is OrderType.BUY:
            position = self._theses.to_enter(wallet, new.token)
        else:
            position = self._theses.open_in(wallet, new.token)
            self._check_sale(wallet, new, position)
        order = self._add(wallet, new, position, entry_price=self._entry_price(new, position))
        dependants = tuple(self._dependant(wallet, order, position, item) for item in wanted(new))
        self._publish_created(order)
        self._execution.fire_reached(new.token)
        return Placed(order, dependants)

    def pause(self, order: Order) -> Order:
        """:raises ApiError: 400; it is not active."""
        if order.status is not OrderStatus.ACTIVE:
            raise _wrong_status(order, "paused", OrderStatus.ACTIVE)
        return self._registers.change(order, status=OrderStatus.PAUSED)

    def activate(self, order: Order) -> Order:
        """Also what has failed, to be tried again.

        :raises ApiError: 400; it is not paused, draft or failed, or it waits for its parent.
        """
        if order.status not in _ACTIVATABLE:
            raise _wrong_status(order, "activated", *_ACTIVATABLE)
        if order.trigger_price is None:
            raise bad_request("The order becomes active by itself when its parent is fulfilled")
        order = self._theses.to_enter_again(order)
        order = self._registers.change(order, status=OrderStatus.ACTIVE, error=None)
        self._execution.fire_reached(order.token)
        return self.book.numbered(order.number)

    def delete(self, order: Order) -> Order:
        """Archive the order, and its children that wait for it.

        :raises ApiError: 400; it is over.
        """
        if order.status.is_final:
            raise bad_request(f"The order is {order.status.value}: there is nothing left to delete")
        for child in self.book.children(order.order_id):
            if child.status is OrderStatus.DRAFT:
                self._registers.change(child, status=OrderStatus.ARCHIVED)
        archived = self._registers.change(order, status=OrderStatus.ARCHIVED)
        self._theses.refresh(order.thesis_id)
        return archived

    def close(self, position: Position) -> Closed:
        """End a position: archive what waits, and sell what is left.

        :raises ApiError: 400; it is over, or it cannot be sold now, and then nothing has changed.
        """
        if position.status is PositionStatus.NOT_ACTIVE:
            raise bad_request("The position is not active: there is nothing to close")
        wallet = self._core.wallets.find(position.wallet_id)
        if wallet is None:
            raise bad_request("No wallet found")
        with self._core.undoable():
            waiting = self.book.open_of_thesis(position.thesis_id)
            for order in waiting:
                self._registers.change(order, status=OrderStatus.ARCHIVED)
            if position.units:
                self._sell_all(wallet, position)
            self._theses.refresh(position.thesis_id)
        return Closed(len(waiting), bool(position.units))

    def withdraw(self, wallet: Wallet, token: Token, units: int) -> None:
        """Tokens are about to be sent away: a position that they were of holds so much less."""
        self._theses.withdraw(wallet, token, units)

    def spendable(self, wallet: Wallet, token: Token) -> int:
        """What the wallet can sell of a token, or pay with: without what a position or the chain's fees need."""
        spoken_for = self._theses.spoken_for(wallet) if token.is_native else 0
        return max(0, self._execution.sellable(wallet, token, None) - spoken_for)

    def _sell_all(self, wallet: Wallet, position: Position) -> None:
        everything = NewOrder(token=position.token, type=OrderType.SELL, amount=Relative(percentage=HUNDRED))
        sale = self.book.numbered(self.place(wallet, everything).order.number)
        if sale.status is not OrderStatus.FULFILLED:
            raise bad_request(sale.error or "The position cannot be sold now")
        left = self.positions.find(position.thesis_id)
        if left is not None:
            # Of SOL, what had to stay for the chain's fees.
            self._theses.take_out(left, left.units)

    def _check_sale(self, wallet: Wallet, new: NewOrder, position: Position | None) -> None:
        """:raises ApiError: 400; there is nothing to sell, or less than that."""
        token, sellable = new.token, self._execution.sellable(wallet, new.token, position)
        if not sellable:
            raise bad_request(f"There is no {token.symbol} to sell, neither in a position nor in the wallet")
        match new.amount:
            case Absolute(units=units):
                asked = units
            case AbsoluteUsd(amount=usd) if new.trigger == AT_ONCE:
                asked = token.units(usd / self._execution.price(token))
            case _:
                return
        if asked > sellable:
            raise bad_request(
                f"The order sells {token.text(asked)}, more than there is: expected at most {token.text(sellable)}",
                field="payload.amount",
            )

    def _entry_price(self, new: NewOrder, position: Position | None) -> Decimal | None:
        """What a relative trigger counts from: the position's average price, without one that of now."""
        if not isinstance(new.trigger, RelativeTrigger):
            return None
        average = None if position is None else position.average_entry_usd
        return average or self._execution.price(new.token)

    def _dependant(self, wallet: Wallet, parent: Order, position: Position | None, item: Wanted) -> Dependant:
        if item.error is not None:
            return Dependant(item.type, None, item.error)
        child = self._add(wallet, item.order, position, sub_type=item.type, parent_id=parent.order_id)
        return Dependant(item.type, child, None)

    def _add(
        self,
        wallet: Wallet,
        new: NewOrder,
        position: Position | None,
        *,
        entry_price: Decimal | None = None,
        sub_type: SubType | None = None,
        parent_id: str | None = None,
    ) -> Order:
        order = Order(
            number=self.book.next_number(),
            order_id=self._core.new_id(),
            user_id=wallet.user_id,
            wallet_id=wallet.wallet_id,
            token_address=new.token.address,
            type=new.type,
            sub_type=sub_type,
            status=new.status,
            parent_id=parent_id,
            thesis_id=None if position is None else position.thesis_id,
            amount=new.amount,
            trigger=new.trigger,
            entry_price=entry_price,
            error=None,
            fill=None,
            created_at_ms=self._core.now_ms,
            updated_at_ms=self._core.now_ms,
        )
        self.book.add(order)
        return order

    def _publish_created(self, order: Order) -> None:
        self._core.events.publish(
            OrderCreated(
                user_id=order.user_id,
                at_ms=self._core.now_ms,
                order_id=order.order_id,
                wallet_id=order.wallet_id,
                token=order.token,
                is_buy=order.is_buy,
            )
        )


def _wrong_status(order: Order, done: str, *expected: OrderStatus) -> ApiError:
    names = " or ".join(status.value for status in expected)
    return bad_request(f"The order is {order.status.value}: only one that is {names} can be {done}")
