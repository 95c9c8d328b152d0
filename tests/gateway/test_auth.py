from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway import keys
from gateway.auth import Authenticator, CredentialDirectory, Principal
from gateway.directory_cache import RevisionWatch
from gateway.keyring import Keyring, MasterKeyRing, seal_secret
from normalization.errors import (
    CredentialNotAllowed,
    CredentialNotFound,
    ExchangeNotAllowed,
    GatewayError,
    InvalidApiKey,
    InvalidKeyFormat,
    KeyExpired,
    KeyRevoked,
    MissingApiKey,
    OperationNotAllowed,
    RateLimited,
    ServiceUnavailable,
    TierInsufficient,
)
from storage.ports import Account, ApiKey, Credential, KeyEnvironment, Scopes, Tier
from tests.support.manual_clock import ManualClock
from tests.support.memory_directory import MemoryDirectory

PEER = "192.0.2.1"
NO_SCOPES = Scopes()


class World:
    """One process with an empty directory."""

    def __init__(self, keyring: Keyring, directory: MemoryDirectory, **bounds: int) -> None:
        self.keyring = keyring
        self.directory = directory
        self.clock = ManualClock()
        self.watch = RevisionWatch(directory, self.clock)
        self.authenticator = Authenticator(directory, keyring, self.clock, self.watch, **bounds)
        self._ids = itertools.count(1)

    async def add_key(
        self,
        *,
        environment: KeyEnvironment = KeyEnvironment.TEST,
        tier: Tier = Tier.PRO,
        scopes: Scopes = NO_SCOPES,
        expires_at_ms: int | None = None,
        pepper_version: int | None = None,
    ) -> str:
        """A key of an account of its own; its id is ``k1``, ``k2``…"""
        number = next(self._ids)
        account = Account(account_id=f"a{number}", name=f"account {number}", tier=tier, created_at_ms=0)
        text = keys.mint(environment)
        version = pepper_version or self.keyring.current_pepper_version
        await self.directory.create_account(account)
        await self.directory.create_key(
            ApiKey(
                key_id=f"k{number}",
                account_id=account.account_id,
                environment=environment,
                label="",
                prefix=keys.display_prefix(text),
                digest=keys.digest(self.keyring.pepper(version), text),
                pepper_version=version,
                scopes=scopes,
                created_at_ms=0,
                expires_at_ms=expires_at_ms,
            ),
            at_most=10,
        )
        return text

    async def authenticate(self, key: str | None, peer: str = PEER) -> Principal:
        return await self.authenticator.authenticate(key, None, peer)

    async def settle(self) -> None:
        """Let what runs beside the requests finish."""
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture
async def world() -> World:
    directory = MemoryDirectory()
    return World(await Keyring.open(directory, MasterKeyRing([b"m" * 32])), directory)


def principal(
    *,
    tier: Tier = Tier.PRO,
    environment: KeyEnvironment = KeyEnvironment.TEST,
    operations: frozenset[str] | None = None,
    credentials: frozenset[str] | None = None,
    exchanges: frozenset[str] | None = None,
) -> Principal:
    return Principal(
        key_id="k1",
        account_id="a1",
        account_name="Ada",
        tier=tier,
        environment=environment,
        scopes=Scopes(operations=operations, credentials=credentials, exchanges=exchanges),
    )


def credential(credential_id: str = "c1", account_id: str = "a1", network: str = "paper") -> Credential:
    return Credential(
        credential_id=credential_id,
        account_id=account_id,
        exchange="paper",
        network=network,
        label="",
        address="",
        fingerprint="",
        row_version=1,
        wrapped_key=b"",
        sealed=b"",
        created_at_ms=0,
    )


# What a principal may do.


def test_a_free_account_cannot_place_orders() -> None:
    with pytest.raises(
        TierInsufficient, match="placeLimitOrder needs the Builder or Pro tier; this account has the Free"
    ):
        principal(tier=Tier.FREE).require_operation("placeLimitOrder", Tier.BUILDER)
    principal(tier=Tier.FREE).require_operation("getBalance", Tier.FREE)


@pytest.mark.parametrize("tier", [Tier.BUILDER, Tier.PRO])
def test_builder_and_pro_place_orders(tier: Tier) -> None:
    principal(tier=tier).require_operation("placeLimitOrder", Tier.BUILDER)


