"""From an API key to a ``Principal``, and what a principal may do."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable
from typing import Final

import msgspec

from adapters.base import Network
from gateway.clock import Clock
from gateway.directory_cache import DirectoryCache, RevisionWatch
from gateway.failed_attempts import FailedAttempts
from gateway.keyring import Keyring
from gateway.keys import KEY_LENGTH, KeyDigest, parse
from gateway.single_flight import SingleFlight
from normalization.errors import (
    AuthenticationError,
    CredentialNotAllowed,
    CredentialNotFound,
    ExchangeNotAllowed,
    GatewayError,
    InvalidApiKey,
    KeyExpired,
    KeyRevoked,
    MissingApiKey,
    OperationNotAllowed,
    TierInsufficient,
)
from storage.ports import Credential, Directory, KeyEnvironment, KeyWithAccount, Scopes, StorageUnavailable, Tier

FLUSH_EVERY_S: Final = 60.0

NETWORKS: Final = {
    KeyEnvironment.LIVE: frozenset({Network.MAINNET.value}),
    KeyEnvironment.TEST: frozenset({Network.TESTNET.value, Network.PAPER.value}),
}
_TIERS_FROM: Final = {Tier.FREE: "any", Tier.BUILDER: "the Builder or Pro", Tier.PRO: "the Pro"}
_RANKS: Final = {tier: tier.rank for tier in Tier}
_NEVER_MS: Final = 2**63


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls: one key of one account, as the directory had it seconds ago.

    The ``require_…`` methods return when the key may, and raise otherwise.
    """

    key_id: str
    account_id: str
    account_name: str
    tier: Tier
    environment: KeyEnvironment
    scopes: Scopes
    expires_at_ms: int | None = None

    def require_operation(self, name: str, minimum_tier: Tier, *, explicit_only: bool = False) -> None:
        """``explicit_only`` is for what no key may do unless its scope names it.

        :raises TierInsufficient: the account's tier is too low.
        :raises OperationNotAllowed: the key's scope leaves it out.
        """
        if _RANKS[self.tier] < _RANKS[minimum_tier]:
            raise TierInsufficient(
                f"{name} needs {_TIERS_FROM[minimum_tier]} tier; this account has the {self.tier.capitalize()} tier."
            )
        allowed = self.scopes.operations
        if allowed is None:
            if explicit_only:
                raise OperationNotAllowed(f"{name} is open only to a key whose allowedOperations name it.")
        elif name not in allowed:
            raise OperationNotAllowed(f"This key's allowedOperations do not include {name}.")

    def require_credential(self, credential_id: str) -> None:
        """:raises CredentialNotAllowed: the key's scope leaves it out."""
        allowed = self.scopes.credentials
        if allowed is not None and credential_id not in allowed:
            raise CredentialNotAllowed("This key's allowedCredentials do not include this credential.")

    def require_network(self, network: str) -> None:
        """:raises CredentialNotAllowed: a live key reaches mainnet only, a test key testnet and paper only."""
        if network not in NETWORKS[self.environment]:
            needed = "mt_live_" if network == Network.MAINNET else "mt_test_"
            raise CredentialNotAllowed(
                f"This credential is for {network}: it needs an {needed} key; this is an mt_{self.environment}_ key."
            )

    def require_exchange(self, exchange: str) -> None:
        """:raises ExchangeNotAllowed: the key's scope leaves it out."""
        allowed = self.scopes.exchanges
        if allowed is not None and exchange not in allowed:
            raise ExchangeNotAllowed(f"This key's allowedExchanges do not include {exchange}.")

    def require_access(self, credential: Credential) -> None:
        """Everything that a request through this credential needs, in the order in which errors win."""
        scopes = self.scopes
        if (
            credential.account_id == self.account_id
            and (scopes.credentials is None or credential.credential_id in scopes.credentials)
            and credential.network in NETWORKS[self.environment]
            and (scopes.exchanges is None or credential.exchange in scopes.exchanges)
        ):
            return
        if credential.account_id != self.account_id:
            raise _no_such_credential()
        self.require_credential(credential.credential_id)
        self.require_network(credential.network)
        self.require_exchange(credential.exchange)


class _KnownKey:
    __slots__ = ("ends_at_ms", "key_id", "principal", "revoked")

    def __init__(self, row: KeyWithAccount) -> None:
        key, account = row.key, row.account
        self.key_id = key.key_id
        self.revoked = key.revoked_at_ms is not None
        # One comparison on the path of every request tells "good" from "revoked or expired".
        self.ends_at_ms = 0 if self.revoked else _NEVER_MS if key.expires_at_ms is None else key.expires_at_ms
        self.principal = Principal(
            key_id=key.key_id,
            account_id=account.account_id,
            account_name=account.name,
            tier=account.tier,
            environment=key.environment,
            scopes=key.scopes,
            expires_at_ms=key.expires_at_ms,
        )


