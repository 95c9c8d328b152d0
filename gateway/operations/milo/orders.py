"""``/wallets/{walletId}/orders`` and ``/users/{userId}/orders``: Milo's orders with everything that they can be."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from adapters.milo.endpoints import (
    ACTIVATE_ORDER,
    CREATE_ORDER,
    DELETE_ORDER,
    GET_ORDER,
    LIST_ORDERS,
    PAUSE_ORDER,
)
from adapters.milo.trading import (
    NewAmount,
    NewOrder,
    NewPayload,
    NewStopLoss,
    NewTakeProfit,
    NewTrigger,
    OrderLine,
    WholeOrder,
)
from gateway.operations.milo.common import (
    MiloRequest,
    Mint,
    OrderRef,
    PagedReply,
    PagedRequest,
    Percentage,
    milo,
    require_percentage,
    told_as,
)
from gateway.operations.milo.guards import require_small_line, require_small_order
from gateway.operations.wire import Call, Reply
from normalization.decimals import require_positive
from normalization.errors import InvalidParameter

MOST_TAKE_PROFITS: Final = 5
MOST_STOP_LOSSES: Final = 5
MOST_TOGETHER: Final = 8

_OPERATORS: Final = {"absolute": ("gte", "lte"), "relative": ("rise", "drop")}


class MiloAmount(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """``amount`` of tokens (absolute) or US dollars (absolute_usd), or ``percentage`` of the position (relative)."""

    type: Literal["absolute", "absolute_usd", "relative"]
    amount: Annotated[Decimal, Meta(description="Tokens or US dollars", examples=["50"])] | None = None
    percentage: Percentage | None = None

    def __post_init__(self) -> None:
        is_share = self.type == "relative"
        given, field = (self.percentage, "percentage") if is_share else (self.amount, "amount")
        other, other_field = (self.amount, "amount") if is_share else (self.percentage, "percentage")
        if given is None:
            raise InvalidParameter(f"payload.amount.{field}", f"a number, because the type is {self.type}")
        if other is not None:
            raise InvalidParameter(f"payload.amount.{other_field}", f"nothing, because the type is {self.type}")
        if is_share:
            require_percentage(given, "payload.amount.percentage")
        else:
            require_positive(given, "payload.amount.amount")


class MiloTrigger(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """At a price in US dollars (absolute, gte or lte), or after a change from the entry in percent (relative, rise or
    drop). ``value`` 0 with gte is at once.
    """

    type: Literal["absolute", "relative"]
    trigger: Literal["price"] = "price"
    operator: Literal["gte", "lte", "rise", "drop"]
    value: Annotated[Decimal, Meta(description="Price or percentage", examples=["150"])]

    def __post_init__(self) -> None:
        operators = _OPERATORS[self.type]
        if self.operator not in operators:
            raise InvalidParameter("payload.trigger.operator", f"{' or '.join(operators)} with type {self.type}")
        if self.operator == "gte" and self.value == 0:
            return
        require_positive(self.value, "payload.trigger.value")
        if self.operator == "drop":
            require_percentage(self.value, "payload.trigger.value")


class MiloPayload(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What to trade, and when. ``type`` is the order's."""

    type: Literal["buy", "sell"]
    amount: MiloAmount
    trigger: MiloTrigger


