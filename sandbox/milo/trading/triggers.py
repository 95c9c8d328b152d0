"""Prices that were reached while nobody looked: found from the orders and the market, and acted on at their second."""

from __future__ import annotations

from sandbox.milo.core import Core
from sandbox.milo.parts import Part
from sandbox.milo.trading import book, positions, trades
from sandbox.milo.trading.book import OrderBook
from sandbox.milo.trading.execution import Execution
from sandbox.milo.trading.registers import Registers
from sandbox.milo.trading.theses import Theses


def next_due(core: Core, after_ms: int, until_ms: int) -> int | None:
    """The start of the first second in which the price of a token reaches an active order's."""
    after, until = after_ms // 1_000, until_ms // 1_000
    if after >= until:
        return None
    found = None
    for token, levels in OrderBook(core.db, core.market).levels().items():
        second = core.market.first_reached(token, levels, after, until)
        if second is not None:
            found, until = second, second - 1
    return None if found is None else found * 1_000


def run_due(core: Core, at_ms: int) -> None:
    registers = Registers(core)
    execution = Execution(core, registers, Theses(core, registers))
    for token in registers.book.levels():
        execution.fire_reached(token)


PART = Part(
    name="trading",
    schema=";".join((book.SCHEMA, positions.SCHEMA, trades.SCHEMA)),
    next_due=next_due,
    run_due=run_due,
)
