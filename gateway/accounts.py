"""Managing accounts, keys and credentials: what the command line and the dashboard both do. Nothing here prints.

Every refusal is a ``Refused``; every method also raises ``StorageUnavailable`` when the store does not take it. A
gateway that runs on the same store follows within two seconds.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import msgspec

from adapters.base import Adapter, CredentialField, Network
from gateway import keys
from gateway.auth import NETWORKS
from gateway.clock import Clock
from gateway.keyring import Keyring
from gateway.limits import LIMITS
from gateway.operations.table import OPERATIONS
from gateway.vault import Vault
from normalization.decimals import is_sane, plain
from storage.ports import Account, ApiKey, Credential, Directory, KeyEnvironment, Scopes, Tier

if TYPE_CHECKING:
    from adapters.registry import Venue

MAX_LABEL: Final = 64

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SETS: Final = ("operations", "credentials", "exchanges")


class Refused(Exception):
    """Nothing was done. ``problem`` says why, ``advice`` what to do instead; neither repeats a secret."""

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(f"{problem}. {advice}.")
        self.problem = problem
        self.advice = advice


class MintedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A new key: ``text`` is the key itself, which is nowhere else."""

    text: str
    key: ApiKey

    def __repr__(self) -> str:
        return f"MintedKey({self.key.prefix}…)"


