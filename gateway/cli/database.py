"""``venuegate db …``"""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from gateway.cli.console import Json, print_json

app = typer.Typer(help="The database: in the data directory, or the server that VENUEGATE_DATABASE_URL names.")

DatabaseUrl = Annotated[
    str | None, typer.Option("--database-url", help="[VENUEGATE_DATABASE_URL, else SQLite in the data dir]")
]


@app.command()
def upgrade(ctx: typer.Context, database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """Make the database, or bring it to this version's tables. Stop every gateway and make a backup first.

    Example: venuegate db upgrade
    """
    from gateway.cli.office import make_data_dir, settings_of
    from gateway.data_dir import claimed
    from gateway.database import database_of
    from storage.sql.upgrades import HEAD

    settings = settings_of(ctx.obj, database_url=database_url)
    place = database_of(settings)
    if place.is_shared:
        asyncio.run(place.upgrade())
    else:
        make_data_dir(settings.data_dir)
        with claimed(settings.data_dir):
            asyncio.run(place.upgrade())
    if as_json:
        print_json({"database": place.name, "schema": HEAD})
    else:
        typer.echo(f"{place.name} has this version's tables ({HEAD}).")
