"""What the arena's wallets gained, lost and were sent, taken from their transactions on the chain.

Whatever a wallet paid the chain's fee for is trading; whatever others sent it is a flow, the stake among them, so that
nobody climbs the leaderboard by sending money to a wallet.

Every transaction of a wallet leaves a state, with all until then added up: how a timeframe went is the difference of
two states, however much was traded between them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from sandbox.milo.arena.performance import ZERO, Performance, Timeframe, performance
from sandbox.milo.chain_records import ChainTransaction
from sandbox.milo.core import Core
from sandbox.milo.events import OrderFilled
from sandbox.milo.tokens import BY_ADDRESS

_AT_ONCE: Final = 100
_LONGEST_MS: Final = max(timeframe.length_ms for timeframe in Timeframe)

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS arena_accounts (
    wallet_id TEXT PRIMARY KEY, address TEXT NOT NULL, noted INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS arena_states (
    number INTEGER PRIMARY KEY, wallet_id TEXT NOT NULL, at_ms INTEGER NOT NULL, state BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS arena_states_by_wallet ON arena_states (wallet_id, at_ms, number)
"""
_LATEST: Final = "SELECT state FROM arena_states WHERE wallet_id = ? ORDER BY at_ms DESC, number DESC LIMIT 1"
_ALL_AT: Final = """
SELECT arena_states.wallet_id, state FROM arena_accounts JOIN arena_states ON number = (
    SELECT number FROM arena_states AS theirs WHERE theirs.wallet_id = arena_accounts.wallet_id AND at_ms <= ?
    ORDER BY at_ms DESC, number DESC LIMIT 1
)
"""
# Those that no timeframe begins with any more.
_FORGET: Final = """
DELETE FROM arena_states WHERE wallet_id = ?1 AND at_ms < (
    SELECT max(at_ms) FROM arena_states WHERE wallet_id = ?1 AND at_ms <= ?2
)
"""

# By the token's address.
Units = Mapping[str, int]
Price = Callable[[str, int], Decimal]


class _State(msgspec.Struct, frozen=True, kw_only=True):
    """``units`` are what the wallet holds, ``sent`` what it was ever sent, in USD when it came; ``sales`` are all that
    it made, ``won`` those at a profit."""

    units: dict[str, int] = {}
    sent: Decimal = ZERO
    sales: int = 0
    won: int = 0


class Account(NamedTuple):
    units: Units
    figures: Performance


_NOTHING: Final = _State()
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_State).decode


def open_account(core: Core, wallet_id: str, address: str) -> None:
    """Count what has happened to a wallet, from its first transaction on, and what will."""
    core.db.execute("INSERT INTO arena_accounts VALUES (?, ?, 0)", wallet_id, address)
    _catch_up(core, wallet_id, address, 0)


def open_missing(core: Core) -> None:
    """Of deployments that a file has from before there were accounts: what was sold until now is not known."""
    missing = core.db.rows(
        "SELECT wallet_id, address FROM arena_deployments JOIN wallets USING (wallet_id) WHERE withdrawn_at_ms IS NULL"
        " AND wallet_id NOT IN (SELECT wallet_id FROM arena_accounts)"
    )
    for wallet_id, address in missing:
        open_account(core, wallet_id, address)


def close_account(core: Core, wallet_id: str) -> None:
    core.db.execute("DELETE FROM arena_accounts WHERE wallet_id = ?", wallet_id)
    core.db.execute("DELETE FROM arena_states WHERE wallet_id = ?", wallet_id)


def note_trade(core: Core, event: OrderFilled) -> None:
    """An order was filled: nothing, unless it was one of these wallets'."""
    row = core.db.row("SELECT address, noted FROM arena_accounts WHERE wallet_id = ?", event.wallet_id)
    if row is None:
        return
    _catch_up(core, event.wallet_id, *row)
    if event.realized_pnl_usd is not None:
        state = _latest(core, event.wallet_id)
        won = state.won + (event.realized_pnl_usd > 0)
        _put(core, event.wallet_id, event.at_ms, state, sales=state.sales + 1, won=won)


