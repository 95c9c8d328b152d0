"""A local Milo with as much in it as it is made for."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec
from solders.keypair import Keypair

from sandbox.milo.arena import custody
from sandbox.milo.autotrade import strategies
from sandbox.milo.autotrade.strategies import NewStrategy
from sandbox.milo.core import Core
from sandbox.milo.demo import DemoUser, open_demo_user
from sandbox.milo.machine import Machine
from sandbox.milo.signin import open_account
from sandbox.milo.tokens import SOL, USDC
from sandbox.milo.trading.desk import Desk
from sandbox.milo.trading.orders import AbsoluteTrigger, AbsoluteUsd, NewOrder, OrderType
from sandbox.milo.venue import PARTS
from sandbox.milo.wallets import Wallet
from tests.support.manual_clock import ManualClock

USERS: Final = 1_000
ORDERS: Final = 10_000
TRANSACTIONS: Final = 100_000
DEPLOYMENTS: Final = 100
TRADERS: Final = 10

_COPY_ORDERS: Final = """
WITH RECURSIVE copy (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copy WHERE n < ?1)
INSERT INTO orders
SELECT number + n, hex(randomblob(16)), everybody.user_id, token, type, status, parent_id, NULL, rises, trigger_ticks,
    record
FROM orders, copy JOIN everybody ON place = 1 + n % ?2 WHERE number = (SELECT max(number) FROM orders)
"""
_COPY_TRIGGERS: Final = """
WITH RECURSIVE copy (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copy WHERE n < ?1)
INSERT INTO orders
SELECT number + n, hex(randomblob(16)), user_id, token, type, status, parent_id, NULL, rises, trigger_ticks - n % 30000,
    record
FROM orders, copy WHERE number = (SELECT max(number) FROM orders)
"""
_COPY_TRANSACTIONS: Final = """
WITH RECURSIVE copy (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copy WHERE n < ?1)
INSERT INTO chain_transactions
SELECT number + n, hex(randomblob(32)), slot, at_ms, fee, changes, raw
FROM chain_transactions, copy WHERE number = (SELECT max(number) FROM chain_transactions)
"""


class FullMilo:
    """``demo`` is there from the start. ``fill`` brings the others; the first ``TRADERS`` of them have money, and the
    orders and transactions are theirs and everybody's."""

    def __init__(self, path: Path) -> None:
        self.clock = ManualClock()
        self.machine = Machine(seed=5, path=path, now_ms=self.clock.now_ms, parts=PARTS)
        self.demo: DemoUser = self.machine.run(open_demo_user)
        self.wallets: list[Wallet] = []
        self.keys: list[str] = []

    @property
    def db(self) -> sqlite3.Connection:
        return self.machine.core.db._db

    def fill(self) -> None:
        for part in (self._open_accounts, self._trade, self._copy):
            self.machine.run(part)

    def rest(self, triggers: int) -> None:
        """Orders that a price of next to nothing would fire."""

        def place(core: Core) -> None:
            low = core.market.price(SOL, core.now_ms // 1_000) / 2
            Desk(core).place(self.wallets[0], buy(5, AbsoluteTrigger(operator="lte", value=low)))
            core.db.execute(_COPY_TRIGGERS, triggers)

        self.machine.run(place)

    def deploy(self) -> None:
        """Strategies to the arena, and let them trade for two days."""
        for wallet in self.wallets[:DEPLOYMENTS]:
            self.machine.run(lambda core, wallet=wallet: _deploy(core, wallet))  # type: ignore[misc]
        for _ in range(4):
            self.clock.advance(43_200)
            self.machine.run(lambda core: None)

    def _open_accounts(self, core: Core) -> None:
        for _ in range(USERS):
            user, key = open_account(core, str(Keypair().pubkey()))
            self.wallets.append(core.wallets.trading(user.user_id))
            self.keys.append(key)

    def _trade(self, core: Core) -> None:
        for wallet in self.wallets[:TRADERS]:
            for token in (SOL, USDC):
                core.chain.fund(wallet.address, token, token.units(Decimal(100)), core.now_ms)
            Desk(core).place(wallet, buy(5))

    def _copy(self, core: Core) -> None:
        """Of the last order and the last transaction, one after the other to every user."""
        addresses = [(wallet.user_id, wallet.address) for wallet in self.wallets]
        core.db.execute("CREATE TEMP TABLE everybody (place INTEGER PRIMARY KEY, user_id TEXT, address TEXT)")
        core.db.executemany("INSERT INTO everybody (user_id, address) VALUES (?, ?)", addresses)
        core.db.execute(_COPY_ORDERS, ORDERS, USERS)
        first = core.db.value("SELECT max(number) FROM chain_transactions")
        core.db.execute(_COPY_TRANSACTIONS, TRANSACTIONS)
        core.db.execute(
            "INSERT INTO chain_history SELECT address, number FROM chain_transactions"
            " JOIN everybody ON place = 1 + number % ?1 WHERE number > ?2",
            USERS, first,
        )  # fmt: skip


def buy(usd: int, trigger: AbsoluteTrigger | None = None) -> NewOrder:
    order = NewOrder(token=SOL, type=OrderType.BUY, amount=AbsoluteUsd(amount=Decimal(usd)))
    return order if trigger is None else msgspec.structs.replace(order, trigger=trigger)


def _deploy(core: Core, wallet: Wallet) -> None:
    core.chain.fund(wallet.address, SOL, SOL.units(Decimal(2)), core.now_ms)
    allocation = {"majors": Decimal(40), "native": Decimal(30), "memes": Decimal(30)}
    plan = NewStrategy(name="Broad", strategy="CUSTOM", allocation=allocation, is_public=True)
    custody.enter(core, strategies.create(core, wallet.user_id, plan))
