"""The composition root: the only place that constructs stores, adapters and listeners."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final

import structlog

from adapters.base import Adapter
from adapters.registry import VenueContext, open_adapters
from adapters.transport import Transport
from gateway.auth import Authenticator, CredentialDirectory
from gateway.clock import Clock, SystemClock
from gateway.codec import Codec
from gateway.data_dir import claimed
from gateway.database import concerns, database_of
from gateway.directory_cache import RevisionWatch
from gateway.dispatch import Dispatcher
from gateway.endpoint import Endpoint
from gateway.keyring import Keyring, MasterKeyRing
from gateway.limits import InProcessLimiter
from gateway.local_venues import LocalVenueAt, all_served
from gateway.metrics import Metrics
from gateway.operations.table import OPERATIONS
from gateway.orders.client_ids import ClientIds
from gateway.orders.confirmation import ConfirmedOrders
from gateway.orders.desk import Desk
from gateway.orders.ledger import Ledger
from gateway.orders.reconciler import Reconciler
from gateway.orders.sending import Sender
from gateway.orders.supervisor import Supervisor
from gateway.pipeline import Pipeline
from gateway.settings import Settings
from gateway.shared_limits.limiter import SharedLimiter
from gateway.shared_limits.live_workers import LiveWorkers
from gateway.vault import Vault, VenueSessions
from gateway.web import Sites, make_site
from mcp_server.assembly import assembled
from storage.ports import SharedCounters, StorageUnavailable
from storage.redis_store.address import RedisAddress
from storage.sql import Stores

if TYPE_CHECKING:
    from storage.redis_store.stores import RedisStores

DRAIN_S: Final = 15.0
HOUSEKEEPING_S: Final = 60.0

_log = structlog.get_logger(__name__)


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
        redis: RedisStores | None = None,
    ) -> None:
        self.settings = settings
        self.stores = stores
        self.keyring = keyring
        self.vault = vault
        self.adapters = adapters
        self.local_venues: Mapping[str, LocalVenueAt] = {}
        self.clock = clock
        self.metrics = Metrics()
        owner = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
        self.watch = RevisionWatch(stores.directory, clock)
        self.sessions = VenueSessions(vault, adapters, clock)
        self.authenticator = Authenticator(stores.directory, keyring, clock, self.watch)
        self.workers = LiveWorkers(stores.workers, owner, clock)
        self.redis = redis
        self.shared_limits = None if redis is None else self._shared_limits(redis.counters)
        self.limiter = self.shared_limits or InProcessLimiter(stores.usage, clock)
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
            alone=settings.database_url is None,
        )
        self.desk = Desk(
            journal=stores.journal,
            sessions=self.sessions,
            adapters=adapters,
            client_ids=ClientIds(keyring.order_id_key),
            ledger=self.ledger,
            supervisor=self.supervisor,
            sender=Sender(clock),
            clock=clock,
            owner=owner,
        )
        dispatcher = Dispatcher(
            directory=stores.directory,
            credentials=CredentialDirectory(stores.directory, clock, self.watch, on_revoked=self.sessions.forget),
            adapters=adapters,
            sessions=self.sessions,
            orders=ConfirmedOrders(self.desk, stores.journal),
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
        )
        self.metrics.orders_undecided.set_function(self.ledger.undecided_total)

    def _shared_limits(self, counters: SharedCounters) -> SharedLimiter:
        limiter = SharedLimiter(
            counters,
            self.stores.usage,
            self.clock,
            workers=lambda: self.workers.count,
            note=self.metrics.limit_check,
        )
        self.metrics.limits_away.set_function(lambda: limiter.is_away)
        self.metrics.redis_lost.set_function(lambda: limiter.times_lost)
        self.metrics.live_workers.set_function(lambda: self.workers.count)
        return limiter

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Sites]:
        """Serve until the block ends, then stop cleanly: no new requests, orders drained, state flushed."""
        await self.reconciler.start()
        if self.shared_limits is not None:
            await self.workers.beat()
            await self.shared_limits.start()
        sites = await make_site(self)
        duties = [self.reconciler.run(), self._keep_house()]
        if self.redis is not None:
            duties += [self.workers.run(), self.redis.news.listen(self.watch.hurry)]
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
            await self.sessions.close()
            if self.redis is not None:
                await self.workers.leave()

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
        return found

    def degraded(self) -> dict[str, str]:
        """What this gateway serves without, by part. Anybody may ask: the log says more."""
        is_away = self.shared_limits is not None and self.shared_limits.is_away
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


async def _probe(found: dict[str, str], part: str, ask: Callable[[], Awaitable[object]]) -> None:
    try:
        async with asyncio.timeout(1.0):
            await ask()
    except Exception as problem:
        found[part] = type(problem).__name__


async def _open_redis(address: RedisAddress) -> RedisStores:
    """:raises WrongRedis: it is not one that the gateway can use. One that cannot be reached may come later."""
    # Only those who use it pay for its library.
    from storage.redis_store.failures import WrongRedis
    from storage.redis_store.stores import open_redis

    redis = open_redis(address)
    try:
        await redis.check()
    except WrongRedis:
        await redis.close()
        raise
    except StorageUnavailable as problem:
        _log.warning("starting without Redis", problem=problem.problem, advice=problem.advice)
    return redis


@contextlib.asynccontextmanager
async def opened(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Gateway]:
    """A gateway with its stores and venues open, not listening yet.

    :raises MasterKeyError, StorageUnavailable: with advice for the operator.
    """
    clock = clock or SystemClock()
    ring = MasterKeyRing.load(settings.require_master_key())
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(claimed(settings.data_dir))
        redis = None
        if settings.redis is not None:
            redis = await _open_redis(settings.redis)
            stack.push_async_callback(redis.close)
        database = database_of(settings)
        for concern in await concerns(database, clock):
            _log.warning(concern)
        stores = await database.open()
        if redis is not None:
            stores.directory.on_change = redis.news.announce
        stack.push_async_callback(stores.close)
        keyring = await Keyring.open(stores.directory, ring)
        local: Mapping[str, LocalVenueAt] = {}
        if settings.demo:
            local = await stack.enter_async_context(all_served(settings.data_dir, clock.now_ms))
        transport = Transport()
        stack.push_async_callback(transport.close)
        adapters = await open_adapters(
            VenueContext(
                data_dir=settings.data_dir,
                clock=clock,
                transport=transport,
                paper_urls={exchange: venue.url for exchange, venue in local.items()},
            )
        )
        for adapter in adapters.values():
            stack.push_async_callback(adapter.close)
        vault = Vault(ring, keyring.fingerprint_key)
        gateway = Gateway(
            settings, stores=stores, keyring=keyring, vault=vault, adapters=adapters, clock=clock, redis=redis
        )
        gateway.local_venues = local
        yield gateway
