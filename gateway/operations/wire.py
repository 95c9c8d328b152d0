"""What requests and replies share: base Structs, field types, number spelling, and what ``perform`` is given."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Protocol
from uuid import UUID

import msgspec
from msgspec import Meta

from adapters.base import Capabilities, Network, VenueSession
from adapters.milo.accounts import MessageAsked, Registered, Registration, ToSign
from gateway.operations.desk import OrderDesk
from gateway.timings import Timings
from normalization.decimals import fixed, padded, trimmed
from normalization.errors import InvalidParameter
from normalization.instruments import Instrument
from normalization.resolver import Markets
from storage.ports import Credential

CredentialId = Annotated[UUID, Meta(description="Exchange credential UUID, as listCredentials shows it")]
MarketName = Annotated[
    str, Meta(min_length=1, max_length=80, description="Market symbol, such as BTC-USD-PERP", examples=["BTC-USD-PERP"])
]
ClientOrderId = Annotated[
    str,
    Meta(
        pattern=r"^[!-~]{1,64}\Z",
        description="Your own id, 1 to 64 printable ASCII characters: sent again with the same parameters it never "
        "places a second order but answers with the first one's present state. Minted when absent.",
    ),
]
OrderId = Annotated[str, Meta(min_length=1, max_length=128, description="The exchange's order id")]
DecimalText = Annotated[str, Meta(pattern=r"^-?\d+(\.\d+)?$", description="Decimal string", examples=["0.01"])]
EpochSeconds = Annotated[int, Meta(description="UTC epoch seconds")]

_MONEY_PLACES = Decimal("1e-8")


class Request(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A decoded request body. ``operation`` itself is read before, to know which of these it is."""

    operation: str


class AccountRequest(Request, frozen=True, kw_only=True):
    """A request about the caller's account here: no venue is involved."""

    async def answer(self, caller: Caller) -> Reply:
        raise NotImplementedError


class PublicRequest(Request, frozen=True, kw_only=True):
    """A request of somebody who may have no account yet."""

    async def join(self, newcomer: Newcomer) -> Reply:
        raise NotImplementedError


class CredentialRequest(Request, frozen=True, kw_only=True):
    """A request that is carried out on the venue of a credential."""

    credential_id: CredentialId

    def markets_named(self) -> Sequence[tuple[str, str]]:
        """The (field, market) pairs to resolve, in the order in which ``Call.instruments`` will hold them."""
        return ()

    async def perform(self, call: Call) -> Reply:
        raise NotImplementedError


class MarketRequest(CredentialRequest, frozen=True, kw_only=True):
    market: MarketName

    def __post_init__(self) -> None:
        require_printable(self.market, "market")

    def markets_named(self) -> Sequence[tuple[str, str]]:
        return (("market", self.market),)


class OptionalMarketRequest(CredentialRequest, frozen=True, kw_only=True):
    market: MarketName | None = None

    def __post_init__(self) -> None:
        if self.market is not None:
            require_printable(self.market, "market")

    def markets_named(self) -> Sequence[tuple[str, str]]:
        return () if self.market is None else (("market", self.market),)


class Reply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A successful body. Money is decimal strings, times are epoch seconds."""

    success: bool = True

    @property
    def http_status(self) -> int:
        return 200


class Caller(Protocol):
    """What ``answer`` may use."""

    async def usable_credentials(self) -> Sequence[Credential]:
        """The credentials of the caller's account that its key may use."""
        ...


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who has signed up. ``api_key`` is the gateway's, None where they have one or none could be made.

    ``account_id`` and ``credential_id`` are None where nothing could be stored here; ``hint`` says what to do then.
    """

    registered: Registered
    account_id: str | None
    credential_id: str | None
    api_key: str | None
    hint: str = ""

    def __repr__(self) -> str:
        return f"Joined({self.account_id}, keys hidden)"


class Newcomer(Protocol):
    """What ``join`` may use. ``network`` None is the one that the caller's key, or else the gateway, is for."""

    async def message_to_sign(self, network: Network | None, asked: MessageAsked) -> ToSign: ...
    async def register(self, network: Network | None, registration: Registration) -> Joined:
        """:raises AlreadyRegistered: the venue knows the wallet."""
        ...


class Call(Protocol):
    """What ``perform`` may use. ``instruments`` are those of ``markets_named``, resolved, in order."""

    @property
    def credential(self) -> Credential: ...
    @property
    def session(self) -> VenueSession: ...
    @property
    def capabilities(self) -> Capabilities: ...
    @property
    def markets(self) -> Markets: ...
    @property
    def instruments(self) -> Sequence[Instrument]: ...
    @property
    def orders(self) -> OrderDesk: ...
    @property
    def confirm_above(self) -> Decimal | None:
        """The value of orders, in quote units, above which a person has to say yes first; None once one has."""
        ...

    @property
    def timings(self) -> Timings: ...


def named_instrument(call: Call) -> Instrument | None:
    """The instrument of a request whose market is optional."""
    return call.instruments[0] if call.instruments else None


def require_printable(text: str, field: str) -> None:
    """:raises InvalidParameter: for control, bidi and other characters that do not show."""
    if not (text.isascii() and text.isprintable()) and not all(c.isprintable() for c in text):
        raise InvalidParameter(field, "printable characters only")


def money(value: Decimal) -> str:
    """An amount of the settle asset, to eight decimal places at most and two at least."""
    text = trimmed(padded(value, _MONEY_PLACES))
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction:0<2}"


def price(value: Decimal, instrument: Instrument) -> str:
    """A price with every decimal place of its tick; an average that lies between ticks with four places more."""
    if instrument.on_tick(value):
        return fixed(value, instrument.price_exponent)
    return trimmed(padded(value, instrument.price_exponent.scaleb(-4)))


def seconds(epoch_ms: int) -> int:
    return epoch_ms // 1000
