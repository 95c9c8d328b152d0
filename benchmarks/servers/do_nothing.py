"""A venue and a desk that answer at once: what is left is the gateway's own part of a request."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final, cast

from adapters.base import (
    NATIVE,
    Capabilities,
    CredentialField,
    Grouping,
    Network,
    OpenCredential,
    VenueSession,
)
from gateway.operations.desk import Canceled, Leg, Placed
from gateway.operations.wire import Call
from normalization.instruments import Instrument
from normalization.market_data import MarkPrice
from normalization.orders import Order, OrderStatus, OrderType, Side
from normalization.resolver import Markets
from storage.ports import OrderState

_BASES: Final = ("BTC", "ETH", "SOL", "DOGE", "XRP", "AVAX", "LINK", "ARB")
_MARK: Final = MarkPrice(mark_price=Decimal("94205.5"), index_price=Decimal("94198.2"))
_ORDER: Final = Order(
    order_id="1",
    client_id=None,
    symbol="BTC-USD-PERP",
    side=Side.BUY,
    type=OrderType.LIMIT,
    size=Decimal("0.01"),
    status=OrderStatus.OPEN,
    created_at_ms=0,
)


class DoNothingSession:
    """Has a price for every market, and is asked for nothing else."""

    async def get_mark_price(self, instrument: Instrument) -> MarkPrice:
        return _MARK

    async def close(self) -> None:
        return None


class DoNothingVenue:
    exchange = "paper"
    networks = frozenset({Network.PAPER})
    capabilities = Capabilities(supports=NATIVE, request_expiry=True, lookup_includes_finished=True)
    credential_fields: Sequence[CredentialField] = ()

    def __init__(self, instruments: int) -> None:
        bases = itertools.chain(_BASES, (f"TOKEN{number}" for number in itertools.count()))
        self._markets = Markets(self.exchange, map(_instrument, itertools.islice(bases, instruments)))
        self._session = cast(VenueSession, DoNothingSession())

    async def markets(self, network: Network) -> Markets:
        return self._markets

    async def open(self, credential: OpenCredential) -> VenueSession:
        return self._session

    def client_id(self, token: bytes) -> str:
        return token.hex()

    def describe(self, secrets: Mapping[str, str]) -> str:
        return ""

    async def close(self) -> None:
        return None


class DeskWithoutJournal:
    """``OrderDesk`` that takes every order and keeps none."""

    async def place(
        self, call: Call, operation: str, legs: Sequence[Leg], *, grouping: Grouping = Grouping.NONE
    ) -> Sequence[Placed]:
        return [
            Placed(
                client_order_id=leg.client_order_id,
                intent=leg.intent,
                instrument=leg.instrument,
                state=OrderState.WORKING,
                order=_ORDER,
                failure=None,
                replayed=False,
            )
            for leg in legs
        ]

    async def look_up(self, call: Call, *, order_id: str | None, client_order_id: str | None) -> Placed:
        raise LookupError("it keeps no orders")

    async def cancel(self, call: Call, *, order_id: str | None, client_order_id: str | None) -> Canceled:
        return Canceled()

    async def cancel_undecided(self, call: Call, instrument: Instrument) -> list[str]:
        return []


def _instrument(base: str) -> Instrument:
    return Instrument(
        exchange="paper",
        symbol=f"{base}-USD-PERP",
        venue_symbol=f"{base}-PERP",
        base=base,
        quote="USD",
        settle="USDC",
        tick_size=Decimal("0.1"),
        lot_size=Decimal("0.001"),
        min_notional=Decimal(10),
        max_leverage=50,
    )
