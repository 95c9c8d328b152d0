"""``venuegate keys …``"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.accounts import AccountRef
from gateway.cli.asking import ask
from gateway.cli.console import Json, print_fields, print_json, print_table
from storage.ports import ApiKey, KeyEnvironment, Scopes

if TYPE_CHECKING:
    from gateway.accounts import MintedKey
    from gateway.cli.office import Office
    from gateway.cli.views import KeyView

app = typer.Typer(help="API keys: what a bot, an agent or a person shows to the gateway.")

KeyRef = Annotated[
    str, typer.Argument(metavar="KEY", help="Its id, or its first 12 characters as shown.", show_default=False)
]
Operations = Annotated[
    str | None, typer.Option("--operations", metavar="A,B", help="Only these operations.", show_default=False)
]
CredentialIds = Annotated[
    str | None, typer.Option("--credentials", metavar="ID,ID", help="Only these credentials.", show_default=False)
]
Exchanges = Annotated[
    str | None, typer.Option("--exchanges", metavar="X,Y", help="Only these exchanges.", show_default=False)
]
ConfirmAbove = Annotated[
    str | None,
    typer.Option(
        "--confirm-above",
        metavar="AMOUNT",
        help="Orders worth more, in quote units, need a person's yes (over MCP); 0 is for every order.",
        show_default=False,
    ),
]
Expires = Annotated[
    str | None,
    typer.Option("--expires", metavar="WHEN", help="After 90d, 12h, or at 2027-01-31 (UTC).", show_default=False),
]

SHOWN_ONCE = "This is the only time the key is shown: store it now, somewhere safe."


@app.command()
def create(
    ctx: typer.Context,
    account: AccountRef,
    env: Annotated[
        KeyEnvironment,
        typer.Option("--env", help="live reaches mainnet, test reaches testnet and paper.", show_default=False),
    ],
    label: Annotated[str, typer.Option("--label", help="What it is for.")] = "",
    expires: Expires = None,
    operations: Operations = None,
    credentials: CredentialIds = None,
    exchanges: Exchanges = None,
    confirm_above: ConfirmAbove = None,
    as_json: Json = False,
) -> None:
    """Create a key and print it, once. Scopes can be narrowed later, never widened.

    Example: venuegate keys create desk --env test --label my-bot --operations getBalance,getPositions --expires 90d
    """
    from gateway.cli.values import moment_ahead

    scopes = _scopes(operations, credentials, exchanges, confirm_above)

    async def minted(office: Office) -> tuple[MintedKey, KeyView]:
        ends = moment_ahead(expires, office.clock.now_ms())
        owner = await office.accounts.find(account)
        mint = await office.mint()
        key = await mint.mint(owner, env, label=label, scopes=scopes, expires_at_ms=ends)
        return key, await _view(office, key.key)

    _hand_out(*ask(ctx, minted), as_json)


@app.command("list")
def list_keys(
    ctx: typer.Context,
    account: Annotated[str | None, typer.Argument(metavar="ACCOUNT", help="Its name or id; all without.")] = None,
    as_json: Json = False,
) -> None:
    """List keys, revoked ones too.

    Example: venuegate keys list desk
    """
    from gateway.cli.views import KeyView, moment

    async def found(office: Office) -> list[KeyView]:
        accounts = {one.account_id: one for one in await office.directory.accounts()}
        account_id = None if account is None else (await office.accounts.find(account)).account_id
        now_ms = office.clock.now_ms()
        return [KeyView.of(key, accounts, now_ms) for key in await office.directory.keys(account_id)]

    views = ask(ctx, found)
    if as_json:
        print_json(views)
        return
    print_table(
        ("KEY", "ACCOUNT", "LABEL", "STATE", "SCOPES", "EXPIRES (UTC)", "LAST USED (UTC)", "ID"),
        [
            (
                f"{view.prefix}…",
                view.account,
                view.label,
                view.state,
                _scopes_in_short(view),
                moment(view.expires_at_ms),
                moment(view.last_used_at_ms),
                view.key_id,
            )
            for view in views
        ],
        empty="There is no key yet. Make one: venuegate keys create ACCOUNT --env test",
    )


@app.command()
def show(ctx: typer.Context, key: KeyRef, as_json: Json = False) -> None:
    """Show what a key may do.

    Example: venuegate keys show mt_test_A7Kx
    """

    async def found(office: Office) -> KeyView:
        return await _view(office, await office.keys.find(key))

    _show(ask(ctx, found), as_json)


@app.command()
def narrow(
    ctx: typer.Context,
    key: KeyRef,
    operations: Operations = None,
    credentials: CredentialIds = None,
    exchanges: Exchanges = None,
    confirm_above: ConfirmAbove = None,
    expires: Expires = None,
    as_json: Json = False,
) -> None:
    """Take away from what a key may do. What is not named stays; nothing can be given back.

    Example: venuegate keys narrow mt_test_A7Kx --operations getBalance,getPositions
    """
    from gateway.cli.values import moment_ahead

    if operations is credentials is exchanges is confirm_above is expires is None:
        raise typer.BadParameter(
            "say what to narrow: --operations, --credentials, --exchanges, --confirm-above or --expires"
        )
    scopes = _scopes(operations, credentials, exchanges, confirm_above)

    async def narrowed(office: Office) -> KeyView:
        ends = moment_ahead(expires, office.clock.now_ms())
        return await _view(office, await office.keys.narrow(await office.keys.find(key), scopes, ends))

    _show(ask(ctx, narrowed), as_json)


@app.command()
def rotate(ctx: typer.Context, key: KeyRef, as_json: Json = False) -> None:
    """Replace a key by a new one with the same label, scopes and expiry. The old one dies at once.

    Example: venuegate keys rotate mt_test_A7Kx
    """

    async def rotated(office: Office) -> tuple[MintedKey, KeyView]:
        old = await office.keys.find(key)
        minted = await (await office.mint()).rotate(old)
        return minted, await _view(office, minted.key)

    _hand_out(*ask(ctx, rotated), as_json)


@app.command()
def revoke(ctx: typer.Context, key: KeyRef, as_json: Json = False) -> None:
    """Revoke a key, for good. Running gateways refuse it within two seconds.

    Example: venuegate keys revoke mt_test_A7Kx
    """

    async def revoked(office: Office) -> KeyView:
        one = await office.keys.find(key)
        await office.keys.revoke(one)
        return await _view(office, await office.keys.find(one.key_id))

    view = ask(ctx, revoked)
    if as_json:
        print_json(view)
    else:
        typer.echo(f"Revoked {view.prefix}… ({view.account}). Running gateways refuse it within two seconds.")


def _scopes(
    operations: str | None, credentials: str | None, exchanges: str | None, confirm_above: str | None
) -> Scopes:
    from gateway.cli.values import amount, names

    return Scopes(
        operations=names(operations),
        credentials=names(credentials),
        exchanges=names(exchanges),
        confirm_above=amount(confirm_above),
    )


async def _view(office: Office, key: ApiKey) -> KeyView:
    from gateway.cli.views import KeyView

    account = await office.directory.account(key.account_id)
    return KeyView.of(key, {} if account is None else {account.account_id: account}, office.clock.now_ms())


def _hand_out(minted: MintedKey, view: KeyView, as_json: bool) -> None:
    import msgspec

    if as_json:
        print_json(msgspec.structs.replace(view, key=minted.text))
        typer.echo(SHOWN_ONCE, err=True)
        return
    typer.echo(f"\n{minted.text}\n\n{SHOWN_ONCE}\n")
    _show(view, as_json)


def _show(view: KeyView, as_json: bool) -> None:
    from gateway.cli.views import moment, scope_text

    if as_json:
        print_json(view)
        return
    print_fields(
        [
            ("Key", f"{view.prefix}…"),
            ("Id", view.key_id),
            ("Account", view.account),
            ("Label", view.label),
            ("State", view.state),
            ("Operations", scope_text(view.allowed_operations)),
            ("Credentials", scope_text(view.allowed_credentials)),
            ("Exchanges", scope_text(view.allowed_exchanges)),
            ("Confirm above", view.confirm_above or "never"),
            ("Created", f"{moment(view.created_at_ms)} UTC"),
            ("Expires", "never" if view.expires_at_ms is None else f"{moment(view.expires_at_ms)} UTC"),
            ("Last used", moment(view.last_used_at_ms)),
        ]
    )


def _scopes_in_short(view: KeyView) -> str:
    parts = (
        (view.allowed_operations, "operation"),
        (view.allowed_credentials, "credential"),
        (view.allowed_exchanges, "exchange"),
    )
    counted = [f"{len(names)} {what}{'' if len(names) == 1 else 's'}" for names, what in parts if names is not None]
    if view.confirm_above is not None:
        counted.append(f"confirm above {view.confirm_above}")
    return ", ".join(counted) or "all"
