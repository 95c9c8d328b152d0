"""The paper venue: a perp exchange in this process, for trying things out without an account or a network.

A credential is one account of the exchange, made and funded when it is first opened. What the exchange is and does is
in ``sandbox.engine``; how it can be made to fail, in ``sandbox.faults``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from adapters.base import (
    NATIVE,
    Capabilities,
    CredentialField,
    Dedupe,
    Grouping,
    LegOutcome,
    Network,
    OpenCredential,
    Submission,
)
from normalization.accounts import Balance, Fill, Position
from normalization.instruments import Instrument
from normalization.market_data import Candle, Fees, FundingRate, MarketSummary, MarkPrice, OrderBook
from normalization.orders import Order
from normalization.resolver import Markets
from normalization.venue_failures import Reason, VenueFailure, VenueRejected
from sandbox.engine import NewOrder, listings
from sandbox.exchange import PaperExchange
from sandbox.faults import parse_rates

EXCHANGE: Final = "paper"
NETWORKS: Final = frozenset({Network.PAPER})
CAPABILITIES: Final = Capabilities(
    supports=NATIVE,
    native_batch_size=10,
    request_expiry=True,
    lookup_includes_finished=True,
    visibility_lag_ms=0,
    client_id="32 hex digits",
    dedupe=Dedupe.EVERY_ORDER,
    least_privilege="none needed",
)

DEFAULT_BALANCE: Final = Decimal(100_000)
LEAST_BALANCE: Final = Decimal(10)
MOST_BALANCE: Final = Decimal(10_000_000)
SEED: Final = 7


def _balance(text: str) -> Decimal:
    """:raises ValueError: it is not an amount that an account may start with."""
    with suppress(InvalidOperation):
        amount = Decimal(text)
        if amount.is_finite() and LEAST_BALANCE <= amount <= MOST_BALANCE:
            return amount
    raise ValueError(f"an amount of USDC from {LEAST_BALANCE} to {MOST_BALANCE}, such as {DEFAULT_BALANCE}")


def _problem(parse: Callable[[str], object]) -> Callable[[str], str | None]:
    """What ``parse`` says is wrong with a value, or None."""

    def check(value: str) -> str | None:
        try:
            parse(value)
        except ValueError as error:
            return str(error)
        return None

    return check


CREDENTIAL_FIELDS: Final = (
    CredentialField(
        name="startingBalance",
        description=f"USDC the account starts with, {DEFAULT_BALANCE} when left out.",
        secret=False,
        required=False,
        check=_problem(_balance),
    ),
    CredentialField(
        name="faults",
        description="Rates at which the exchange misbehaves, such as timeout_after_accept=0.1,reject=0.05.",
        secret=False,
        required=False,
        check=_problem(parse_rates),
    ),
)


async def open_paper(path: Path, now_ms: Callable[[], int]) -> PaperAdapter:
    """The venue with its file at ``path``. One that cannot be opened fails its calls, not the start of everything."""
    exchange = PaperExchange(seed=SEED, path=path, now_ms=now_ms)
    with suppress(VenueFailure):
        await exchange.start()
    return PaperAdapter(exchange)


def unopened_paper() -> PaperAdapter:
    """What is known of the venue, for a process that does not have it: nothing of it may be opened."""
    return PaperAdapter(PaperExchange(seed=SEED, path=None, now_ms=lambda: 0))


class PaperAdapter:
    """The paper venue. It closes the exchange that it is given."""

    def __init__(self, exchange: PaperExchange) -> None:
        self.exchange = EXCHANGE
        self.networks = NETWORKS
        self.capabilities = CAPABILITIES
        self.credential_fields: Sequence[CredentialField] = CREDENTIAL_FIELDS
        self._venue = exchange
        self._markets = Markets(EXCHANGE, [listing.instrument for listing in listings(EXCHANGE)])

    async def markets(self, network: Network) -> Markets:
        return self._markets

    async def open(self, credential: OpenCredential) -> PaperSession:
        """:raises VenueRejected: with ``AUTHENTICATION_FAILED`` when a setting is not what its field allows."""
        try:
            balance = _balance(credential.secrets.get("startingBalance") or str(DEFAULT_BALANCE))
            rates = parse_rates(credential.secrets.get("faults", ""))
        except ValueError as error:
            raise VenueRejected(Reason.AUTHENTICATION_FAILED, f"The credential's settings are wrong: {error}") from None
        account = credential.credential_id
        await self._venue.open_account(account, balance)
        self._venue.faults.set_rates(account, rates)
        return PaperSession(self._venue, account, has_faults=bool(rates))

    def client_id(self, token: bytes) -> str:
        return token.hex()

    def describe(self, secrets: Mapping[str, str]) -> str:
        return ""

    async def close(self) -> None:
        await self._venue.close()


class PaperSession:
    """One account of the paper exchange."""

    def __init__(self, venue: PaperExchange, account: str, *, has_faults: bool = False) -> None:
        self._venue = venue
        self._account = account
        self._has_faults = has_faults

    async def get_orderbook(self, instrument: Instrument, depth: int) -> OrderBook:
        return await self._venue.read(lambda engine: engine.views.orderbook(instrument.symbol, depth))

    async def get_mark_price(self, instrument: Instrument) -> MarkPrice:
        return await self._venue.read(lambda engine: engine.views.mark_price(instrument.symbol))

    async def get_candles(self, instrument: Instrument, interval_minutes: int, limit: int) -> Sequence[Candle]:
        return await self._venue.read(lambda engine: engine.views.candles(instrument.symbol, interval_minutes, limit))

    async def get_funding_rate(self, instrument: Instrument) -> FundingRate:
        return await self._venue.read(lambda engine: engine.views.funding_rate(instrument.symbol))

    async def get_markets_with_funding(self) -> Sequence[MarketSummary]:
        return await self._venue.read(lambda engine: engine.views.summaries())

    async def get_fees(self, instrument: Instrument) -> Fees:
        return await self._venue.read(lambda engine: engine.views.fees())

    async def get_balance(self) -> Balance:
        return await self._venue.read(lambda engine: engine.views.balance(engine.account(self._account)))

    async def get_positions(self, instrument: Instrument | None) -> Sequence[Position]:
        symbol = None if instrument is None else instrument.symbol
        return await self._venue.read(lambda engine: engine.views.positions(engine.account(self._account), symbol))

    async def get_open_orders(self, instrument: Instrument | None) -> Sequence[Order]:
        return await self._venue.open_orders(self._account, None if instrument is None else instrument.symbol)

    async def get_fills(self, instrument: Instrument, limit: int) -> Sequence[Fill]:
        return await self._venue.fills(self._account, instrument.symbol, limit)

    async def get_order(self, order_id: str, instrument: Instrument | None) -> Order:
        order = await self._venue.get_order(self._account, order_id)
        if order is None:
            raise VenueRejected(Reason.ORDER_NOT_FOUND, "Order was never placed")
        return order

    async def find_order(self, client_id: str, instrument: Instrument) -> Order | None:
        return await self._venue.find_order(self._account, client_id)

    async def test(self) -> Sequence[str]:
        await self._venue.read(lambda engine: engine.account(self._account))
        return ["The exchange misbehaves with this credential: its faults are set"] if self._has_faults else []

    async def place_order(self, submission: Submission) -> Order:
        (outcome,) = await self.place_orders([submission], Grouping.NONE)
        if isinstance(outcome, VenueFailure):
            raise outcome
        return outcome

    async def place_orders(self, submissions: Sequence[Submission], grouping: Grouping) -> Sequence[LegOutcome]:
        orders = [
            NewOrder(intent=s.intent, client_id=s.client_id, valid_until_ms=s.valid_until_ms) for s in submissions
        ]
        return await self._venue.place(self._account, orders, one_cancels_other=grouping is Grouping.ONE_CANCELS_OTHER)

    async def cancel_order(self, order_id: str, instrument: Instrument | None) -> None:
        await self._venue.cancel(self._account, order_id)

    async def cancel_by_client_id(self, client_id: str, instrument: Instrument) -> None:
        await self._venue.cancel_by_client_id(self._account, client_id)

    async def cancel_all(self, instrument: Instrument) -> None:
        await self._venue.cancel_all(self._account, instrument.symbol)

    async def set_leverage(self, instrument: Instrument, leverage: int) -> None:
        await self._venue.set_leverage(self._account, instrument.symbol, leverage)

    async def close(self) -> None:
        """Nothing of its own is open."""
