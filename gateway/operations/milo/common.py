"""What Milo's operations share."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from adapters.milo.api import HasPartnerApi, Paid, PartnerApi, Query
from adapters.milo.wire import PageMeta, Payment
from gateway.operations.wire import Call, CredentialRequest, Reply
from normalization.decimals import is_sane, require_positive
from normalization.errors import InvalidParameter, UnsupportedOperation

T = TypeVar("T")

_ID: Final = r"^[A-Za-z0-9_-]{1,64}\Z"
_BASE58: Final = "[1-9A-HJ-NP-Za-km-z]"

OrderRef = Annotated[str, Meta(pattern=_ID, description="Milo's order id")]
StrategyRef = Annotated[str, Meta(pattern=_ID, description="Strategy id")]
ConversationRef = Annotated[str, Meta(pattern=_ID, description="Conversation id")]
QuestRef = Annotated[str, Meta(pattern=_ID, description="Quest id")]
ThesisRef = Annotated[str, Meta(pattern=_ID, description="Position id: what Milo calls a thesis")]
Mint = Annotated[
    str,
    Meta(
        pattern=rf"^{_BASE58}{{32,44}}\Z",
        description="Mint address of a token",
        examples=["So11111111111111111111111111111111111111112"],
    ),
]
Address = Annotated[str, Meta(pattern=rf"^{_BASE58}{{32,44}}\Z", description="Solana address")]
Page = Annotated[int, Meta(ge=1, le=100, description="Page number")]
PageSize = Annotated[int, Meta(ge=1, le=100, description="Items per page")]
Cursor = Annotated[str, Meta(min_length=1, max_length=1024, description="nextCursor of the answer before")]
Limit = Annotated[int, Meta(ge=1, le=200, description="Items per page")]
Percentage = Annotated[Decimal, Meta(description="Percentage, up to 100", examples=["50"])]


class MiloRequest(CredentialRequest, frozen=True, kw_only=True):
    """A request to the partner API as the user of a Milo credential."""


class PagedRequest(MiloRequest, frozen=True, kw_only=True):
    page: Page = 1
    page_size: PageSize = 25

    def paged(self, **query: str | int | bool | None) -> Query:
        return {**query, "page": self.page, "pageSize": self.page_size}


class PagedReply(Reply, frozen=True, kw_only=True):
    meta: PageMeta


class DoneReply(Reply, frozen=True, kw_only=True):
    """It is done, and there is nothing to tell."""

    data: None = None


class PaymentProof(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A confirmed transfer on Solana of exactly one of the accepted prices. It serves once.

    ``header`` is the one that bears it, as the refusal's ``acceptedHeader`` says.
    """

    recipient: Address
    asset: Literal["USDC", "SOL"]
    amount: Annotated[Decimal, Meta(description="Price of that asset", examples=["0.25"])]
    payment_id: Annotated[
        str, Meta(pattern=r"^[!-~]{1,200}\Z", description="Your own id of this payment, never used before")
    ]
    tx_signature: Annotated[str, Meta(pattern=rf"^{_BASE58}{{64,88}}\Z", description="The transfer's signature")]
    header: Annotated[str, Meta(pattern=r"^(X-)?PAYMENT(-[A-Z]{1,20}){0,2}\Z")] = "X-PAYMENT"

    def __post_init__(self) -> None:
        require_positive(self.amount, "payment.amount")

    def paid(self) -> Paid:
        proof = Payment(
            recipient=self.recipient,
            asset=self.asset,
            amount=self.amount,
            payment_id=self.payment_id,
            tx_signature=self.tx_signature,
        )
        return Paid(payment=proof, header=self.header)


def milo(call: Call) -> PartnerApi:
    """:raises UnsupportedOperation: the credential is of another exchange."""
    if not isinstance(call.session, HasPartnerApi):
        raise UnsupportedOperation(f"{call.credential.exchange} has no partner API: use a Milo credential.")
    return call.session.partner_api


def require_percentage(value: Decimal, field: str, least: int = 0) -> None:
    """:raises InvalidParameter: not above zero, below ``least``, or above 100."""
    if not is_sane(value) or not 0 < value <= 100 or value < least:
        raise InvalidParameter(field, f"a percentage from {least} to 100")


def require_text(text: str | UnsetType, field: str) -> None:
    """:raises InvalidParameter: a character that cannot be sent, or nothing but spaces."""
    if text is not UNSET and (re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]", text) or not text.strip()):
        raise InvalidParameter(field, "text")


def told_as(value: Any, type_: type[T]) -> T | UnsetType:
    """What Milo says of something that was done, where it is of the shape that is known; it was done all the same."""
    try:
        return msgspec.convert(value, type_, strict=False)
    except msgspec.ValidationError:
        return UNSET
