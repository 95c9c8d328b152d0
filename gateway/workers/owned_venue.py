"""A venue whose sessions are in the owner process: its adapter there, and what a worker has in its place."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Concatenate, Final, ParamSpec, TypeVar, cast, get_type_hints

import msgspec

from adapters.base import Adapter, Grouping, LegOutcome, Network, OpenCredential, Submission, VenueSession
from gateway.workers.channel import Caller, Handler, Method, NotAnswered, NotAsked
from gateway.workers.failures import Failure, NotOpen, failure_of, raised
from normalization.accounts import Balance, Fill, Position
from normalization.instruments import Instrument
from normalization.market_data import Candle, Fees, FundingRate, MarketSummary, MarkPrice, OrderBook
from normalization.orders import Order
from normalization.resolver import Markets
from normalization.venue_failures import Reason, VenueFailure, VenueNotReached, VenueUnclear

P = ParamSpec("P")
R = TypeVar("R")

_AWAY: Final = "The process that has the exchange is not there: it is started again"
_WENT_AWAY: Final = "The process that has the exchange went away before it answered"


class _Leg(msgspec.Struct, frozen=True, array_like=True):
    """What came of one leg of a batch: the order, or else why there is none."""

    order: Order | None
    failure: Failure | None = None


OPEN: Final = Method[OpenCredential, None]("open", OpenCredential, None)


def _calls() -> dict[str, Method[Any, Any]]:
    """A method for each of a session's, with the credential's id before its own arguments."""
    found = {}
    for name, function in inspect.getmembers(VenueSession, inspect.isfunction):
        if name.startswith("_") or name == "close":
            continue
        hints = get_type_hints(function)
        result = hints.pop("return")
        found[name] = Method[Any, Any](
            name,
            tuple[(str, *hints.values())],  # type: ignore[misc]
            Sequence[_Leg] if name == "place_orders" else result,
        )
    return found


CALLS: Final = _calls()


class VenueOwner:
    """The sessions of one adapter, opened for workers. It does not close the adapter."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self._sessions: dict[str, VenueSession] = {}

    def handlers(self) -> dict[Method[Any, Any], Handler]:
        return {OPEN: self._open} | {method: self._handler(method) for method in CALLS.values()}

    async def _open(self, credential: OpenCredential) -> None:
        self._sessions[credential.credential_id] = await self._adapter.open(credential)

    def _handler(self, method: Method[Any, Any]) -> Handler:
        async def handle(arguments: tuple[Any, ...]) -> Any:
            credential_id, *rest = arguments
            session = self._sessions.get(credential_id)
            if session is None:
                raise NotOpen
            found = await getattr(session, method.name)(*rest)
            return [_leg(outcome) for outcome in found] if method.name == "place_orders" else found

        return handle


def _leg(outcome: LegOutcome) -> _Leg:
    return _Leg(None, failure_of(outcome)) if isinstance(outcome, VenueFailure) else _Leg(outcome)


class OwnedVenue:
    """``facts`` answers what needs no session; it is never opened."""

    def __init__(self, facts: Adapter, owner: Caller) -> None:
        self.exchange = facts.exchange
        self.networks = facts.networks
        self.capabilities = facts.capabilities
        self.credential_fields = facts.credential_fields
        self._facts = facts
        self._owner = owner

    async def markets(self, network: Network) -> Markets:
        return await self._facts.markets(network)

    async def open(self, credential: OpenCredential) -> OwnedSession:
        session = OwnedSession(credential, self._owner)
        await session.open()
        return session

    def client_id(self, token: bytes) -> str:
        return self._facts.client_id(token)

    def describe(self, secrets: Mapping[str, str]) -> str:
        return self._facts.describe(secrets)

    async def close(self) -> None:
        await self._facts.close()


