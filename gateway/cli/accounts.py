"""``venuegate accounts …``"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from gateway.cli.console import Json, print_fields, print_json, print_table
from storage.ports import Account, ApiKey, Credential, Tier

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
    from gateway.cli.office import ask

    account = ask(ctx, lambda office: office.accounts.create(name, tier), create=True)
    _show(account, as_json)
    if not as_json:
        typer.echo(f"\nNext, a venue: venuegate credentials add {account.name} --exchange paper")


@app.command("list")
def list_accounts(ctx: typer.Context, as_json: Json = False) -> None:
    """List the accounts.

    Example: venuegate accounts list
    """
    from gateway.cli.office import ask
    from gateway.cli.views import AccountView, moment

    views = [AccountView.of(account) for account in ask(ctx, lambda office: office.directory.accounts())]
    if as_json:
        print_json(views)
        return
    print_table(
        ("NAME", "TIER", "CREATED (UTC)", "ID"),
        [(view.name, view.tier, moment(view.created_at_ms), view.account_id) for view in views],
        empty="There is no account yet. Make one: venuegate accounts create NAME --tier builder",
    )


@app.command()
def show(ctx: typer.Context, account: AccountRef, as_json: Json = False) -> None:
    """Show an account and what it has.

    Example: venuegate accounts show desk
    """
    from gateway.cli.office import Office, ask

    async def found(office: Office) -> tuple[Account, Sequence[ApiKey], Sequence[Credential]]:
        one = await office.accounts.find(account)
        return (
            one,
            await office.directory.keys(one.account_id),
            await office.directory.credentials(one.account_id),
        )

    one, keys, credentials = ask(ctx, found)
    _show(one, as_json, keys, credentials)


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
    from gateway.cli.office import Office, ask
    from gateway.limits import LIMITS

    async def changed(office: Office) -> tuple[Account, int]:
        one = await office.accounts.set_tier(await office.accounts.find(account), tier)
        keys = await office.directory.keys(one.account_id)
        return one, sum(key.revoked_at_ms is None for key in keys)

    one, keys = ask(ctx, changed)
    _show(one, as_json)
    if keys > LIMITS[tier].keys:
        typer.echo(
            f"Note: it has {keys} keys and the {tier} tier allows {LIMITS[tier].keys}: they go on working, but none"
            " can be added.",
            err=True,
        )


def _show(
    account: Account, as_json: bool, keys: Sequence[ApiKey] | None = None, credentials: Sequence[Credential] = ()
) -> None:
    from gateway.cli.views import AccountView, moment
    from gateway.limits import LIMITS

    view = AccountView.of(account)
    if as_json:
        print_json(view)
        return
    fields = [
        ("Account", view.name),
        ("Id", view.account_id),
        ("Tier", f"{view.tier} ({view.requests_per_minute}/min, {view.requests_per_day:,}/day)"),
        ("Created", f"{moment(view.created_at_ms)} UTC"),
    ]
    if keys is not None:
        live = sum(key.revoked_at_ms is None for key in keys)
        fields += [
            ("Keys", f"{live} of {LIMITS[account.tier].keys} (venuegate keys list {view.name})"),
            ("Credentials", f"{len(credentials)} (venuegate credentials list {view.name})"),
        ]
    print_fields(fields)
