"""What holds for every sequence of orders."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from normalization.orders import Side
from sandbox.engine import CancelAll, Engine, decoded, encoded
from sandbox.engine.orders import FillRecord, OrderRecord
from tests.sandbox.sequences import LISTINGS, TICK, Step, carry_out, commands_of, steps
from tests.sandbox.trading import FLAT, START_MS, WILD, lots_in, money_in


def everything(engine: Engine) -> tuple[bytes, list[bytes], Sequence[FillRecord]]:
    orders, fills = engine.ended
    return encoded(engine.state()), [repr(order).encode() for order in orders], fills


def ran(sequence: Sequence[Step], *, rest_ms: int = 43_200_000) -> Engine:
    """The exchange after all of it and a rest."""
    engine = Engine(3, instruments=LISTINGS)
    commands = commands_of(sequence)
    carry_out(engine, commands)
    engine.advance(commands[-1][0] + rest_ms)
    return engine


@settings(max_examples=40, deadline=None)
@given(steps)
def test_money_and_size_are_conserved_and_nobody_is_left_below_zero(sequence: list[Step]) -> None:
    engine = Engine(3, instruments=LISTINGS)
    commands = commands_of(sequence)
    for at_ms, command in [*commands, (commands[-1][0] + 43_200_000, CancelAll(account="ann"))]:
        carry_out(engine, [(at_ms, command)])
        assert money_in(engine) == 0
        assert [lots_in(engine, symbol) for symbol in (WILD, FLAT)] == [0, 0]
        second = engine.now_ms // 1_000
        for account in engine.ledger.accounts.values():
            assert engine.ledger.equity(account, second) >= engine.ledger.maintenance(account, second) >= 0


@settings(max_examples=25, deadline=None)
@given(steps, st.lists(st.integers(0, 10_000_000), max_size=100))
def test_looking_in_between_changes_nothing(sequence: list[Step], looks: list[int]) -> None:
    commands = commands_of(sequence)
    looked = Engine(3, instruments=LISTINGS)
    for at_ms, command in commands:
        for look in sorted(look for look in looks if looked.now_ms < START_MS + look <= at_ms):
            looked.advance(START_MS + look)
            looked.views.orderbook(WILD, 100)
        carry_out(looked, [(at_ms, command)])
    for hour in range(1, 13):
        looked.advance(commands[-1][0] + hour * 3_600_000)
    assert everything(looked) == everything(ran(sequence))


@settings(max_examples=25, deadline=None)
@given(steps)
def test_leaping_over_time_comes_to_the_same_as_going_through_every_second(sequence: list[Step]) -> None:
    leaping, stepping = (Engine(3, instruments=LISTINGS) for _ in range(2))
    for at_ms, command in commands_of(step._replace(pause_ms=min(step.pause_ms, 60_000)) for step in sequence):
        for second in range(max(stepping.now_ms, START_MS) // 1_000 + 1, at_ms // 1_000 + 1):
            stepping.advance(second * 1_000)
            assert not [a for a in stepping.ledger.exposed() if stepping.ledger.is_liquidatable(a, second)]
        assert carry_out(stepping, [(at_ms, command)]) == carry_out(leaping, [(at_ms, command)])
    assert everything(leaping) == everything(stepping)


@settings(max_examples=25, deadline=None)
@given(steps, st.integers(0, 50))
def test_an_exchange_restored_from_its_state_goes_on_the_same(sequence: list[Step], stop: int) -> None:
    commands = commands_of(sequence)
    through, first = (Engine(3, instruments=LISTINGS) for _ in range(2))
    carry_out(through, commands[:stop])
    through.forget_ended()
    carry_out(first, commands[:stop])
    restored = Engine.restored(decoded(encoded(first.state())), LISTINGS)
    assert carry_out(restored, commands[stop:]) == carry_out(through, commands[stop:])
    assert everything(restored) == everything(through)


@settings(max_examples=50, deadline=None)
@given(steps)
def test_the_rules_of_trading_hold_after_every_sequence(sequence: list[Step]) -> None:
    engine = ran(sequence, rest_ms=0)
    for _ in range(2):
        reduce_only_never_grew_or_turned_a_position(engine)
        of_a_pair_never_both_filled(engine)
        orders_and_their_fills_agree(engine)
        no_price_was_worse_than_the_limit(engine)
        users_orders_do_not_stand_crossed_and_keep_their_priority(engine)
        resting_reduce_only_orders_fit_their_position(engine)
        engine.advance(engine.now_ms + 43_200_000)


def every_order(engine: Engine) -> list[OrderRecord]:
    return [*engine.ended[0], *engine.orders.all_open()]


def reduce_only_never_grew_or_turned_a_position(engine: Engine) -> None:
    reduce_only = {order.order_id for order in every_order(engine) if order.reduce_only}
    for fill in engine.ended[1]:
        if fill.order_id in reduce_only:
            after = fill.position_before + fill.side.sign * fill.size
            assert abs(after) < abs(fill.position_before)
            assert after * fill.position_before >= 0


def of_a_pair_never_both_filled(engine: Engine) -> None:
    filled: dict[str, set[str]] = {}
    for order in every_order(engine):
        if order.group is not None and order.filled_lots:
            filled.setdefault(order.group, set()).add(order.order_id)
    assert all(len(orders) == 1 for orders in filled.values())


def orders_and_their_fills_agree(engine: Engine) -> None:
    of_order: dict[str, list[FillRecord]] = {}
    for fill in engine.ended[1]:
        of_order.setdefault(fill.order_id, []).append(fill)
    for order in every_order(engine):
        own = of_order.get(order.order_id, [])
        assert sum((f.size for f in own), Decimal(0)) == engine.markets[order.symbol].size(order.filled_lots)
        assert sum((f.size * f.price for f in own), Decimal(0)) == order.paid
        assert sum((f.fee for f in own), Decimal(0)) == order.fee
        assert 0 <= order.filled_lots <= order.lots
    numbers = [fill.number for fill in engine.ended[1]]
    assert numbers == sorted(set(numbers))


def no_price_was_worse_than_the_limit(engine: Engine) -> None:
    limits = {order.order_id: order.ticks for order in every_order(engine)}
    for fill in engine.ended[1]:
        limit = limits[fill.order_id]
        assert limit is None or (TICK * limit - fill.price) * fill.side.sign >= 0


def users_orders_do_not_stand_crossed_and_keep_their_priority(engine: Engine) -> None:
    for market in engine.markets.values():
        bid, ask = market.resting.best(Side.BUY), market.resting.best(Side.SELL)
        assert bid is None or ask is None or (bid.ticks or 0) < (ask.ticks or 0)
        for side in Side:
            keys = [(-side.sign * (o.ticks or 0), o.accepted_at_ms, o.number) for o in market.resting.in_priority(side)]
            assert keys == sorted(keys)


def resting_reduce_only_orders_fit_their_position(engine: Engine) -> None:
    for order in engine.orders.all_open():
        if order.reduce_only and order.is_resting:
            held = engine.ledger.accounts[order.account].lots(order.symbol)
            assert 0 < order.left <= -order.side.sign * held
