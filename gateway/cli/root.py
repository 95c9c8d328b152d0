"""The command tree."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from gateway.cli import accounts, credentials, database, doctor, keys, master_key, mcp, orders, sandbox, serve, usage
from gateway.cli.failures import told

EXAMPLES = """\b
[b]Try it[/b], with a venue on paper and three accounts:
  venuegate serve --demo
\b
[b]Run it[/b] for real:
  venuegate master-key generate --out master.key
  export VENUEGATE_MASTER_KEY_FILE=master.key
  venuegate accounts create desk --tier pro
  venuegate credentials add desk --exchange paper
  venuegate keys create desk --env test --label my-bot
  venuegate serve
\b
Every setting is also a variable, VENUEGATE_…; --data-dir may stand anywhere.
"""


class Root(TyperGroup):
    """Takes ``--data-dir`` wherever it stands, and turns what goes wrong into a message and an exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, hoisted(args, "--data-dir"))

    def invoke(self, ctx: Any) -> Any:
        with told():
            return super().invoke(ctx)


def hoisted(args: list[str], option: str) -> list[str]:
    """``args`` with every ``option`` and its value in front."""
    front: list[str] = []
    rest: list[str] = []
    words = iter(args)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word == option:
            front += [word, *(value for value in [next(words, None)] if value is not None)]
        elif word.startswith(f"{option}="):
            front.append(word)
        else:
            rest.append(word)
    return front + rest


app = typer.Typer(
    cls=Root,
    name="venuegate",
    help="A self-hosted execution gateway: one JSON contract for many crypto venues.",
    epilog=EXAMPLES,
    rich_markup_mode="rich",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def root(
    ctx: typer.Context,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir", help="Where the database and the demo's files are. [VENUEGATE_DATA_DIR, else ./var]"
        ),
    ] = None,
) -> None:
    ctx.obj = data_dir


serve.add_to(app)
app.add_typer(accounts.app, name="accounts")
app.add_typer(keys.app, name="keys")
app.add_typer(credentials.app, name="credentials")
app.add_typer(orders.app, name="orders")
usage.add_to(app)
app.add_typer(master_key.app, name="master-key")
app.add_typer(database.app, name="db")
app.add_typer(sandbox.app, name="sandbox")
app.add_typer(mcp.app, name="mcp")
doctor.add_to(app)


@app.command()
def version() -> None:
    """Print the version of Venuegate.

    Example: venuegate version
    """
    from importlib.metadata import version

    typer.echo(version("venuegate"))
