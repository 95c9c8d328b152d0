"""The gateway's whole request path with the journal and the venue out of the picture."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.servers.callers import Registrar
from benchmarks.servers.do_nothing import DeskWithoutJournal, DoNothingVenue
from benchmarks.servers.serving import Serving
from benchmarks.servers.settings import DATABASE, MASTER_KEY, settings_for
from gateway import logs
from gateway.app import Gateway
from gateway.auth import CredentialDirectory
from gateway.clock import SystemClock
from gateway.codec import Codec
from gateway.directory_cache import RevisionWatch
from gateway.dispatch import Dispatcher
from gateway.endpoint import Endpoint
from gateway.keyring import Keyring, MasterKeyRing
from gateway.operations.table import OPERATIONS
from gateway.pipeline import Pipeline
from gateway.sharing import open_sharing
from gateway.vault import Vault
from storage.redis_store.address import RedisAddress
from storage.sql import open_sqlite


class GatewayWithoutJournal(Gateway):
    """The gateway as it is, but for the desk that its dispatcher hands orders to."""

    def use_desk(self, desk: DeskWithoutJournal) -> None:
        """Take requests through a pipeline with ``desk``; before anything is served."""
        self.pipeline = Pipeline(
            authenticator=self.authenticator,
            limiter=self.limiter,
            codec=Codec(OPERATIONS),
            dispatcher=Dispatcher(
                directory=self.stores.directory,
                credentials=CredentialDirectory(
                    self.stores.directory, self.clock, RevisionWatch(self.stores.directory, self.clock)
                ),
                adapters=self.adapters,
                sessions=self.sessions,
                orders=desk,
                clock=self.clock,
            ),
        )
        self.endpoint = Endpoint(
            self.pipeline,
            metrics=self.metrics,
            clock=self.clock,
            max_in_flight=self.settings.max_in_flight,
            max_body_bytes=self.settings.max_body_bytes,
        )


@asynccontextmanager
async def serving(
    directory: Path, callers: int, instruments: int = 8, redis: RedisAddress | None = None
) -> AsyncIterator[Serving]:
    """With ``redis``, limits are counted there."""
    # To standard error: the other output is for the benchmark.
    logs.configure("error", as_json=True)
    clock = SystemClock()
    ring = MasterKeyRing([MASTER_KEY])
    stores = await open_sqlite(directory / DATABASE)
    try:
        keyring = await Keyring.open(stores.directory, ring)
        vault = Vault(ring, keyring.fingerprint_key)
        enrolled = await Registrar(stores.directory, keyring, vault, clock, {}).enrol(callers)
        # With patience: a busy machine must not be measured as one that lost its Redis.
        sharing = None if redis is None else await open_sharing(redis, stores, clock, answer_within_s=5.0)
        gateway = GatewayWithoutJournal(
            settings_for(directory),
            stores=stores,
            keyring=keyring,
            vault=vault,
            adapters={"paper": DoNothingVenue(instruments)},
            clock=clock,
            sharing=sharing,
        )
        gateway.use_desk(DeskWithoutJournal())
        async with gateway.running() as sites:
            yield Serving(port=sites.port, callers=enrolled)
        if sharing is not None:
            await sharing.close()
    finally:
        await stores.close()
