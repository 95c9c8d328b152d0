"""What an arena wallet gained, lost and was sent, taken from its transactions on the chain.

Whatever the wallet paid the chain's fee for is trading; whatever others sent it is a flow, so that nobody climbs the
leaderboard by sending money to a wallet.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from sandbox.milo.arena.performance import ZERO
from sandbox.milo.chain_records import ChainTransaction
from sandbox.milo.core import Core
from sandbox.milo.events import OrderFilled
from sandbox.milo.tokens import BY_ADDRESS
from sandbox.milo.wallets import Wallet

_AT_ONCE: Final = 100

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS arena_movements (
    wallet_id TEXT NOT NULL, number INTEGER NOT NULL, token_address TEXT NOT NULL, at_ms INTEGER NOT NULL,
    units INTEGER NOT NULL, sent_usd TEXT NOT NULL, PRIMARY KEY (wallet_id, number, token_address)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS arena_sales (
    number INTEGER PRIMARY KEY, wallet_id TEXT NOT NULL, at_ms INTEGER NOT NULL, realized_usd TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS arena_sales_by_wallet ON arena_sales (wallet_id, at_ms)
"""


def catch_up(core: Core, wallet: Wallet) -> None:
    """Note the movements of transactions that were not noted yet. It costs next to nothing where there are none."""
    last = core.db.value("SELECT coalesce(max(number), 0) FROM arena_movements WHERE wallet_id = ?", wallet.wallet_id)
    before: int | None = None
    while True:
        found = core.chain.history(wallet.address, _AT_ONCE, before)
        new = [transaction for transaction in found if transaction.number > last]
        for transaction in new:
            _note(core, wallet, transaction)
        if len(new) < _AT_ONCE:
            return
        before = new[-1].number


def note_sale(core: Core, event: OrderFilled) -> None:
    if event.realized_pnl_usd is not None:
        core.db.execute(
            "INSERT INTO arena_sales (wallet_id, at_ms, realized_usd) VALUES (?, ?, ?)",
            event.wallet_id, event.at_ms, str(event.realized_pnl_usd),
        )  # fmt: skip


def value_at(core: Core, wallet: Wallet, at_ms: int) -> Decimal:
    """What the wallet held at an instant, at the prices of then."""
    rows = core.db.rows(
        "SELECT token_address, sum(units) FROM arena_movements WHERE wallet_id = ? AND at_ms <= ?"
        " GROUP BY token_address",
        wallet.wallet_id, at_ms,
    )  # fmt: skip
    return sum((_worth(core, address, units, at_ms) for address, units in rows), ZERO)


def sent_since(core: Core, wallet: Wallet, after_ms: int) -> Decimal:
    """What others sent the wallet after an instant, at the prices of when they did."""
    rows = core.db.rows(
        "SELECT sent_usd FROM arena_movements WHERE wallet_id = ? AND at_ms > ? AND sent_usd <> '0'",
        wallet.wallet_id, after_ms,
    )  # fmt: skip
    return sum((Decimal(sent) for (sent,) in rows), ZERO)


def sales_since(core: Core, wallet: Wallet, after_ms: int) -> list[Decimal]:
    """What each sale after an instant realized."""
    rows = core.db.rows(
        "SELECT realized_usd FROM arena_sales WHERE wallet_id = ? AND at_ms > ?", wallet.wallet_id, after_ms
    )
    return [Decimal(realized) for (realized,) in rows]


def _note(core: Core, wallet: Wallet, transaction: ChainTransaction) -> None:
    units: dict[str, int] = {}
    for movement in transaction.movements():
        if movement.owner == wallet.address and movement.token_address in BY_ADDRESS:
            units[movement.token_address] = units.get(movement.token_address, 0) + movement.units
    is_sent = transaction.fee_payer != wallet.address
    for address, moved in units.items():
        sent = _worth(core, address, moved, transaction.at_ms) if is_sent else ZERO
        core.db.execute(
            "INSERT INTO arena_movements VALUES (?, ?, ?, ?, ?, ?)",
            wallet.wallet_id, transaction.number, address, transaction.at_ms, moved, str(sent),
        )  # fmt: skip


def _worth(core: Core, address: str, units: int, at_ms: int) -> Decimal:
    token = BY_ADDRESS[address]
    return token.amount(units) * core.market.price(token, at_ms // 1_000)
