"""What a person decides of an order that the gateway gave up on: that the venue has it, or that it never had it."""

from __future__ import annotations

import msgspec

from gateway.clock import Clock
from normalization.venue_failures import Reason
from storage.ports import Journal, JournalChange, JournalRow, OrderState


class NotForAPerson(Exception):
    """The order is in a state that the gateway decides by itself, or is over. ``state`` is where it stands."""

    def __init__(self, state: OrderState) -> None:
        super().__init__(state)
        self.state = state


async def decide(journal: Journal, clock: Clock, row: JournalRow, *, order_id: str | None, because: str) -> JournalRow:
    """Record the decision; the row as it then stands.

    With the venue's ``order_id`` the order is there, and whoever asks for it next is told what the venue then reports.
    Without one it was never placed. ``because`` is kept with the row.

    :raises NotForAPerson: it is not in NEEDS_OPERATOR, or was moved at this moment.
    """
    if row.state is not OrderState.NEEDS_OPERATOR:
        raise NotForAPerson(row.state)
    note = f"decided by a person: {because}"
    moved = await journal.change(
        row.order_key,
        expected=(row.state,),
        fence=row.fence,
        change=JournalChange(
            state=OrderState.NOT_PLACED if order_id is None else OrderState.ACKED,
            venue_order_id=msgspec.UNSET if order_id is None else order_id,
            reason=Reason.NOT_PLACED if order_id is None else row.reason,
            evidence=note,
            next_check_ms=None,
            note=note,
        ),
        at_ms=clock.now_ms(),
    )
    if moved is None:
        present = await journal.row(row.order_key) or row
        raise NotForAPerson(present.state)
    return moved
