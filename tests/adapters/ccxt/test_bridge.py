"""What all venues through ccxt have in common below their sessions."""

from __future__ import annotations

import asyncio
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from adapters.base import Network
from adapters.ccxt_venues.adapter import CcxtAdapter
from adapters.ccxt_venues.bridge.handing import HandedOver, in_threads
from adapters.ccxt_venues.bridge.library import require
from adapters.ccxt_venues.bridge.quirks import Requirement
from adapters.ccxt_venues.bridge.service import urls_at
from adapters.ccxt_venues.extended import QUIRKS as EXTENDED_QUIRKS
from adapters.ccxt_venues.grvt import QUIRKS as GRVT_QUIRKS
from adapters.ccxt_venues.nonces import Nonces
from adapters.ccxt_venues.numbers import shortened
from adapters.ccxt_venues.rows import ROWS
from adapters.ccxt_venues.venue import Site
from adapters.transport import Transport
from normalization.errors import ServiceUnavailable, UnsupportedOperation
from normalization.orders import PostOnly
from tests.adapters.ccxt.benches import bench_of, outcome
from tests.adapters.ccxt.hyperliquid_rig import surroundings
from tests.adapters.ccxt.recorded import WIRES
from tests.adapters.ccxt.recording_server import Answer, recording


async def on_the_loop() -> str:
    await asyncio.sleep(0)
    return threading.current_thread().name


async def test_a_coroutine_computes_in_threads_and_sends_on_the_loop() -> None:
    seen = []

    async def calling() -> str:
        seen.append(threading.current_thread())
        sent_by = await HandedOver(on_the_loop)
        seen.append(threading.current_thread())
        return str(sent_by)

    assert await in_threads(calling()) == threading.main_thread().name
    assert threading.main_thread() not in seen


async def test_what_goes_wrong_on_the_loop_is_raised_where_it_was_awaited() -> None:
    async def failing() -> str:
        raise LookupError("lost")

    async def calling() -> str:
        try:
            return str(await HandedOver(failing))
        except LookupError as lost:
            return f"seen: {lost}"

    assert await in_threads(calling()) == "seen: lost"


async def test_what_goes_wrong_in_the_thread_is_raised_to_who_asked() -> None:
    async def calling() -> None:
        await HandedOver(on_the_loop)
        raise LookupError("lost")

    with pytest.raises(LookupError, match="lost"):
        await in_threads(calling())


async def test_a_coroutine_in_a_thread_may_wait_for_nothing_else() -> None:
    async def calling() -> None:
        await asyncio.sleep(0)

    with pytest.raises(TypeError):
        await in_threads(calling())


async def test_a_call_that_is_given_up_does_not_go_on() -> None:
    went_on = []

    async def never() -> None:
        await asyncio.Event().wait()

    async def calling() -> None:
        await HandedOver(never)
        went_on.append(True)

    task = asyncio.create_task(in_threads(calling()))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert went_on == []


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    transport = Transport()
    yield transport
    await transport.close()


@pytest.fixture
def site_at(tmp_path: Path, transport: Transport) -> Callable[[str, Network], Site]:
    around = surroundings(tmp_path, transport)
    nonces = Nonces(around.now_ms)

    def at(base_url: str, network: Network) -> Site:
        return Site(exchange="x", network=network, base_url=base_url, around=around, nonces=nonces)

    return at


async def test_addresses_are_the_venues_own_on_its_own_networks(site_at: Callable[[str, Network], Site]) -> None:
    for quirks in (EXTENDED_QUIRKS, GRVT_QUIRKS):
        for network, urls in quirks.urls.items():
            base = next(iter(urls.values())).rstrip("/")
            assert urls_at(site_at(base, network), quirks.urls) == urls


async def test_several_hosts_become_folders_where_a_venue_is_served_locally(
    site_at: Callable[[str, Network], Site],
) -> None:
    local = site_at("http://127.0.0.1:1", Network.PAPER)
    assert urls_at(local, EXTENDED_QUIRKS.urls) == {"rest": "http://127.0.0.1:1"}
    assert urls_at(local, GRVT_QUIRKS.urls) == {
        "privateEdge": "http://127.0.0.1:1/edge.grvt.io/",
        "privateTrading": "http://127.0.0.1:1/trades.grvt.io/",
        "publicMarket": "http://127.0.0.1:1/market-data.grvt.io/",
    }


@pytest.mark.parametrize("module", ["no_such_module", "no_such_package.module"])
def test_what_a_venue_needs_and_is_not_there_comes_with_how_to_install_it(module: str) -> None:
    require("x", None)
    require("x", Requirement(module="json", install=""))
    with pytest.raises(UnsupportedOperation) as lacking:
        require("x", Requirement(module=module, install="pip install it"))
    assert lacking.value.details == {"exchange": "x", "install": "pip install it"}


