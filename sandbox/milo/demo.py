"""A user who has traded already, so that every read shows something."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec
from solders.keypair import Keypair

from sandbox.milo.agents.agent import AgentType, Role
from sandbox.milo.analysis.reader import MarketAt
from sandbox.milo.arena import custody
from sandbox.milo.autotrade import settings, strategies
from sandbox.milo.autotrade.rounds import DiaryOf
from sandbox.milo.autotrade.settings import SettingsChange
from sandbox.milo.autotrade.strategies import NewStrategy
from sandbox.milo.autotrade.terms import RiskTolerance
from sandbox.milo.autotrade.trader import trade_once
from sandbox.milo.conversations import records
from sandbox.milo.conversations.records import QuestionAsked
from sandbox.milo.core import Core
from sandbox.milo.events import MessageSent
from sandbox.milo.signin import open_account
from sandbox.milo.tokens import BY_SYMBOL, SOL, USDC
from sandbox.milo.trading.desk import Desk
from sandbox.milo.trading.orders import (
    AT_ONCE,
    AbsoluteTrigger,
    AbsoluteUsd,
    NewOrder,
    OrderType,
    Relative,
    StopLoss,
    TakeProfit,
    Trigger,
)
from sandbox.milo.wallets import Wallet

FUNDS: Final = ((SOL, Decimal(25)), (USDC, Decimal(5_000)))
_BELOW: Final = Decimal("0.97")


class DemoUser(msgspec.Struct, frozen=True, kw_only=True):
    """``signup_key`` is the signup wallet's secret, in base58: what the user's own wallet program would have."""

    user_id: str
    api_key: str
    wallet: Wallet
    signup_key: str

    def __repr__(self) -> str:
        return f"DemoUser({self.user_id}, keys hidden)"


def open_demo_user(core: Core) -> DemoUser:
    """A new user with both wallets funded; one round of auto-trading, off again, with what its diary says; positions
    that are open, protected and over; an order that waits; a strategy, in the arena too; a conversation."""
    keypair = Keypair()
    user, api_key = open_account(core, str(keypair.pubkey()))
    wallet = core.wallets.trading(user.user_id)
    for token, amount in FUNDS:
        core.chain.fund(wallet.address, token, token.units(amount), core.now_ms)
    core.chain.fund(str(keypair.pubkey()), SOL, SOL.units(Decimal(1)), core.now_ms)
    _let_trade(core, wallet)
    _trade(core, wallet)
    _ask(core, user.user_id)
    usdc = USDC.units(Decimal(5))
    core.chain.transfer(core.chain.signer(wallet.address), str(keypair.pubkey()), USDC, usdc, core.now_ms)
    return DemoUser(user_id=user.user_id, api_key=api_key, wallet=wallet, signup_key=str(keypair))


def _let_trade(core: Core, wallet: Wallet) -> None:
    preset = NewStrategy(
        name="Solana ecosystem",
        description="Majors and the ecosystem's own tokens",
        strategy="SWING TRADER",
        allocation={"majors": Decimal(40), "native": Decimal(30), "stables": Decimal(30)},
        is_public=True,
    )
    strategy = strategies.create(core, wallet.user_id, preset)
    linked = SettingsChange(is_active=True, strategy_id=strategy.strategy_id)
    plan = settings.change(core, wallet.user_id, linked).plan
    market = MarketAt(core.market, core.now_ms)
    trade_once(core, market, wallet, plan, RiskTolerance.BALANCED, DiaryOf(core, wallet.user_id))
    settings.change(core, wallet.user_id, SettingsChange(is_active=False))
    custody.enter(core, strategy)


def _ask(core: Core, user_id: str) -> None:
    talk = records.create(core, user_id, AgentType.MARKET_ANALYST)
    question = records.add(core, talk.conversation_id, Role.USER, "How is SOL doing?")
    core.events.publish(MessageSent(user_id=user_id, at_ms=core.now_ms, conversation_id=talk.conversation_id))
    core.events.publish(QuestionAsked(user_id=user_id, at_ms=core.now_ms, number=question.number))


def _trade(core: Core, wallet: Wallet) -> None:
    desk = Desk(core)
    protected = (_take(50, 8), _take(50, 15)), (_stop(6),)
    desk.place(wallet, _buy("SOL", 800, take_profits=protected[0], stop_losses=protected[1]))
    desk.place(wallet, _buy("JUP", 300, stop_losses=(_stop(10),)))
    desk.place(wallet, _sell("JUP", 50))
    desk.place(wallet, _buy("WIF", 150))
    desk.place(wallet, _sell("WIF", 100))
    ether = BY_SYMBOL["wETH"]
    limit = core.market.price(ether, core.now_ms // 1_000) * _BELOW
    desk.place(wallet, _buy("wETH", 400, trigger=AbsoluteTrigger(operator="lte", value=limit)))


def _buy(
    symbol: str,
    usd: int,
    *,
    trigger: Trigger = AT_ONCE,
    take_profits: tuple[TakeProfit, ...] = (),
    stop_losses: tuple[StopLoss, ...] = (),
) -> NewOrder:
    return NewOrder(
        token=BY_SYMBOL[symbol],
        type=OrderType.BUY,
        amount=AbsoluteUsd(amount=Decimal(usd)),
        trigger=trigger,
        take_profits=take_profits,
        stop_losses=stop_losses,
    )


def _sell(symbol: str, percentage: int) -> NewOrder:
    amount = Relative(percentage=Decimal(percentage))
    return NewOrder(token=BY_SYMBOL[symbol], type=OrderType.SELL, amount=amount)


def _take(percentage: int, profit: int) -> TakeProfit:
    return TakeProfit(percentage=Decimal(percentage), profit_percentage=Decimal(profit))


def _stop(loss: int) -> StopLoss:
    return StopLoss(percentage=Decimal(100), loss_percentage=Decimal(loss))
