"""In whatever order: nothing is created or lost, a trigger fires once, children sell what their parent bought."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import suppress
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from solders.keypair import Keypair

from sandbox.milo.chain import GENESIS_LAMPORTS, GENESIS_UNITS
from sandbox.milo.core import Core
from sandbox.milo.errors import ApiError
from sandbox.milo.machine import Machine
from sandbox.milo.programs import TOKEN_PROGRAM
from sandbox.milo.signin import open_account
from sandbox.milo.tokens import BY_ADDRESS, BY_SYMBOL, SOL, TOKENS, USDC
from sandbox.milo.trading.desk import Desk
from sandbox.milo.trading.orders import (
    AT_ONCE,
    Absolute,
    AbsoluteTrigger,
    AbsoluteUsd,
    NewOrder,
    Order,
    OrderStatus,
    OrderType,
    Relative,
    RelativeTrigger,
    StopLoss,
    TakeProfit,
    Trigger,
)
from sandbox.milo.trading.positions import Position, PositionStatus
from sandbox.milo.venue import PARTS
from sandbox.milo.wallets import Wallet
from tests.support.manual_clock import ManualClock

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
        price = core.market.price(BY_SYMBOL[symbol], core.now_ms // 1_000)
        asked = Relative(percentage=value) if kind == "%" else Absolute(amount=round(value / price, 5))
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


def check(core: Core, wallet: Wallet) -> None:
    check_conserved(core)
    orders = [Desk(core).book.numbered(n) for (n,) in core.db.rows("SELECT number FROM orders")]
    check_fired_once(core, orders)
    check_children(orders)
    check_positions(core, wallet, orders)


def check_conserved(core: Core) -> None:
    """Every unit of every token is somewhere, every lamport somewhere or burnt as a fee."""
    held: dict[str, int] = defaultdict(int)
    lamports = 0
    for data, owner, had in core.db.rows("SELECT data, owner, lamports FROM chain_accounts"):
        lamports += had
        if owner == bytes(TOKEN_PROGRAM) and len(data) == 165:
            mint = str(type(TOKEN_PROGRAM).from_bytes(data[:32]))
            held[mint] += int.from_bytes(data[64:72], "little")
    assert held == {token.address: GENESIS_UNITS for token in TOKENS if token is not SOL}
    fees = core.db.value("SELECT coalesce(sum(fee), 0) FROM chain_transactions")
    rent = core.chain.least_lamports + (len(TOKENS) - 1) * (
        core.chain.rent_exemption(82) + 2 * core.chain.token_account_rent
    )
    assert lamports + fees == GENESIS_LAMPORTS + rent


def check_fired_once(core: Core, orders: list[Order]) -> None:
    trades = Counter(order.order_id for order in orders if order.fill is not None)
    assert all(order.status is OrderStatus.FULFILLED for order in orders if order.order_id in trades)
    assert core.db.value("SELECT count(*) FROM trades") == len(trades)
    signatures = [order.fill.signature for order in orders if order.fill is not None]
    assert len(set(signatures)) == len(signatures)
    for order in orders:
        if order.fill is not None:
            transaction = core.chain.transaction(order.fill.signature)
            assert transaction is not None
            wallet = core.wallets.find(order.wallet_id)
            assert wallet is not None
            moved = transaction.gained(wallet.address, order.token_address)
            assert order.token is SOL or moved == order.fill.units * (1 if order.is_buy else -1)
    # None that could fire is left standing.
    for token in TOKENS:
        assert not Desk(core).book.reached(token, core.market.ticks(token, core.now_ms // 1_000))


def check_children(orders: list[Order]) -> None:
    by_id = {order.order_id: order for order in orders}
    sold: dict[str, int] = defaultdict(int)
    for child in orders:
        if child.parent_id is not None:
            parent = by_id[child.parent_id]
            assert (child.status is OrderStatus.ACTIVE) <= (parent.status is OrderStatus.FULFILLED)
            sold[parent.order_id] += 0 if child.fill is None else child.fill.units
    for parent_id, units in sold.items():
        fill = by_id[parent_id].fill
        assert units <= (0 if fill is None else fill.units)


def check_positions(core: Core, wallet: Wallet, orders: list[Order]) -> None:
    positions: list[Position] = []
    for (thesis_id,) in core.db.rows("SELECT thesis_id FROM positions"):
        found = Desk(core).positions.find(thesis_id)
        assert found is not None
        positions.append(found)
    assert len({p.token_address for p in positions if p.status is not PositionStatus.NOT_ACTIVE}) == sum(
        p.status is not PositionStatus.NOT_ACTIVE for p in positions
    )
    for position in positions:
        fills = [o.fill for o in orders if o.thesis_id == position.thesis_id and o.is_buy and o.fill is not None]
        assert position.bought_units == sum(fill.units for fill in fills)
        assert 0 <= position.units <= position.bought_units - position.sold_units
        assert (position.status is PositionStatus.ACTIVE) == (position.units > 0)
        assert position.basis_usd >= 0
        assert (position.basis_usd == 0) == (position.units == 0)
        if position.token is not SOL:
            assert position.units <= core.chain.balance(wallet.address, BY_ADDRESS[position.token_address])


@settings(max_examples=40)
@given(st.integers(0, 5), st.lists(actions, min_size=1, max_size=14))
def test_no_sequence_creates_or_loses_anything_or_sells_what_is_not_there(
    seed: int, sequence: list[tuple[Any, ...]]
) -> None:
    trader = Trader(seed)
    for action in sequence:
        trader.act(action)
    trader.machine.run(lambda core: check(core, trader.wallet))
    trader.machine.close()
