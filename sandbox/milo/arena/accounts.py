"""What the arena's wallets gained, lost and were sent, taken from their transactions on the chain.

Whatever a wallet paid the chain's fee for is trading; whatever others sent it is a flow, the stake among them, so that
nobody climbs the leaderboard by sending money to a wallet. Everything is asked for all wallets at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from sandbox.milo.arena.performance import ZERO, Performance, performance
from sandbox.milo.chain_records import ChainTransaction
from sandbox.milo.core import Core
from sandbox.milo.events import OrderFilled
from sandbox.milo.tokens import BY_ADDRESS

_AT_ONCE: Final = 100

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS arena_wallets (
    wallet_id TEXT PRIMARY KEY, address TEXT NOT NULL, noted INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS arena_movements (
    wallet_id TEXT NOT NULL, number INTEGER NOT NULL, token_address TEXT NOT NULL, at_ms INTEGER NOT NULL,
    units INTEGER NOT NULL, PRIMARY KEY (wallet_id, number, token_address)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS arena_movements_by_time ON arena_movements (at_ms);
CREATE TABLE IF NOT EXISTS arena_holdings (
    wallet_id TEXT NOT NULL, token_address TEXT NOT NULL, units INTEGER NOT NULL, PRIMARY KEY (wallet_id, token_address)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS arena_flows (
    number INTEGER PRIMARY KEY, wallet_id TEXT NOT NULL, at_ms INTEGER NOT NULL, usd TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS arena_sales (
    number INTEGER PRIMARY KEY, wallet_id TEXT NOT NULL, at_ms INTEGER NOT NULL, is_won INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS arena_sales_by_time ON arena_sales (at_ms)
"""
_TABLES: Final = ("arena_wallets", "arena_movements", "arena_holdings", "arena_flows", "arena_sales")

# By the token's address.
Units = Mapping[str, int]
Price = Callable[[str, int], Decimal]


def open_account(core: Core, wallet_id: str, address: str) -> None:
    """Count what happens to a wallet, from its first transaction on."""
    core.db.execute("INSERT INTO arena_wallets VALUES (?, ?, 0)", wallet_id, address)


def close_account(core: Core, wallet_id: str) -> None:
    for table in _TABLES:
        core.db.execute(f"DELETE FROM {table} WHERE wallet_id = ?", wallet_id)  # noqa: S608


def note_sale(core: Core, event: OrderFilled) -> None:
    if event.realized_pnl_usd is not None:
        core.db.execute(
            "INSERT INTO arena_sales (wallet_id, at_ms, is_won) VALUES (?, ?, ?)",
            event.wallet_id, event.at_ms, event.realized_pnl_usd > 0,
        )  # fmt: skip


def catch_up(core: Core) -> None:
    """Note what the chain has of any of the wallets that was not noted yet."""
    behind = core.db.rows(
        "SELECT wallet_id, address, noted FROM arena_wallets WHERE EXISTS (SELECT 1 FROM chain_history"
        " WHERE chain_history.address = arena_wallets.address AND chain_history.number > noted)"
    )
    for wallet_id, address, noted in behind:
        for transaction in _since(core, address, noted):
            _note(core, wallet_id, address, transaction)


def holdings(core: Core) -> Mapping[str, Units]:
    """What every wallet holds, by its id."""
    found = _by_wallet(core, "SELECT wallet_id, token_address, units FROM arena_holdings WHERE units <> 0")
    return {wallet_id: found.get(wallet_id, {}) for (wallet_id,) in core.db.rows("SELECT wallet_id FROM arena_wallets")}


def performances(core: Core, held: Mapping[str, Units], after_ms: int) -> dict[str, Performance]:
    """Of every wallet since ``after_ms``, by its id. Before it had its stake, it was worth nothing."""
    now_ms, price = core.now_ms, _prices(core)
    moved = _by_wallet(
        core,
        "SELECT wallet_id, token_address, sum(units) FROM arena_movements WHERE at_ms > ?"
        " GROUP BY wallet_id, token_address",
        after_ms,
    )
    flows, sales = _flows(core, after_ms), _sales(core, after_ms)
    return {
        wallet_id: performance(
            before=_worth(_before(units, moved.get(wallet_id, {})), after_ms, price),
            sent=flows.get(wallet_id, ZERO),
            now=_worth(units, now_ms, price),
            sales=sales.get(wallet_id, (0, 0)),
        )
        for wallet_id, units in held.items()
    }


def _since(core: Core, address: str, noted: int) -> list[ChainTransaction]:
    """Oldest first."""
    found: list[ChainTransaction] = []
    before: int | None = None
    while True:
        page = core.chain.history(address, _AT_ONCE, before)
        new = [transaction for transaction in page if transaction.number > noted]
        found += new
        if len(new) < _AT_ONCE:
            return found[::-1]
        before = new[-1].number


def _note(core: Core, wallet_id: str, address: str, transaction: ChainTransaction) -> None:
    units: dict[str, int] = defaultdict(int)
    for movement in transaction.movements():
        if movement.owner == address and movement.token_address in BY_ADDRESS:
            units[movement.token_address] += movement.units
    number, at_ms = transaction.number, transaction.at_ms
    for token_address, moved in units.items():
        core.db.execute(
            "INSERT INTO arena_movements VALUES (?, ?, ?, ?, ?)", wallet_id, number, token_address, at_ms, moved
        )
        core.db.execute(
            "INSERT INTO arena_holdings VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET units = units + excluded.units",
            wallet_id, token_address, moved,
        )  # fmt: skip
    if transaction.fee_payer != address:
        usd = _worth(units, at_ms, _prices(core))
        core.db.execute("INSERT INTO arena_flows (wallet_id, at_ms, usd) VALUES (?, ?, ?)", wallet_id, at_ms, str(usd))
    core.db.execute("UPDATE arena_wallets SET noted = ? WHERE wallet_id = ?", number, wallet_id)


def _by_wallet(core: Core, query: str, *values: object) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for wallet_id, address, units in core.db.rows(query, *values):
        found[wallet_id][address] = units
    return found


def _flows(core: Core, after_ms: int) -> dict[str, Decimal]:
    found: dict[str, Decimal] = defaultdict(Decimal)
    for wallet_id, usd in core.db.rows("SELECT wallet_id, usd FROM arena_flows WHERE at_ms > ?", after_ms):
        found[wallet_id] += Decimal(usd)
    return found


def _sales(core: Core, after_ms: int) -> dict[str, tuple[int, int]]:
    """How many sales there were, and how many of them made a profit."""
    rows = core.db.rows(
        "SELECT wallet_id, count(*), sum(is_won) FROM arena_sales WHERE at_ms > ? GROUP BY wallet_id", after_ms
    )
    return {wallet_id: (count, won) for wallet_id, count, won in rows}


def _before(units: Units, moved: Units) -> Units:
    return {address: units.get(address, 0) - moved.get(address, 0) for address in {*units, *moved}}


def _worth(units: Units, at_ms: int, price: Price) -> Decimal:
    return sum((amount * price(address, at_ms) for address, amount in units.items() if amount), ZERO)


def _prices(core: Core) -> Price:
    """The market's, of a token's smallest unit, each looked up once."""
    known: dict[tuple[str, int], Decimal] = {}

    def price(address: str, at_ms: int) -> Decimal:
        if (address, at_ms) not in known:
            token = BY_ADDRESS[address]
            known[address, at_ms] = core.market.price(token, at_ms // 1_000).scaleb(-token.decimals)
        return known[address, at_ms]

    return price
