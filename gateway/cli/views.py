"""What is shown of a record: as JSON to programs, as table rows to people. Never a digest, never a secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from gateway.accounts import is_live
from gateway.limits import LIMITS
from normalization.decimals import plain
from storage.ports import Account, ApiKey, Credential, JournalEvent, JournalRow, KeyEnvironment, Tier


class AccountView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``live_keys`` of at most ``most_keys``; ``credentials`` is how many there are."""

    account_id: str
    name: str
    tier: Tier
    requests_per_minute: int
    requests_per_day: int
    live_keys: int
    most_keys: int
    credentials: int
    created_at_ms: int

    @classmethod
    def of(
        cls, account: Account, keys: Sequence[ApiKey], credentials: Sequence[Credential], now_ms: int
    ) -> AccountView:
        limits = LIMITS[account.tier]
        return cls(
            account_id=account.account_id,
            name=account.name,
            tier=account.tier,
            requests_per_minute=limits.per_minute,
            requests_per_day=limits.per_day,
            live_keys=sum(is_live(key, now_ms) for key in keys),
            most_keys=limits.keys,
            credentials=len(credentials),
            created_at_ms=account.created_at_ms,
        )


class KeyView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``key`` is there only in the one answer that hands out a new key. A scope that is None allows everything.

    ``confirm_above`` is a decimal string.
    """

    key_id: str
    account_id: str
    account: str
    environment: KeyEnvironment
    label: str
    prefix: str
    state: str
    allowed_operations: list[str] | None
    allowed_credentials: list[str] | None
    allowed_exchanges: list[str] | None
    confirm_above: str | None
    created_at_ms: int
    expires_at_ms: int | None
    revoked_at_ms: int | None
    last_used_at_ms: int | None
    key: str | msgspec.UnsetType = msgspec.UNSET

    @classmethod
    def of(cls, key: ApiKey, accounts: Mapping[str, Account], now_ms: int) -> KeyView:
        account = accounts.get(key.account_id)
        return cls(
            key_id=key.key_id,
            account_id=key.account_id,
            account=account.name if account else "",
            environment=key.environment,
            label=key.label,
            prefix=key.prefix,
            state=_key_state(key, now_ms),
            allowed_operations=_listed(key.scopes.operations),
            allowed_credentials=_listed(key.scopes.credentials),
            allowed_exchanges=_listed(key.scopes.exchanges),
            confirm_above=None if key.scopes.confirm_above is None else plain(key.scopes.confirm_above),
            created_at_ms=key.created_at_ms,
            expires_at_ms=key.expires_at_ms,
            revoked_at_ms=key.revoked_at_ms,
            last_used_at_ms=key.last_used_at_ms,
        )


class CredentialView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    credential_id: str
    account_id: str
    account: str
    exchange: str
    network: str
    label: str
    address: str
    fingerprint: str
    version: int
    created_at_ms: int

    @classmethod
    def of(cls, credential: Credential, accounts: Mapping[str, Account]) -> CredentialView:
        account = accounts.get(credential.account_id)
        return cls(
            credential_id=credential.credential_id,
            account_id=credential.account_id,
            account=account.name if account else "",
            exchange=credential.exchange,
            network=credential.network,
            label=credential.label,
            address=credential.address,
            fingerprint=credential.fingerprint,
            version=credential.row_version,
            created_at_ms=credential.created_at_ms,
        )


class EventView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    number: int
    at_ms: int
    state: str
    note: str

    @classmethod
    def of(cls, event: JournalEvent) -> EventView:
        return cls(number=event.number, at_ms=event.at_ms, state=event.state, note=event.note)


class OrderView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One row of the order journal. ``request`` is the canonical request, ``venue_order`` the venue's last report."""

    order_key: str
    client_order_id: str
    state: str
    account_id: str
    credential_id: str
    exchange: str
    network: str
    market: str
    operation: str
    order_id: str | None
    venue_client_id: str
    reason: str | None
    evidence: str | None
    attempt: int
    created_at_ms: int
    updated_at_ms: int
    next_check_ms: int | None
    request: msgspec.Raw | None
    venue_order: msgspec.Raw | None

    @classmethod
    def of(cls, row: JournalRow) -> OrderView:
        return cls(
            order_key=row.order_key,
            client_order_id=row.client_order_id,
            state=row.state,
            account_id=row.account_id,
            credential_id=row.credential_id,
            exchange=row.exchange,
            network=row.network,
            market=row.symbol,
            operation=row.operation,
            order_id=row.venue_order_id,
            venue_client_id=row.venue_client_id,
            reason=row.reason,
            evidence=row.evidence,
            attempt=row.attempt,
            created_at_ms=row.created_at_ms,
            updated_at_ms=row.updated_at_ms,
            next_check_ms=row.next_check_ms,
            request=None if row.is_tombstone else msgspec.Raw(row.request),
            venue_order=None if row.venue_order is None else msgspec.Raw(row.venue_order),
        )


def moment(at_ms: int | None) -> str:
    """UTC, to the second; a dash for never."""
    if at_ms is None:
        return "-"
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def scope_text(names: list[str] | None) -> str:
    return "all" if names is None else ", ".join(names) or "none"


def _listed(names: frozenset[str] | None) -> list[str] | None:
    return None if names is None else sorted(names)


def _key_state(key: ApiKey, now_ms: int) -> str:
    if key.revoked_at_ms is not None:
        return "revoked"
    return "live" if is_live(key, now_ms) else "expired"