class Authenticator:
    """API key → ``Principal``. What was found serves from memory for seconds (``directory_cache`` has the bounds).

    The store knows keys by their peppered digests only, this process's memory by a keyed hash of its own. ``watch`` is
    shared with whatever else caches rows of the same directory.
    """

    def __init__(
        self,
        directory: Directory,
        keyring: Keyring,
        clock: Clock,
        watch: RevisionWatch,
        *,
        capacity: int = 10_000,
        unknown_capacity: int = 4_096,
        addresses: int = 10_000,
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._now_ms = clock.now_ms
        digests = {version: KeyDigest(keyring.pepper(version)) for version in keyring.pepper_versions}
        self._digests = tuple(digests.items())
        self._hash = hashlib.blake2b(key=os.urandom(32), digest_size=32)
        self._cache: DirectoryCache[bytes, _KnownKey] = DirectoryCache(
            watch, clock, capacity=capacity, absent_capacity=unknown_capacity
        )
        self._failures = FailedAttempts(clock, addresses=addresses)
        self._used_capacity = 2 * capacity
        self._used: dict[str, int] = {}
        self._flushed_at = clock.monotonic()
        self._flushing: SingleFlight[None, None] = SingleFlight()

    async def authenticate(self, api_key: str | None, authorization: str | None, peer: str) -> Principal:
        """The principal of the key in ``X-API-Key`` or else in ``Authorization: Bearer``; ``peer`` is its address.

        An address that fails too often is told so instead, but keys that were good before keep serving it.

        :raises MissingApiKey: neither header has a key.
        :raises InvalidKeyFormat: it does not look like a key of this gateway.
        :raises InvalidApiKey: it is mistyped, or nobody has it.
        :raises KeyRevoked, KeyExpired: it was good once.
        :raises RateLimited: too many failures from ``peer``.
        :raises ServiceUnavailable: the directory does not answer, and the key is not known from before.
        """
        text = api_key or _bearer(authorization)
        if not text:
            raise MissingApiKey("Send your API key in the X-API-Key header, or as Authorization: Bearer.")
        known = None
        name = b""
        if len(text) == KEY_LENGTH and text.isascii():
            hashed = self._hash.copy()
            hashed.update(text.encode())
            name = hashed.digest()
            known = self._cache.fresh(name)
        if known is None:
            known = await self._look_up(text, name, peer)
        now_ms = self._now_ms()
        if now_ms >= known.ends_at_ms:
            if known.revoked:
                raise self._failure(peer, KeyRevoked("This API key was revoked."))
            raise self._failure(peer, KeyExpired("This API key has passed its expiry date."))
        self._used[known.key_id] = now_ms
        return known.principal

    async def flush(self) -> None:
        """Store when keys were last used. What could not be stored is kept for the next time."""
        used, self._used = self._used, {}
        self._flushed_at = self._clock.monotonic()
        if not used:
            return
        try:
            await self._directory.touch_keys(used)
        except StorageUnavailable:
            if len(self._used) + len(used) <= self._used_capacity:
                self._used = used | self._used

    async def _look_up(self, text: str, digest: bytes, peer: str) -> _KnownKey:
        try:
            parse(text)
        except AuthenticationError as error:
            raise self._failure(peer, error) from None
        if not self._cache.knows(digest) and (refusal := self._failures.refusal(peer)):
            raise refusal
        known = await self._cache.get(digest, lambda: self._load(text))
        if known is None:
            raise self._failure(peer, InvalidApiKey("There is no such API key."))
        if self._clock.monotonic() >= self._flushed_at + FLUSH_EVERY_S or len(self._used) >= self._used_capacity:
            self._flushing.start(None, self.flush)
        return known

    async def _load(self, text: str) -> _KnownKey | None:
        for version, digest_of in self._digests:
            digest = digest_of(text)
            row = await self._directory.key_by_digest(digest)
            if row is not None and row.key.pepper_version == version and hmac.compare_digest(row.key.digest, digest):
                return _KnownKey(row)
        return None

    def _failure(self, peer: str, error: GatewayError) -> GatewayError:
        """What to raise: ``error``, or that there were too many of them."""
        refusal = self._failures.refusal(peer)
        if refusal is None:
            self._failures.count(peer)
        return refusal or error


class CredentialDirectory:
    """Credentials by id, cached under the same rules as keys. ``on_revoked`` hears the id of one found revoked."""

    def __init__(
        self,
        directory: Directory,
        clock: Clock,
        watch: RevisionWatch,
        *,
        capacity: int = 10_000,
        on_revoked: Callable[[str], None] = lambda credential_id: None,
    ) -> None:
        self._directory = directory
        self._on_revoked = on_revoked
        self._cache: DirectoryCache[str, Credential] = DirectoryCache(
            watch, clock, capacity=capacity, absent_capacity=capacity
        )

    async def find(self, account_id: str, credential_id: str) -> Credential:
        """:raises CredentialNotFound: there is none, it was revoked, or it is another account's: nobody can tell which.
        :raises ServiceUnavailable: the directory does not answer, and it is not known from before.
        """
        credential = self._cache.fresh(credential_id)
        if credential is None:
            credential = await self._cache.get(credential_id, lambda: self._load(credential_id))
        if credential is None or credential.account_id != account_id:
            raise _no_such_credential()
        return credential

    async def _load(self, credential_id: str) -> Credential | None:
        credential = await self._directory.credential(credential_id)
        if credential is None or credential.revoked_at_ms is None:
            return credential
        self._on_revoked(credential_id)
        return None


def _no_such_credential() -> CredentialNotFound:
    return CredentialNotFound("You have no credential with this id. listCredentials lists those you have.")


def _bearer(authorization: str | None) -> str | None:
    if authorization is None:
        return None
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
