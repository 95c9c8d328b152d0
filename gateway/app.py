"""The composition root: the only place that constructs stores, adapters and listeners."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final, Protocol

import structlog

from adapters.base import Adapter
from adapters.paper import unopened_paper
from adapters.registry import VENUES, Venue, VenueContext, open_adapters
from adapters.transport import Transport
from gateway.accounts import KeyMint, Keys
from gateway.auth import Authenticator, CredentialDirectory
from gateway.clock import Clock, SystemClock
from gateway.codec import Codec
from gateway.data_dir import claimed
from gateway.database import concerns, database_of
from gateway.directory_cache import RevisionWatch
from gateway.dispatch import Dispatcher
from gateway.endpoint import Endpoint
from gateway.keyring import Keyring, MasterKeyRing
from gateway.limits import InProcessLimiter, Limiter
from gateway.local_venues import NO_LISTENERS, LocalVenues, all_served
from gateway.metrics import Metrics
from gateway.newcomers import Newcomers
from gateway.operations.table import OPERATIONS
from gateway.orders.client_ids import ClientIds
from gateway.orders.confirmation import ConfirmedOrders
from gateway.orders.desk import Desk
from gateway.orders.ledger import Ledger
from gateway.orders.orphans import Orphans
from gateway.orders.reconciler import Reconciler
from gateway.orders.retention import Retention
from gateway.orders.sending import Sender
from gateway.orders.supervisor import Supervisor
from gateway.pipeline import Pipeline
from gateway.settings import Settings
from gateway.sharing import Sharing, open_sharing
from gateway.vault import Vault, VenueSessions
from gateway.web import Sites, make_site
from gateway.workers.seat import Role, Seat, Sockets
from gateway.workers.worker import Worker
from mcp_server.assembly import assembled
from storage.sql import Stores

DRAIN_S: Final = 15.0
HOUSEKEEPING_S: Final = 60.0

_log = structlog.get_logger(__name__)


class Limits(Limiter, Protocol):
    """A limiter as one gateway has it: with counts that have to be stored now and then."""

    async def flush(self) -> None: ...
    async def close(self) -> None: ...


class Gateway:
    """Everything one process is made of, wired once. ``running`` starts it and stops it in order."""

    def __init__(
        self,
        settings: Settings,
        *,
        stores: Stores,
        keyring: Keyring,
        vault: Vault,
        adapters: Mapping[str, Adapter],
        clock: Clock,
        sharing: Sharing | None = None,
        worker: Worker | None = None,
    ) -> None:
        self.settings = settings
        self.stores = stores
        self.keyring = keyring
        self.vault = vault
        self.adapters = adapters
        self.local_venues = LocalVenues()
        self.clock = clock
        self.metrics = Metrics()
        owner = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
        self.watch = RevisionWatch(stores.directory, clock)
        self.sessions = VenueSessions(
            vault, adapters, clock, on_opened=lambda credential: self.orphans.opened(credential)
        )
        self.authenticator = Authenticator(stores.directory, keyring, clock, self.watch)
        self.sharing = sharing
        self.worker = worker
        self.limiter = _limiter(stores, clock, sharing, worker)
        self.supervisor = Supervisor()
        self.ledger = Ledger(
            stores.journal,
            clock,
            on_settled=self.metrics.order,
            on_doubt=lambda: self.reconciler.wake(),
        )
        self.reconciler = Reconciler(
            journal=stores.journal,
            ledger=self.ledger,
            directory=stores.directory,
            sessions=self.sessions,
            adapters=adapters,
            clock=clock,
            owner=owner,
            alone=settings.database_url is None and worker is None,
        )
        self.retention = Retention(
            stores.journal,
            clock,
            journal_days=settings.journal_days,
            tombstone_days=settings.tombstone_days,
            on_retired=self.metrics.retired,
        )
        client_ids = ClientIds(keyring.order_id_key)
        self.orphans = Orphans(
            journal=stores.journal,
            sessions=self.sessions,
            adapters=adapters,
            client_ids=client_ids,
            clock=clock,
            owner=owner,
            on_found=self.metrics.orphan,
        )
        self.desk = Desk(
            journal=stores.journal,
            sessions=self.sessions,
            adapters=adapters,
            client_ids=client_ids,
            ledger=self.ledger,
            supervisor=self.supervisor,
            sender=Sender(clock),
            clock=clock,
            owner=owner,
        )
        self.newcomers = Newcomers(
            stores.directory,
            mint=KeyMint(stores.directory, keyring, Keys(stores.directory, {}, clock), clock),
            vault=vault,
            adapters=adapters,
            clock=clock,
            tier=settings.signup_tier,
        )
        dispatcher = Dispatcher(
            directory=stores.directory,
            credentials=CredentialDirectory(stores.directory, clock, self.watch, on_revoked=self.sessions.forget),
            adapters=adapters,
            sessions=self.sessions,
            orders=ConfirmedOrders(self.desk, stores.journal),
            newcomers=self.newcomers,
            clock=clock,
        )
        self.pipeline = Pipeline(
            authenticator=self.authenticator, limiter=self.limiter, codec=Codec(OPERATIONS), dispatcher=dispatcher
        )
        self.endpoint = Endpoint(
            self.pipeline,
            metrics=self.metrics,
            clock=clock,
            max_in_flight=settings.max_in_flight,
            max_body_bytes=settings.max_body_bytes,
        )
        self.mcp = assembled(
            settings,
            authenticator=self.authenticator,
            limiter=self.limiter,
            dispatcher=dispatcher,
            keyring=keyring,
            metrics=self.metrics,
            clock=clock,
            sharing=sharing,
            worker=worker,
        )
        self.metrics.orders_undecided.set_function(self.ledger.undecided_total)
        if sharing is not None:
            sharing.measured_by(self.metrics)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Sites]:
        """Serve until the block ends, then stop cleanly: no new requests, orders drained, state flushed."""
        await self.reconciler.start()
        if self.sharing is not None:
            await self.sharing.join()
        sites = await make_site(self)
        duties: list[Coroutine[Any, Any, None]] = [self.reconciler.run(), self.retention.run(), self._keep_house()]
        if self.sharing is not None:
            duties += self.sharing.duties(self.watch.hurry)
        tasks = [asyncio.create_task(duty) for duty in duties]
        try:
            yield sites
        finally:
            await sites.stop_listening()
            self.mcp.close()
            if not await self.supervisor.drain(DRAIN_S):
                _log.warning("orders were still under way: they are reconciled at the next start")
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await sites.close()
            await self.authenticator.flush()
            await self.limiter.close()
            await self.orphans.close()
            await self.sessions.close()
            if self.sharing is not None:
                await self.sharing.leave()

    async def flush(self) -> None:
        """Store what is counted in memory."""
        await self.authenticator.flush()
        await self.limiter.flush()

    async def problems(self) -> dict[str, str]:
        """What keeps this gateway from serving, by part; empty when it is ready."""
        found: dict[str, str] = {}
        if self.supervisor.is_closing:
            found["gateway"] = "stopping"
        await _probe(found, "database", self.stores.directory.revision)
        if self.worker is not None and self.sharing is None:
            await _probe(found, "owner", self.worker.reach_owner)
        return found

    def degraded(self) -> dict[str, str]:
        """What this gateway serves without, by part. Anybody may ask: the log says more."""
        is_away = self.sharing is not None and self.sharing.limiter.is_away
        return {"redis": "lost: every worker counts its share of each limit by itself"} if is_away else {}

    async def _keep_house(self) -> None:
        while True:
            await self.clock.sleep(HOUSEKEEPING_S)
            try:
                await self.flush()
                await self.sessions.close_idle()
                await self.ledger.forget_decided()
            except Exception:
                _log.exception("housekeeping failed; it is tried again in a minute")


def _limiter(stores: Stores, clock: Clock, sharing: Sharing | None, worker: Worker | None) -> Limits:
    """Redis counts; without it, the owner does for its workers, and a gateway of one process by itself."""
    if sharing is not None:
        return sharing.limiter
    return InProcessLimiter(stores.usage, clock) if worker is None else worker.limiter


async def _probe(found: dict[str, str], part: str, ask: Callable[[], Awaitable[object]]) -> None:
    try:
        async with asyncio.timeout(1.0):
            await ask()
    except Exception as problem:
        found[part] = type(problem).__name__


@contextlib.asynccontextmanager
async def opened(
    settings: Settings,
    clock: Clock | None = None,
    *,
    role: Role = None,
    venues: Mapping[str, Venue] = VENUES,
) -> AsyncIterator[Gateway]:
    """A gateway with its stores and venues open, not listening yet.

    With a ``role`` it is one of several processes, for all of which the data directory has been claimed.

    :raises MasterKeyError, StorageUnavailable: with advice for the operator.
    """
    clock = clock or SystemClock()
    ring = MasterKeyRing.load(settings.require_master_key())
    seat = role if isinstance(role, Seat) else None
    sockets = role if isinstance(role, Sockets) else None
    async with contextlib.AsyncExitStack() as stack:
        if role is None:
            stack.enter_context(claimed(settings.data_dir))
        database = database_of(settings)
        for concern in await concerns(database, clock):
            # Every worker would find the same.
            if seat is None:
                _log.warning(concern)
        stores = await database.open()
        stack.push_async_callback(stores.close)
        sharing = None
        if settings.redis is None and database.is_shared and seat is None:
            _log.warning("limits are counted by this node alone: set VENUEGATE_REDIS_URL before another one is started")
        if settings.redis is not None:
            sharing = await open_sharing(settings.redis, stores, clock)
            stack.push_async_callback(sharing.close)
        keyring = await Keyring.open(stores.directory, ring)
        local, worker = LocalVenues(), None
        if seat is not None:
            worker = Worker(seat, unopened_paper())
            stack.callback(worker.close)
        elif settings.demo:
            listeners = NO_LISTENERS if sockets is None else sockets.venues
            served = all_served(settings.data_dir, clock.now_ms, settings.milo_model, listeners)
            local = await stack.enter_async_context(served)
        transport = Transport()
        stack.push_async_callback(transport.close)
        adapters = await open_adapters(
            VenueContext(
                data_dir=settings.data_dir,
                clock=clock,
                transport=transport,
                paper_urls=local.urls if seat is None else seat.venue_urls,
                nonces=None if sharing is None else sharing.nonces,
                slot=0 if seat is None else seat.slot,
                slots=1 if seat is None else seat.slots,
                paper=None if worker is None else worker.paper,
            ),
            venues,
        )
        for adapter in adapters.values():
            stack.push_async_callback(adapter.close)
        vault = Vault(ring, keyring.fingerprint_key)
        gateway = Gateway(
            settings,
            stores=stores,
            keyring=keyring,
            vault=vault,
            adapters=adapters,
            clock=clock,
            sharing=sharing,
            worker=worker,
        )
        gateway.local_venues = local
        yield gateway