def test_a_scope_allows_only_what_it_names() -> None:
    scoped = principal(operations=frozenset({"getBalance"}))
    scoped.require_operation("getBalance", Tier.FREE)
    with pytest.raises(OperationNotAllowed, match="do not include getOrders"):
        scoped.require_operation("getOrders", Tier.FREE)
    with pytest.raises(OperationNotAllowed):
        principal(operations=frozenset()).require_operation("getOrders", Tier.FREE)


def test_the_tier_is_told_before_the_scope() -> None:
    with pytest.raises(TierInsufficient):
        principal(tier=Tier.FREE, operations=frozenset()).require_operation("placeLimitOrder", Tier.BUILDER)


def test_what_moves_money_out_must_be_named_by_the_scope() -> None:
    with pytest.raises(OperationNotAllowed, match="only to a key whose allowedOperations name it"):
        principal().require_operation("miloSend", Tier.BUILDER, explicit_only=True)
    named = principal(operations=frozenset({"miloSend"}))
    named.require_operation("miloSend", Tier.BUILDER, explicit_only=True)


def test_credential_and_exchange_scopes_are_kept() -> None:
    scoped = principal(credentials=frozenset({"c1"}), exchanges=frozenset({"paper"}))
    scoped.require_credential("c1")
    scoped.require_exchange("paper")
    with pytest.raises(CredentialNotAllowed):
        scoped.require_credential("c2")
    with pytest.raises(ExchangeNotAllowed, match="do not include paradex"):
        scoped.require_exchange("paradex")


@pytest.mark.parametrize(
    ("environment", "network", "needed"),
    [
        (KeyEnvironment.TEST, "mainnet", "mt_live_"),
        (KeyEnvironment.LIVE, "testnet", "mt_test_"),
        (KeyEnvironment.LIVE, "paper", "mt_test_"),
        (KeyEnvironment.LIVE, "mainnet", None),
        (KeyEnvironment.TEST, "testnet", None),
        (KeyEnvironment.TEST, "paper", None),
        (KeyEnvironment.TEST, "something new", "mt_test_"),
    ],
)
def test_a_live_key_reaches_mainnet_and_a_test_key_the_rest(
    environment: KeyEnvironment, network: str, needed: str | None
) -> None:
    caller = principal(environment=environment)
    if needed is None:
        caller.require_network(network)
        return
    with pytest.raises(CredentialNotAllowed, match=f"for {network}: it needs an {needed} key"):
        caller.require_network(network)


def test_of_several_reasons_against_a_credential_the_first_is_told() -> None:
    nothing = principal(credentials=frozenset(), exchanges=frozenset())
    with pytest.raises(CredentialNotFound):
        nothing.require_access(credential(account_id="a2", network="mainnet"))
    with pytest.raises(CredentialNotAllowed, match="allowedCredentials"):
        nothing.require_access(credential(network="mainnet"))
    with pytest.raises(CredentialNotAllowed, match="mt_live_"):
        principal(exchanges=frozenset()).require_access(credential(network="mainnet"))
    with pytest.raises(ExchangeNotAllowed):
        principal(exchanges=frozenset()).require_access(credential())
    principal().require_access(credential())


# From a key to a principal.


async def test_a_key_is_its_accounts_principal(world: World) -> None:
    scopes = Scopes(operations=frozenset({"getBalance"}))
    key = await world.add_key(tier=Tier.BUILDER, scopes=scopes, expires_at_ms=2**50)

    assert await world.authenticate(key) == Principal(
        key_id="k1",
        account_id="a1",
        account_name="account 1",
        tier=Tier.BUILDER,
        environment=KeyEnvironment.TEST,
        scopes=scopes,
        expires_at_ms=2**50,
    )


async def test_x_api_key_wins_over_bearer(world: World) -> None:
    first, second = await world.add_key(), await world.add_key()
    authenticate = world.authenticator.authenticate

    assert (await authenticate(first, f"Bearer {second}", PEER)).key_id == "k1"
    assert (await authenticate(None, f"Bearer {second}", PEER)).key_id == "k2"
    assert (await authenticate("", f"bearer  {second}", PEER)).key_id == "k2"


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Basic YTpi", "mt_live_x"])
async def test_without_a_key_nothing_is_asked(world: World, authorization: str | None) -> None:
    with pytest.raises(MissingApiKey):
        await world.authenticator.authenticate(None, authorization, PEER)
    assert "key_by_digest" not in world.directory.calls


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("sk_live_" + "a" * 43, InvalidKeyFormat),
        ("mt_live_" + "a" * 43, InvalidApiKey),
        ("mt_live_short", InvalidApiKey),
        ("mt_live_" + "\udcff" * 43, InvalidApiKey),
        ("x" * 100_000, InvalidKeyFormat),
    ],
)
async def test_a_malformed_key_is_refused_before_any_lookup(world: World, key: str, error: type[GatewayError]) -> None:
    with pytest.raises(error):
        await world.authenticate(key)
    assert "key_by_digest" not in world.directory.calls
    assert "revision" not in world.directory.calls


