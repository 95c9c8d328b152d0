from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.base import CredentialField, Network
from adapters.registry import VENUES
from gateway import keys as key_texts
from gateway.accounts import (
    Accounts,
    Credentials,
    CredentialSafe,
    KeyMint,
    Keys,
    Refused,
    checked_secrets,
    earlier,
    narrowed,
    require_venue,
)
from gateway.keyring import Keyring, MasterKeyRing
from gateway.limits import LIMITS
from gateway.vault import Vault
from storage.ports import Account, Credential, Directory, KeyEnvironment, Scopes, Tier
from storage.sql import open_sqlite
from tests.support.empty_database import put_empty_database
from tests.support.manual_clock import ManualClock
from tests.support.scripted_venue import ScriptedVenue

DAY_MS = 86_400_000
SECRET = "0xCANARY-secret"
FIELDS = (
    CredentialField(
        name="privateKey",
        description="the signing key",
        check=lambda value: None if value.startswith("0x") else "it must start with 0x",
    ),
    CredentialField(name="address", description="the account's address", secret=False, required=False),
)


class Office:
    """Everything over one real database, with a clock of its own."""

    def __init__(self, directory: Directory, keyring: Keyring) -> None:
        self.clock = ManualClock()
        self.directory = directory
        self.accounts = Accounts(directory, self.clock)
        self.keys = Keys(directory, VENUES, self.clock)
        self.mint = KeyMint(directory, keyring, self.keys, self.clock)
        self.credentials = Credentials(directory, self.clock)
        self.vault = Vault(MasterKeyRing([b"k" * 32]), keyring.fingerprint_key)
        self.safe = CredentialSafe(directory, self.vault, self.clock)
        self.keyring = keyring
        self.venue = ScriptedVenue()
        self.venue.credential_fields = FIELDS

    async def account(self, name: str = "desk", tier: Tier = Tier.BUILDER) -> Account:
        return await self.accounts.create(name, tier)

    async def credential(self, account: Account, secret: str = SECRET) -> Credential:
        secrets = {"privateKey": secret}
        return await self.safe.add(account, self.venue, Network.PAPER, label="", secrets=secrets)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    put_empty_database(tmp_path / "venuegate.db")
    stores = await open_sqlite(tmp_path / "venuegate.db")
    try:
        yield Office(stores.directory, await Keyring.open(stores.directory, MasterKeyRing([b"k" * 32])))
    finally:
        await stores.close()


async def test_an_account_is_found_by_name_and_by_id(office: Office) -> None:
    account = await office.account()
    assert await office.accounts.find("desk") == account
    assert await office.accounts.find(account.account_id) == account


async def test_a_name_that_is_almost_right_is_answered_with_the_right_one(office: Office) -> None:
    await office.account("trading-desk")
    with pytest.raises(Refused, match=r"no account 'tradingdesk'.*Did you mean trading-desk\?"):
        await office.accounts.find("tradingdesk")


async def test_a_name_is_taken_once(office: Office) -> None:
    await office.account()
    with pytest.raises(Refused, match="an account desk already"):
        await office.account()


@pytest.mark.parametrize(
    "name", ["", " desk", "de sk", "-desk", "d" * 65, "dé", "a\nb", "3472fa9d-5ba0-46cc-aef4-fbcca40ed705"]
)
async def test_a_name_that_would_confuse_is_refused(office: Office, name: str) -> None:
    with pytest.raises(Refused, match="cannot be called"):
        await office.account(name)


async def test_a_minted_key_is_stored_as_a_digest_only(office: Office) -> None:
    account = await office.account()
    minted = await office.mint.mint(account, KeyEnvironment.TEST, label="bot")

    found = await office.directory.key_by_digest(key_texts.digest(office.keyring.pepper(1), minted.text))
    assert found is not None
    assert found.key == minted.key
    assert found.key.prefix == minted.text[:12]
    assert minted.text.encode() not in msgspec.msgpack.encode(found)
    assert minted.text not in repr(minted)


@pytest.mark.parametrize("tier", list(Tier))
async def test_a_tier_has_so_many_keys_and_a_revoked_or_expired_one_makes_room(office: Office, tier: Tier) -> None:
    account = await office.account(tier=tier)
    soon = office.clock.now_ms() + 1000
    first = await office.mint.mint(account, KeyEnvironment.TEST)
    await office.mint.mint(account, KeyEnvironment.TEST, expires_at_ms=soon)
    for _ in range(LIMITS[tier].keys - 2):
        await office.mint.mint(account, KeyEnvironment.LIVE)

    with pytest.raises(Refused, match=f"{LIMITS[tier].keys} keys, as many as the {tier} tier allows.*Revoke one"):
        await office.mint.mint(account, KeyEnvironment.TEST)

    await office.keys.revoke(first.key)
    await office.mint.mint(account, KeyEnvironment.TEST)
    office.clock.advance(2)
    await office.mint.mint(account, KeyEnvironment.TEST)