def test_nonces_are_given_once_however_many_threads_ask() -> None:
    nonces = Nonces(lambda: 1)
    with ThreadPoolExecutor(4) as pool:
        given = list(pool.map(lambda _: nonces.next("signer"), range(2_000)))
    assert len(set(given)) == 2_000


def test_a_quotient_is_cut_to_what_money_has_and_no_sum_is_too_long() -> None:
    assert shortened("60010.04840909090909090909") == Decimal("60010.048409090909090909")
    assert shortened("-0.0000000000000000000000001") == 0
    for wrong in ("NaN", "Infinity", "1e40", "1" * 81, "x"):
        with pytest.raises((ValueError, ArithmeticError)):
            shortened(wrong)


@pytest.mark.parametrize("exchange", sorted(WIRES))
async def test_a_list_of_markets_that_is_none_is_not_an_empty_one(
    exchange: str, transport: Transport, tmp_path: Path
) -> None:
    answers = [Answer(body) for body in (b"", b"<html>", b"null", b"[]", b"{}", b'"x"', b'{"a":NaN}', b"[" * 100_000)]
    row = WIRES[exchange]().row or ROWS[exchange]
    async with recording(lambda sent: answers[-1]) as server:
        while answers:
            adapter = CcxtAdapter(row, surroundings(tmp_path, transport), paper_url=server.url)
            failure = await outcome(adapter.markets(Network.PAPER))
            await adapter.close()
            assert isinstance(failure, ServiceUnavailable), f"{answers[-1].body[:20]!r}: {failure!r}"
            answers.pop()


async def stored_beside(tmp_path: Path) -> Path:
    """Where the list of a venue is kept, after it was loaded."""
    async with bench_of("extended", WIRES["extended"](), tmp_path, Network.MAINNET):
        pass
    return tmp_path / "markets" / "extended-mainnet.json"


async def test_a_restart_serves_the_list_that_was_kept_while_the_venue_is_down(
    transport: Transport, tmp_path: Path
) -> None:
    assert (await stored_beside(tmp_path)).exists()
    async with recording(lambda sent: Answer(b"", 503)) as down:
        row = msgspec.structs.replace(ROWS["extended"], hosts={Network.MAINNET: down.url})
        adapter = CcxtAdapter(row, surroundings(tmp_path, transport))
        markets = await adapter.markets(Network.MAINNET)
        await adapter.close()
    assert markets.resolve("BTC").symbol == "BTC-USD-PERP"


@pytest.mark.parametrize("kept", [b"", b"[1]", b"{}", b"null", b'[{"swap":true}]'])
async def test_a_list_that_was_kept_and_cannot_be_read_is_asked_for_again(kept: bytes, tmp_path: Path) -> None:
    (await stored_beside(tmp_path)).write_bytes(kept)
    async with bench_of("extended", WIRES["extended"](), tmp_path, Network.MAINNET) as bench:
        assert bench.rig.btc.symbol == "BTC-USD-PERP"


@pytest.mark.parametrize("exchange", ["extended", "grvt", "pacifica", "dydx", "lighter"])
async def test_two_hundred_credentials_would_cost_little_and_one_more_opens_in_no_time(
    exchange: str, tmp_path: Path
) -> None:
    async with bench_of(exchange, WIRES[exchange](), tmp_path) as bench:
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        sessions = [await bench.rig.open(bench.wire.secrets) for _ in range(50)]
        each = (tracemalloc.get_traced_memory()[0] - before) / len(sessions)
        tracemalloc.stop()
        start = time.process_time()
        await bench.rig.open(bench.wire.secrets)
        spent_s = time.process_time() - start
    assert 200 * each < 100 << 20
    assert spent_s < 0.02
    assert len({id(session._exchange.markets) for session in sessions}) == 1


@pytest.mark.parametrize("exchange", sorted(WIRES))
async def test_making_an_order_does_not_hold_the_loop(exchange: str, tmp_path: Path) -> None:
    """Pure Python takes up to seventy milliseconds for a signature."""
    spent_s = []
    async with bench_of(exchange, WIRES[exchange](), tmp_path) as bench:
        if bench.session._quirks.signs_in_threads:
            pytest.skip("it is made in threads")
        order = bench.rig.order(PostOnly(price=Decimal(50_000)))
        await outcome(bench.session.place_order(order))

        async def leaves(method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> None:
            spent_s.append(time.thread_time() - start)
            raise ConnectionError

        bench.session._exchange._send = leaves
        for _ in range(10):
            start = time.thread_time()
            await outcome(bench.session.place_order(order))
    if not spent_s:
        pytest.skip("what signs is not installed")
    assert min(spent_s) < 0.002