async def test_an_unknown_key_is_invalid_and_looked_up_once(world: World) -> None:
    key = keys.mint(KeyEnvironment.LIVE)
    for _ in range(3):
        with pytest.raises(InvalidApiKey, match="no such API key"):
            await world.authenticate(key)
    assert world.directory.calls["key_by_digest"] == 1


async def test_a_key_made_after_it_was_unknown_is_good_within_two_seconds(world: World) -> None:
    key = await world.add_key()
    hidden = world.directory
    world.directory = MemoryDirectory()
    other = World(world.keyring, world.directory)
    with pytest.raises(InvalidApiKey):
        await other.authenticate(key)

    row = (await hidden.keys())[0]
    await other.directory.create_account((await hidden.accounts())[0])
    await other.directory.create_key(row, at_most=1)
    other.clock.advance(2)

    assert (await other.authenticate(key)).key_id == "k1"


async def test_keys_under_an_older_pepper_still_serve() -> None:
    directory, ring = MemoryDirectory(), MasterKeyRing([b"m" * 32])
    await Keyring.open(directory, ring)
    await directory.put_secrets([seal_secret(ring, "api-key-pepper", 2, b"2" * 32)])
    world = World(await Keyring.open(directory, ring), directory)
    old, new = await world.add_key(pepper_version=1), await world.add_key(pepper_version=2)

    for _ in range(3):
        assert (await world.authenticate(old)).key_id == "k1"
        assert (await world.authenticate(new)).key_id == "k2"
    assert directory.calls["key_by_digest"] == 3


async def test_a_key_stored_under_another_pepper_than_it_says_is_not_taken(world: World) -> None:
    directory, ring = world.directory, MasterKeyRing([b"m" * 32])
    key = await world.add_key(pepper_version=1)
    await directory.put_secrets([seal_secret(ring, "api-key-pepper", 2, world.keyring.pepper(1))])
    lying = World(await Keyring.open(directory, ring), directory)

    # Version 2 has the same pepper here, but only version 1's answer is a match.
    assert (await lying.authenticate(key)).key_id == "k1"
    assert directory.calls["key_by_digest"] == 2


async def test_a_key_expires_by_the_clock_even_when_it_is_cached(world: World) -> None:
    key = await world.add_key(expires_at_ms=world.clock.now_ms() + 500)
    await world.authenticate(key)

    world.clock.advance(0.499)
    await world.authenticate(key)
    world.clock.advance(0.001)
    with pytest.raises(KeyExpired):
        await world.authenticate(key)


async def test_a_key_that_was_revoked_and_expired_is_revoked(world: World) -> None:
    key = await world.add_key(expires_at_ms=1)
    await world.directory.revoke_key("k1", 2)
    with pytest.raises(KeyRevoked):
        await world.authenticate(key)


# The cache and its bounds.


async def test_a_cached_key_asks_nothing(world: World) -> None:
    key = await world.add_key()
    await world.authenticate(key)
    before = dict(world.directory.calls)

    world.clock.advance(0.9)
    for _ in range(100):
        await world.authenticate(key)
    assert world.directory.calls == before


async def test_concurrent_requests_share_one_lookup(world: World) -> None:
    key = await world.add_key()
    found = await asyncio.gather(*(world.authenticate(key) for _ in range(20)))
    assert {one.key_id for one in found} == {"k1"}
    assert world.directory.calls["key_by_digest"] == 1
    assert world.directory.calls["revision"] == 1


async def test_the_revision_is_read_at_most_once_a_second_and_never_while_idle(world: World) -> None:
    key = await world.add_key()
    for _ in range(40):
        await world.authenticate(key)
        await world.settle()
        world.clock.advance(0.25)
    assert 9 <= world.directory.calls["revision"] <= 11

    reads = world.directory.calls["revision"]
    world.clock.advance(3600)
    await world.settle()
    assert world.directory.calls["revision"] == reads


