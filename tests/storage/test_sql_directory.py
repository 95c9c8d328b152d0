from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from storage.ports import Directory, KeyWithAccount, Scopes, SealedSecret, Tier
from storage.sql import Stores, open_sqlite
from tests.storage.conftest import OpenNode
from tests.storage.samples import NOW_MS, account, api_key, credential

LATER_MS = NOW_MS + 60_000


@pytest.fixture
async def directory(stores: Stores) -> Directory:
    await stores.directory.create_account(account(1))
    return stores.directory


async def test_a_new_directory_is_empty(stores: Stores) -> None:
    directory = stores.directory
    assert await directory.revision() == 0
    assert await directory.accounts() == []
    assert await directory.keys() == []
    assert await directory.credentials() == []
    assert await directory.secrets() == []
    assert await directory.account("no") is None
    assert await directory.account_named("no") is None
    assert await directory.key("no") is None
    assert await directory.key_by_digest(b"no") is None
    assert await directory.credential("no") is None


async def test_an_account_is_found_by_id_and_by_name(directory: Directory) -> None:
    assert await directory.account("account-1") == account(1)
    assert await directory.account_named("name-1") == account(1)
    await directory.create_account(account(0))
    assert await directory.accounts() == [account(0), account(1)]


async def test_a_second_account_of_one_name_is_refused(directory: Directory) -> None:
    revision = await directory.revision()
    with pytest.raises(ValueError, match="name-1"):
        await directory.create_account(account(2, name="name-1"))
    assert await directory.revision() == revision
    assert await directory.accounts() == [account(1)]


async def test_an_accounts_tier_can_be_changed(directory: Directory) -> None:
    await directory.set_tier("account-1", Tier.FREE)
    assert await directory.account("account-1") == account(1, tier=Tier.FREE)
    with pytest.raises(KeyError):
        await directory.set_tier("no", Tier.FREE)


async def test_a_key_is_found_with_its_account_by_its_digest(directory: Directory) -> None:
    key = api_key(
        1,
        digest=bytes(range(32)),
        scopes=Scopes(operations=frozenset({"getBalance", "placeOrder"}), credentials=frozenset(), exchanges=None),
        expires_at_ms=LATER_MS,
        last_used_at_ms=NOW_MS,
    )
    assert await directory.create_key(key, at_most=1)
    assert await directory.key_by_digest(bytes(range(32))) == KeyWithAccount(key=key, account=account(1))
    assert await directory.key("key-1") == key
    assert await directory.key_by_digest(bytes(32)) is None


async def test_an_account_has_no_more_live_keys_than_allowed(directory: Directory) -> None:
    assert await directory.create_key(api_key(1), at_most=2)
    assert await directory.create_key(api_key(2, expires_at_ms=NOW_MS + 3), at_most=2)
    revision = await directory.revision()
    refused = api_key(3, created_at_ms=NOW_MS + 2)
    assert not await directory.create_key(refused, at_most=2)
    assert await directory.revision() == revision
    assert await directory.key("key-3") is None

    assert await directory.create_key(api_key(3, created_at_ms=NOW_MS + 3), at_most=2), "an expired key does not count"
    assert await directory.revoke_key("key-1", LATER_MS)
    assert await directory.create_key(api_key(4), at_most=2), "a revoked key does not count"


async def test_many_callers_together_make_no_more_keys_than_allowed(open_node: OpenNode) -> None:
    stores, other = await open_node(), await open_node()
    await stores.directory.create_account(account(1))
    made = await asyncio.gather(
        *(node.directory.create_key(api_key(n), at_most=3) for n, node in enumerate([stores, other] * 5))
    )
    assert sum(made) == 3
    assert len(await other.directory.keys("account-1")) == 3


async def test_keys_are_listed_by_account_oldest_first(directory: Directory) -> None:
    await directory.create_account(account(2))
    theirs = api_key(1, account_id="account-2")
    for key in (api_key(3), api_key(2), theirs):
        await directory.create_key(key, at_most=9)
    assert await directory.keys("account-1") == [api_key(2), api_key(3)]
    assert await directory.keys() == [theirs, api_key(2), api_key(3)]


