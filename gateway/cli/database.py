"""``venuegate db …``"""

from __future__ import annotations

import typer

app = typer.Typer(help="The database in the data directory.")


@app.command()
def upgrade(ctx: typer.Context) -> None:
    """Make the database, or bring it to this version's schema. `serve` does it by itself.

    Example: venuegate db upgrade
    """
    from gateway.cli.office import Office, ask

    async def done(office: Office) -> str:
        return str(office.settings.data_dir)

    typer.echo(f"The database in {ask(ctx, done, create=True)} has this version's schema.")
