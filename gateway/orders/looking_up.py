"""Asking a venue for an order that is ours: by its id, by ours, or where there is neither, by what it looks like."""

from __future__ import annotations

from typing import Final

from adapters.base import FindsByLikeness, VenueSession
from gateway.orders.standing import intent_of
from normalization.instruments import Instrument
from normalization.orders import Order
from normalization.venue_failures import Reason, VenueUnclear
from storage.ports import JournalRow

# Clocks differ, and a request is on its way for a while.
AROUND_MS: Final = 10_000
_NAMED: Final = 3


async def venues_report(session: VenueSession, row: JournalRow, instrument: Instrument) -> Order | None:
    """The order, or None where the venue says that it has none.

    :raises VenueUnclear: the venue keeps no ids of ours, and this order's own is not known. What looks like it is named
        for whoever has to decide: an order that looks the same may be somebody else's.
    """
    if not isinstance(session, FindsByLikeness):
        return await session.find_order(row.venue_client_id, instrument)
    if row.venue_order_id is not None:
        return await session.get_order(row.venue_order_id, instrument)
    since_ms, until_ms = row.created_at_ms - AROUND_MS, row.valid_until_ms + AROUND_MS
    alike = await session.find_alike(intent_of(row), instrument, since_ms, until_ms)
    named = ", ".join(order.order_id for order in alike[:_NAMED])
    raise VenueUnclear(Reason.OTHER, f"it may be one of these: {named}" if named else "nothing there looks like it")


async def cancel_found(session: VenueSession, row: JournalRow, instrument: Instrument) -> None:
    """Cancel an order of ours, by whichever id the venue knows.

    :raises VenueRejected: there is nothing left to cancel.
    """
    if isinstance(session, FindsByLikeness) and row.venue_order_id is not None:
        await session.cancel_order(row.venue_order_id, instrument)
    else:
        await session.cancel_by_client_id(row.venue_client_id, instrument)