class Accounts:
    def __init__(self, directory: Directory, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock

    async def create(self, name: str, tier: Tier) -> Account:
        """:raises Refused: the name is malformed or taken."""
        if not _NAME.fullmatch(name) or _UUID.fullmatch(name):
            raise Refused(
                f"An account cannot be called {name[:80]!a}",
                "Take 1 to 64 letters, digits and . _ @ -, beginning with a letter or digit",
            )
        account = Account(account_id=str(uuid4()), name=name, tier=tier, created_at_ms=self._clock.now_ms())
        try:
            await self._directory.create_account(account)
        except ValueError:
            raise Refused(
                f"There is an account {name} already",
                f"Take another name, or use that one: venuegate accounts show {name}",
            ) from None
        return account

    async def find(self, reference: str) -> Account:
        """By name or id.

        :raises Refused: there is none; the nearest names are suggested.
        """
        account = await self._directory.account_named(reference) or await self._directory.account(reference)
        if account is None:
            names = [account.name for account in await self._directory.accounts()]
            raise Refused(
                f"There is no account {reference!a}", _nearest(reference, names, "venuegate accounts list shows them")
            )
        return account

    async def set_tier(self, account: Account, tier: Tier) -> Account:
        """Keys beyond the new tier's number go on working; none can be added."""
        await self._directory.set_tier(account.account_id, tier)
        return msgspec.structs.replace(account, tier=tier)


class Keys:
    """Keys that are there already: to find, narrow and revoke them takes no master key."""

    def __init__(self, directory: Directory, venues: Mapping[str, Venue], clock: Clock) -> None:
        self._directory = directory
        self._venues = venues
        self._clock = clock

    async def find(self, reference: str) -> ApiKey:
        """By key id, or by the 12 characters that are shown of it.

        :raises Refused: there is none, or several begin so.
        """
        if len(reference) > keys.DISPLAY_LENGTH and reference.startswith(("mt_live_", "mt_test_")):
            raise Refused(
                "That is more of a key than anybody should see, and now it may be in your shell's history",
                f"Give its first {keys.DISPLAY_LENGTH} characters or its id; if it was a whole key, rotate it",
            )
        if key := await self._directory.key(reference):
            return key
        alike = [key for key in await self._directory.keys() if key.prefix == reference]
        if not alike:
            raise Refused(f"There is no key {reference!a}", "venuegate keys list shows them")
        if len(alike) > 1:
            raise Refused(
                f"{len(alike)} keys begin with {reference}", f"Give an id: {', '.join(key.key_id for key in alike)}"
            )
        return alike[0]

    async def narrow(self, key: ApiKey, wanted: Scopes, expires_at_ms: int | None) -> ApiKey:
        """Take away from what ``key`` may do. What is None stays as it is.

        :raises Refused: it would widen the key, names something that is not there, or the key is revoked.
        """
        require_live(key, self._clock.now_ms())
        # What is within a scope that the key has was checked when it was made, and may be gone since.
        first_scoped = {name: getattr(wanted, name) for name in _SETS if getattr(key.scopes, name) is None}
        await self.check(key.account_id, key.environment, Scopes(**first_scoped, confirm_above=wanted.confirm_above))
        scopes = narrowed(key.scopes, wanted)
        expires_at_ms = earlier(key.expires_at_ms, expires_at_ms)
        await self._directory.narrow_key(key.key_id, scopes, expires_at_ms)
        # Somebody else may have narrowed it meanwhile: what counts is what is stored.
        return await self.find(key.key_id)

    async def revoke(self, key: ApiKey) -> None:
        """:raises Refused: it was revoked before."""
        if not await self._directory.revoke_key(key.key_id, self._clock.now_ms()):
            raise Refused(f"Key {key.prefix} was revoked before", "There is nothing left to do")

    async def check(self, account_id: str, environment: KeyEnvironment, scopes: Scopes) -> None:
        """:raises Refused: a scope names an operation, exchange or credential that such a key could never use."""
        _require_known(scopes.operations, OPERATIONS, "operation")
        _require_known(scopes.exchanges, self._venues, "exchange")
        above = scopes.confirm_above
        if above is not None and not (is_sane(above) and above >= 0):
            raise Refused("Orders cannot be confirmed above that", "Give an amount, such as 1000; 0 is for every order")
        if not scopes.credentials:
            return
        own = {one.credential_id: one for one in await self._directory.credentials(account_id)}
        _require_known(scopes.credentials, own, "credential of this account")
        for credential_id in sorted(scopes.credentials):
            network = own[credential_id].network
            if network not in NETWORKS[environment]:
                raise Refused(
                    f"A {environment} key never reaches credential {credential_id}, which is for {network}",
                    "Live keys reach mainnet, test keys testnet and paper: make a key of the other kind",
                )


class KeyMint:
    """New keys: made under the gateway's pepper, so it takes the master key."""

    def __init__(self, directory: Directory, keyring: Keyring, existing: Keys, clock: Clock) -> None:
        self._directory = directory
        self._keyring = keyring
        self._existing = existing
        self._clock = clock

    async def mint(
        self,
        account: Account,
        environment: KeyEnvironment,
        *,
        label: str = "",
        scopes: Scopes | None = None,
        expires_at_ms: int | None = None,
    ) -> MintedKey:
        """:raises Refused: a scope, the label or the expiry is wrong, or the account has all its tier's keys."""
        scopes = scopes or Scopes()
        _require_label(label)
        _require_ahead(expires_at_ms, self._clock.now_ms())
        await self._existing.check(account.account_id, environment, scopes)
        minted = self._minted(account.account_id, environment, label, scopes, expires_at_ms)
        most = LIMITS[account.tier].keys
        if not await self._directory.create_key(minted.key, at_most=most):
            raise Refused(
                f"{account.name} has {most} keys, as many as the {account.tier} tier allows",
                f"Revoke one (venuegate keys list {account.name}) or raise the tier (venuegate accounts set-tier)",
            )
        return minted

    def drafted(self, account_id: str, environment: KeyEnvironment, *, label: str) -> MintedKey:
        """A first key, without scopes, that is not stored yet."""
        return self._minted(account_id, environment, label, Scopes(), None)

    async def rotate(self, old: ApiKey) -> MintedKey:
        """A new key in the place of ``old``, which is revoked in the same transaction; all else stays the same.

        :raises Refused: the old one is revoked or expired.
        """
        now_ms = self._clock.now_ms()
        require_live(old, now_ms)
        minted = self._minted(old.account_id, old.environment, old.label, old.scopes, old.expires_at_ms)
        if not await self._directory.replace_key(old.key_id, minted.key, now_ms):
            raise Refused(f"Key {old.prefix} was revoked meanwhile", "Create a new one: venuegate keys create")
        return minted

    def _minted(
        self, account_id: str, environment: KeyEnvironment, label: str, scopes: Scopes, expires_at_ms: int | None
    ) -> MintedKey:
        text = keys.mint(environment)
        version = self._keyring.current_pepper_version
        key = ApiKey(
            key_id=str(uuid4()),
            account_id=account_id,
            environment=environment,
            label=label,
            prefix=keys.display_prefix(text),
            digest=keys.digest(self._keyring.pepper(version), text),
            pepper_version=version,
            scopes=scopes,
            created_at_ms=self._clock.now_ms(),
            expires_at_ms=expires_at_ms,
        )
        return MintedKey(text=text, key=key)


class Credentials:
    """Credentials that are there already: to find and revoke them takes no master key."""

    def __init__(self, directory: Directory, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock

    async def find(self, credential_id: str) -> Credential:
        """:raises Refused: there is none, or it was revoked."""
        credential = await self._directory.credential(credential_id)
        if credential is None:
            raise Refused(f"There is no credential {credential_id!a}", "venuegate credentials list shows them")
        if credential.revoked_at_ms is not None:
            raise Refused(f"Credential {credential_id} was revoked and its secrets are gone", "Add it anew")
        return credential

    async def revoke(self, credential: Credential) -> None:
        """Its secrets are wiped. :raises Refused: it was revoked before."""
        if not await self._directory.revoke_credential(credential.credential_id, self._clock.now_ms()):
            raise Refused(f"Credential {credential.credential_id} was revoked before", "There is nothing left to do")


class CredentialSafe:
    """Puts secrets into the vault, and never takes them out."""

    def __init__(self, directory: Directory, vault: Vault, clock: Clock) -> None:
        self._directory = directory
        self._vault = vault
        self._clock = clock

    async def add(
        self, account: Account, adapter: Adapter, network: Network, *, label: str, secrets: Mapping[str, str]
    ) -> Credential:
        """:raises Refused: a field is wrong, or the account has these very secrets already."""
        _require_label(label)
        checked = checked_secrets(adapter.credential_fields, secrets)
        credential = self._vault.seal(
            credential_id=str(uuid4()),
            account_id=account.account_id,
            exchange=adapter.exchange,
            network=network,
            label=label,
            address=adapter.describe(checked),
            secrets=checked,
            created_at_ms=self._clock.now_ms(),
        )
        if any(field.secret and field.name in checked for field in adapter.credential_fields):
            await self._require_new(credential)
        await self._directory.create_credential(credential)
        return credential

    async def rotate(self, credential: Credential, adapter: Adapter, secrets: Mapping[str, str]) -> Credential:
        """Other secrets under the same id. :raises Refused: a field is wrong, or somebody changed it meanwhile."""
        checked = checked_secrets(adapter.credential_fields, secrets)
        fresh = self._vault.reseal(credential, address=adapter.describe(checked), secrets=checked)
        if not await self._directory.update_credential(fresh, credential.row_version):
            raise Refused(
                f"Credential {credential.credential_id} was changed meanwhile", "Look at it, then do this again"
            )
        return fresh

    async def _require_new(self, fresh: Credential) -> None:
        # Two sessions that sign for one venue account would use up each other's nonces.
        for known in await self._directory.credentials(fresh.account_id):
            if (known.exchange, known.network, known.fingerprint) == (fresh.exchange, fresh.network, fresh.fingerprint):
                raise Refused(
                    f"This account has these secrets already, as credential {known.credential_id}",
                    "Use that one, or revoke it first",
                )


def require_venue(venues: Mapping[str, Venue], exchange: str, network: str | None) -> tuple[Venue, Network]:
    """The venue, and the network, which may be left out where there is only one.

    :raises Refused: there is no such venue, or it has no such network.
    """
    _require_known([exchange], venues, "exchange")
    venue = venues[exchange]
    offered = sorted(venue.networks)
    if network is None and len(offered) == 1:
        return venue, offered[0]
    if network not in offered:
        problem = "Which network it is for was not said" if network is None else f"{exchange} has no {network!a}"
        raise Refused(problem, f"{exchange} has {', '.join(offered)}")
    return venue, Network(network)


def checked_secrets(fields: Sequence[CredentialField], secrets: Mapping[str, str]) -> dict[str, str]:
    """What a venue's credential holds, without surrounding spaces and without what was left empty.

    :raises Refused: a field is unknown, missing or malformed.
    """
    names = [field.name for field in fields]
    for unknown in sorted(set(secrets).difference(names)):
        # Not repeated: who gets the form wrong may have put a secret where its name belongs.
        everything = f"Its fields are: {', '.join(names)}" if names else "It has no fields: give {}"
        raise Refused("The credential has a field that it cannot have", _nearest(unknown, names, everything))
    checked = {name: text for name, value in secrets.items() if (text := value.strip())}
    if missing := [field for field in fields if field.required and field.name not in checked]:
        raise Refused(
            f"The credential lacks {', '.join(field.name for field in missing)}",
            "; ".join(map(_described, missing)),
        )
    for field in fields:
        if field.name in checked and (complaint := field.check(checked[field.name])):
            raise Refused(f"{field.name}: {complaint}", _described(field))
    return checked


def _described(field: CredentialField) -> str:
    return f"{field.name} is: {field.description.rstrip('.')}"


def narrowed(present: Scopes, wanted: Scopes) -> Scopes:
    """``wanted`` where it says something, else ``present``. :raises Refused: that would widen it."""
    result: dict[str, frozenset[str] | None] = {}
    for name in _SETS:
        have: frozenset[str] | None = getattr(present, name)
        want: frozenset[str] | None = getattr(wanted, name)
        if have is not None and want is not None and (more := want - have):
            raise Refused(
                f"This would widen the key: it may not use {', '.join(sorted(more))} now",
                f"A key is only ever narrowed; its {name} are {', '.join(sorted(have)) or 'none'}."
                " For more, create another key",
            )
        result[name] = have if want is None else want
    above, wanted_above = present.confirm_above, wanted.confirm_above
    if above is not None and wanted_above is not None and wanted_above > above:
        raise Refused(
            f"This would widen the key: its orders are confirmed above {plain(above)} now",
            "A key is only ever narrowed: give a lower amount",
        )
    return Scopes(**result, confirm_above=above if wanted_above is None else wanted_above)


def earlier(present_ms: int | None, wanted_ms: int | None) -> int | None:
    """``wanted_ms`` if it was given, else ``present_ms``. :raises Refused: that would be later."""
    if present_ms is not None and wanted_ms is not None and wanted_ms > present_ms:
        raise Refused(
            "This would widen the key: it expires before that", "A key is only ever narrowed: give an earlier time"
        )
    return present_ms if wanted_ms is None else wanted_ms


def is_live(key: ApiKey, now_ms: int) -> bool:
    """Neither revoked nor expired: it counts against the tier's number of keys."""
    return key.revoked_at_ms is None and (key.expires_at_ms is None or key.expires_at_ms > now_ms)


def require_live(key: ApiKey, now_ms: int) -> None:
    """:raises Refused: the key is revoked or expired."""
    if key.revoked_at_ms is not None:
        raise Refused(f"Key {key.prefix} is revoked", "Create a new one: venuegate keys create")
    if key.expires_at_ms is not None and key.expires_at_ms <= now_ms:
        raise Refused(f"Key {key.prefix} has expired", "Create a new one: venuegate keys create")


def _require_ahead(expires_at_ms: int | None, now_ms: int) -> None:
    if expires_at_ms is not None and expires_at_ms <= now_ms:
        raise Refused("The key would have expired already", "Give a time to come, such as 90d")


def _require_label(label: str) -> None:
    if len(label) > MAX_LABEL or not label.isprintable():
        raise Refused("The label cannot be kept", f"Take at most {MAX_LABEL} printable characters")


def _require_known(names: Iterable[str] | None, known: Collection[str], what: str) -> None:
    for name in sorted(names or ()):
        if name not in known:
            everything = f"There are: {', '.join(sorted(known))}" if known else f"There is no {what} yet"
            raise Refused(f"There is no {what} {name[:80]!a}", _nearest(name, known, everything))


def _nearest(name: str, known: Iterable[str], otherwise: str) -> str:
    by_folded = {one.casefold(): one for one in known}
    nearest = difflib.get_close_matches(name[:80].casefold(), by_folded, n=1, cutoff=0.6)
    return f"Did you mean {by_folded[nearest[0]]}? {otherwise}" if nearest else otherwise
