"""Wallets: a user's own that signed up, the one that Milo trades with, custody wallets of the arena."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from sandbox.milo.chain import Chain
from sandbox.milo.database import Database, Row

CHAIN: Final = "solana"

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS wallets (
    wallet_id TEXT PRIMARY KEY, user_id TEXT NOT NULL, address TEXT NOT NULL, type TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS wallets_by_user ON wallets (user_id, created_at_ms);
CREATE UNIQUE INDEX IF NOT EXISTS wallets_by_address ON wallets (address)
"""


class WalletType(StrEnum):
    """Of a ``signup`` wallet only the address is known; the keys of the others are held here."""

    SIGNUP = "signup"
    MILO = "milo"
    CUSTODY = "custody"


class Wallet(msgspec.Struct, frozen=True, kw_only=True):
    wallet_id: str
    user_id: str
    address: str
    type: WalletType
    created_at_ms: int

    @property
    def is_held_here(self) -> bool:
        return self.type is not WalletType.SIGNUP


class Wallets:
    def __init__(self, db: Database, chain: Chain) -> None:
        self._db = db
        self._chain = chain

    def add_signup(self, wallet_id: str, user_id: str, address: str, now_ms: int) -> Wallet:
        return self._add(wallet_id, user_id, address, WalletType.SIGNUP, now_ms)

    def open(self, wallet_id: str, user_id: str, type_: WalletType, now_ms: int) -> Wallet:
        """A wallet with a new key, held here."""
        return self._add(wallet_id, user_id, str(self._chain.new_keypair().pubkey()), type_, now_ms)

    def find(self, wallet_id: str) -> Wallet | None:
        return self._first("wallet_id = ?", wallet_id)

    def at(self, address: str) -> Wallet | None:
        return self._first("address = ?", address)

    def of(self, user_id: str) -> list[Wallet]:
        """Oldest first."""
        rows = self._db.rows(_WALLET + "WHERE user_id = ? ORDER BY created_at_ms, type DESC", user_id)
        return [_wallet(row) for row in rows]

    def trading(self, user_id: str) -> Wallet:
        """The one that Milo trades with.

        :raises LookupError: there is no such user.
        """
        for wallet in self.of(user_id):
            if wallet.type is WalletType.MILO:
                return wallet
        raise LookupError(f"user {user_id} has no wallet")

    def _first(self, condition: str, value: str) -> Wallet | None:
        row = self._db.row(_WALLET + f"WHERE {condition}", value)
        return None if row is None else _wallet(row)

    def _add(self, wallet_id: str, user_id: str, address: str, type_: WalletType, now_ms: int) -> Wallet:
        self._db.execute("INSERT INTO wallets VALUES (?, ?, ?, ?, ?)", wallet_id, user_id, address, type_.value, now_ms)
        return Wallet(wallet_id=wallet_id, user_id=user_id, address=address, type=type_, created_at_ms=now_ms)


_WALLET: Final = "SELECT wallet_id, user_id, address, type, created_at_ms FROM wallets "


def _wallet(row: Row) -> Wallet:
    return Wallet(wallet_id=row[0], user_id=row[1], address=row[2], type=WalletType(row[3]), created_at_ms=row[4])
