"""Users and their API keys. Of a key only its digest is stored."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

import msgspec

from sandbox.milo.database import Database, Row

KEY_PREFIX: Final = "mk_test_"
_KEY_BYTES: Final = 32

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS users (
    user_id TEXT PRIMARY KEY, username TEXT NOT NULL, signup_wallet_id TEXT NOT NULL, provider TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS api_keys (
    digest BLOB PRIMARY KEY, key_id TEXT NOT NULL, user_id TEXT NOT NULL, created_at_ms INTEGER NOT NULL
) WITHOUT ROWID
"""


class User(msgspec.Struct, frozen=True, kw_only=True):
    user_id: str
    username: str
    signup_wallet_id: str
    provider: str
    created_at_ms: int


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """The owner of an API key. ``key_id`` names the key without giving it away."""

    user: User
    key_id: str

    @property
    def user_id(self) -> str:
        return self.user.user_id


def create(db: Database, user: User) -> None:
    db.execute(
        "INSERT INTO users VALUES (?, ?, ?, ?, ?)",
        user.user_id, user.username, user.signup_wallet_id, user.provider, user.created_at_ms,
    )  # fmt: skip


def find(db: Database, user_id: str) -> User | None:
    row = db.row(_USER + "FROM users WHERE user_id = ?", user_id)
    return None if row is None else _user(row)


def mint_key(db: Database, user_id: str, key_id: str, now_ms: int) -> str:
    """A new API key, as its owner must keep it: it is shown this once."""
    key = KEY_PREFIX + secrets.token_urlsafe(_KEY_BYTES)
    db.execute("INSERT INTO api_keys VALUES (?, ?, ?, ?)", _digest(key), key_id, user_id, now_ms)
    return key


def caller_of(db: Database, key: str) -> Caller | None:
    row = db.row(_USER + ", key_id FROM api_keys JOIN users USING (user_id) WHERE digest = ?", _digest(key))
    return None if row is None else Caller(user=_user(row), key_id=row[5])


_USER: Final = "SELECT user_id, username, signup_wallet_id, provider, users.created_at_ms "


def _user(row: Row) -> User:
    return User(user_id=row[0], username=row[1], signup_wallet_id=row[2], provider=row[3], created_at_ms=row[4])


def _digest(key: str) -> bytes:
    # The key has 256 random bits: there is nothing to guess, so nothing to make slow.
    return hashlib.sha256(key.encode()).digest()