def catch_up(core: Core) -> None:
    """Note what the chain has of any of the wallets that was not noted yet: what others have sent them."""
    behind = core.db.rows(
        "SELECT wallet_id, address, noted FROM arena_accounts WHERE EXISTS (SELECT 1 FROM chain_history"
        " WHERE chain_history.address = arena_accounts.address AND chain_history.number > noted)"
    )
    for wallet_id, address, noted in behind:
        _catch_up(core, wallet_id, address, noted)


def accounts_since(core: Core, after_ms: int) -> Mapping[str, Account]:
    """What every wallet holds, and how it did since ``after_ms``, by its id. Before it had its stake, it was worth
    nothing."""
    now_ms, price = core.now_ms, _prices(core)
    then, now = _all_at(core, after_ms), _all_at(core, now_ms)
    found: dict[str, Account] = {}
    for (wallet_id,) in core.db.rows("SELECT wallet_id FROM arena_accounts"):
        before, after = then.get(wallet_id, _NOTHING), now.get(wallet_id, _NOTHING)
        figures = performance(
            before=_worth(before.units, after_ms, price),
            sent=after.sent - before.sent,
            now=_worth(after.units, now_ms, price),
            sales=(after.sales - before.sales, after.won - before.won),
        )
        found[wallet_id] = Account(after.units, figures)
    return found


def _all_at(core: Core, at_ms: int) -> dict[str, _State]:
    return {wallet_id: _decode(state) for wallet_id, state in core.db.rows(_ALL_AT, at_ms)}


def _latest(core: Core, wallet_id: str) -> _State:
    row = core.db.row(_LATEST, wallet_id)
    return _NOTHING if row is None else _decode(row[0])


def _put(core: Core, wallet_id: str, at_ms: int, state: _State, **changes: Any) -> None:
    changed = msgspec.structs.replace(state, **changes)
    core.db.execute(
        "INSERT INTO arena_states (wallet_id, at_ms, state) VALUES (?, ?, ?)", wallet_id, at_ms, _encode(changed)
    )
    core.db.execute(_FORGET, wallet_id, at_ms - _LONGEST_MS)


def _catch_up(core: Core, wallet_id: str, address: str, noted: int) -> None:
    for transaction in _since(core, address, noted):
        _note(core, wallet_id, address, transaction)
        core.db.execute("UPDATE arena_accounts SET noted = ? WHERE wallet_id = ?", transaction.number, wallet_id)


def _since(core: Core, address: str, noted: int) -> list[ChainTransaction]:
    """Oldest first."""
    found: list[ChainTransaction] = []
    before: int | None = None
    while True:
        page = core.chain.history(address, _AT_ONCE, before, after=noted)
        found += page
        if len(page) < _AT_ONCE:
            return found[::-1]
        before = page[-1].number


def _note(core: Core, wallet_id: str, address: str, transaction: ChainTransaction) -> None:
    state = _latest(core, wallet_id)
    moved = {
        movement.token_address: movement.units
        for movement in transaction.movements()
        if movement.owner == address and movement.token_address in BY_ADDRESS
    }
    after = {token: state.units.get(token, 0) + moved.get(token, 0) for token in {*state.units, *moved}}
    sent = ZERO if transaction.fee_payer == address else _worth(moved, transaction.at_ms, _prices(core))
    left = {token: units for token, units in after.items() if units}
    _put(core, wallet_id, transaction.at_ms, state, units=left, sent=state.sent + sent)


def _worth(units: Units, at_ms: int, price: Price) -> Decimal:
    return sum((amount * price(address, at_ms) for address, amount in units.items()), ZERO)


def _prices(core: Core) -> Price:
    """The market's, of a token's smallest unit, each looked up once."""
    known: dict[tuple[str, int], Decimal] = {}

    def price(address: str, at_ms: int) -> Decimal:
        if (address, at_ms) not in known:
            token = BY_ADDRESS[address]
            known[address, at_ms] = core.market.price(token, at_ms // 1_000).scaleb(-token.decimals)
        return known[address, at_ms]

    return price
