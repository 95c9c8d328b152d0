"""The contract between the gateway and a venue.

An ``Adapter`` is one venue, made once per process; a ``VenueSession`` is one credential's open connection to it. Every
session method is build, send, parse: it takes our types and returns our types. Reads and writes raise only
``VenueFailure`` (``normalization.venue_failures``); anything else that escapes a write is taken as "sent, outcome
unknown", so an adapter claims a refusal only when it can prove one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Final, Protocol, runtime_checkable

import msgspec

from normalization.accounts import Balance, Fill, Position
from normalization.instruments import Instrument
from normalization.market_data import Candle, Fees, FundingRate, MarketSummary, MarkPrice, OrderBook
from normalization.orders import Order, OrderIntent, TimeInForce
from normalization.resolver import Markets
from normalization.venue_failures import VenueFailure


class Network(StrEnum):
    MAINNET = "mainnet"
    TESTNET = "testnet"
    PAPER = "paper"


class Capability(StrEnum):
    """What a venue can do, named after the operation that needs it."""

    ORDERBOOK = "orderbook"
    MARK_PRICE = "mark_price"
    CANDLES = "candles"
    FUNDING_RATE = "funding_rate"
    MARKETS_WITH_FUNDING = "markets_with_funding"
    FEES = "fees"
    BALANCE = "balance"
    POSITIONS = "positions"
    OPEN_ORDERS = "open_orders"
    ORDER = "order"
    FILLS = "fills"
    TEST = "test"
    LIMIT_ORDER = "limit_order"
    MARKET_ORDER = "market_order"
    STOP_ORDER = "stop_order"
    BATCH = "batch"
    PROTECTION = "protection"
    CANCEL = "cancel"
    CANCEL_ALL = "cancel_all"
    CLOSE_POSITIONS = "close_positions"
    LEVERAGE = "leverage"


class TriggerSource(StrEnum):
    MARK = "mark"
    LAST = "last"
    INDEX = "index"


class Dedupe(StrEnum):
    """Which of an account's orders a new one must not share its client id with, by the venue's own rule."""

    NONE = "none documented"
    OPEN_ORDERS = "open orders"
    RECENT_ORDERS = "recent orders"
    EVERY_ORDER = "every order"


class LeverageScope(StrEnum):
    """What a change of leverage applies to."""

    MARKET = "market"
    ACCOUNT = "account"
    NONE = "none"


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What is true of a venue. ``unsupported`` says, per missing capability, what the caller can do instead.

    ``emulated`` says how, per capability that is there, where the venue has no request of its own for it.
    ``request_expiry``: the venue refuses a request after its valid-until, so absence can be proved.
    ``triggers_expire``: that holds for trigger orders too.
    ``visibility_lag_ms``: how long after that an accepted order may still be missing from a lookup.
    ``lookup_includes_finished``: a lookup by client id also finds filled and canceled orders.
    ``judges_later``: an order is acknowledged before it is judged; that it was refused is told by a lookup.
    ``post_only``: it has orders that are refused rather than take liquidity.
    ``native_batch_size`` is 1 where a batch is sent leg by leg. ``times_in_force`` are those of limit orders.
    ``client_id`` is how the venue spells a client order id, ``least_privilege`` the weakest key that can trade there.
    """

    supports: frozenset[Capability]
    unsupported: Mapping[Capability, str] = {}
    emulated: Mapping[Capability, str] = {}
    native_batch_size: int = 1
    times_in_force: frozenset[TimeInForce] = frozenset(TimeInForce)
    post_only: bool = True
    request_expiry: bool
    triggers_expire: bool = True
    lookup_includes_finished: bool
    visibility_lag_ms: int = 30_000
    judges_later: bool = False
    trigger_source: TriggerSource = TriggerSource.MARK
    needs_market_to_cancel: bool = False
    client_id: str = ""
    dedupe: Dedupe = Dedupe.NONE
    leverage_scope: LeverageScope = LeverageScope.MARKET
    least_privilege: str = ""


class CredentialField(msgspec.Struct, frozen=True, kw_only=True):
    """One secret or setting of a credential. ``check`` returns what is wrong with a value, or None."""

    name: str
    description: str
    secret: bool = True
    required: bool = True
    check: Callable[[str], str | None] = lambda value: None


class OpenCredential(msgspec.Struct, frozen=True, kw_only=True):
    """A credential with its secrets in the clear: made by the vault, held only by the session it opens."""

    credential_id: str
    account_id: str
    exchange: str
    network: Network
    secrets: Mapping[str, str]

    def __repr__(self) -> str:
        return f"OpenCredential({self.exchange}/{self.network} {self.credential_id}, secrets hidden)"


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """One order on its way out. The venue must not accept it after ``valid_until_ms`` where it can be told so."""

    intent: OrderIntent
    instrument: Instrument
    client_id: str
    valid_until_ms: int