async def test_a_key_is_revoked_once(directory: Directory) -> None:
    await directory.create_key(api_key(1), at_most=9)
    assert await directory.revoke_key("key-1", LATER_MS)
    revision = await directory.revision()
    assert not await directory.revoke_key("key-1", LATER_MS + 1)
    assert not await directory.revoke_key("no", LATER_MS)
    assert await directory.revision() == revision
    assert await directory.key("key-1") == api_key(1, revoked_at_ms=LATER_MS)


async def test_a_key_is_replaced_in_one_step(directory: Directory) -> None:
    await directory.create_key(api_key(1), at_most=9)
    revision = await directory.revision()
    assert await directory.replace_key("key-1", api_key(2), LATER_MS)
    assert await directory.revision() == revision + 1
    assert await directory.keys() == [api_key(1, revoked_at_ms=LATER_MS), api_key(2)]


async def test_only_a_live_key_of_the_same_account_is_replaced(directory: Directory) -> None:
    await directory.create_account(account(2))
    await directory.create_key(api_key(1), at_most=9)
    await directory.create_key(api_key(2, expires_at_ms=LATER_MS), at_most=9)
    await directory.revoke_key("key-1", LATER_MS)
    revision = await directory.revision()
    assert not await directory.replace_key("key-1", api_key(9), LATER_MS)
    assert not await directory.replace_key("key-2", api_key(9), LATER_MS)
    assert not await directory.replace_key("key-2", api_key(9, account_id="account-2"), NOW_MS + 5)
    assert not await directory.replace_key("no", api_key(9), NOW_MS + 5)
    assert await directory.revision() == revision
    assert len(await directory.keys()) == 2


async def test_a_replacement_that_cannot_be_stored_leaves_the_old_key_live(directory: Directory) -> None:
    await directory.create_key(api_key(1), at_most=9)
    with pytest.raises(ValueError, match="key"):
        await directory.replace_key("key-1", api_key(2, digest=api_key(1).digest), LATER_MS)
    assert await directory.keys() == [api_key(1)]


async def test_scopes_are_only_ever_narrowed_even_by_two_at_once(directory: Directory) -> None:
    await directory.create_key(api_key(1, scopes=Scopes(operations=frozenset({"a", "b", "c"}))), at_most=9)
    await asyncio.gather(
        directory.narrow_key("key-1", Scopes(operations=frozenset({"a", "b"})), LATER_MS),
        directory.narrow_key(
            "key-1", Scopes(operations=frozenset({"b", "c"}), exchanges=frozenset({"paper"})), LATER_MS + 5
        ),
    )
    await asyncio.gather(
        *(
            directory.narrow_key("key-1", Scopes(confirm_above=Decimal(above)), None)
            for above in ("1000", "99.5", "500")
        )
    )
    scopes = Scopes(operations=frozenset({"b"}), exchanges=frozenset({"paper"}), confirm_above=Decimal("99.5"))
    narrowed = api_key(1, scopes=scopes, expires_at_ms=LATER_MS)
    assert await directory.key("key-1") == narrowed
    await directory.narrow_key("key-1", Scopes(), None)
    assert await directory.key("key-1") == narrowed
    with pytest.raises(KeyError):
        await directory.narrow_key("no", Scopes(), None)


async def test_last_use_is_stored_without_a_new_revision_and_never_set_back(directory: Directory) -> None:
    for number in (1, 2, 3):
        await directory.create_key(api_key(number), at_most=9)
    revision = await directory.revision()
    await directory.touch_keys({"key-1": LATER_MS, "key-2": LATER_MS, "no": LATER_MS})
    await directory.touch_keys({"key-1": LATER_MS - 1, "key-2": LATER_MS + 1})
    await directory.touch_keys({})
    assert [key.last_used_at_ms for key in await directory.keys()] == [LATER_MS, LATER_MS + 1, None]
    assert await directory.revision() == revision


