"""Records to store, and databases to store them in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from storage.ports import Account, ApiKey, Credential, JournalChange, JournalRow, KeyEnvironment, Scopes, Tier

NOW_MS = 1_800_000_000_000
LEASE_MS = 15_000


def account(number: int = 1, **changes: Any) -> Account:
    made = Account(account_id=f"account-{number}", name=f"name-{number}", tier=Tier.PRO, created_at_ms=NOW_MS + number)
    return msgspec.structs.replace(made, **changes)


def api_key(number: int = 1, **changes: Any) -> ApiKey:
    made = ApiKey(
        key_id=f"key-{number}",
        account_id="account-1",
        environment=KeyEnvironment.TEST,
        label="a bot's",
        prefix="mt_test_abcd",
        digest=number.to_bytes(32, "big"),
        pepper_version=1,
        scopes=Scopes(),
        created_at_ms=NOW_MS + number,
    )
    return msgspec.structs.replace(made, **changes)


def credential(number: int = 1, **changes: Any) -> Credential:
    made = Credential(
        credential_id=f"credential-{number}",
        account_id="account-1",
        exchange="paper",
        network="paper",
        label="main",
        address="0xabc",
        fingerprint="f1",
        row_version=1,
        wrapped_key=b"\x00wrapped",
        sealed=b"\xffsealed",
        created_at_ms=NOW_MS + number,
    )
    return msgspec.structs.replace(made, **changes)


def order(number: int = 1, **changes: Any) -> JournalRow:
    made = JournalRow(
        order_key=f"order-{number}",
        account_id="account-1",
        credential_id="credential-1",
        client_order_id=f"mine-{number}",
        exchange="paper",
        network="paper",
        symbol="BTC-USD-PERP",
        venue_client_id=f"0x{number:032x}",
        operation="placeOrder",
        request=b'{"side":"BUY"}',
        request_hash=bytes(32),
        owner="node-1",
        lease_until_ms=NOW_MS + LEASE_MS,
        valid_until_ms=NOW_MS + 10_000,
        created_at_ms=NOW_MS + number,
        updated_at_ms=NOW_MS + number,
    )
    return msgspec.structs.replace(made, **changes)


def note(text: str) -> JournalChange:
    return JournalChange(note=text)


def database_path(folder: Path) -> Path:
    return folder / "data" / "venuegate.db"
