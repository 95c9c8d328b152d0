"""A directory at the port, in memory: what a store must do, and the ways in which one can fail."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

import msgspec

from storage.ports import (
    Account,
    ApiKey,
    Credential,
    KeyWithAccount,
    Scopes,
    SealedSecret,
    StorageUnavailable,
    Tier,
)


class MemoryDirectory:
    """``unavailable`` makes every method raise; while ``gate`` is set, reads wait for it. ``calls`` counts by name."""

    def __init__(self) -> None:
        self.unavailable = False
        self.gate: asyncio.Event | None = None
        self.calls: dict[str, int] = {}
        self._revision = 0
        self._accounts: dict[str, Account] = {}
        self._keys: dict[str, ApiKey] = {}
        self._credentials: dict[str, Credential] = {}
        self._secrets: dict[tuple[str, int], SealedSecret] = {}

    async def _called(self, name: str) -> None:
        self.calls[name] = self.calls.get(name, 0) + 1
        # A real store always gives way to others; so does this one, or races would not show.
        await asyncio.sleep(0)
        if self.gate is not None:
            await self.gate.wait()
        if self.unavailable:
            raise StorageUnavailable("The database is gone", "Bring it back")

    def _changed(self) -> None:
        self._revision += 1

    async def revision(self) -> int:
        await self._called("revision")
        return self._revision

    async def create_account(self, account: Account) -> None:
        await self._called("create_account")
        self._accounts[account.account_id] = account
        self._changed()

    async def enroll(self, account: Account, key: ApiKey, credential: Credential) -> None:
        await self._called("enroll")
        self._accounts[account.account_id] = account
        self._keys[key.key_id] = key
        self._credentials[credential.credential_id] = credential
        self._changed()

    async def account(self, account_id: str) -> Account | None:
        await self._called("account")
        return self._accounts.get(account_id)

    async def account_named(self, name: str) -> Account | None:
        await self._called("account_named")
        return next((account for account in self._accounts.values() if account.name == name), None)

    async def accounts(self) -> Sequence[Account]:
        await self._called("accounts")
        return list(self._accounts.values())

    async def set_tier(self, account_id: str, tier: Tier) -> None:
        await self._called("set_tier")
        self._accounts[account_id] = msgspec.structs.replace(self._accounts[account_id], tier=tier)
        self._changed()

    async def create_key(self, key: ApiKey, *, at_most: int) -> bool:
        await self._called("create_key")
        live = [k for k in self._keys.values() if k.account_id == key.account_id and k.revoked_at_ms is None]
        if len(live) >= at_most:
            return False
        self._keys[key.key_id] = key
        self._changed()
        return True

    async def replace_key(self, old_key_id: str, new: ApiKey, revoked_at_ms: int) -> bool:
        await self._called("replace_key")
        old = self._keys.get(old_key_id)
        if old is None or old.revoked_at_ms is not None:
            return False
        self._keys[old_key_id] = msgspec.structs.replace(old, revoked_at_ms=revoked_at_ms)
        self._keys[new.key_id] = new
        self._changed()
        return True

    async def key_by_digest(self, digest: bytes) -> KeyWithAccount | None:
        # What was there when the question came: the answer may be older than a change made meanwhile.
        key = next((key for key in self._keys.values() if key.digest == digest), None)
        found = None if key is None else KeyWithAccount(key=key, account=self._accounts[key.account_id])
        await self._called("key_by_digest")
        return found

    async def key(self, key_id: str) -> ApiKey | None:
        await self._called("key")
        return self._keys.get(key_id)

    async def keys(self, account_id: str | None = None) -> Sequence[ApiKey]:
        await self._called("keys")
        return [key for key in self._keys.values() if account_id in (None, key.account_id)]

    async def revoke_key(self, key_id: str, at_ms: int) -> bool:
        await self._called("revoke_key")
        key = self._keys.get(key_id)
        if key is None or key.revoked_at_ms is not None:
            return False
        self._keys[key_id] = msgspec.structs.replace(key, revoked_at_ms=at_ms)
        self._changed()
        return True

    async def narrow_key(self, key_id: str, scopes: Scopes, expires_at_ms: int | None) -> None:
        await self._called("narrow_key")
        self._keys[key_id] = msgspec.structs.replace(self._keys[key_id], scopes=scopes, expires_at_ms=expires_at_ms)
        self._changed()

    async def touch_keys(self, last_used: dict[str, int]) -> None:
        await self._called("touch_keys")
        for key_id, at_ms in last_used.items():
            self._keys[key_id] = msgspec.structs.replace(self._keys[key_id], last_used_at_ms=at_ms)

    async def create_credential(self, credential: Credential) -> None:
        await self._called("create_credential")
        self._credentials[credential.credential_id] = credential
        self._changed()

    async def credential(self, credential_id: str) -> Credential | None:
        await self._called("credential")
        return self._credentials.get(credential_id)

    async def credentials(self, account_id: str | None = None) -> Sequence[Credential]:
        await self._called("credentials")
        return [
            credential
            for credential in self._credentials.values()
            if account_id in (None, credential.account_id) and credential.revoked_at_ms is None
        ]

    async def update_credential(self, credential: Credential, expected_version: int) -> bool:
        await self._called("update_credential")
        present = self._credentials.get(credential.credential_id)
        if present is None or present.row_version != expected_version:
            return False
        self._credentials[credential.credential_id] = credential
        self._changed()
        return True

    async def revoke_credential(self, credential_id: str, at_ms: int) -> bool:
        await self._called("revoke_credential")
        credential = self._credentials.get(credential_id)
        if credential is None or credential.revoked_at_ms is not None:
            return False
        self._credentials[credential_id] = msgspec.structs.replace(
            credential, revoked_at_ms=at_ms, wrapped_key=b"", sealed=b""
        )
        self._changed()
        return True

    async def secrets(self) -> Sequence[SealedSecret]:
        await self._called("secrets")
        return list(self._secrets.values())

    async def put_secrets(self, secrets: Sequence[SealedSecret], *, replace: bool = False) -> None:
        await self._called("put_secrets")
        for secret in secrets:
            if replace or (secret.name, secret.version) not in self._secrets:
                self._secrets[secret.name, secret.version] = secret


class MemoryUsage:
    """``UsageStore`` in memory."""

    def __init__(self) -> None:
        self.unavailable = False
        self.days: dict[str, dict[str, int]] = {}
        self.adds = 0
        self.reads = 0

    async def add(self, day: str, counts: dict[str, int]) -> None:
        await asyncio.sleep(0)
        self._check()
        self.adds += 1
        stored = self.days.setdefault(day, {})
        for account_id, count in counts.items():
            stored[account_id] = stored.get(account_id, 0) + count

    async def day(self, day: str) -> dict[str, int]:
        self.reads += 1
        await asyncio.sleep(0)
        self._check()
        return dict(self.days.get(day, {}))

    async def counts(self, day: str, account_ids: Collection[str]) -> dict[str, int]:
        return {account_id: count for account_id, count in (await self.day(day)).items() if account_id in account_ids}

    async def history(self, account_id: str, days: int) -> Sequence[tuple[str, int]]:
        await asyncio.sleep(0)
        self._check()
        used = [(day, counts[account_id]) for day, counts in sorted(self.days.items()) if account_id in counts]
        return used[-days:][::-1]

    def _check(self) -> None:
        if self.unavailable:
            raise StorageUnavailable("The database is gone", "Bring it back")
