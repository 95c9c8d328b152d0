from __future__ import annotations

import shlex
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.demo import Demo, DemoAccounts, load, order_near, welcome
from gateway.keyring import Keyring, MasterKeyRing
from gateway.keys import digest
from gateway.vault import Vault
from normalization.decimals import is_multiple
from normalization.instruments import Instrument
from storage.ports import Directory, KeyWithAccount, Tier
from storage.sql import open_sqlite
from tests.support.empty_database import put_empty_database
from tests.support.manual_clock import ManualClock
from tests.support.scripted_venue import ScriptedVenue, instrument

URL = "http://127.0.0.1:8080"


class Start:
    """What one start of the demo works with."""

    def __init__(self, directory: Directory, keyring: Keyring, path: Path) -> None:
        self.directory = directory
        self.keyring = keyring
        self.path = path
        self.clock = ManualClock()
        venue = ScriptedVenue()
        venue.exchange = "paper"
        vault = Vault(MasterKeyRing([b"k" * 32]), keyring.fingerprint_key)
        self._accounts = DemoAccounts(
            directory, keyring=keyring, vault=vault, adapters={"paper": venue}, local_venues={}, clock=self.clock
        )

    async def prepare(self) -> Demo:
        return await self._accounts.prepare(self.path, URL)

    async def owner(self, key: str) -> KeyWithAccount:
        found = await self.directory.key_by_digest(digest(self.keyring.pepper(1), key))
        assert found is not None
        return found


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    put_empty_database(tmp_path / "venuegate.db")
    stores = await open_sqlite(tmp_path / "venuegate.db")
    try:
        keyring = await Keyring.open(stores.directory, MasterKeyRing([b"k" * 32]))
        yield Start(stores.directory, keyring, tmp_path / "demo.json")
    finally:
        await stores.close()


async def test_the_file_has_the_documented_shape_and_only_its_owner_can_read_it(start: Start) -> None:
    await start.prepare()

    assert start.path.stat().st_mode & 0o777 == 0o600
    document = msgspec.json.decode(start.path.read_bytes())
    assert document["url"] == URL
    assert list(document["keys"]) == ["free", "builder", "pro"]
    assert {tier: list(ids) for tier, ids in document["credentials"].items()} == {
        tier: ["paper"] for tier in ("free", "builder", "pro")
    }
    assert sorted(path.name for path in start.path.parent.glob("*demo*")) == ["demo.json"]


async def test_each_key_is_a_test_key_of_an_account_of_its_tier(start: Start) -> None:
    demo = await start.prepare()
    for tier in Tier:
        found = await start.owner(demo.keys[tier])
        assert demo.keys[tier].startswith("mt_test_")
        assert (found.account.name, found.account.tier) == (f"demo-{tier}", tier)
        credential = await start.directory.credential(demo.credentials[tier]["paper"])
        assert credential is not None
        assert (credential.account_id, credential.network) == (found.account.account_id, "paper")


async def test_keys_and_credentials_survive_a_restart(start: Start) -> None:
    first = await start.prepare()
    written = start.path.stat().st_mtime_ns
    assert await start.prepare() == first
    assert start.path.stat().st_mtime_ns == written


async def test_when_the_file_is_lost_the_old_keys_are_revoked_and_the_credentials_stay(start: Start) -> None:
    first = await start.prepare()
    start.path.unlink()

    second = await start.prepare()

    assert set(second.keys.values()).isdisjoint(first.keys.values())
    assert second.credentials == first.credentials
    for key in first.keys.values():
        assert (await start.owner(key)).key.revoked_at_ms is not None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"url": 1}', '{"url": "x", "keys": {}, "credentials": {}}'])
async def test_a_file_that_was_spoilt_is_as_good_as_lost(start: Start, content: str) -> None:
    await start.prepare()
    start.path.write_text(content)
    demo = await start.prepare()
    assert load(start.path) == demo
    assert (await start.owner(demo.keys["pro"])).key.revoked_at_ms is None


async def test_a_key_that_was_revoked_is_replaced_and_the_others_stay(start: Start) -> None:
    first = await start.prepare()
    await start.directory.revoke_key((await start.owner(first.keys["free"])).key.key_id, start.clock.now_ms())

    second = await start.prepare()

    assert second.keys["free"] != first.keys["free"]
    assert (second.keys["builder"], second.keys["pro"]) == (first.keys["builder"], first.keys["pro"])


async def test_a_key_of_another_account_does_not_stand_in(start: Start) -> None:
    demo = await start.prepare()
    swapped = msgspec.structs.replace(demo, keys={**demo.keys, "free": demo.keys["pro"]})
    start.path.write_bytes(msgspec.json.encode(swapped))

    again = await start.prepare()

    assert (await start.owner(again.keys["free"])).account.name == "demo-free"
    assert again.keys["pro"] == demo.keys["pro"]


async def test_a_credential_that_was_revoked_is_replaced(start: Start) -> None:
    first = await start.prepare()
    await start.directory.revoke_credential(first.credentials["builder"]["paper"], start.clock.now_ms())
    second = await start.prepare()
    assert second.credentials["builder"] != first.credentials["builder"]
    assert second.credentials["pro"] == first.credentials["pro"]


async def test_an_account_that_was_moved_to_another_tier_is_moved_back(start: Start) -> None:
    demo = await start.prepare()
    account = (await start.owner(demo.keys["free"])).account
    await start.directory.set_tier(account.account_id, Tier.PRO)
    await start.prepare()
    assert (await start.owner(demo.keys["free"])).account.tier is Tier.FREE


async def test_the_keys_are_in_the_file_and_not_in_the_database(start: Start) -> None:
    demo = await start.prepare()
    stored = b"".join(path.read_bytes() for path in start.path.parent.glob("venuegate.db*"))
    for key in demo.keys.values():
        assert key.encode() not in stored
        assert key not in repr(demo)


markets = st.sampled_from(
    [instrument("BTC", "0.1", "0.00001"), instrument("BTC", "0.5", "0.001"), instrument("BTC", "10", "1")]
)
marks = st.decimals(min_value=100, max_value=10_000_000, allow_nan=False, allow_infinity=False, places=4)


@given(market=markets, mark=marks)
@settings(max_examples=150, deadline=None)
def test_the_first_order_is_on_the_steps_worth_enough_and_below_the_mark(market: Instrument, mark: Decimal) -> None:
    order = order_near(mark, market, "id")
    price, size = Decimal(order["price"]), Decimal(order["size"])
    assert is_multiple(price, market.tick_size)
    assert is_multiple(size, market.lot_size)
    assert size * price >= market.min_notional
    assert mark * Decimal("0.8") < price < mark


async def test_what_is_pasted_from_the_welcome_is_the_order_and_the_key(start: Start) -> None:
    demo = await start.prepare()
    order = order_near(Decimal("94205.37"), instrument("BTC", "0.1", "0.00001"), demo.credentials["builder"]["paper"])
    text = welcome(demo, order, start.path)

    assert len(text.splitlines()) <= 30
    assert all(part in text for part in (f"{URL}/docs", str(start.path), demo.credentials["builder"]["paper"]))
    words = shlex.split(text[text.index("curl") : text.index("Ctrl-C")].replace("\\\n", " "))
    assert words[:3] == ["curl", "-sS", f"{URL}/v1"]
    assert f"X-API-Key: {demo.keys['builder']}" in words
    assert msgspec.json.decode(words[words.index("-d") + 1]) == order
