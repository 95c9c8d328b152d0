"""``venuegate usage``"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.accounts import AccountRef
from gateway.cli.asking import ask
from gateway.cli.console import Json, print_json, print_table

if TYPE_CHECKING:
    from gateway.cli.office import Office


def add_to(app: typer.Typer) -> None:
    app.command()(usage)


def usage(
    ctx: typer.Context,
    account: AccountRef,
    days: Annotated[int, typer.Option("--days", min=1, max=400, help="How far back.")] = 30,
    as_json: Json = False,
) -> None:
    """How many requests an account made, per UTC day.

    A running gateway stores its counts every ten seconds.

    Example: venuegate usage desk --days 7
    """
    from gateway.limits import LIMITS

    async def counted(office: Office) -> tuple[int, Sequence[tuple[str, int]]]:
        one = await office.accounts.find(account)
        return LIMITS[one.tier].per_day, await office.stores.usage.history(one.account_id, days)

    most, history = ask(ctx, counted)
    if as_json:
        print_json([{"day": day, "requests": count, "limit": most} for day, count in history])
        return
    print_table(
        ("DAY (UTC)", "REQUESTS", "OF THE DAY'S LIMIT"),
        [(day, f"{count:,}", f"{count / most:.1%}") for day, count in history],
        empty=f"{account} made no request in that time.",
    )
