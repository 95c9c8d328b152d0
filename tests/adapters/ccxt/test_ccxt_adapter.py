"""What every venue of the package has in common."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.base import Capability, Network, OpenCredential
from adapters.ccxt_venues.adapter import CcxtAdapter
from adapters.ccxt_venues.rows import ROWS
from adapters.ccxt_venues.venue import Site
from adapters.transport import Transport
from normalization.errors import ExchangeError
from normalization.venue_failures import Reason
from tests.adapters.ccxt.hyperliquid_rig import ACCOUNT, KEY, HyperliquidRig, surroundings
from tests.adapters.ccxt.orders_to_place import TOKEN
from tests.adapters.ccxt.paradex_rig import ACCOUNT as STARK_ACCOUNT
from tests.adapters.ccxt.paradex_rig import ParadexRig


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    transport = Transport()
    yield transport
    await transport.close()


@pytest.mark.parametrize("exchange", sorted(ROWS))
def test_a_row_is_whole(exchange: str) -> None:
    row = ROWS[exchange]
    assert set(Capability) - row.capabilities.supports == set(row.capabilities.unsupported)
    assert {Network.MAINNET} <= row.hosts.keys() <= {Network.MAINNET, Network.TESTNET}
    assert all(host.startswith("https://") for host in row.hosts.values())
    assert len({field.name for field in row.credential_fields}) == len(row.credential_fields)


async def test_the_local_network_exists_only_where_the_process_serves_it(transport: Transport, tmp_path: Path) -> None:
    row = ROWS["hyperliquid"]
    around = surroundings(tmp_path, transport)
    assert Network.PAPER not in CcxtAdapter(row, around).networks
    assert Network.PAPER in CcxtAdapter(row, around, paper_url="http://127.0.0.1:1").networks


async def test_real_venues_have_budgets_and_a_store_and_local_ones_have_neither(
    transport: Transport, tmp_path: Path
) -> None:
    around = surroundings(tmp_path, transport)
    adapter = CcxtAdapter(ROWS["hyperliquid"], around)

    def site(network: Network) -> Site:
        return Site(exchange="x", network=network, base_url="", around=around, nonces=adapter._nonces)

    assert len(site(Network.MAINNET).budgets(10, 1)) == 1
    assert site(Network.MAINNET).store == tmp_path / "markets" / "x-mainnet.json"
    assert site(Network.PAPER).budgets(10, 1) == ()
    assert site(Network.PAPER).store is None


def test_our_sixteen_bytes_are_spelled_as_each_venue_wants_them() -> None:
    assert ROWS["hyperliquid"].client_id(TOKEN) == "0x000102030405060708090a0b0c0d0e0f"
    assert ROWS["paradex"].client_id(TOKEN) == "000102030405060708090a0b0c0d0e0f"


def test_only_the_public_address_of_a_credential_is_shown() -> None:
    secrets = {"account_address": ACCOUNT, "private_key": KEY}
    assert ROWS["hyperliquid"].describe(secrets) == ACCOUNT
    assert ROWS["hyperliquid"].describe({**secrets, "vault_address": "0x1"}) == "0x1"
    assert ROWS["paradex"].describe({"account_address": STARK_ACCOUNT, "private_key": "0x1"}) == STARK_ACCOUNT


@pytest.mark.parametrize("key", ["", "secret-canary", "0x" + "0" * 64, "0x" + "f" * 64])
async def test_a_malformed_key_is_told_without_repeating_it(hyperliquid: HyperliquidRig, key: str) -> None:
    with pytest.raises(ExchangeError) as refused:
        await hyperliquid.open(private_key=key)
    assert refused.value.details is not None
    assert refused.value.details["reason"] == Reason.AUTHENTICATION_FAILED
    assert not key or key not in str(refused.value)


async def test_two_hundred_credentials_cost_little_and_share_the_list_of_markets(
    hyperliquid: HyperliquidRig, paradex: ParadexRig
) -> None:
    await paradex.open()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    wallets = [await hyperliquid.open(private_key=f"0x{n:064x}") for n in range(1, 201)]
    subkeys = [await paradex.open(private_key=f"0x{n:x}") for n in range(1, 201)]
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert used < 4 << 20
    assert len({id(session._listings) for session in wallets}) == 1
    assert len({id(session._listings) for session in subkeys}) == 1


def test_ccxt_is_not_imported_by_what_serves_these_venues() -> None:
    code = "import sys, adapters.ccxt_venues.rows; sys.exit('ccxt' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == 0


def test_a_credential_in_the_clear_does_not_show_itself() -> None:
    credential = OpenCredential(
        credential_id="c",
        account_id="a",
        exchange="hyperliquid",
        network=Network.MAINNET,
        secrets={"private_key": KEY},
    )
    assert KEY not in repr(credential)
