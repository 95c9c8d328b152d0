"""Orders as the gateway hands them to a session."""

from __future__ import annotations

from decimal import Decimal

from adapters.base import Submission
from normalization.instruments import Instrument
from normalization.orders import Execution, OrderIntent, Side

NOW_MS = 1_800_000_000_000
TOKEN = bytes(range(16))


def submission(
    instrument: Instrument,
    execution: Execution,
    *,
    side: Side = Side.BUY,
    size: str = "0.01",
    reduce_only: bool = False,
    client_id: str = "0x000102030405060708090a0b0c0d0e0f",
) -> Submission:
    intent = OrderIntent(
        symbol=instrument.symbol, side=side, size=Decimal(size), execution=execution, reduce_only=reduce_only
    )
    return Submission(intent=intent, instrument=instrument, client_id=client_id, valid_until_ms=NOW_MS + 10_000)
