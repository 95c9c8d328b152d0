"""``venuegate credentials …``"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.accounts import AccountRef
from gateway.cli.asking import ask
from gateway.cli.console import Json, print_fields, print_json, print_table

if TYPE_CHECKING:
    from gateway.cli.office import Office
    from gateway.cli.views import CredentialView
    from storage.ports import Credential

app = typer.Typer(help="Venue accounts that orders go through. Their secrets go into the vault and never come out.")

CredentialRef = Annotated[
    str, typer.Argument(metavar="CREDENTIAL", help="Its id, as `credentials list` shows it.", show_default=False)
]
FromFile = Annotated[
    Path | None,
    typer.Option("--from-file", metavar="FILE", help="Read the secrets, a JSON object, from a file."),
]
Stdin = Annotated[bool, typer.Option("--stdin", help="Read the secrets, a JSON object, from standard input.")]


@app.command()
def add(
    ctx: typer.Context,
    account: AccountRef,
    exchange: Annotated[str, typer.Option("--exchange", help="The venue, such as paper.", show_default=False)],
    network: Annotated[
        str | None,
        typer.Option("--network", help="mainnet, testnet or paper; needed where the venue has several."),
    ] = None,
    label: Annotated[str, typer.Option("--label", help="What it is for.")] = "",
    from_file: FromFile = None,
    stdin: Stdin = False,
    as_json: Json = False,
) -> None:
    """Add a venue account. Its secrets are asked for, unless a file or standard input has them.

    Example: venuegate credentials add desk --exchange paper --label play
    """
    from gateway.accounts import require_venue
    from gateway.cli.secrets_input import read_secrets

    async def added(office: Office) -> CredentialView:
        owner = await office.accounts.find(account)
        venue, net = require_venue(office.venues, exchange, network)
        safe = await office.safe()
        secrets = read_secrets(venue.credential_fields, from_file, stdin)
        adapter = await office.adapter(exchange)
        return await _view(office, await safe.add(owner, adapter, net, label=label, secrets=secrets))

    view = ask(ctx, added)
    _show(view, as_json)
    if not as_json:
        typer.echo(f"\nSee whether the venue takes it: venuegate credentials test {view.credential_id}")


@app.command("list")
def list_credentials(
    ctx: typer.Context,
    account: Annotated[str | None, typer.Argument(metavar="ACCOUNT", help="Its name or id; all without.")] = None,
    as_json: Json = False,
) -> None:
    """List credentials that are not revoked.

    Example: venuegate credentials list desk
    """
    from gateway.cli.views import CredentialView

    async def found(office: Office) -> list[CredentialView]:
        accounts = {one.account_id: one for one in await office.directory.accounts()}
        account_id = None if account is None else (await office.accounts.find(account)).account_id
        return [CredentialView.of(one, accounts) for one in await office.directory.credentials(account_id)]

    views = ask(ctx, found)
    if as_json:
        print_json(views)
        return
    print_table(
        ("ID", "ACCOUNT", "EXCHANGE", "NETWORK", "LABEL", "ADDRESS"),
        [(v.credential_id, v.account, v.exchange, v.network, v.label, v.address or "-") for v in views],
        empty="There is no credential yet. Add one: venuegate credentials add ACCOUNT --exchange paper",
    )


@app.command()
def show(ctx: typer.Context, credential: CredentialRef, as_json: Json = False) -> None:
    """Show a credential: its address and fingerprint, never its secrets.

    Example: venuegate credentials show 9f2a0c1e-5b7d-4e8f-a1b2-c3d4e5f6d841
    """

    async def found(office: Office) -> CredentialView:
        return await _view(office, await office.credentials.find(credential))

    _show(ask(ctx, found), as_json)


@app.command()
def rotate(
    ctx: typer.Context,
    credential: CredentialRef,
    from_file: FromFile = None,
    stdin: Stdin = False,
    as_json: Json = False,
) -> None:
    """Put other secrets under the same id. Running gateways open the venue anew with them.

    Example: venuegate credentials rotate 9f2a0c1e-5b7d-4e8f-a1b2-c3d4e5f6d841 --from-file new.json
    """
    from gateway.cli.secrets_input import read_secrets

    async def rotated(office: Office) -> CredentialView:
        old = await office.credentials.find(credential)
        safe = await office.safe()
        adapter = await office.adapter(old.exchange)
        secrets = read_secrets(adapter.credential_fields, from_file, stdin)
        return await _view(office, await safe.rotate(old, adapter, secrets))

    _show(ask(ctx, rotated), as_json)


@app.command()
def revoke(ctx: typer.Context, credential: CredentialRef, as_json: Json = False) -> None:
    """Revoke a credential and wipe its secrets, for good. Orders that are open on the venue stay there.

    Example: venuegate credentials revoke 9f2a0c1e-5b7d-4e8f-a1b2-c3d4e5f6d841
    """

    async def revoked(office: Office) -> CredentialView:
        one = await office.credentials.find(credential)
        await office.credentials.revoke(one)
        return await _view(office, one)

    view = ask(ctx, revoked)
    if as_json:
        print_json({"credentialId": view.credential_id, "revoked": True})
    else:
        typer.echo(f"Revoked {view.credential_id} ({view.exchange}, {view.account}). Its secrets are wiped.")


@app.command("test")
def try_credential(ctx: typer.Context, credential: CredentialRef, as_json: Json = False) -> None:
    """Ask the venue whether it takes a credential.

    Example: venuegate credentials test 9f2a0c1e-5b7d-4e8f-a1b2-c3d4e5f6d841
    """

    async def tested(office: Office) -> tuple[Credential, Sequence[str]]:
        one = await office.credentials.find(credential)
        return one, await _ask_venue(office, one)

    one, warnings = ask(ctx, tested)
    if as_json:
        print_json({"credentialId": one.credential_id, "valid": True, "warnings": list(warnings)})
        return
    typer.echo(f"✓ {one.exchange} takes it.")
    for warning in warnings:
        typer.echo(f"! {warning}")


async def _ask_venue(office: Office, credential: Credential) -> Sequence[str]:
    """:raises Refused: the venue does not take it, or did not answer."""
    from gateway.accounts import Refused
    from normalization.venue_failures import VenueFailure

    opened = (await office.vault()).open(credential)
    adapter = await office.adapter(credential.exchange)
    try:
        session = await adapter.open(opened)
        try:
            return await session.test()
        finally:
            await session.close()
    except VenueFailure as failure:
        raise Refused(
            f"{credential.exchange} did not take it: {failure.text} ({failure.reason})",
            "Put the right secrets in its place (venuegate credentials rotate), or try again where the venue was"
            " not reached",
        ) from failure


async def _view(office: Office, credential: Credential) -> CredentialView:
    from gateway.cli.views import CredentialView

    account = await office.directory.account(credential.account_id)
    return CredentialView.of(credential, {} if account is None else {account.account_id: account})


def _show(view: CredentialView, as_json: bool) -> None:
    from gateway.cli.views import moment

    if as_json:
        print_json(view)
        return
    print_fields(
        [
            ("Credential", view.credential_id),
            ("Account", view.account),
            ("Exchange", f"{view.exchange} ({view.network})"),
            ("Label", view.label),
            ("Address", view.address or "-"),
            ("Fingerprint", view.fingerprint),
            ("Version", str(view.version)),
            ("Created", f"{moment(view.created_at_ms)} UTC"),
        ]
    )
