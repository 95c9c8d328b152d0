"""A venue at the adapter port whose every answer a test decides, with a ledger of what it really executed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

import msgspec

from adapters.base import (
    NATIVE,
    Capabilities,
    CredentialField,
    Grouping,
    LegOutcome,
    Network,
    OpenCredential,
    Submission,
)
from normalization.accounts import Balance, Fill, Position
from normalization.instruments import Instrument
from normalization.market_data import Candle, Fees, FundingRate, Level, MarketSummary, MarkPrice, OrderBook
from normalization.orders import Market, Order, OrderStatus, Stop, TakeProfit
from normalization.resolver import Markets
from normalization.venue_failures import Reason, VenueDuplicate, VenueFailure, VenueRejected

CAPABILITIES = Capabilities(
    supports=NATIVE,
    native_batch_size=10,
    request_expiry=True,
    lookup_includes_finished=True,
    visibility_lag_ms=0,
)


def instrument(base: str, tick: str, lot: str, exchange: str = "scripted") -> Instrument:
    return Instrument(
        exchange=exchange,
        symbol=f"{base}-USD-PERP",
        venue_symbol=base,
        base=base,
        quote="USD",
        settle="USDC",
        tick_size=Decimal(tick),
        lot_size=Decimal(lot),
        min_notional=Decimal(10),
        max_leverage=50,
    )


MARKETS = Markets("scripted", [instrument("BTC", "0.1", "0.00001"), instrument("ETH", "0.01", "0.0001")])

Behaviour = Callable[["ScriptedVenue", Submission], "asyncio.Future[Order] | Order"]


def accept(venue: ScriptedVenue, submission: Submission) -> Order:
    """Take the order, and say so."""
    return venue.execute(submission)


def fail(failure: Exception) -> Behaviour:
    """Fail, with nothing executed."""

    def behave(venue: ScriptedVenue, submission: Submission) -> Order:
        raise failure

    return behave


def accept_then(failure: Exception) -> Behaviour:
    """Take the order, and let the answer be lost."""

    def behave(venue: ScriptedVenue, submission: Submission) -> Order:
        venue.execute(submission)
        raise failure

    return behave


class ScriptedVenue:
    """One account. ``script`` holds how the next placements go; when it is empty they are accepted.

    ``sent`` counts every submission that arrived, ``orders`` is what was executed, by venue client id, ``executions``
    every execution; without ``dedupes`` it executes a repeated id again. While ``hidden`` the lookups do not show it;
    ``lookup_failure`` makes them fail.
    """

    def __init__(self, capabilities: Capabilities = CAPABILITIES) -> None:
        self.exchange = "scripted"
        self.networks = frozenset({Network.PAPER})
        self.capabilities = capabilities
        self.credential_fields: Sequence[CredentialField] = ()
        self.script: deque[Behaviour] = deque()
        self.sent: list[Submission] = []
        self.orders: dict[str, Order] = {}
        self.hidden = False
        self.lookup_failure: Exception | None = None
        self.cancel_failure: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.arrived = asyncio.Event()
        self.lookups = 0
        self.dedupes = True
        self.executions: list[str] = []

    # The adapter.

    async def markets(self, network: Network) -> Markets:
        return MARKETS

    async def open(self, credential: OpenCredential) -> ScriptedVenue:
        return self

    def client_id(self, token: bytes) -> str:
        return token.hex()

    def describe(self, secrets: Mapping[str, str]) -> str:
        return ""

    async def close(self) -> None:
        pass

    # The session.

    def execute(self, submission: Submission, status: OrderStatus | None = None) -> Order:
        """Put the order on the ledger. A repeated client id is refused, as a good venue does."""
        if submission.client_id in self.orders and self.dedupes:
            raise VenueDuplicate(Reason.DUPLICATE_ORDER_ID, "duplicate client order id")
        intent = submission.intent
        filled = isinstance(intent.execution, Market)
        if status is None:
            status = OrderStatus.FILLED if filled else OrderStatus.OPEN
            if isinstance(intent.execution, Stop | TakeProfit):
                status = OrderStatus.PENDING
        order = Order(
            order_id=f"ord_{len(self.executions) + 1}",
            client_id=submission.client_id,
            symbol=intent.symbol,
            side=intent.side,
            type=intent.type,
            size=intent.size,
            filled_size=intent.size if filled else Decimal(0),
            price=intent.price,
            trigger_price=intent.trigger_price,
            average_price=Decimal("94000.5") if filled else None,
            fee=Decimal("0.05") if filled else None,
            reduce_only=intent.reduce_only,
            status=status,
            created_at_ms=1_800_000_000_000,
        )
        self.orders[submission.client_id] = order
        self.executions.append(submission.client_id)
        return order

    def set_status(self, client_id: str, status: OrderStatus) -> None:
        order = self.orders[client_id]
        filled = order.size if status is OrderStatus.FILLED else order.filled_size
        self.orders[client_id] = msgspec.structs.replace(order, status=status, filled_size=filled)

    async def place_order(self, submission: Submission) -> Order:
        self.sent.append(submission)
        self.arrived.set()
        if self.gate is not None:
            await self.gate.wait()
        behaviour = self.script.popleft() if self.script else accept
        outcome = behaviour(self, submission)
        return await outcome if isinstance(outcome, asyncio.Future) else outcome

    async def place_orders(self, submissions: Sequence[Submission], grouping: Grouping) -> Sequence[LegOutcome]:
        outcomes: list[LegOutcome] = []
        for submission in submissions:
            try:
                outcomes.append(await self.place_order(submission))
            except VenueFailure as failure:
                outcomes.append(failure)
        return outcomes

    async def find_order(self, client_id: str, instrument: Instrument) -> Order | None:
        self.lookups += 1
        if self.lookup_failure is not None:
            raise self.lookup_failure
        return None if self.hidden else self.orders.get(client_id)

    async def get_order(self, order_id: str, instrument: Instrument | None) -> Order:
        if self.lookup_failure is not None:
            raise self.lookup_failure
        for order in self.orders.values():
            if order.order_id == order_id:
                return order
        raise VenueRejected(Reason.ORDER_NOT_FOUND, "no such order")

    async def cancel_order(self, order_id: str, instrument: Instrument | None) -> None:
        order = await self.get_order(order_id, instrument)
        await self.cancel_by_client_id(order.client_id or "", MARKETS.resolve(order.symbol))

    async def cancel_by_client_id(self, client_id: str, instrument: Instrument) -> None:
        if self.cancel_failure is not None:
            raise self.cancel_failure
        order = None if self.hidden else self.orders.get(client_id)
        if order is None:
            raise VenueRejected(Reason.ORDER_NOT_FOUND, "no such order")
        if order.status.is_final:
            raise VenueRejected(Reason.ORDER_ALREADY_CLOSED, "the order is closed")
        self.set_status(client_id, OrderStatus.CANCELED)

    async def cancel_all(self, instrument: Instrument) -> None:
        for order in await self.get_open_orders(instrument):
            self.set_status(order.client_id or "", OrderStatus.CANCELED)

    async def get_open_orders(self, instrument: Instrument | None) -> Sequence[Order]:
        return [
            order
            for order in self.orders.values()
            if not order.status.is_final and (instrument is None or order.symbol == instrument.symbol)
        ]

    async def get_orderbook(self, instrument: Instrument, depth: int) -> OrderBook:
        return OrderBook(
            bids=(Level(Decimal("93999.5"), Decimal("1.50")),), asks=(Level(Decimal("94000.5"), Decimal("0.8")),)
        )

    async def get_mark_price(self, instrument: Instrument) -> MarkPrice:
        return MarkPrice(mark_price=Decimal(94000), index_price=None)

    async def get_candles(self, instrument: Instrument, interval_minutes: int, limit: int) -> Sequence[Candle]:
        return []

    async def get_funding_rate(self, instrument: Instrument) -> FundingRate:
        return FundingRate(rate=Decimal("1E-8"), next_funding_ms=1_800_003_600_000)

    async def get_markets_with_funding(self) -> Sequence[MarketSummary]:
        return []

    async def get_fees(self, instrument: Instrument) -> Fees:
        return Fees(maker_bps=Decimal("-0.5"), taker_bps=Decimal("5.0"))

    async def get_balance(self) -> Balance:
        return Balance(equity=Decimal("1E+4"), free_collateral=Decimal("8200.5"), account_value=Decimal(10000))

    async def get_positions(self, instrument: Instrument | None) -> Sequence[Position]:
        return []

    async def get_fills(self, instrument: Instrument, limit: int) -> Sequence[Fill]:
        return []

    async def test(self) -> Sequence[str]:
        return []

    async def set_leverage(self, instrument: Instrument, leverage: int) -> None:
        pass