class MiloTakeProfit(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Sell ``percentage`` of what was bought once it has gained ``profit_percentage``."""

    percentage: Percentage
    profit_percentage: Annotated[Decimal, Meta(description="Gain in percent, above 0", examples=["20"])]


class MiloStopLoss(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Sell ``percentage`` of what was bought once it has lost ``loss_percentage``."""

    percentage: Percentage
    loss_percentage: Annotated[Decimal, Meta(description="Loss in percent, up to 100", examples=["15"])]


class CreateOrder(MiloRequest, frozen=True, kw_only=True):
    """The order is placed first; its take-profits and stop-losses follow as drafts that become active when it fills."""

    token_address: Mint
    type: Literal["buy", "sell"]
    payload: MiloPayload
    status: Literal["active", "paused", "draft"] = "active"
    take_profits: Annotated[list[MiloTakeProfit], Meta(max_length=MOST_TAKE_PROFITS)] = field(default_factory=list)
    stop_losses: Annotated[list[MiloStopLoss], Meta(max_length=MOST_STOP_LOSSES)] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.payload.type != self.type:
            raise InvalidParameter("payload.type", f"{self.type}, as the order's type")
        if self.type == "buy" and self.payload.amount.type == "relative":
            raise InvalidParameter(
                "payload.amount.type", "absolute or absolute_usd: a buy has nothing to be a share of"
            )
        if len(self.take_profits) + len(self.stop_losses) > MOST_TOGETHER:
            raise InvalidParameter("takeProfits", f"at most {MOST_TOGETHER} take-profits and stop-losses together")
        for place, profit in enumerate(self.take_profits):
            require_percentage(profit.percentage, f"takeProfits[{place}].percentage", 1)
            require_positive(profit.profit_percentage, f"takeProfits[{place}].profitPercentage")
        for place, loss in enumerate(self.stop_losses):
            require_percentage(loss.percentage, f"stopLosses[{place}].percentage", 1)
            require_percentage(loss.loss_percentage, f"stopLosses[{place}].lossPercentage", 1)

    async def perform(self, call: Call) -> MiloOrderReply:
        order = self._order()
        await require_small_order(call, order)
        return MiloOrderReply(data=(await milo(call).ask(CREATE_ORDER, body=order)).data.data)

    def _order(self) -> NewOrder:
        amount, trigger = self.payload.amount, self.payload.trigger
        return NewOrder(
            token_address=self.token_address,
            type=self.type,
            status=self.status,
            payload=NewPayload(
                type=self.type,
                amount=NewAmount(
                    type=amount.type,
                    amount=UNSET if amount.amount is None else amount.amount,
                    percentage=UNSET if amount.percentage is None else amount.percentage,
                ),
                trigger=NewTrigger(
                    type=trigger.type, trigger=trigger.trigger, operator=trigger.operator, value=trigger.value
                ),
            ),
            take_profits=[
                NewTakeProfit(percentage=one.percentage, profit_percentage=one.profit_percentage)
                for one in self.take_profits
            ]
            or UNSET,
            stop_losses=[
                NewStopLoss(percentage=one.percentage, loss_percentage=one.loss_percentage) for one in self.stop_losses
            ]
            or UNSET,
        )


class MiloOrderReply(Reply, frozen=True, kw_only=True):
    """The order as Milo has it. ``dependants`` tells of each take-profit and stop-loss whether it was made."""

    data: WholeOrder


class ListOrders(PagedRequest, frozen=True, kw_only=True):
    status: Literal["active", "paused", "error", "fulfilled", "archived", "draft"] | None = None
    type: Literal["buy", "sell"] | None = None
    token_address: Mint | None = None

    async def perform(self, call: Call) -> MiloOrdersReply:
        query = self.paged(status=self.status, type=self.type, tokenAddress=self.token_address)
        page = await milo(call).ask(LIST_ORDERS, query=query)
        return MiloOrdersReply(data=page.data, meta=page.meta)


class MiloOrdersReply(PagedReply, frozen=True, kw_only=True):
    """Newest first."""

    data: list[OrderLine]


class OrderRequest(MiloRequest, frozen=True, kw_only=True):
    order_id: OrderRef

    @property
    def ids(self) -> dict[str, str]:
        return {"orderId": self.order_id}


class GetMiloOrder(OrderRequest, frozen=True, kw_only=True):
    async def perform(self, call: Call) -> MiloOrderReply:
        return MiloOrderReply(data=(await milo(call).ask(GET_ORDER, ids=self.ids)).data)


class ChangedReply(Reply, frozen=True, kw_only=True):
    """The order as it is now, where Milo tells."""

    data: WholeOrder | UnsetType = UNSET


class PauseOrder(OrderRequest, frozen=True, kw_only=True):
    async def perform(self, call: Call) -> ChangedReply:
        return ChangedReply(data=told_as((await milo(call).ask(PAUSE_ORDER, ids=self.ids)).data, WholeOrder))


class ActivateOrder(OrderRequest, frozen=True, kw_only=True):
    async def perform(self, call: Call) -> ChangedReply:
        if call.confirm_above is not None:
            await require_small_line(call, (await milo(call).ask(GET_ORDER, ids=self.ids)).data)
        return ChangedReply(data=told_as((await milo(call).ask(ACTIVATE_ORDER, ids=self.ids)).data, WholeOrder))


class DeleteOrder(OrderRequest, frozen=True, kw_only=True):
    async def perform(self, call: Call) -> ChangedReply:
        return ChangedReply(data=told_as((await milo(call).ask(DELETE_ORDER, ids=self.ids)).data, WholeOrder))
