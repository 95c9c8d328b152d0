"""``venuegate serve``"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gateway.app import Gateway
    from gateway.demo import Demo
    from gateway.settings import Settings

STOPPED_AT_ONCE = 1


def add_to(app: typer.Typer) -> None:
    app.command()(serve)


def serve(
    ctx: typer.Context,
    demo: Annotated[
        bool, typer.Option("--demo", help="Three accounts with keys, and a venue on paper: to try it.")
    ] = False,
    host: Annotated[str | None, typer.Option("--host", help="[VENUEGATE_HOST, else 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option("--port", help="0 for any. [VENUEGATE_PORT, else 8080]")] = None,
    workers: Annotated[int | None, typer.Option("--workers", help="[VENUEGATE_WORKERS, else 1]")] = None,
    redis_url: Annotated[str | None, typer.Option("--redis-url", help="[VENUEGATE_REDIS_URL]")] = None,
    database_url: Annotated[
        str | None, typer.Option("--database-url", help="[VENUEGATE_DATABASE_URL, else SQLite in the data dir]")
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option("--metrics-port", help="0 for no metrics. [VENUEGATE_METRICS_PORT, else 9464]")
    ] = None,
    log_level: Annotated[
        str | None, typer.Option("--log-level", help="debug, info, warning or error. [VENUEGATE_LOG_LEVEL]")
    ] = None,
    log_format: Annotated[str | None, typer.Option("--log-format", help="json or text. [VENUEGATE_LOG_FORMAT]")] = None,
) -> None:
    """Run the gateway until SIGTERM or Ctrl-C; a second one stops it without waiting for orders under way.

    Without --demo it needs a master key: venuegate master-key generate --out FILE makes one.

    Example: venuegate serve --demo --port 8080 --data-dir ./var
    """
    from gateway import logs
    from gateway.settings import Settings

    settings = Settings.load(
        os.environ,
        data_dir=ctx.obj,
        demo=demo or None,
        host=host,
        port=port,
        workers=workers,
        redis_url=redis_url,
        database_url=database_url,
        metrics_port=metrics_port,
        log_level=log_level,
        log_format=log_format,
    )
    logs.configure(settings.log_level, as_json=settings.log_format == "json")
    _run(_prepared(settings))


def _prepared(settings: Settings) -> Settings:
    """With a data directory and a master key: the demo makes its own, production is told how.

    :raises Refused: one of them cannot be had.
    """
    import msgspec

    from gateway.cli.office import MASTER_KEY, make_data_dir, require_master_key
    from gateway.keyring import MasterKeyFile, create_master_key_file

    if not settings.demo:
        require_master_key(settings)
    make_data_dir(settings.data_dir)
    if settings.master_key is None:
        path = settings.data_dir / MASTER_KEY
        if not path.exists():
            create_master_key_file(path)
        settings = msgspec.structs.replace(settings, master_key=MasterKeyFile(path))
    return settings


def _run(settings: Settings) -> None:
    import uvloop

    with addresses_told(settings):
        if settings.workers > 1:
            from gateway.cli.serve_many import serve_many

            raise typer.Exit(serve_many(settings))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings))


@contextlib.contextmanager
def addresses_told(settings: Settings) -> Iterator[None]:
    """:raises Refused: for an address that cannot be had."""
    from gateway.accounts import Refused

    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES):
            raise
        raise Refused(
            cannot_listen(settings, error),
            "End the program that has the address, or choose another: --port, --host, --metrics-port (0 for none)",
        ) from error


async def _serve(settings: Settings) -> None:
    import structlog

    from gateway.app import opened
    from gateway.process import settle_down

    log = structlog.get_logger(__name__)
    stop = stop_signal()
    for warning in settings.warnings:
        log.warning(warning)
    async with opened(settings) as gateway:
        demo = await prepare_demo(gateway) if settings.demo else None
        settle_down()
        async with gateway.running() as sites:
            url = settings.public_url or url_of(settings.host, sites.port)
            typer.echo(f"Venuegate listens on {url}" if demo is None else await welcome_to(gateway, demo, url))
            await stop.wait()
            log.info("stopping: orders under way are finished first")
    log.info("stopped")


def stop_signal() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT; the second ends the process."""
    stop = asyncio.Event()

    def ask_to_stop() -> None:
        if stop.is_set():
            typer.echo("Stopped at once: orders that were under way are looked up at the next start.", err=True)
            os._exit(STOPPED_AT_ONCE)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask_to_stop)
    return stop


async def prepare_demo(gateway: Gateway) -> Demo:
    from gateway.demo import FILE, DemoAccounts

    settings = gateway.settings
    accounts = DemoAccounts(
        gateway.stores.directory,
        keyring=gateway.keyring,
        vault=gateway.vault,
        adapters=gateway.adapters,
        local_venues=gateway.local_venues.at,
        clock=gateway.clock,
    )
    return await accounts.prepare(settings.data_dir / FILE, url_of(settings.host, settings.port))


async def welcome_to(gateway: Gateway, demo: Demo, url: str) -> str:
    import msgspec

    from gateway.demo import EXCHANGE, FILE, first_order, store, welcome

    path = gateway.settings.data_dir / FILE
    demo = msgspec.structs.replace(demo, url=url)
    # Even where nothing is new in it: whoever waits for the file to be written knows now that the gateway listens.
    store(path, demo)
    order = await first_order(gateway.stores.directory, gateway.adapters[EXCHANGE], gateway.sessions, demo)
    return welcome(demo, order, path)


def url_of(host: str, port: int) -> str:
    from gateway.doctor import reachable

    shown = reachable(host)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def cannot_listen(settings: Settings, error: OSError) -> str:
    """Which of the two addresses cannot be had, and why."""
    # The event loop puts the address into the text, and nowhere else.
    is_metrics = settings.metrics_port is not None and str(settings.metrics_port) in str(error)
    host, port = (settings.metrics_host, settings.metrics_port) if is_metrics else (settings.host, settings.port)
    what = "Metrics cannot be served" if is_metrics else "The gateway cannot listen"
    reasons = {
        errno.EADDRINUSE: "another program has that address",
        errno.EADDRNOTAVAIL: "this machine does not have that address",
        errno.EACCES: "this user may not use that port",
    }
    return f"{what} on {host}:{port}: {reasons[error.errno or errno.EADDRINUSE]}"