@given(steps=st.lists(st.floats(0.01, 3.0), min_size=1, max_size=25), revoke_before=st.integers(0, 24))
@settings(max_examples=100, deadline=None)
def test_a_revoked_key_serves_for_less_than_two_seconds_whatever_the_traffic(
    steps: list[float], revoke_before: int
) -> None:
    async def run() -> None:
        directory = MemoryDirectory()
        world = World(await Keyring.open(directory, MasterKeyRing([b"m" * 32])), directory)
        key = await world.add_key()
        revoked_at = None
        for number, step in enumerate(steps):
            if number == revoke_before:
                await directory.revoke_key("k1", 1)
                revoked_at = world.clock.monotonic()
            try:
                await world.authenticate(key)
            except KeyRevoked:
                assert revoked_at is not None
            else:
                assert revoked_at is None or world.clock.monotonic() - revoked_at < 2.0
            world.clock.advance(step)

    asyncio.run(run())


async def test_an_answer_from_before_a_revocation_is_not_kept(world: World) -> None:
    key = await world.add_key()
    await world.authenticate(key)
    world.clock.advance(4)
    await world.authenticate(key)
    world.clock.advance(1)

    world.directory.gate = asyncio.Event()
    late = asyncio.create_task(world.authenticate(key))
    await world.settle()
    gate, world.directory.gate = world.directory.gate, None
    await world.directory.revoke_key("k1", 1)
    gate.set()
    assert (await late).key_id == "k1"

    with pytest.raises(KeyRevoked):
        await world.authenticate(key)


async def test_a_look_at_the_revision_does_not_hold_up_requests_in_its_first_second(world: World) -> None:
    key = await world.add_key()
    await world.authenticate(key)
    world.directory.gate = asyncio.Event()
    world.clock.advance(1.5)

    assert (await world.authenticate(key)).key_id == "k1"

    world.directory.gate.set()
    await world.settle()


async def test_narrowed_scopes_and_a_new_tier_are_seen(world: World) -> None:
    key = await world.add_key()
    await world.authenticate(key)
    narrow = Scopes(operations=frozenset({"getBalance"}))
    await world.directory.narrow_key("k1", narrow, None)
    await world.directory.set_tier("a1", Tier.FREE)
    world.clock.advance(2)

    now = await world.authenticate(key)
    assert (now.scopes, now.tier) == (narrow, Tier.FREE)


async def test_a_flood_of_random_keys_is_forgotten_again() -> None:
    directory = MemoryDirectory()
    keyring = await Keyring.open(directory, MasterKeyRing([b"m" * 32]))
    world = World(keyring, directory, capacity=10, unknown_capacity=5, addresses=5)
    good = [await world.add_key() for _ in range(20)]
    for key in good:
        await world.authenticate(key)
    first = keys.mint(KeyEnvironment.LIVE)
    for number, key in enumerate([first, *(keys.mint(KeyEnvironment.LIVE) for _ in range(50))]):
        with pytest.raises(InvalidApiKey):
            await world.authenticate(key, f"198.51.100.{number}")
    directory.calls.clear()

    await world.authenticate(good[-1])
    assert "key_by_digest" not in directory.calls
    await world.authenticate(good[0])
    with pytest.raises(InvalidApiKey):
        await world.authenticate(first, "198.51.100.200")
    assert directory.calls["key_by_digest"] == 2


# The directory gone.


async def test_known_keys_serve_for_30_seconds_without_the_directory(world: World) -> None:
    key = await world.add_key()
    await world.authenticate(key)
    world.directory.unavailable = True

    for _ in range(59):
        world.clock.advance(0.5)
        assert (await world.authenticate(key)).key_id == "k1"
    world.clock.advance(0.5)
    with pytest.raises(ServiceUnavailable) as caught:
        await world.authenticate(key)
    assert caught.value.retry_after_s == 1


async def test_without_the_directory_an_unknown_key_is_not_called_invalid(world: World) -> None:
    world.directory.unavailable = True
    with pytest.raises(ServiceUnavailable):
        await world.authenticate(keys.mint(KeyEnvironment.LIVE))


