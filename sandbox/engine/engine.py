"""The exchange as its users see it: commands in, answers out. Pure; every instant is an argument.

``execute`` brings the exchange to ``at_ms`` and carries a command out; queries tell how things stand at the instant to
which it was last brought. All failures are ``VenueFailure``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from normalization.orders import Order
from normalization.venue_failures import Reason, VenueFailure, VenueRejected
from sandbox.engine.commands import (
    CancelAll,
    CancelByClientId,
    CancelOrder,
    Command,
    OpenAccount,
    PlaceOrders,
    SetLeverage,
)
from sandbox.engine.floor import Floor
from sandbox.engine.ledger import Account, Ledger
from sandbox.engine.listings import Listing, listings
from sandbox.engine.margin import initial_margin, pending_of
from sandbox.engine.market import Market
from sandbox.engine.orders import FillRecord, OrderIndex, OrderRecord
from sandbox.engine.state import STATE_VERSION, EngineState, IncompatibleState
from sandbox.engine.timeline import Timeline
from sandbox.engine.views import Views

LegResult = Order | VenueFailure


class Engine:
    """``instance`` goes into every id, so that two exchanges never hand out the same one."""

    def __init__(self, seed: int, instance: str = "", instruments: Iterable[Listing] | None = None) -> None:
        self._seed = seed
        self._instance = instance
        self.markets = {
            listing.instrument.symbol: Market(seed, listing)
            for listing in (listings() if instruments is None else instruments)
        }
        self.orders = OrderIndex()
        self.ledger = Ledger(self.markets)
        self._floor = Floor(self.markets, self.ledger, self.orders, instance)
        self._timeline = Timeline(self.markets, self.ledger, self._floor)
        self.views = Views(self.markets, self.ledger, self.orders, self._floor)

    @property
    def now_ms(self) -> int:
        return self._floor.now_ms

    def advance(self, to_ms: int) -> None:
        """Let everything happen that happens until ``to_ms``; an earlier instant than the present changes nothing."""
        self._timeline.advance(to_ms)

    def execute(self, command: Command, at_ms: int) -> Sequence[LegResult]:
        """What came of it: one result per order of ``PlaceOrders``, none otherwise.

        :raises VenueFailure: the command as a whole was refused and changed nothing.
        """
        self.advance(at_ms)
        try:
            return self._carry_out(command)
        finally:
            self._timeline.settle()

    def _carry_out(self, command: Command) -> Sequence[LegResult]:
        if isinstance(command, OpenAccount):
            self.ledger.open(command.account, command.cash)
            return ()
        account = self.account(command.account)
        match command:
            case PlaceOrders():
                return self._place(account, command)
            case CancelOrder():
                self._floor.cancel(_known(self.orders.by_id(account.key, command.order_id)))
            case CancelByClientId():
                self._floor.cancel(_known(self.orders.by_client_id(account.key, command.client_id)))
            case CancelAll():
                for order in self.orders.open_of(account.key):
                    if command.symbol in (None, order.symbol):
                        self._floor.cancel(order)
            case SetLeverage():
                self._set_leverage(account, command)
        return ()

    def _place(self, account: Account, command: PlaceOrders) -> Sequence[LegResult]:
        group = f"{self._floor.next_number():x}" if command.one_cancels_other else None
        placed: list[OrderRecord | VenueFailure] = []
        for new in command.orders:
            try:
                if group is not None and any(isinstance(leg, OrderRecord) and leg.filled_lots for leg in placed):
                    raise VenueRejected(Reason.INVALID_ORDER, "The other order of the pair has filled already")
                placed.append(self._floor.place(account, new, group))
            except VenueFailure as refusal:
                placed.append(refusal)
        return [self.views.order(leg) if isinstance(leg, OrderRecord) else leg for leg in placed]

    def _set_leverage(self, account: Account, command: SetLeverage) -> None:
        market = self.views.market(command.symbol)
        if not 1 <= command.leverage <= market.instrument.max_leverage:
            raise VenueRejected(Reason.INVALID_LEVERAGE, f"Leverage must be from 1 to {market.instrument.max_leverage}")
        former = account.leverage(market)
        account.leverages[market.symbol] = command.leverage
        pending = pending_of(self.orders.open_of(account.key))
        second = self._floor.second
        ties_up = initial_margin(self.ledger, account, pending, second)
        if command.leverage < former and ties_up > self.ledger.equity(account, second):
            account.leverages[market.symbol] = former
            raise VenueRejected(Reason.INSUFFICIENT_FUNDS, "Not enough margin for so little leverage")

    def account(self, key: str) -> Account:
        """:raises VenueRejected: with ``AUTHENTICATION_FAILED`` when there is none."""
        account = self.ledger.accounts.get(key)
        if account is None:
            raise VenueRejected(Reason.AUTHENTICATION_FAILED, "No such account")
        return account

    # State.

    def state(self) -> EngineState:
        """A value that shares nothing with the engine only once it is encoded: encode it before the next command."""
        return EngineState(
            seed=self._seed,
            instance=self._instance,
            now_ms=self._floor.now_ms,
            number=self._floor.number,
            accounts=list(self.ledger.accounts.values()),
            books=self.ledger.books,
            orders=self.orders.all_open(),
            taken={symbol: market.taken for symbol, market in self.markets.items() if market.taken.lots},
        )

    @classmethod
    def restored(cls, state: EngineState, instruments: Iterable[Listing] | None = None) -> Engine:
        """:raises IncompatibleState: it was not written by this version, or not for these instruments."""
        if state.version != STATE_VERSION:
            raise IncompatibleState(f"state of version {state.version}, not {STATE_VERSION}")
        engine = cls(state.seed, state.instance, instruments)
        held = {symbol for account in state.accounts for symbol in account.positions}
        if unknown := held.union(state.taken, (order.symbol for order in state.orders)) - engine.markets.keys():
            raise IncompatibleState(f"state with {', '.join(sorted(unknown))}, which is not listed")
        engine._floor.now_ms, engine._floor.number = state.now_ms, state.number
        engine.ledger.accounts = {account.key: account for account in state.accounts}
        engine.ledger.books = state.books
        for order in state.orders:
            market = engine.markets[order.symbol]
            engine.orders.add(order)
            if order.is_resting:
                market.resting.add(order)
            else:
                market.triggers.add(order)
        for symbol, taken in state.taken.items():
            engine.markets[symbol].taken = taken
        return engine

    @property
    def ended(self) -> tuple[Sequence[OrderRecord], Sequence[FillRecord]]:
        """Orders that ended, and all fills, since ``forget_ended``. They never change again."""
        return tuple(self.orders.ended), tuple(self.orders.fills)

    def forget_ended(self) -> None:
        """Drop what ``ended`` shows, once it is kept elsewhere: lookups and repeated ids are then up to the caller."""
        self.orders.forget_ended()


def _known(order: OrderRecord | None) -> OrderRecord:
    if order is None:
        raise VenueRejected(Reason.ORDER_NOT_FOUND, "Order was never placed")
    return order
