"""``venuegate orders …``"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.asking import ask
from gateway.cli.console import Json, print_fields, print_json, print_table
from storage.ports import JournalEvent, JournalRow, OrderState

if TYPE_CHECKING:
    from gateway.cli.office import Office
    from gateway.cli.views import EventView, OrderView

app = typer.Typer(help="The order journal: to look at, and to decide what the gateway could not.")


@app.command("list")
def list_orders(
    ctx: typer.Context,
    state: Annotated[
        list[OrderState] | None,
        typer.Option(
            "--state", case_sensitive=False, help="In this state; may be given again. All that is not over, without."
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")] = 50,
    as_json: Json = False,
) -> None:
    """List orders, newest first.

    Example: venuegate orders list --state UNKNOWN --state NEEDS_OPERATOR
    """
    from gateway.cli.views import OrderView, moment
    from gateway.orders.states import FINAL

    states = state or [one for one in OrderState if one not in FINAL and one is not OrderState.NOT_PLACED]
    rows = ask(ctx, lambda office: office.stores.journal.in_states(states, limit, newest_first=True))
    if as_json:
        print_json([OrderView.of(row) for row in rows])
        return
    print_table(
        ("CREATED (UTC)", "STATE", "EXCHANGE", "MARKET", "OPERATION", "CLIENT ORDER ID", "ORDER KEY"),
        [
            (
                moment(row.created_at_ms),
                row.state,
                row.exchange,
                row.symbol,
                row.operation,
                row.client_order_id,
                row.order_key,
            )
            for row in rows
        ],
        empty=f"No order is {' or '.join(states) if state else 'open or undecided'}.",
    )


@app.command()
def show(
    ctx: typer.Context,
    order: Annotated[str, typer.Argument(metavar="ORDER", help="Its order key or clientOrderId.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Show one order: what was asked, where it stands, why, and how it came there.

    Example: venuegate orders show my-order-1
    """
    from gateway.cli.views import EventView, OrderView

    async def found(office: Office) -> tuple[JournalRow, Sequence[JournalEvent]]:
        row = await _find(office, order)
        return row, await office.stores.journal.events(row.order_key)

    row, events = ask(ctx, found)
    view, event_views = OrderView.of(row), [EventView.of(event) for event in events]
    if as_json:
        print_json({"order": view, "events": event_views})
    else:
        _show(view, event_views)


@app.command()
def decide(
    ctx: typer.Context,
    order: Annotated[str, typer.Argument(metavar="ORDER", help="Its order key or clientOrderId.", show_default=False)],
    because: Annotated[str, typer.Option("--because", help="What you saw at the venue; kept with the order.")],
    order_id: Annotated[str | None, typer.Option("--order-id", help="The venue has it, under this id.")] = None,
    not_placed: Annotated[bool, typer.Option("--not-placed", help="The venue never had it.")] = False,
) -> None:
    """Say what became of an order in NEEDS_OPERATOR, after looking for it at the venue. Nothing is sent anywhere.

    Example: venuegate orders decide my-order-1 --not-placed --because "not in the order history, asked support"
    """
    from gateway.accounts import Refused
    from gateway.orders.decisions import NotForAPerson
    from gateway.orders.decisions import decide as decided

    if (order_id is None) is not not_placed:
        raise Refused("An order is there or it is not", "Give one of --order-id ID and --not-placed")
    if not because.strip():
        raise Refused("Why is empty", 'Say what you saw at the venue: --because "…"')

    async def done(office: Office) -> JournalRow:
        row = await _find(office, order)
        try:
            return await decided(office.stores.journal, office.clock, row, order_id=order_id, because=because.strip())
        except NotForAPerson as standing:
            raise Refused(
                f"The order is {standing.state}: only one in NEEDS_OPERATOR is for a person to decide",
                "venuegate orders list --state NEEDS_OPERATOR shows those",
            ) from None

    row = ask(ctx, done)
    typer.echo(f"Order {row.client_order_id} is {row.state}.")


async def _find(office: Office, reference: str) -> JournalRow:
    """:raises Refused: there is none, or several accounts have used that client order id."""
    from gateway.accounts import Refused

    journal = office.stores.journal
    if row := await journal.row(reference):
        return row
    rows: list[JournalRow] = []
    for credential in await office.directory.credentials():
        row = await journal.find(credential.account_id, credential.credential_id, reference)
        if row is not None:
            rows.append(row)
    if not rows:
        raise Refused(
            f"There is no order {reference!a} through a credential that is still there",
            "venuegate orders list shows them; an order of a revoked credential is found by its order key",
        )
    if len(rows) > 1:
        raise Refused(
            f"{len(rows)} credentials have an order {reference!a}",
            f"Give an order key: {', '.join(row.order_key for row in rows)}",
        )
    return rows[0]


def _show(view: OrderView, events: Sequence[EventView]) -> None:
    from gateway.cli.views import moment

    print_fields(
        [
            ("Order key", view.order_key),
            ("Client order id", view.client_order_id),
            ("Order id", view.order_id or "- (the venue has not told one)"),
            ("State", view.state + (f" ({view.reason})" if view.reason else "")),
            ("Evidence", view.evidence or "-"),
            ("Where", f"{view.exchange} ({view.network}), credential {view.credential_id}"),
            ("Account", view.account_id),
            ("Request", bytes(view.request).decode() if view.request is not None else "- (no longer kept)"),
            ("Venue's report", bytes(view.venue_order).decode() if view.venue_order is not None else "-"),
            ("Venue client id", f"{view.venue_client_id} (attempt {view.attempt})"),
            ("Created", f"{moment(view.created_at_ms)} UTC"),
            ("Updated", f"{moment(view.updated_at_ms)} UTC"),
            ("Next check", moment(view.next_check_ms)),
        ]
    )
    typer.echo()
    print_table(
        ("#", "AT (UTC)", "STATE", "NOTE"),
        [(str(event.number), moment(event.at_ms), event.state, event.note) for event in events],
        empty="No event was written, or none is kept any more.",
    )