async def test_a_directory_that_hangs_is_as_good_as_gone(world: World) -> None:
    watch = RevisionWatch(world.directory, world.clock, answer_within_s=0.01)
    authenticator = Authenticator(world.directory, world.keyring, world.clock, watch)
    known, unknown = await world.add_key(), await world.add_key()
    await authenticator.authenticate(known, None, PEER)
    world.directory.gate = asyncio.Event()
    world.clock.advance(6)

    assert (await authenticator.authenticate(known, None, PEER)).key_id == "k1"
    with pytest.raises(ServiceUnavailable):
        await authenticator.authenticate(unknown, None, PEER)

    world.directory.gate.set()
    await world.settle()


async def test_a_missing_directory_is_asked_once_a_second(world: World) -> None:
    key = await world.add_key()
    await world.authenticate(key)
    world.clock.advance(5)
    world.directory.unavailable = True
    world.directory.calls.clear()

    for _ in range(100):
        await world.authenticate(key)
        await world.settle()
        world.clock.advance(0.1)
    assert sum(world.directory.calls.values()) <= 11


async def test_when_the_directory_is_back_revocation_counts_again(world: World) -> None:
    key = await world.add_key()
    await world.authenticate(key)
    world.directory.unavailable = True
    world.clock.advance(3)
    await world.authenticate(key)
    world.directory.unavailable = False
    await world.directory.revoke_key("k1", 1)
    world.clock.advance(2)

    with pytest.raises(KeyRevoked):
        await world.authenticate(key)


async def test_a_caller_who_leaves_does_not_break_the_lookup_for_others(world: World) -> None:
    key = await world.add_key()
    world.directory.gate = asyncio.Event()
    leaving, staying = (asyncio.create_task(world.authenticate(key)) for _ in range(2))
    await world.settle()
    leaving.cancel()
    await world.settle()
    world.directory.gate.set()

    assert (await staying).key_id == "k1"
    assert leaving.cancelled()


# Too many failures.


async def test_the_21st_failure_of_a_minute_is_told_to_wait(world: World) -> None:
    for _ in range(20):
        with pytest.raises(InvalidKeyFormat):
            await world.authenticate("nonsense")
        world.clock.advance(1)
    with pytest.raises(RateLimited, match="Retry after 40s") as caught:
        await world.authenticate("nonsense")
    assert caught.value.retry_after_s == 40

    with pytest.raises(InvalidKeyFormat):
        await world.authenticate("nonsense", "192.0.2.2")
    world.clock.advance(40)
    with pytest.raises(InvalidKeyFormat):
        await world.authenticate("nonsense")


async def test_a_blocked_address_costs_no_lookups_but_its_good_keys_serve(world: World) -> None:
    good = await world.add_key()
    await world.authenticate(good)
    for _ in range(20):
        with pytest.raises(InvalidApiKey):
            await world.authenticate(keys.mint(KeyEnvironment.LIVE))
    world.directory.calls.clear()

    for _ in range(20):
        with pytest.raises(RateLimited):
            await world.authenticate(keys.mint(KeyEnvironment.LIVE))
    assert "key_by_digest" not in world.directory.calls
    world.clock.advance(6)
    assert (await world.authenticate(good)).key_id == "k1"


async def test_a_blocked_addresss_good_keys_serve_after_a_change_of_the_directory_too(world: World) -> None:
    good = await world.add_key()
    await world.authenticate(good)
    for _ in range(20):
        with pytest.raises(InvalidApiKey):
            await world.authenticate(keys.mint(KeyEnvironment.LIVE))
    await world.directory.set_tier("a1", Tier.FREE)
    world.clock.advance(3)
    assert (await world.authenticate(good)).tier is Tier.FREE


async def test_a_revoked_keys_failures_count_too(world: World) -> None:
    key = await world.add_key()
    await world.directory.revoke_key("k1", 1)
    for _ in range(20):
        with pytest.raises(KeyRevoked):
            await world.authenticate(key)
    with pytest.raises(RateLimited):
        await world.authenticate(key)


async def test_a_missing_key_is_no_failed_attempt(world: World) -> None:
    for _ in range(50):
        with pytest.raises(MissingApiKey):
            await world.authenticate(None)


