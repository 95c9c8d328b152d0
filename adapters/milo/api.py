"""The partner API as the gateway sees it: what a session of Milo has, and what Milo's adapter has for newcomers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol, TypeVar, runtime_checkable

import msgspec

from adapters.base import Network
from adapters.milo.accounts import MessageAsked, Registered, Registration, ToSign
from adapters.milo.endpoints import Endpoint
from adapters.milo.wire import Body, Payment, Settlement

T = TypeVar("T")

EXCHANGE: Final = "milo"
KEY_FIELD: Final = "api_key"
PAYMENT_HEADER: Final = "X-PAYMENT"
NOTHING: Final[Mapping[str, str]] = {}

Query = Mapping[str, str | int | bool | None]


class Paid(msgspec.Struct, frozen=True, kw_only=True):
    """``header`` is the one that bears the proof."""

    payment: Payment
    header: str = PAYMENT_HEADER


class PartnerApi(Protocol):
    """Milo's endpoints as one API key. Every request is sent once; none is repeated."""

    async def ask(
        self,
        endpoint: Endpoint[T],
        *,
        ids: Mapping[str, str] = NOTHING,
        query: Query = NOTHING,
        body: Body | None = None,
    ) -> T:
        """``ids`` fill the path, but for the user's and the wallet's own; a query's None stays away.

        :raises VenueFailure: ``VenuePaymentRequired`` where it has to be paid for.
        """
        ...

    async def ask_paid(
        self, endpoint: Endpoint[T], paid: Paid | None, *, ids: Mapping[str, str] = NOTHING, body: Body
    ) -> tuple[T, Settlement | None]:
        """The same with a proof of payment, and what Milo says of that."""
        ...


@runtime_checkable
class HasPartnerApi(Protocol):
    """A session that has more than the common operations."""

    @property
    def partner_api(self) -> PartnerApi: ...


@runtime_checkable
class SignsUp(Protocol):
    """An adapter of a venue where somebody without an account can get one."""

    networks: frozenset[Network]

    async def request_message(self, network: Network, asked: MessageAsked) -> ToSign: ...
    async def register(self, network: Network, registration: Registration) -> Registered: ...