async def test_another_accounts_keys_do_not_count(office: Office) -> None:
    mine, other = await office.account("mine", Tier.FREE), await office.account("other", Tier.FREE)
    for _ in range(3):
        await office.mint.mint(other, KeyEnvironment.TEST)
    await office.mint.mint(mine, KeyEnvironment.TEST)


async def test_a_scope_that_names_nothing_is_refused_with_the_nearest_name(office: Office) -> None:
    account = await office.account()
    with pytest.raises(Refused, match=r"no operation 'getbalance'.*Did you mean getBalance\?"):
        await office.mint.mint(account, KeyEnvironment.TEST, scopes=Scopes(operations=frozenset({"getbalance"})))
    with pytest.raises(Refused, match=r"no exchange 'papr'.*Did you mean paper\?"):
        await office.mint.mint(account, KeyEnvironment.TEST, scopes=Scopes(exchanges=frozenset({"papr"})))


async def test_a_scope_holds_only_credentials_of_the_same_account(office: Office) -> None:
    mine, other = await office.account("mine"), await office.account("other")
    theirs = await office.credential(other)
    with pytest.raises(Refused, match="no credential of this account"):
        await office.mint.mint(mine, KeyEnvironment.TEST, scopes=Scopes(credentials=frozenset({theirs.credential_id})))


async def test_a_live_key_for_a_paper_credential_is_refused_because_it_could_never_be_used(office: Office) -> None:
    account = await office.account()
    credential = await office.credential(account)
    scopes = Scopes(credentials=frozenset({credential.credential_id}))

    await office.mint.mint(account, KeyEnvironment.TEST, scopes=scopes)
    with pytest.raises(Refused, match="live key never reaches"):
        await office.mint.mint(account, KeyEnvironment.LIVE, scopes=scopes)


async def test_a_key_that_would_have_expired_already_is_refused(office: Office) -> None:
    account = await office.account()
    with pytest.raises(Refused, match="expired already"):
        await office.mint.mint(account, KeyEnvironment.TEST, expires_at_ms=office.clock.now_ms())


@pytest.mark.parametrize("label", ["x" * 65, "a\nb", "a\x1b[31mb"])
async def test_a_label_that_a_terminal_would_stumble_over_is_refused(office: Office, label: str) -> None:
    account = await office.account()
    with pytest.raises(Refused, match="label"):
        await office.mint.mint(account, KeyEnvironment.TEST, label=label)


async def test_a_key_is_found_by_id_and_by_what_is_shown_of_it(office: Office) -> None:
    minted = await office.mint.mint(await office.account(), KeyEnvironment.TEST)
    assert await office.keys.find(minted.key.key_id) == minted.key
    assert await office.keys.find(minted.key.prefix) == minted.key


async def test_keys_that_are_shown_alike_have_to_be_told_apart_by_id(office: Office) -> None:
    account = await office.account()
    one = (await office.mint.mint(account, KeyEnvironment.TEST)).key
    twin = msgspec.structs.replace(one, key_id="twin", digest=b"another")
    await office.directory.create_key(twin, at_most=10)
    with pytest.raises(Refused, match=f"2 keys begin with {one.prefix}.*{one.key_id}"):
        await office.keys.find(one.prefix)


async def test_a_whole_key_on_the_command_line_is_refused_without_being_repeated(office: Office) -> None:
    minted = await office.mint.mint(await office.account(), KeyEnvironment.TEST)
    with pytest.raises(Refused, match="first 12 characters") as caught:
        await office.keys.find(minted.text)
    assert minted.text not in str(caught.value)


async def test_rotation_hands_over_everything_but_the_secret(office: Office) -> None:
    account = await office.account()
    old = await office.mint.mint(
        account,
        KeyEnvironment.LIVE,
        label="bot",
        scopes=Scopes(operations=frozenset({"getBalance"})),
        expires_at_ms=office.clock.now_ms() + DAY_MS,
    )
    office.clock.advance(60)

    new = await office.mint.rotate(old.key)

    assert new.text != old.text
    kept = ("account_id", "environment", "label", "scopes", "expires_at_ms")
    assert all(getattr(new.key, name) == getattr(old.key, name) for name in kept)
    assert (await office.keys.find(old.key.key_id)).revoked_at_ms == office.clock.now_ms()
    assert await office.keys.find(new.key.key_id) == new.key