async def test_of_too_many_failing_addresses_the_oldest_is_forgotten(world: World) -> None:
    few = World(world.keyring, world.directory, addresses=5)
    for peer in ["192.0.2.1"] * 20 + [f"198.51.100.{number}" for number in range(5)]:
        with pytest.raises(InvalidKeyFormat):
            await few.authenticate("nonsense", peer)
    with pytest.raises(InvalidKeyFormat):
        await few.authenticate("nonsense", "192.0.2.1")


async def test_one_ipv6_network_is_one_address_and_mapped_ipv4_is_ipv4(world: World) -> None:
    for number in range(20):
        with pytest.raises(InvalidKeyFormat):
            await world.authenticate("nonsense", f"2001:db8::{number:x}")
        with pytest.raises(InvalidKeyFormat):
            await world.authenticate("nonsense", f"::ffff:192.0.2.{number}")
    with pytest.raises(RateLimited):
        await world.authenticate("nonsense", "2001:db8::ffff")
    with pytest.raises(InvalidKeyFormat):
        await world.authenticate("nonsense", "2001:db8:0:1::1")
    with pytest.raises(InvalidKeyFormat):
        await world.authenticate("nonsense", "::ffff:192.0.2.77")


# Last use.


async def test_last_use_is_stored_once_a_minute(world: World) -> None:
    key = await world.add_key()
    for _ in range(60):
        await world.authenticate(key)
        await world.settle()
        world.clock.advance(1)
    assert "touch_keys" not in world.directory.calls
    last = world.clock.now_ms()
    await world.authenticate(key)
    await world.settle()

    assert world.directory.calls["touch_keys"] == 1
    (row,) = await world.directory.keys()
    assert row.last_used_at_ms == last


async def test_last_use_that_could_not_be_stored_is_stored_later(world: World) -> None:
    key = await world.add_key()
    await world.authenticate(key)
    used_at = world.clock.now_ms()
    world.directory.unavailable = True
    await world.authenticator.flush()
    world.directory.unavailable = False
    await world.authenticator.flush()

    (row,) = await world.directory.keys()
    assert row.last_used_at_ms == used_at
    await world.authenticator.flush()
    assert world.directory.calls["touch_keys"] == 2


# Secrets.


async def test_no_key_is_kept_or_shown(world: World) -> None:
    good, unknown = await world.add_key(), keys.mint(KeyEnvironment.LIVE)
    shown = [repr(await world.authenticate(good)), repr(vars(world.authenticator))]
    await world.directory.revoke_key("k1", 1)
    world.clock.advance(2)
    for key in (good, unknown, unknown[:-1], "x" + good):
        with pytest.raises(GatewayError) as caught:
            await world.authenticate(key)
        shown.append(f"{caught.value!r} {caught.value} {caught.value.details}")
    world.directory.unavailable = True
    world.clock.advance(60)
    with capture_logs() as logged, pytest.raises(ServiceUnavailable) as unavailable:
        await world.authenticate(good)
    assert logged
    shown += [repr(unavailable.value), repr(logged)]

    for secret in (good, unknown, good[12:], unknown[12:]):
        assert secret not in "".join(shown)


# Credentials.


async def test_a_credential_is_its_accounts_only(world: World) -> None:
    find = CredentialDirectory(world.directory, world.clock, world.watch).find
    await world.directory.create_credential(credential("c1", "a1"))

    assert await find("a1", "c1") == credential("c1", "a1")
    with pytest.raises(CredentialNotFound) as foreign:
        await find("a2", "c1")
    with pytest.raises(CredentialNotFound) as unknown:
        await find("a2", "c9")
    assert str(foreign.value) == str(unknown.value)


async def test_a_revoked_credential_is_not_found_within_two_seconds_and_its_session_is_told(world: World) -> None:
    gone: list[str] = []
    find = CredentialDirectory(world.directory, world.clock, world.watch, on_revoked=gone.append).find
    await world.directory.create_credential(credential())
    await find("a1", "c1")
    await world.directory.revoke_credential("c1", 1)
    world.clock.advance(2)

    with pytest.raises(CredentialNotFound):
        await find("a1", "c1")
    assert gone == ["c1"]


async def test_keys_and_credentials_share_one_look_at_the_revision(world: World) -> None:
    find = CredentialDirectory(world.directory, world.clock, world.watch).find
    key = await world.add_key()
    await world.directory.create_credential(credential())
    for _ in range(5):
        await world.authenticate(key)
        await find("a1", "c1")
    assert world.directory.calls["revision"] == 1
    assert world.directory.calls["credential"] == 1