async def test_a_credential_comes_back_as_it_was(directory: Directory) -> None:
    await directory.create_account(account(2))
    theirs = credential(1, account_id="account-2")
    for made in (credential(3), credential(2), theirs):
        await directory.create_credential(made)
    assert await directory.credential("credential-3") == credential(3)
    assert await directory.credentials("account-1") == [credential(2), credential(3)]
    assert await directory.credentials() == [theirs, credential(2), credential(3)]


async def test_a_credential_is_updated_by_whoever_saw_its_present_version(directory: Directory) -> None:
    await directory.create_credential(credential(1))
    revision = await directory.revision()
    second = credential(1, label="second", row_version=2, sealed=b"new")
    assert await directory.update_credential(second, 1)
    assert not await directory.update_credential(credential(1, label="third", row_version=2), 1)
    assert not await directory.update_credential(credential(9), 1)
    assert await directory.credential("credential-1") == second
    assert await directory.revision() == revision + 1


async def test_a_revoked_credential_is_wiped_and_stays_so(directory: Directory) -> None:
    await directory.create_credential(credential(1))
    assert await directory.revoke_credential("credential-1", LATER_MS)
    wiped = credential(1, revoked_at_ms=LATER_MS, wrapped_key=b"", sealed=b"")
    assert await directory.credential("credential-1") == wiped
    assert await directory.credentials() == []
    assert not await directory.update_credential(credential(1, row_version=2), 1)
    assert not await directory.revoke_credential("credential-1", LATER_MS + 1)
    assert not await directory.revoke_credential("no", LATER_MS)
    assert await directory.credential("credential-1") == wiped


async def test_the_secrets_of_a_revoked_credential_are_not_left_in_the_file(empty_path: Path) -> None:
    stores = await open_sqlite(empty_path)
    await stores.directory.create_account(account(1))
    canary = b"canary-5d41402abc4b2a76"
    await stores.directory.create_credential(credential(1, wrapped_key=canary, sealed=canary * 1_000))
    await stores.directory.revoke_credential("credential-1", LATER_MS)
    await stores.close()
    left = _files(empty_path.parent)
    assert list(left) == [empty_path.name]
    assert canary not in left[empty_path.name]


def _files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


async def test_secrets_that_are_there_are_kept_unless_replaced(directory: Directory) -> None:
    first = SealedSecret(name="pepper", version=1, wrapped=b"1")
    second = SealedSecret(name="pepper", version=2, wrapped=b"2")
    other = msgspec.structs.replace(first, wrapped=b"other")
    await directory.put_secrets([first])
    revision = await directory.revision()
    await directory.put_secrets([other])
    assert await directory.revision() == revision
    await directory.put_secrets([second, other])
    assert await directory.secrets() == [first, second]
    await directory.put_secrets([other], replace=True)
    assert await directory.secrets() == [other, second]


async def test_every_change_raises_the_revision_by_one(directory: Directory) -> None:
    revision = await directory.revision()
    changes: list[Callable[[], Awaitable[object]]] = [
        lambda: directory.create_account(account(2)),
        lambda: directory.set_tier("account-2", Tier.FREE),
        lambda: directory.create_key(api_key(1), at_most=9),
        lambda: directory.replace_key("key-1", api_key(2), LATER_MS),
        lambda: directory.narrow_key("key-2", Scopes(exchanges=frozenset()), None),
        lambda: directory.revoke_key("key-2", LATER_MS),
        lambda: directory.create_credential(credential(1)),
        lambda: directory.update_credential(credential(1, row_version=2), 1),
        lambda: directory.revoke_credential("credential-1", LATER_MS),
        lambda: directory.put_secrets([SealedSecret(name="a", version=1, wrapped=b"")]),
    ]
    for number, change in enumerate(changes, start=1):
        await change()
        assert await directory.revision() == revision + number


async def test_a_key_of_an_account_that_is_not_there_is_refused(directory: Directory) -> None:
    with pytest.raises(ValueError, match="key"):
        await directory.create_key(api_key(1, account_id="no"), at_most=9)
    with pytest.raises(ValueError, match="credential"):
        await directory.create_credential(credential(1, account_id="no"))
