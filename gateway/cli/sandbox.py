"""``venuegate sandbox …``"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.console import Json, print_json

if TYPE_CHECKING:
    from sandbox.wires.local import LocalVenue

app = typer.Typer(
    help="Local venues that speak a real venue's protocol and check its signatures: to develop against, not for money."
)

Opener = Callable[[Path, Callable[[], int]], "LocalVenue"]
Port = Annotated[int, typer.Option("--port", min=0, max=65_535, help="On 127.0.0.1; 0 for any free one.")]


@app.command()
def hyperliquid(ctx: typer.Context, port: Port = 8091, as_json: Json = False) -> None:
    """Serve Hyperliquid's /info and /exchange until Ctrl-C, with one funded account to start with.

    Example: venuegate sandbox hyperliquid --port 8091
    """
    from sandbox.wires.local import open_hyperliquid

    _serve(ctx, "hyperliquid", open_hyperliquid, port, as_json)


@app.command()
def paradex(ctx: typer.Context, port: Port = 8092, as_json: Json = False) -> None:
    """Serve Paradex's /v1 until Ctrl-C, with one funded account to start with.

    Example: venuegate sandbox paradex --port 8092
    """
    from sandbox.wires.local import open_paradex

    _serve(ctx, "paradex", open_paradex, port, as_json)


@app.command()
def milo(
    ctx: typer.Context,
    port: Port = 8093,
    as_json: Json = False,
    rpc_url: Annotated[str | None, typer.Option("--rpc-url", "--rpc", hidden=True)] = None,
) -> None:
    """Serve Milo's /api/v1 until Ctrl-C, with one user who has traded to start with, and a Solana inside the process.

    Example: venuegate sandbox milo --port 8093
    """
    from gateway.settings import NO_PUBLIC_CHAIN, Settings, SettingsError
    from sandbox.milo.local import NOTICE, open_milo

    if rpc_url is not None:
        raise SettingsError([f"--rpc-url: {NO_PUBLIC_CHAIN}; expected it to be left out"])
    typer.echo(NOTICE, err=True)
    model = Settings.load(os.environ).milo_model
    _serve(ctx, "milo", lambda directory, now_ms: open_milo(directory, now_ms, model), port, as_json)


def _serve(ctx: typer.Context, exchange: str, open_venue: Opener, port: int, as_json: bool) -> None:
    from gateway.cli.office import make_data_dir
    from gateway.settings import Settings

    settings = Settings.load(os.environ, data_dir=ctx.obj)
    directory = settings.data_dir / "sandbox"
    make_data_dir(settings.data_dir)
    make_data_dir(directory)
    asyncio.run(_run(exchange, open_venue, directory, port, as_json))


async def _run(exchange: str, open_venue: Opener, directory: Path, port: int, as_json: bool) -> None:
    from gateway.cli.serve import stop_signal
    from gateway.clock import SystemClock
    from gateway.data_dir import claimed
    from gateway.local_venues import served

    stop = stop_signal()
    with claimed(directory):
        venue = open_venue(directory, SystemClock().now_ms)
        async with served(venue.app, port) as url:
            account = await venue.enroll()
            if as_json:
                print_json({"url": url, "account": account})
            else:
                typer.echo(f"A local {exchange} listens on {url}. Nothing on it is real money.")
                typer.echo("A new account there, funded; its key is good for nothing else:")
                for name, value in account.items():
                    typer.echo(f"  {name}: {value}")
            await stop.wait()
