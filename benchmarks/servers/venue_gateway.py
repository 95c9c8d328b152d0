"""The gateway as it is served, with a local venue that speaks a real venue's protocol and checks every signature."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

from adapters.registry import VenueContext, open_adapters
from adapters.transport import Transport
from benchmarks.servers.callers import Registrar
from benchmarks.servers.local_venue import local_venue
from benchmarks.servers.loop_gaps import LoopGaps
from benchmarks.servers.serving import Serving
from benchmarks.servers.settings import DATABASE, MASTER_KEY, settings_for
from gateway import logs
from gateway.app import Gateway
from gateway.clock import SystemClock
from gateway.keyring import Keyring, MasterKeyRing
from gateway.process import settle_down
from gateway.vault import Vault
from storage.sql import open_sqlite

MOST_ACCOUNTS: Final = 40


@asynccontextmanager
async def _serving(
    exchange: str, directory: Path, callers: int, accounts: int = MOST_ACCOUNTS, *, watch_loop: bool = False
) -> AsyncIterator[Serving]:
    """At most ``accounts`` of the callers, each with one at the venue."""
    # To standard error: the other output is for the benchmark.
    logs.configure("error", as_json=True)
    clock, ring, transport = SystemClock(), MasterKeyRing([MASTER_KEY]), Transport()
    stores = await open_sqlite(directory / DATABASE)
    try:
        keyring = await Keyring.open(stores.directory, ring)
        vault = Vault(ring, keyring.fingerprint_key)
        async with local_venue(exchange, directory / "venue", min(callers, accounts)) as venue:
            context = VenueContext(
                data_dir=directory, clock=clock, transport=transport, paper_urls={exchange: venue.url}
            )
            adapters = await open_adapters(context)
            enrolled = [
                await Registrar(stores.directory, keyring, vault, clock, secrets, exchange=exchange).one(number)
                for number, secrets in enumerate(venue.accounts)
            ]
            gateway = Gateway(
                settings_for(directory), stores=stores, keyring=keyring, vault=vault, adapters=adapters, clock=clock
            )
            gaps = LoopGaps()
            settle_down()
            async with gateway.running() as sites, gaps.watched(watch_loop):
                yield Serving(port=sites.port, callers=enrolled, gaps=gaps.take_worst)
            for adapter in adapters.values():
                await adapter.close()
    finally:
        await transport.close()
        await stores.close()


hyperliquid = partial(_serving, "hyperliquid")
paradex = partial(_serving, "paradex")
paradex_watched = partial(_serving, "paradex", watch_loop=True)
