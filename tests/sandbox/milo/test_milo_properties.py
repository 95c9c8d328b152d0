"""In whatever order: nothing is created or lost, a trigger fires once, children sell what their parent bought."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from solders.keypair import Keypair

from sandbox.milo.core import Core
from sandbox.milo.errors import ApiError
from sandbox.milo.machine import Machine
from sandbox.milo.signin import open_account
from sandbox.milo.tokens import BY_SYMBOL, SOL, USDC
from sandbox.milo.trading.desk import Desk
from sandbox.milo.trading.orders import (
    AT_ONCE,
    Absolute,
    AbsoluteTrigger,
    AbsoluteUsd,
    NewOrder,
    Order,
    OrderType,
    Relative,
    RelativeTrigger,
    StopLoss,
    TakeProfit,
    Trigger,
)
from sandbox.milo.venue import PARTS
from sandbox.milo.wallets import Wallet
from tests.support.manual_clock import ManualClock
from tests.support.milo_books import check

TRADED = ("SOL", "JUP", "BONK", "USDC")

numbers = st.integers(0, 30)
symbols = st.sampled_from(TRADED)
percentages = st.integers(1, 100).map(Decimal)
moves = st.integers(1, 40).map(lambda tenths: Decimal(tenths) / 10)
dollars = st.sampled_from([Decimal("0.02"), Decimal(5), Decimal(60), Decimal(400)])

triggers = st.one_of(
    st.just(("at once", Decimal(0))),
    st.tuples(st.sampled_from(["gte", "lte", "rise", "drop"]), moves),
)
actions = st.one_of(
    st.tuples(st.just("fund"), st.sampled_from(("SOL", "USDC", "JUP")), st.integers(1, 300)),
    st.tuples(st.just("buy"), symbols, dollars, triggers, st.lists(st.tuples(percentages, moves), max_size=3)),
    st.tuples(st.just("sell"), symbols, st.one_of(percentages.map(lambda p: ("%", p)), dollars.map(lambda d: ("$", d))),
              triggers),
    st.tuples(st.just("pause"), numbers),
    st.tuples(st.just("activate"), numbers),
    st.tuples(st.just("delete"), numbers),
    st.tuples(st.just("close"), numbers),
    st.tuples(st.just("send"), st.sampled_from(TRADED), percentages),
    st.tuples(st.just("wait"), st.sampled_from([1, 600, 40_000, 400_000])),
)  # fmt: skip


class Trader:
    """One wallet of a venue in memory, doing as it is told. Refusals are answers like any other."""

    def __init__(self, seed: int) -> None:
        self.clock = ManualClock()
        self.machine = Machine(seed=seed, path=None, now_ms=self.clock.now_ms, parts=PARTS)
        self.wallet: Wallet = self.machine.run(self._opened)
        self.elsewhere = str(Keypair().pubkey())

    def _opened(self, core: Core) -> Wallet:
        user, _ = open_account(core, str(Keypair().pubkey()))
        wallet = core.wallets.trading(user.user_id)
        core.chain.fund(wallet.address, SOL, SOL.units(Decimal(2)), core.now_ms)
        core.chain.fund(wallet.address, USDC, USDC.units(Decimal(1_000)), core.now_ms)
        return wallet

    def act(self, action: tuple[Any, ...]) -> None:
        name, *details = action
        if name == "wait":
            self.clock.advance(details[0])
            self.machine.run(lambda core: None)
            return
        with suppress(ApiError):
            self.machine.run(lambda core: getattr(self, name)(core, *details))

    def fund(self, core: Core, symbol: str, amount: int) -> None:
        token = BY_SYMBOL[symbol]
        core.chain.fund(self.wallet.address, token, token.units(Decimal(amount) / 50), core.now_ms)

    def buy(self, core: Core, symbol: str, usd: Decimal, trigger: Any, children: list[tuple[Decimal, Decimal]]) -> None:
        order = NewOrder(
            token=BY_SYMBOL[symbol],
            type=OrderType.BUY,
            amount=AbsoluteUsd(amount=usd),
            trigger=self._trigger(core, symbol, trigger),
            take_profits=tuple(TakeProfit(percentage=p, profit_percentage=m) for p, m in children),
            stop_losses=tuple(StopLoss(percentage=p, loss_percentage=m + 1) for p, m in children),
        )
        Desk(core).place(self.wallet, order)

    def sell(self, core: Core, symbol: str, amount: tuple[str, Decimal], trigger: Any) -> None:
        kind, value = amount
        token = BY_SYMBOL[symbol]
        units = token.units(value / core.market.price(token, core.now_ms // 1_000))
        asked = Relative(percentage=value) if kind == "%" else Absolute(amount=Decimal(units))
        order = NewOrder(
            token=BY_SYMBOL[symbol],
            type=OrderType.SELL,
            amount=asked,
            trigger=self._trigger(core, symbol, trigger),
        )
        Desk(core).place(self.wallet, order)

    def _trigger(self, core: Core, symbol: str, trigger: tuple[str, Decimal]) -> Trigger:
        operator, move = trigger
        price = core.market.price(BY_SYMBOL[symbol], core.now_ms // 1_000)
        match operator:
            case "gte":
                return AbsoluteTrigger(operator="gte", value=price * (100 + move) / 100)
            case "lte":
                return AbsoluteTrigger(operator="lte", value=price * (100 - move) / 100)
            case "rise":
                return RelativeTrigger(operator="rise", value=move)
            case "drop":
                return RelativeTrigger(operator="drop", value=move)
        return AT_ONCE

    def pause(self, core: Core, number: int) -> None:
        Desk(core).pause(self._order(core, number))

    def activate(self, core: Core, number: int) -> None:
        Desk(core).activate(self._order(core, number))

    def delete(self, core: Core, number: int) -> None:
        Desk(core).delete(self._order(core, number))

    def _order(self, core: Core, number: int) -> Order:
        try:
            return Desk(core).book.numbered(number)
        except LookupError:
            raise ApiError(404, "not_found", "no such order") from None

    def close(self, core: Core, number: int) -> None:
        for position in Desk(core).positions.all_open(self.wallet.user_id)[number % 3 :]:
            Desk(core).close(position)

    def send(self, core: Core, symbol: str, percentage: Decimal) -> None:
        token = BY_SYMBOL[symbol]
        there = core.chain.balance(self.wallet.address, token)
        units = int(there * percentage / 100)
        if token is SOL:
            units = max(0, units - 3_000_000)
        if units:
            Desk(core).withdraw(self.wallet, token, units)
            signer = core.chain.signer(self.wallet.address)
            core.chain.transfer(signer, self.elsewhere, token, units, core.now_ms)


@settings(max_examples=40)
@given(st.integers(0, 5), st.lists(actions, min_size=1, max_size=14))
def test_no_sequence_creates_or_loses_anything_or_sells_what_is_not_there(
    seed: int, sequence: list[tuple[Any, ...]]
) -> None:
    trader = Trader(seed)
    for action in sequence:
        trader.act(action)
    trader.machine.run(check)
    trader.machine.close()
