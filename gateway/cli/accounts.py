"""``venuegate accounts …``"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.asking import ask
from gateway.cli.console import Json, print_fields, print_json, print_table
from storage.ports import Account, Tier

if TYPE_CHECKING:
    from gateway.cli.office import Office
    from gateway.cli.views import AccountView

app = typer.Typer(help="Who may use the gateway: an account has a tier, API keys and venue credentials.")

AccountRef = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Its name or id.", show_default=False)]
TierOption = Annotated[Tier, typer.Option("--tier", help="What it may do, and how often.", show_default=False)]


@app.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)],
    tier: TierOption,
    as_json: Json = False,
) -> None:
    """Create an account.

    Example: venuegate accounts create desk --tier builder
    """

    async def created(office: Office) -> AccountView:
        return await _view(office, await office.accounts.create(name, tier))

    view = ask(ctx, created, create=True)
    _show(view, as_json)
    if not as_json:
        typer.echo(f"\nNext, a venue: venuegate credentials add {view.name} --exchange paper")


@app.command("list")
def list_accounts(ctx: typer.Context, as_json: Json = False) -> None:
    """List the accounts.

    Example: venuegate accounts list
    """
    from gateway.cli.views import moment

    async def found(office: Office) -> list[AccountView]:
        return [await _view(office, account) for account in await office.directory.accounts()]

    views = ask(ctx, found)
    if as_json:
        print_json(views)
        return
    print_table(
        ("NAME", "TIER", "KEYS", "CREDENTIALS", "CREATED (UTC)", "ID"),
        [
            (
                view.name,
                view.tier,
                f"{view.live_keys}/{view.most_keys}",
                str(view.credentials),
                moment(view.created_at_ms),
                view.account_id,
            )
            for view in views
        ],
        empty="There is no account yet. Make one: venuegate accounts create NAME --tier builder",
    )


@app.command()
def show(ctx: typer.Context, account: AccountRef, as_json: Json = False) -> None:
    """Show an account and what it has.

    Example: venuegate accounts show desk
    """

    async def found(office: Office) -> AccountView:
        return await _view(office, await office.accounts.find(account))

    _show(ask(ctx, found), as_json)


@app.command()
def set_tier(
    ctx: typer.Context,
    account: AccountRef,
    tier: Annotated[Tier, typer.Argument(metavar="TIER", show_default=False)],
    as_json: Json = False,
) -> None:
    """Change an account's tier. Running gateways follow within two seconds.

    Example: venuegate accounts set-tier desk pro
    """

    async def changed(office: Office) -> AccountView:
        return await _view(office, await office.accounts.set_tier(await office.accounts.find(account), tier))

    view = ask(ctx, changed)
    _show(view, as_json)
    if view.live_keys > view.most_keys:
        typer.echo("Note: keys beyond the tier's number go on working, but none can be added.", err=True)


async def _view(office: Office, account: Account) -> AccountView:
    from gateway.cli.views import AccountView

    keys = await office.directory.keys(account.account_id)
    credentials = await office.directory.credentials(account.account_id)
    return AccountView.of(account, keys, credentials, office.clock.now_ms())


def _show(view: AccountView, as_json: bool) -> None:
    from gateway.cli.views import moment

    if as_json:
        print_json(view)
        return
    print_fields(
        [
            ("Account", view.name),
            ("Id", view.account_id),
            ("Tier", f"{view.tier} ({view.requests_per_minute}/min, {view.requests_per_day:,}/day)"),
            ("Keys", f"{view.live_keys} of {view.most_keys} (venuegate keys list {view.name})"),
            ("Credentials", f"{view.credentials} (venuegate credentials list {view.name})"),
            ("Created", f"{moment(view.created_at_ms)} UTC"),
        ]
    )
