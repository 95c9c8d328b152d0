"""The bodies of ``POST /exchange``, read strictly and spelled again as the venue signs them.

The venue reads an action into its own types and hashes *those*: fields in its order, numbers without trailing zeros,
unknown fields gone. A client that signed anything else is somebody else to it. ``packed`` is that spelling.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from sandbox.hyperliquid.spelling import canonical

Number = Annotated[str, Meta(pattern=r"^-?[0-9]{1,20}(\.[0-9]{1,20})?$")]
Cloid = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{32}$")]
Address = Annotated[str, Meta(pattern=r"^(0x)?[0-9a-fA-F]{40}$")]
Unsigned = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Hex = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{1,64}$")]


class LimitTerms(Struct, frozen=True):
    tif: Literal["Alo", "Ioc", "Gtc", "FrontendMarket"]


class TriggerTerms(Struct, frozen=True):
    isMarket: bool
    triggerPx: Number
    tpsl: Literal["tp", "sl"]


class OrderTerms(Struct, frozen=True):
    """Exactly one of the two."""

    limit: LimitTerms | UnsetType = UNSET
    trigger: TriggerTerms | UnsetType = UNSET

    def __post_init__(self) -> None:
        if (self.limit is UNSET) == (self.trigger is UNSET):
            raise ValueError("limit or trigger")


class WireOrder(Struct, frozen=True):
    """asset, is buy, price, size, reduce only, terms, client order id"""

    a: Unsigned
    b: bool
    p: Number
    s: Number
    r: bool
    t: OrderTerms
    c: Cloid | UnsetType | None = UNSET

    @property
    def cloid(self) -> str | None:
        return self.c.lower() if isinstance(self.c, str) else None


class PriorityGrouping(Struct, frozen=True):
    p: int


class Builder(Struct, frozen=True):
    b: Address
    f: Unsigned


class _L1(Struct, frozen=True, tag_field="type"):
    """An action that an agent may sign."""


class PlaceOrders(_L1, frozen=True, tag="order"):
    orders: tuple[WireOrder, ...]
    grouping: Literal["na", "normalTpsl", "positionTpsl"] | PriorityGrouping
    builder: Builder | UnsetType | None = UNSET


class CancelEntry(Struct, frozen=True):
    a: Unsigned
    o: Unsigned


class Cancel(_L1, frozen=True, tag="cancel"):
    cancels: tuple[CancelEntry, ...]
    f: bool | UnsetType = UNSET


class CancelByCloidEntry(Struct, frozen=True):
    asset: Unsigned
    cloid: Cloid


class CancelByCloid(_L1, frozen=True, tag="cancelByCloid"):
    cancels: tuple[CancelByCloidEntry, ...]


class Modify(_L1, frozen=True, tag="modify"):
    oid: Unsigned | Cloid
    order: WireOrder


class ModifyEntry(Struct, frozen=True):
    oid: Unsigned | Cloid
    order: WireOrder


class BatchModify(_L1, frozen=True, tag="batchModify"):
    modifies: tuple[ModifyEntry, ...]


class UpdateLeverage(_L1, frozen=True, tag="updateLeverage"):
    asset: Unsigned
    isCross: bool
    leverage: Unsigned


class UpdateIsolatedMargin(_L1, frozen=True, tag="updateIsolatedMargin"):
    asset: Unsigned
    isBuy: bool
    ntli: int


class ScheduleCancel(_L1, frozen=True, tag="scheduleCancel"):
    time: Unsigned | UnsetType | None = UNSET


class SetReferrer(_L1, frozen=True, tag="setReferrer"):
    code: str


class Noop(_L1, frozen=True, tag="noop"):
    pass


class TwapTerms(Struct, frozen=True):
    """asset, is buy, size, reduce only, minutes, randomize"""

    a: Unsigned
    b: bool
    s: Number
    r: bool
    m: Unsigned
    t: bool


class TwapOrder(_L1, frozen=True, tag="twapOrder"):
    twap: TwapTerms


class _UserSigned(Struct, frozen=True, tag_field="type", kw_only=True):
    """An action that only the account's own key may sign, as typed data."""

    signatureChainId: Hex
    hyperliquidChain: Literal["Mainnet", "Testnet"]


class ApproveAgent(_UserSigned, frozen=True, kw_only=True, tag="approveAgent"):
    agentAddress: Address
    agentName: str | None = ""
    nonce: Unsigned


class ApproveBuilderFee(_UserSigned, frozen=True, kw_only=True, tag="approveBuilderFee"):
    maxFeeRate: Annotated[str, Meta(pattern=r"^[0-9]{1,6}(\.[0-9]{1,6})?%$")]
    builder: Address
    nonce: Unsigned


class UsdSend(_UserSigned, frozen=True, kw_only=True, tag="usdSend"):
    destination: Address
    amount: Number
    time: Unsigned


class Withdraw(_UserSigned, frozen=True, kw_only=True, tag="withdraw3"):
    destination: Address
    amount: Number
    time: Unsigned


class UsdClassTransfer(_UserSigned, frozen=True, kw_only=True, tag="usdClassTransfer"):
    amount: str
    toPerp: bool
    nonce: Unsigned


L1Action = (
    PlaceOrders
    | Cancel
    | CancelByCloid
    | Modify
    | BatchModify
    | UpdateLeverage
    | UpdateIsolatedMargin
    | ScheduleCancel
    | SetReferrer
    | Noop
    | TwapOrder
)
UserSignedAction = ApproveAgent | ApproveBuilderFee | UsdSend | Withdraw | UsdClassTransfer
Action = L1Action | UserSignedAction


class WireSignature(Struct, frozen=True):
    r: Hex
    s: Hex
    v: int


class Envelope(Struct, frozen=True):
    """``expiresAfter`` and ``nonce`` are UTC milliseconds."""

    action: Action
    nonce: Unsigned
    signature: WireSignature
    vaultAddress: Address | None = None
    expiresAfter: Unsigned | None = None


_DECODER: Final = msgspec.json.Decoder(Envelope)


def decoded(body: bytes) -> Envelope:
    """:raises msgspec.ValidationError: it is JSON, but not one of the venue's actions.
    :raises msgspec.DecodeError: it is no JSON.
    """
    return _DECODER.decode(body)


def packed(action: L1Action) -> bytes:
    """MessagePack of the action as the venue hashes it."""
    return msgspec.msgpack.encode(_respelled(msgspec.to_builtins(action)))


_NUMBERS: Final = frozenset({"p", "s", "triggerPx"})
_ABSENT_IF_NULL: Final = frozenset({"c", "builder", "time"})
_LOWER: Final = frozenset({"c", "cloid", "b"})


def _respelled(value: Any) -> Any:
    match value:
        case dict():
            return {
                key: _word(key, item) for key, item in value.items() if not (item is None and key in _ABSENT_IF_NULL)
            }
        case list() | tuple():
            return [_respelled(item) for item in value]
        case _:
            return value


def _word(key: str, value: Any) -> Any:
    if isinstance(value, str):
        if key in _NUMBERS:
            return canonical(value)
        return value.lower() if key in _LOWER else value
    return _respelled(value)
