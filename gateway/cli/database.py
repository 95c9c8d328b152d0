"""``venuegate db …``"""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from gateway.cli.console import Json, print_json, print_table

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


@app.command()
def copy(ctx: typer.Context, database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """Move what is in the data directory to an empty PostgreSQL database, and prove that all of it is there.

    Stop the gateway first. Afterwards the file is kept under another name: VENUEGATE_DATABASE_URL has its place.

    Example: venuegate db copy --database-url postgresql://venuegate@db.internal/venuegate
    """
    from gateway.accounts import Refused
    from gateway.cli.office import settings_of
    from gateway.data_dir import claimed
    from gateway.database import FILE
    from storage.sql.copying import copy_to_postgresql

    settings = settings_of(ctx.obj, database_url=database_url)
    source = settings.data_dir / FILE
    if settings.database_url is None:
        raise Refused("There is no server to copy to", "Name it with --database-url or VENUEGATE_DATABASE_URL")
    if not source.exists():
        raise Refused(f"There is no database in {settings.data_dir}", "Name the data directory with --data-dir")
    with claimed(settings.data_dir):
        copied = asyncio.run(copy_to_postgresql(source, settings.database_url.text))
        kept = source.replace(source.with_name(f"{FILE}.copied"))
    if as_json:
        print_json({"rows": copied, "kept": str(kept)})
        return
    print_table(("table", "rows"), [(name, f"{rows:,}") for name, rows in copied.items()], empty="")
    typer.echo(f"All of it was read back and is the same. The file is kept as {kept}.")
    typer.echo("Start the gateway with VENUEGATE_DATABASE_URL from now on, and with the same master key.")
