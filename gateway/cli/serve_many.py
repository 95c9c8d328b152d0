"""``venuegate serve --workers N``: what the supervisor's children run, and what they are given."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import typer

from gateway.cli.failures import told

if TYPE_CHECKING:
    from adapters.registry import Venue
    from gateway.app import Gateway
    from gateway.settings import Settings
    from gateway.workers.seat import Seat, Sockets
    from gateway.workers.supervisor import Lifeline, Program


def serve_many(settings: Settings, venues: Mapping[str, Venue] | None = None) -> int:
    """Run until stopped; the exit code.

    :raises Refused: the address cannot be had.
    :raises StorageUnavailable: another gateway has the data directory.
    """
    import msgspec

    # Loaded once, for all that are forked.
    from adapters.registry import VENUES
    from gateway import app as _  # noqa: F401
    from gateway.data_dir import claimed
    from gateway.local_venues import ALL
    from gateway.workers.seat import sockets_for
    from gateway.workers.supervisor import Supervisor

    venues = venues or VENUES
    with (
        claimed(settings.data_dir),
        _port_kept(settings) as port,
        sockets_for(ALL if settings.demo else ()) as sockets,
    ):
        settings = msgspec.structs.replace(settings, port=port)
        seats = sockets.seats(settings.workers)
        return Supervisor(
            _owner_program(settings, sockets, seats, venues),
            [(f"worker {seat.slot}", _worker_program(settings, seat, venues)) for seat in seats],
        ).run()


@contextlib.contextmanager
def _port_kept(settings: Settings) -> Iterator[int]:
    """The port, which nobody else gets while no worker listens on it; 0 becomes the one that the system chose.

    :raises OSError: it is taken, or not ours to take.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as alone, socket.socket(family, kind, protocol) as shared:
        # Sockets that share a port do so with any of the same user, other gateways included: so first, not shared.
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        alone.bind(address)
        port = alone.getsockname()[1]
        alone.close()
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared.bind((address[0], port, *address[2:]))
        yield port


def _owner_program(settings: Settings, sockets: Sockets, seats: list[Seat], venues: Mapping[str, Venue]) -> Program:
    return lambda lifeline: _run(settings, lambda: _own(settings, sockets, seats, venues, lifeline))


def _worker_program(settings: Settings, seat: Seat, venues: Mapping[str, Venue]) -> Program:
    return lambda lifeline: _run(settings, lambda: _work(settings, seat, venues, lifeline))


def _run(settings: Settings, main: Callable[[], Coroutine[Any, Any, None]]) -> int:
    import uvloop

    from gateway.cli.serve import addresses_told

    try:
        with told(), addresses_told(settings), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
    except typer.Exit as ended:
        return ended.exit_code
    return 0


async def _work(settings: Settings, seat: Seat, venues: Mapping[str, Venue], lifeline: Lifeline) -> None:
    from gateway.app import opened
    from gateway.process import settle_down

    stop = _stop_signal(lifeline)
    async with opened(settings, role=seat, venues=venues) as gateway, gateway.running():
        settle_down()
        lifeline.is_ready()
        await stop.wait()


async def _own(
    settings: Settings, sockets: Sockets, seats: list[Seat], venues: Mapping[str, Venue], lifeline: Lifeline
) -> None:
    import structlog

    from gateway.app import opened
    from gateway.cli.serve import prepare_demo, url_of, welcome_to
    from gateway.demo import EXCHANGE
    from gateway.process import settle_down
    from gateway.workers.channel import serving
    from gateway.workers.owned_limits import LimitsOwner
    from gateway.workers.owned_sessions import SessionsOwner
    from gateway.workers.owned_venue import VenueOwner
    from gateway.workers.passed_on import WordsOwner

    log = structlog.get_logger(__name__)
    announce = asyncio.Event()
    stop = _stop_signal(lifeline, on_word=announce.set)
    if lifeline.is_first:
        for warning in settings.warnings:
            log.warning(warning)
    async with opened(settings, role=sockets, venues=venues) as gateway:
        demo = await prepare_demo(gateway) if settings.demo else None
        if lifeline.is_first and settings.database_url is None:
            # Nobody else is at work yet: what an earlier run left in doubt need not wait for its leases to end.
            await gateway.reconciler.start()
        handlers = (
            VenueOwner(gateway.adapters[EXCHANGE]).handlers()
            | LimitsOwner(gateway.limiter).handlers()
            | SessionsOwner(gateway.clock).handlers()
            | WordsOwner().handlers()
        )
        async with serving(sockets.owner, handlers), _metrics_of_all(gateway, seats):
            settle_down()
            lifeline.is_ready()
            saying = asyncio.create_task(announce.wait())
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({saying, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if announce.is_set():
                url = settings.public_url or url_of(settings.host, settings.port)
                listens = f"Venuegate listens on {url}, with {settings.workers} workers"
                typer.echo(listens if demo is None else await welcome_to(gateway, demo, url))
            await stopping
            saying.cancel()
        await gateway.limiter.close()
        await gateway.sessions.close()


@contextlib.asynccontextmanager
async def _metrics_of_all(gateway: Gateway, seats: list[Seat]) -> AsyncIterator[None]:
    """Every worker's metrics at the one port that the settings name."""
    from aiohttp import web

    from gateway.metrics import CONTENT_TYPE
    from gateway.workers.gathered_metrics import PATH, gathered

    settings = gateway.settings
    if settings.metrics_port is None:
        yield
        return
    sockets = {str(seat.slot): seat.metrics for seat in seats}

    async def expose(request: web.Request) -> web.Response:
        body = await gathered(sockets, gateway.metrics.exposition())
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    application = web.Application()
    application.router.add_get(PATH, expose)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.metrics_host, settings.metrics_port).start()
        yield
    finally:
        await runner.cleanup()


def _stop_signal(lifeline: Lifeline, on_word: Callable[[], None] = lambda: None) -> asyncio.Event:
    """Set by SIGTERM, and when the supervisor is gone: nobody would start this process again, or stop it."""
    import signal

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def heard() -> None:
        if lifeline.word():
            on_word()
        else:
            loop.remove_reader(lifeline.watched)
            stop.set()

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(lifeline.watched, heard)
    return stop
