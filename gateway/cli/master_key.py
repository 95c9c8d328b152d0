"""``venuegate master-key …``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.asking import ask
from gateway.cli.console import Json, print_json

if TYPE_CHECKING:
    from gateway.cli.office import Office

app = typer.Typer(help="The one secret that is not in the database: it opens all the others.")


@app.command()
def generate(
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write it here, for its owner only.")
    ] = None,
) -> None:
    """Make a master key, into a file or to standard output.

    Example: venuegate master-key generate --out master.key
    """
    from gateway.accounts import Refused
    from gateway.keyring import create_master_key_file, generate_master_key

    if out is None:
        typer.echo(generate_master_key())
        typer.echo("Keep a copy: without it no stored secret opens.", err=True)
        return
    if not create_master_key_file(out):
        raise Refused(
            f"{out} is there already and was left as it is",
            "Name another file. To rotate: put a new key above the old one, in the same file, and run"
            " venuegate master-key rotate",
        )
    typer.echo(f"Wrote {out}. Keep a copy: without it no stored secret opens.")
    typer.echo(f"Next: export VENUEGATE_MASTER_KEY_FILE={out.resolve()}")


@app.command()
def rotate(ctx: typer.Context, as_json: Json = False) -> None:
    """Wrap everything under the first key of the master key file. Gateways may go on running with both keys.

    First put a new line above the old one and restart every gateway; after this, take the old line away.

    Example: venuegate master-key rotate
    """
    from gateway.keyring import rewrap_all

    async def rotated(office: Office) -> int:
        return await rewrap_all(office.directory, office.ring())

    count = ask(ctx, rotated)
    if as_json:
        print_json({"rewrapped": count})
    elif count:
        typer.echo(f"Wrapped {count} secrets under the current master key. The old one is no longer needed here.")
    else:
        typer.echo("Nothing to do: everything is under the current master key.")
