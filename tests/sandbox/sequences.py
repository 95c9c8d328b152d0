"""Sequences of orders for property tests, in a market that moves by a third a day, so that everything happens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from hypothesis import strategies as st

from normalization.orders import (
    Execution,
    Limit,
    Market,
    Order,
    OrderIntent,
    PostOnly,
    Side,
    Stop,
    TakeProfit,
    TimeInForce,
)
from normalization.venue_failures import VenueFailure
from sandbox.engine import (
    CancelAll,
    CancelByClientId,
    Command,
    Engine,
    LegResult,
    NewOrder,
    OpenAccount,
    PlaceOrders,
    SetLeverage,
)
from tests.sandbox.trading import FLAT, START_MS, WILD, flat, wild

ACCOUNTS = ("ann", "bob", "cat")
LISTINGS = (wild(), flat())
Answer = str | list[Order | str]
TICK, LOT = Decimal("0.1"), Decimal("0.01")


class Step(NamedTuple):
    """``is_contrary`` turns the side the account usually takes; ``away_bps`` is to the passive side of the mark."""

    pause_ms: int
    account: str
    kind: str
    symbol: str
    is_contrary: bool
    away_bps: int
    usd: int
    reduce_only: bool

    @property
    def side(self) -> Side:
        """Two accounts are mostly long and the third short, so that reduce-only orders often have what to reduce."""
        opening = Side.SELL if self.account == "cat" else Side.BUY
        return opening.opposite if self.is_contrary != self.reduce_only else opening


steps = st.lists(
    st.builds(
        Step,
        pause_ms=st.sampled_from([0, 0, 1, 400, 1_000, 1_700, 9_000, 60_000, 900_000]),
        account=st.sampled_from(ACCOUNTS),
        kind=st.sampled_from(
            "gtc gtc gtc gtc post ioc fok market market market stop profit pair protect cancel cancel_all lever".split()
        ),
        symbol=st.sampled_from([WILD, WILD, FLAT]),
        is_contrary=st.sampled_from([False, False, False, True]),
        away_bps=st.sampled_from([0, 0, 0, 0, 5, 11, 20, 45, 100, -11, -60]),
        usd=st.sampled_from([15, 300, 3_000, 20_000, 40_000]),
        reduce_only=st.sampled_from([False, False, True]),
    ),
    min_size=25,
    max_size=50,
)


def commands_of(sequence: Iterable[Step]) -> list[tuple[int, Command]]:
    """The steps as commands and their instants: prices are near the mark price of then, whatever else happens."""
    prices = Engine(3, instruments=LISTINGS)
    now_ms = START_MS
    commands: list[tuple[int, Command]] = [
        (now_ms, OpenAccount(account=account, cash=Decimal(2_000))) for account in ACCOUNTS
    ]
    commands += [
        (now_ms, SetLeverage(account=account, symbol=symbol, leverage=50))
        for account in ACCOUNTS
        for symbol in (WILD, FLAT)
    ]
    for number, step in enumerate(sequence):
        now_ms += step.pause_ms
        mark = prices.markets[step.symbol].mark(now_ms // 1_000)
        commands.append((now_ms, _command(number, step, mark)))
    return commands


def _command(number: int, step: Step, mark: Decimal) -> Command:
    match step.kind:
        case "cancel":
            return CancelByClientId(account=step.account, client_id=f"c{number - 1 - step.usd % 5}")
        case "cancel_all":
            return CancelAll(account=step.account, symbol=step.symbol)
        case "lever":
            return SetLeverage(account=step.account, symbol=step.symbol, leverage=step.usd % 50 + 1)
        case _:
            return _placement(number, step, mark)


def _placement(number: int, step: Step, mark: Decimal) -> PlaceOrders:
    is_protection = step.kind == "protect"
    side = step._replace(reduce_only=True).side if is_protection else step.side
    away = mark * side.sign * step.away_bps / 10_000
    near, far = (((mark + offset) / TICK).to_integral_value() * TICK for offset in (-away, away))
    executions: dict[str, Sequence[Execution]] = {
        "gtc": [Limit(price=near)],
        "post": [PostOnly(price=near)],
        "ioc": [Limit(price=far, time_in_force=TimeInForce.IOC)],
        "fok": [Limit(price=far, time_in_force=TimeInForce.FOK)],
        "market": [Market(max_slippage_bps=abs(step.away_bps) * 5)],
        "stop": [Stop(trigger_price=far)],
        "profit": [TakeProfit(trigger_price=near)],
        "pair": [Limit(price=near), Stop(trigger_price=far)],
        "protect": [TakeProfit(trigger_price=near), Stop(trigger_price=far)],
    }
    size = (Decimal(step.usd) / mark / LOT).to_integral_value() * LOT
    orders = tuple(
        NewOrder(
            intent=OrderIntent(
                symbol=step.symbol,
                side=side,
                size=size,
                execution=execution,
                reduce_only=step.reduce_only or is_protection,
            ),
            client_id=f"c{number}" if leg == 0 else None,
        )
        for leg, execution in enumerate(executions[step.kind])
    )
    return PlaceOrders(account=step.account, orders=orders, one_cancels_other=len(orders) > 1)


def carry_out(engine: Engine, commands: Iterable[tuple[int, Command]]) -> list[Answer]:
    answers: list[Answer] = []
    for at_ms, command in commands:
        try:
            answers.append(told(engine.execute(command, at_ms)))
        except VenueFailure as refusal:
            answers.append(told(refusal))
    return answers


def told(outcome: Sequence[LegResult] | Exception) -> Answer:
    """An answer that can be compared: refusals as their text."""
    if isinstance(outcome, Exception):
        return str(outcome)
    return [str(leg) if isinstance(leg, VenueFailure) else leg for leg in outcome]