class Grouping(StrEnum):
    """How the legs of a batch hang together. Of ``ONE_CANCELS_OTHER`` legs, the first to fill cancels the rest."""

    NONE = "NONE"
    ONE_CANCELS_OTHER = "ONE_CANCELS_OTHER"


LegOutcome = Order | VenueFailure


class VenueSession(Protocol):
    """One credential's connection to its venue. Methods whose capability is not in ``supports`` are never called."""

    async def get_orderbook(self, instrument: Instrument, depth: int) -> OrderBook: ...
    async def get_mark_price(self, instrument: Instrument) -> MarkPrice: ...
    async def get_candles(self, instrument: Instrument, interval_minutes: int, limit: int) -> Sequence[Candle]:
        """Oldest first."""
        ...

    async def get_funding_rate(self, instrument: Instrument) -> FundingRate: ...
    async def get_markets_with_funding(self) -> Sequence[MarketSummary]: ...
    async def get_fees(self, instrument: Instrument) -> Fees: ...

    async def get_balance(self) -> Balance: ...
    async def get_positions(self, instrument: Instrument | None) -> Sequence[Position]: ...
    async def get_open_orders(self, instrument: Instrument | None) -> Sequence[Order]: ...
    async def get_fills(self, instrument: Instrument, limit: int) -> Sequence[Fill]:
        """Newest first."""
        ...

    async def get_order(self, order_id: str, instrument: Instrument | None) -> Order:
        """:raises VenueRejected: with ``ORDER_NOT_FOUND``."""
        ...

    async def find_order(self, client_id: str, instrument: Instrument) -> Order | None:
        """The order with our venue client id, or None where the venue says that it has none.

        Raises rather than return None when the venue did not answer: a failed query is not "not found".
        """
        ...

    async def test(self) -> Sequence[str]:
        """Prove that the credential works; warnings for a human, such as "this key can withdraw".

        :raises VenueRejected: with ``AUTHENTICATION_FAILED`` when it does not.
        """
        ...

    async def place_order(self, submission: Submission) -> Order:
        """Send once, without retries. The order as the venue acknowledged it, perhaps already filled."""
        ...

    async def place_orders(self, submissions: Sequence[Submission], grouping: Grouping) -> Sequence[LegOutcome]:
        """One outcome per leg, in order. Raises only when the outcome of every leg is the same failure."""
        ...

    async def cancel_order(self, order_id: str, instrument: Instrument | None) -> None:
        """:raises VenueRejected: with ``ORDER_NOT_FOUND`` or ``ORDER_ALREADY_CLOSED``."""
        ...

    async def cancel_by_client_id(self, client_id: str, instrument: Instrument) -> None: ...
    async def cancel_all(self, instrument: Instrument) -> None:
        """Cancel what is open on one market. An order that closed meanwhile is no error."""
        ...

    async def set_leverage(self, instrument: Instrument, leverage: int) -> None: ...
    async def close(self) -> None: ...


@runtime_checkable
class FindsByLikeness(Protocol):
    """A session of a venue that keeps no client ids: what is ours there, nobody can prove."""

    async def find_alike(
        self, intent: OrderIntent, instrument: Instrument, since_ms: int, until_ms: int
    ) -> Sequence[Order]:
        """The orders of that time that are as ``intent`` would be."""
        ...


@runtime_checkable
class ClosesPositions(Protocol):
    """A session of a venue with a request of its own that ends the positions of a market."""

    async def close_positions(self, instrument: Instrument) -> None: ...


class Adapter(Protocol):
    """One venue: what it can do, what a credential for it holds, and how to open one."""

    exchange: str
    networks: frozenset[Network]
    capabilities: Capabilities
    credential_fields: Sequence[CredentialField]

    async def markets(self, network: Network) -> Markets:
        """The venue's instruments on that network, as an index that is built once and shared."""
        ...

    async def open(self, credential: OpenCredential) -> VenueSession: ...

    def client_id(self, token: bytes) -> str:
        """The venue's spelling of our 16-byte client order id."""
        ...

    def describe(self, secrets: Mapping[str, str]) -> str:
        """What may be shown of a credential: a public address, or an empty string."""
        ...

    async def close(self) -> None: ...


NATIVE: Final = frozenset(Capability)
"""Every capability there is: a venue that lacks some says ``NATIVE - {…}``."""

BOUNDED: Final = "a limit order at the slippage bound, which executes at once or not at all"
"""How a market order is emulated where the venue has none with a bound."""
