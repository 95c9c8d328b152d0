"""Carrying a decision out: orders like everybody's, and what the diary says of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol

from sandbox.milo.analysis.series import MarketReader
from sandbox.milo.autotrade.decision import CASH, Decision, Held, Trade, decide
from sandbox.milo.autotrade.profiles import PROFILES
from sandbox.milo.autotrade.terms import Plan, RiskTolerance
from sandbox.milo.core import Core
from sandbox.milo.errors import ApiError
from sandbox.milo.tokens import SOL, TOKENS
from sandbox.milo.trading.desk import Desk
from sandbox.milo.trading.orders import Absolute, AbsoluteUsd, NewOrder, OrderStatus, OrderType, StopLoss
from sandbox.milo.wallets import Wallet


class Journal(Protocol):
    """Where it is noted what was done."""

    def note(self, log: str, thoughts: str, token_address: str | None = None) -> None: ...

    def placed(self, order_id: str) -> None:
        """An order was placed whose children may do something later."""
        ...


def held_in(core: Core, wallet: Wallet) -> list[Held]:
    """What is in a wallet, at the market's prices."""
    second, desk = core.now_ms // 1_000, Desk(core)
    found: list[Held] = []
    for token in TOKENS:
        amount = token.amount(core.chain.balance(wallet.address, token))
        if amount:
            free = token.amount(desk.spendable(wallet, token)) if token is SOL else amount
            price = core.market.price(token, second)
            found.append(Held(token, amount * price, free * price))
    return found


def trade_once(
    core: Core, market: MarketReader, wallet: Wallet, plan: Plan, risk: RiskTolerance, journal: Journal
) -> Decision:
    """One round: what is decided in ``market``, that of now, and carried out as far as it can be."""
    decision = decide(plan, risk, market, held_in(core, wallet))
    for trade in decision.trades:
        try:
            with core.undoable():
                _carry_out(core, wallet, trade, risk, journal)
        except ApiError as refusal:
            verb = "buy" if trade.is_buy else "sell"
            journal.note(
                f"Could not {verb} {trade.token.symbol}", f"{refusal.message}; {trade.thoughts}", trade.token.address
            )
        else:
            journal.note(trade.log, trade.thoughts, trade.token.address)
    return decision


def _carry_out(core: Core, wallet: Wallet, trade: Trade, risk: RiskTolerance, journal: Journal) -> None:
    """:raises ApiError: it is not possible now."""
    desk = Desk(core)
    if trade.is_buy:
        journal.placed(_place(desk, wallet, _purchase(trade, risk)))
        return
    sold = _sold(core, desk, wallet, trade)
    _place(desk, wallet, NewOrder(token=trade.token, type=OrderType.SELL, amount=Absolute(amount=sold)))


def _sold(core: Core, desk: Desk, wallet: Wallet, trade: Trade) -> Decimal:
    """How many tokens: where there is a position, a sale is of it; what was deposited beside it is sold after it."""
    token, position = trade.token, desk.positions.open_in(wallet.wallet_id, trade.token)
    units = position.units if position is not None else 0
    most = token.amount(units or core.chain.balance(wallet.address, token))
    if trade.is_all:
        return most
    wanted = token.units(trade.value_usd / core.market.price(token, core.now_ms // 1_000))
    return min(most, token.amount(wanted))


def _place(desk: Desk, wallet: Wallet, new: NewOrder) -> str:
    """The order's id.

    :raises ApiError: it was not carried out.
    """
    order = desk.book.numbered(desk.place(wallet, new).order.number)
    if order.status is not OrderStatus.FULFILLED:
        raise ApiError(400, "bad_request", order.error or "the order was not carried out")
    return order.order_id


def _purchase(trade: Trade, risk: RiskTolerance) -> NewOrder:
    return NewOrder(
        token=trade.token,
        type=OrderType.BUY,
        amount=AbsoluteUsd(amount=trade.value_usd),
        stop_losses=() if trade.token in CASH else (_stop_loss(risk),),
    )


def _stop_loss(risk: RiskTolerance) -> StopLoss:
    profile = PROFILES[risk]
    return StopLoss(percentage=Decimal(100), loss_percentage=profile.stop_loss_percent)
