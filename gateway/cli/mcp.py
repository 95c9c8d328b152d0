"""``venuegate mcp …``: what an MCP client needs to reach a gateway."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from mcp_server.client_config import KEY_VARIABLE, URL_VARIABLE, Client, Transport, snippet

if TYPE_CHECKING:
    from gateway.settings import Settings

KEY_PLACEHOLDER: Final = "mt_live_YOUR_KEY"

app = typer.Typer(help="Connect AI clients over the Model Context Protocol.", no_args_is_help=True)


@app.command()
def config(
    ctx: typer.Context,
    client: Annotated[Client, typer.Option("--client", help="Which client it is for.")],
    url: Annotated[str | None, typer.Option("--url", help="Where the gateway is. [VENUEGATE_PUBLIC_URL]")] = None,
    transport: Annotated[
        Transport | None, typer.Option("--transport", help="http or stdio, where the client takes both.")
    ] = None,
) -> None:
    """Print the configuration for an MCP client, with this gateway's address and a key.

    The key is VENUEGATE_API_KEY, else the demo's, else a placeholder to be replaced.

    Example: venuegate mcp config --client claude-code
    """
    from gateway.cli.office import settings_of

    settings = settings_of(ctx.obj)
    demo_url, demo_key = _demo(settings)
    key = os.environ.get(KEY_VARIABLE) or demo_key
    address = _mcp_url(url or settings.public_url or demo_url or _listening_at(settings))
    found = snippet(
        client,
        address,
        key or KEY_PLACEHOLDER,
        transport=transport,
        command=_this_program(),
    )
    typer.echo(f"Put this into {found.file}:", err=True)
    typer.echo(found.text)
    if key is None:
        typer.echo(f"Put a key in place of {KEY_PLACEHOLDER}: venuegate keys create ACCOUNT --env live", err=True)


@app.command()
def stdio(
    ctx: typer.Context,
    url: Annotated[
        str | None, typer.Option("--url", help="Where the gateway is. [VENUEGATE_MCP_URL, VENUEGATE_PUBLIC_URL]")
    ] = None,
) -> None:
    """Be an MCP server on standard input and output, for clients that only start programs.

    It passes everything on to a gateway, under the key in VENUEGATE_API_KEY.

    Example: VENUEGATE_API_KEY=… venuegate mcp stdio --url http://127.0.0.1:8080
    """
    import asyncio

    from gateway.cli.office import settings_of
    from mcp_server.stdio import serve

    settings = settings_of(ctx.obj)
    address = url or os.environ.get(URL_VARIABLE) or settings.public_url or _listening_at(settings)
    asyncio.run(serve(_mcp_url(address), os.environ.get(KEY_VARIABLE) or None))


def _demo(settings: Settings) -> tuple[str | None, str | None]:
    """The address and the Builder key of the demo in this data directory, where there is one."""
    from gateway.demo import FILE, load
    from storage.ports import Tier

    demo = load(Path(settings.data_dir) / FILE)
    return (None, None) if demo is None else (demo.url, demo.keys.get(Tier.BUILDER))


def _listening_at(settings: Settings) -> str:
    from gateway.doctor import reachable

    host = reachable(settings.host)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def _mcp_url(url: str) -> str:
    bare = url.rstrip("/")
    return bare if bare.endswith("/mcp") or "/mcp?" in bare else f"{bare}/mcp"


def _this_program() -> list[str]:
    """How to start it from anywhere: by its whole path, or through this Python where it was started so."""
    program = Path(sys.argv[0]).resolve()
    return [str(program)] if program.name == "venuegate" else [sys.executable, "-m", "gateway.cli"]