async def test_a_full_account_can_still_rotate(office: Office) -> None:
    account = await office.account(tier=Tier.FREE)
    minted = [await office.mint.mint(account, KeyEnvironment.TEST) for _ in range(3)]
    await office.mint.rotate(minted[0].key)


async def test_what_is_revoked_or_expired_is_neither_rotated_nor_narrowed(office: Office) -> None:
    account = await office.account()
    revoked = (await office.mint.mint(account, KeyEnvironment.TEST)).key
    await office.keys.revoke(revoked)
    expired = (await office.mint.mint(account, KeyEnvironment.TEST, expires_at_ms=office.clock.now_ms() + 1000)).key
    office.clock.advance(1)
    for key_id, said in ((revoked.key_id, "is revoked"), (expired.key_id, "has expired")):
        key = await office.keys.find(key_id)
        with pytest.raises(Refused, match=said):
            await office.mint.rotate(key)
        with pytest.raises(Refused, match=said):
            await office.keys.narrow(key, Scopes(), None)


async def test_two_rotations_of_one_key_make_one_new_key(office: Office) -> None:
    old = (await office.mint.mint(await office.account(), KeyEnvironment.TEST)).key
    await office.mint.rotate(old)
    with pytest.raises(Refused, match="revoked meanwhile"):
        await office.mint.rotate(old)


async def test_a_key_is_revoked_once(office: Office) -> None:
    key = (await office.mint.mint(await office.account(), KeyEnvironment.TEST)).key
    await office.keys.revoke(key)
    with pytest.raises(Refused, match="revoked before"):
        await office.keys.revoke(key)


async def test_a_narrowed_key_keeps_what_was_not_named(office: Office) -> None:
    account = await office.account()
    exchanges = frozenset({"paper"})
    key = (await office.mint.mint(account, KeyEnvironment.TEST, scopes=Scopes(exchanges=exchanges))).key

    narrower = await office.keys.narrow(key, Scopes(operations=frozenset({"getBalance"})), None)

    assert narrower.scopes == Scopes(operations=frozenset({"getBalance"}), exchanges=exchanges)
    with pytest.raises(Refused, match=r"would widen the key.*getFills.*only ever narrowed"):
        await office.keys.narrow(narrower, Scopes(operations=frozenset({"getBalance", "getFills"})), None)


async def test_what_needs_no_confirmation_is_only_ever_lowered(office: Office) -> None:
    account = await office.account()
    key = (await office.mint.mint(account, KeyEnvironment.TEST)).key

    asking = await office.keys.narrow(key, Scopes(confirm_above=Decimal(1000)), None)
    assert asking.scopes == Scopes(confirm_above=Decimal(1000))
    with pytest.raises(Refused, match=r"would widen the key.*confirmed above 1000 now.*a lower amount"):
        await office.keys.narrow(asking, Scopes(confirm_above=Decimal("1000.01")), None)
    lower = await office.keys.narrow(asking, Scopes(operations=frozenset({"getBalance"})), None)
    assert lower.scopes.confirm_above == 1000
    assert (await office.keys.narrow(lower, Scopes(confirm_above=Decimal(0)), None)).scopes.confirm_above == 0
    for nonsense in ("-1", "NaN", "Infinity", "1e400"):
        scopes = Scopes(confirm_above=Decimal(nonsense))
        with pytest.raises(Refused, match="confirmed above that"):
            await office.keys.narrow(lower, scopes, None)
        with pytest.raises(Refused, match="confirmed above that"):
            await office.mint.mint(account, KeyEnvironment.TEST, scopes=scopes)


async def test_an_expiry_is_only_ever_brought_forward(office: Office) -> None:
    key = (await office.mint.mint(await office.account(), KeyEnvironment.TEST)).key
    at = office.clock.now_ms() + DAY_MS

    sooner = await office.keys.narrow(key, Scopes(), at)
    assert sooner.expires_at_ms == at
    with pytest.raises(Refused, match="would widen"):
        await office.keys.narrow(sooner, Scopes(), at + 1)
    assert (await office.keys.narrow(sooner, Scopes(), None)).expires_at_ms == at


async def test_a_scope_keeps_to_names_that_are_gone_by_now(office: Office) -> None:
    account = await office.account()
    gone, there = await office.credential(account), await office.credential(account, "0xother")
    both = Scopes(credentials=frozenset({gone.credential_id, there.credential_id}))
    key = (await office.mint.mint(account, KeyEnvironment.TEST, scopes=both)).key
    await office.credentials.revoke(gone)

    narrower = await office.keys.narrow(key, Scopes(credentials=frozenset({gone.credential_id})), None)
    assert narrower.scopes.credentials == frozenset({gone.credential_id})


scope = st.none() | st.frozensets(st.sampled_from(["a", "b", "c"]))
scopes = st.builds(Scopes, operations=scope, credentials=scope, exchanges=scope)


