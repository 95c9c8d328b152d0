"""``venuegate db …``"""

from __future__ import annotations

import typer

from gateway.cli.console import Json, print_json

app = typer.Typer(help="The database in the data directory.")


@app.command()
def upgrade(ctx: typer.Context, as_json: Json = False) -> None:
    """Make the database, or bring it to this version's tables. Stop the gateway and make a backup first.

    Example: venuegate db upgrade
    """
    from gateway.cli.office import DATABASE, make_data_dir, settings_of
    from gateway.data_dir import claimed
    from storage.sql.engines import prepare_file, sqlite_engine
    from storage.sql.failures import translated
    from storage.sql.upgrades import HEAD
    from storage.sql.upgrades import upgrade as bring_up_to_date

    data_dir = settings_of(ctx.obj).data_dir
    make_data_dir(data_dir)
    path = data_dir / DATABASE
    with claimed(data_dir):
        prepare_file(path)
        engine = sqlite_engine(path)
        try:
            bring_up_to_date(engine)
        except Exception as error:
            raise translated(error, path) from error
        finally:
            engine.dispose()
    if as_json:
        print_json({"database": str(path), "schema": HEAD})
    else:
        typer.echo(f"{path} has this version's tables ({HEAD}).")