class OwnedSession:
    """A session with the owner. One that the owner forgot, having been started again, is opened again."""

    def __init__(self, credential: OpenCredential, owner: Caller) -> None:
        self._credential = credential
        self._owner = owner

    async def open(self) -> None:
        try:
            await self._owner.ask(OPEN, self._credential)
        except (NotAsked, NotAnswered):
            # Opening twice is harmless, so that nobody need know whether it was.
            raise VenueNotReached(Reason.VENUE_UNREACHABLE, _AWAY) from None

    async def get_orderbook(self, instrument: Instrument, depth: int) -> OrderBook:
        return await self._ask(VenueSession.get_orderbook, instrument, depth)

    async def get_mark_price(self, instrument: Instrument) -> MarkPrice:
        return await self._ask(VenueSession.get_mark_price, instrument)

    async def get_candles(self, instrument: Instrument, interval_minutes: int, limit: int) -> Sequence[Candle]:
        return await self._ask(VenueSession.get_candles, instrument, interval_minutes, limit)

    async def get_funding_rate(self, instrument: Instrument) -> FundingRate:
        return await self._ask(VenueSession.get_funding_rate, instrument)

    async def get_markets_with_funding(self) -> Sequence[MarketSummary]:
        return await self._ask(VenueSession.get_markets_with_funding)

    async def get_fees(self, instrument: Instrument) -> Fees:
        return await self._ask(VenueSession.get_fees, instrument)

    async def get_balance(self) -> Balance:
        return await self._ask(VenueSession.get_balance)

    async def get_positions(self, instrument: Instrument | None) -> Sequence[Position]:
        return await self._ask(VenueSession.get_positions, instrument)

    async def get_open_orders(self, instrument: Instrument | None) -> Sequence[Order]:
        return await self._ask(VenueSession.get_open_orders, instrument)

    async def get_fills(self, instrument: Instrument, limit: int) -> Sequence[Fill]:
        return await self._ask(VenueSession.get_fills, instrument, limit)

    async def get_order(self, order_id: str, instrument: Instrument | None) -> Order:
        return await self._ask(VenueSession.get_order, order_id, instrument)

    async def find_order(self, client_id: str, instrument: Instrument) -> Order | None:
        return await self._ask(VenueSession.find_order, client_id, instrument)

    async def test(self) -> Sequence[str]:
        return await self._ask(VenueSession.test)

    async def place_order(self, submission: Submission) -> Order:
        return await self._ask(VenueSession.place_order, submission)

    async def place_orders(self, submissions: Sequence[Submission], grouping: Grouping) -> Sequence[LegOutcome]:
        legs = cast("Sequence[_Leg]", await self._ask(VenueSession.place_orders, submissions, grouping))
        return [_outcome(leg) for leg in legs]

    async def cancel_order(self, order_id: str, instrument: Instrument | None) -> None:
        await self._ask(VenueSession.cancel_order, order_id, instrument)

    async def cancel_by_client_id(self, client_id: str, instrument: Instrument) -> None:
        await self._ask(VenueSession.cancel_by_client_id, client_id, instrument)

    async def cancel_all(self, instrument: Instrument) -> None:
        await self._ask(VenueSession.cancel_all, instrument)

    async def set_leverage(self, instrument: Instrument, leverage: int) -> None:
        await self._ask(VenueSession.set_leverage, instrument, leverage)

    async def close(self) -> None:
        """The owner keeps it: others may have it open, too."""

    async def _ask(self, method: Callable[Concatenate[Any, P], Awaitable[R]], *arguments: P.args, **_: P.kwargs) -> R:
        call: Method[Any, R] = CALLS[method.__name__]
        given = (self._credential.credential_id, *arguments)
        try:
            try:
                return await self._owner.ask(call, given)
            except NotOpen:
                await self.open()
                return await self._owner.ask(call, given)
        except NotAsked:
            raise VenueNotReached(Reason.VENUE_UNREACHABLE, _AWAY) from None
        except NotAnswered:
            raise VenueUnclear(Reason.VENUE_UNREACHABLE, _WENT_AWAY) from None


def _outcome(leg: _Leg) -> LegOutcome:
    if leg.failure is not None:
        return cast("VenueFailure", raised(leg.failure))
    if leg.order is None:
        raise ValueError("a leg without an outcome")
    return leg.order
