"""``venuegate sandbox …``"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.console import Json, print_json

app = typer.Typer(
    help="Local venues that speak a real venue's protocol and check its signatures: to develop against, not for money."
)

Port = Annotated[int, typer.Option("--port", min=0, max=65_535, help="On 127.0.0.1; 0 for any free one.")]


@app.command()
def hyperliquid(ctx: typer.Context, port: Port = 8091, as_json: Json = False) -> None:
    """Serve Hyperliquid's /info and /exchange until Ctrl-C, with one funded account to start with.

    Example: venuegate sandbox hyperliquid --port 8091
    """
    _serve(ctx, "hyperliquid", port, as_json)


@app.command()
def paradex(ctx: typer.Context, port: Port = 8092, as_json: Json = False) -> None:
    """Serve Paradex's /v1 until Ctrl-C, with one funded account to start with.

    Example: venuegate sandbox paradex --port 8092
    """
    _serve(ctx, "paradex", port, as_json)


def _serve(ctx: typer.Context, exchange: str, port: int, as_json: bool) -> None:
    from gateway.cli.office import make_data_dir
    from gateway.settings import Settings

    settings = Settings.load(os.environ, data_dir=ctx.obj)
    directory = settings.data_dir / "sandbox"
    make_data_dir(settings.data_dir)
    make_data_dir(directory)
    asyncio.run(_run(exchange, directory, port, as_json))


async def _run(exchange: str, directory: Path, port: int, as_json: bool) -> None:
    from gateway.cli.serve import stop_signal
    from gateway.clock import SystemClock
    from gateway.data_dir import claimed
    from gateway.local_venues import served
    from sandbox.wires.local import OPENERS

    stop = stop_signal()
    with claimed(directory):
        venue = OPENERS[exchange](directory, SystemClock().now_ms)
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
