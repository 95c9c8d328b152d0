"""What the chain keeps for good: accounts, keys of the wallets held here, and every transaction with what it moved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec
from solders.account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from sandbox.milo.database import Database, Row
from sandbox.milo.tokens import NATIVE_MINT

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS chain_accounts (
    address BLOB PRIMARY KEY, lamports INTEGER NOT NULL, owner BLOB NOT NULL, data BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chain_keys (address TEXT PRIMARY KEY, secret BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chain_transactions (
    number INTEGER PRIMARY KEY, signature TEXT NOT NULL UNIQUE, slot INTEGER NOT NULL, at_ms INTEGER NOT NULL,
    fee INTEGER NOT NULL, changes BLOB NOT NULL, raw BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS chain_history (
    address TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (address, number)
) WITHOUT ROWID
"""


class TokenBalance(NamedTuple):
    """What a token account holds."""

    owner: str
    mint: str
    units: int


class Change(NamedTuple):
    """An account that a transaction could write to, before and after. Only token accounts have balances of tokens."""

    address: str
    lamports_before: int
    lamports_after: int
    tokens_before: TokenBalance | None
    tokens_after: TokenBalance | None


class Movement(NamedTuple):
    """What ``owner`` gained in a transaction, negative for what it lost, in the token's smallest units."""

    owner: str
    token_address: str
    units: int


class ChainTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """A confirmed one: this chain has no forks. ``raw`` is the transaction as it was sent; ``fee`` in lamports."""

    number: int
    signature: str
    slot: int
    at_ms: int
    fee: int
    fee_payer: str
    changes: Sequence[Change]
    raw: bytes

    def movements(self) -> list[Movement]:
        """What each owner has more or less of. Lamports of token accounts are rent, and nobody's."""
        gained: dict[tuple[str, str], int] = defaultdict(int)
        for owner, token_address, units in self._parts():
            gained[owner, token_address] += units
        return [Movement(owner, token_address, units) for (owner, token_address), units in gained.items() if units]

    def _parts(self) -> Iterator[tuple[str, str, int]]:
        for change in self.changes:
            before, after = change.tokens_before, change.tokens_after
            if before is None and after is None:
                yield (change.address, NATIVE_MINT, change.lamports_after - change.lamports_before)
                continue
            if before is not None and before.units:
                yield (before.owner, before.mint, -before.units)
            if after is not None and after.units:
                yield (after.owner, after.mint, after.units)

    def gained(self, owner: str, token_address: str) -> int:
        """Units that ``owner`` has more of since; without what it paid for the transaction itself."""
        fee = self.fee if (owner, token_address) == (self.fee_payer, NATIVE_MINT) else 0
        return fee + sum(m.units for m in self.movements() if (m.owner, m.token_address) == (owner, token_address))


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[str, tuple[Change, ...]]).decode
_COLUMNS: Final = "SELECT number, signature, slot, at_ms, fee, changes, raw "


class ChainRecords:
    def __init__(self, db: Database) -> None:
        self._db = db

    # Accounts.

    def accounts(self) -> Iterator[tuple[Pubkey, Account]]:
        for row in self._db.rows("SELECT address, lamports, owner, data FROM chain_accounts"):
            yield Pubkey.from_bytes(row[0]), Account(lamports=row[1], data=row[3], owner=Pubkey.from_bytes(row[2]))

    def put_accounts(self, accounts: Iterable[tuple[Pubkey, Account | None]]) -> None:
        """As they are now; None where one is gone."""
        kept, gone = [], []
        for address, account in accounts:
            if account is None:
                gone.append((bytes(address),))
            else:
                kept.append((bytes(address), account.lamports, bytes(account.owner), bytes(account.data)))
        self._db.executemany("INSERT OR REPLACE INTO chain_accounts VALUES (?, ?, ?, ?)", kept)
        if gone:
            self._db.executemany("DELETE FROM chain_accounts WHERE address = ?", gone)

    # Keys.

    def put_key(self, keypair: Keypair) -> None:
        self._db.execute("INSERT INTO chain_keys VALUES (?, ?)", str(keypair.pubkey()), bytes(keypair))

    def key(self, address: str) -> Keypair | None:
        row = self._db.row("SELECT secret FROM chain_keys WHERE address = ?", address)
        return None if row is None else Keypair.from_bytes(row[0])

    # Transactions.

    def add(self, transaction: ChainTransaction, history_of: Iterable[str]) -> None:
        """``history_of``: the addresses in whose history it appears. The number is given by the file."""
        number = self._db.insert(
            "INSERT INTO chain_transactions (signature, slot, at_ms, fee, changes, raw) VALUES (?, ?, ?, ?, ?, ?)",
            transaction.signature, transaction.slot, transaction.at_ms, transaction.fee,
            _encode((transaction.fee_payer, transaction.changes)), transaction.raw,
        )  # fmt: skip
        self._db.executemany("INSERT INTO chain_history VALUES (?, ?)", [(address, number) for address in history_of])

    def by_signature(self, signature: str) -> ChainTransaction | None:
        row = self._db.row(_COLUMNS + "FROM chain_transactions WHERE signature = ?", signature)
        return None if row is None else _transaction(row)

    def last_slot(self) -> int:
        return int(
            self._db.value(
                "SELECT coalesce(max(slot), 0) FROM chain_transactions WHERE number = "
                "(SELECT max(number) FROM chain_transactions)"
            )
        )

    def history(self, address: str, limit: int, before: int | None = None, after: int = 0) -> list[ChainTransaction]:
        """Of one owner, newest first; those with a number above ``after``, and below ``before`` where given."""
        rows = self._db.rows(
            _COLUMNS + "FROM chain_history JOIN chain_transactions USING (number)"
            " WHERE address = ? AND number > ? AND number < ? ORDER BY number DESC LIMIT ?",
            address, after, 2**62 if before is None else before, limit,
        )  # fmt: skip
        return [_transaction(row) for row in rows]


def _transaction(row: Row) -> ChainTransaction:
    fee_payer, changes = _decode(row[5])
    return ChainTransaction(
        number=row[0],
        signature=row[1],
        slot=row[2],
        at_ms=row[3],
        fee=row[4],
        fee_payer=fee_payer,
        changes=changes,
        raw=row[6],
    )