@given(present=scopes, steps=st.lists(scopes, max_size=4))
@settings(max_examples=150, deadline=None)
def test_no_sequence_of_narrowings_lets_a_key_do_more(present: Scopes, steps: list[Scopes]) -> None:
    now = present
    for wanted in steps:
        try:
            after = narrowed(now, wanted)
        except Refused:
            continue
        for name in ("operations", "credentials", "exchanges"):
            had, has = getattr(now, name), getattr(after, name)
            assert had is None or (has is not None and has <= had)
        now = after


@given(present=st.none() | st.integers(0, 9), steps=st.lists(st.none() | st.integers(0, 9), max_size=4))
@settings(max_examples=100, deadline=None)
def test_no_sequence_of_narrowings_lets_a_key_live_longer(present: int | None, steps: list[int | None]) -> None:
    now = present
    for wanted in steps:
        try:
            after = earlier(now, wanted)
        except Refused:
            continue
        assert now is None or (after is not None and after <= now)
        now = after


async def test_a_credentials_secrets_are_sealed_and_open_again(office: Office) -> None:
    account = await office.account()
    credential = await office.credential(account)

    stored = await office.credentials.find(credential.credential_id)
    assert SECRET.encode() not in msgspec.msgpack.encode(stored)
    assert office.vault.open(stored).secrets == {"privateKey": SECRET}


async def test_the_same_secrets_are_not_taken_twice_in_an_account(office: Office) -> None:
    account, other = await office.account(), await office.account("other")
    first = await office.credential(account)
    with pytest.raises(Refused, match=f"has these secrets already, as credential {first.credential_id}"):
        await office.credential(account)
    await office.credential(other)
    await office.credentials.revoke(first)
    await office.credential(account)


async def test_a_venue_without_secrets_takes_any_number_of_credentials(office: Office) -> None:
    office.venue.credential_fields = ()
    account = await office.account()
    for _ in range(2):
        await office.safe.add(account, office.venue, Network.PAPER, label="", secrets={})


async def test_rotated_secrets_come_under_the_same_id_with_a_higher_version(office: Office) -> None:
    credential = await office.credential(await office.account())

    fresh = await office.safe.rotate(credential, office.venue, {"privateKey": "0xnew"})

    stored = await office.credentials.find(credential.credential_id)
    assert stored == fresh
    assert stored.row_version == credential.row_version + 1
    assert office.vault.open(stored).secrets == {"privateKey": "0xnew"}
    with pytest.raises(Refused, match="changed meanwhile"):
        await office.safe.rotate(credential, office.venue, {"privateKey": "0xnewer"})


async def test_a_revoked_credential_is_gone(office: Office) -> None:
    credential = await office.credential(await office.account())
    await office.credentials.revoke(credential)
    with pytest.raises(Refused, match="revoked and its secrets are gone"):
        await office.credentials.find(credential.credential_id)
    with pytest.raises(Refused, match="revoked before"):
        await office.credentials.revoke(credential)


@pytest.mark.parametrize(
    ("secrets", "said"),
    [
        ({}, "lacks privateKey.*the signing key"),
        ({"privateKey": "   "}, "lacks privateKey"),
        ({"privateKey": "CANARY"}, "privateKey: it must start with 0x"),
        ({"privatekey": "0xCANARY"}, r"a field that it cannot have.*Did you mean privateKey\?"),
        ({"0xCANARY": "privateKey", "privateKey": "0x1"}, "a field that it cannot have.*Its fields are"),
    ],
)
def test_wrong_secrets_are_refused_without_being_repeated(secrets: dict[str, str], said: str) -> None:
    with pytest.raises(Refused, match=said) as caught:
        checked_secrets(FIELDS, secrets)
    assert "CANARY" not in str(caught.value)


def test_the_space_around_a_pasted_secret_is_dropped() -> None:
    assert checked_secrets(FIELDS, {"privateKey": " 0x1\n", "address": ""}) == {"privateKey": "0x1"}


def test_a_network_may_be_left_out_where_there_is_only_one() -> None:
    paper = VENUES["paper"]
    both = msgspec.structs.replace(paper, networks=frozenset({Network.MAINNET, Network.TESTNET}))
    venues = MappingProxyType({"paper": paper, "both": both})

    assert require_venue(venues, "paper", None) == (paper, Network.PAPER)
    assert require_venue(venues, "both", "testnet") == (both, Network.TESTNET)
    with pytest.raises(Refused, match="both has mainnet, testnet"):
        require_venue(venues, "both", None)
    with pytest.raises(Refused, match=r"paper has no 'mainnet'.*paper has paper"):
        require_venue(venues, "paper", "mainnet")
