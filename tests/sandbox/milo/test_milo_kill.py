"""Killed with -9 while it trades and started again: all that it had said is there, and the books are right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sandbox.milo.machine import Machine
from sandbox.milo.trading.desk import Desk
from sandbox.milo.venue import PARTS
from tests.support.manual_clock import START_MS
from tests.support.milo_books import check

SEED = 5
# Says every order once it is durable, while time flies and triggers fire.
TRADES = """
import sys
from decimal import Decimal
from pathlib import Path
from solders.keypair import Keypair
from sandbox.milo.machine import Machine
from sandbox.milo.signin import open_account
from sandbox.milo.tokens import BY_SYMBOL, SOL, USDC
from sandbox.milo.trading.desk import Desk
from sandbox.milo.trading.orders import AbsoluteUsd, NewOrder, OrderType, StopLoss, TakeProfit
from sandbox.milo.venue import PARTS

now = [int(sys.argv[2])]
machine = Machine(seed=int(sys.argv[3]), path=Path(sys.argv[1]), now_ms=lambda: now[0], parts=PARTS)
now[0] = max(now[0], machine.core.now_ms)

def opened(core):
    user, _ = open_account(core, str(Keypair().pubkey()))
    wallet = core.wallets.trading(user.user_id)
    core.chain.fund(wallet.address, SOL, SOL.units(Decimal(100)), core.now_ms)
    core.chain.fund(wallet.address, USDC, USDC.units(Decimal(100000)), core.now_ms)
    return wallet

wallet = machine.run(opened)
protected = dict(
    take_profits=(TakeProfit(percentage=Decimal(50), profit_percentage=Decimal(1)),),
    stop_losses=(StopLoss(percentage=Decimal(100), loss_percentage=Decimal(1)),),
)
for number in range(100000):
    now[0] += 600000
    token = BY_SYMBOL[("JUP", "BONK", "SOL")[number % 3]]
    order = NewOrder(token=token, type=OrderType.BUY, amount=AbsoluteUsd(amount=Decimal(20)), **protected)
    placed = machine.run(lambda core: Desk(core).place(wallet, order))
    print(placed.order.order_id, flush=True)
"""
KILLS = 3
ORDERS = 12


def test_nothing_that_was_said_is_lost_and_nothing_is_half_done(tmp_path: Path) -> None:
    path = tmp_path / "milo.db"
    for _ in range(KILLS):
        said = _traded_and_killed(path)
        machine = Machine(seed=SEED, path=path, now_ms=lambda: START_MS, parts=PARTS)
        try:
            book = Desk(machine.core).book
            assert all(book.find(order_id) is not None for order_id in said)
            machine.run(check)
        finally:
            machine.close()


def _traded_and_killed(path: Path) -> list[str]:
    """The orders that it had said until then."""
    command = [sys.executable, "-c", TRADES, str(path), str(START_MS), str(SEED)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3])
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline().decode() for _ in range(ORDERS)]
    finally:
        process.kill()
        rest = process.stdout.read().decode()
        process.stdout.close()
        process.wait(10)
    # The last line may have been cut.
    said = [line.strip() for line in [*lines, *rest.splitlines()[:-1]]]
    assert len(said) >= ORDERS
    return said
