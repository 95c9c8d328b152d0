"""Several orders in one request: batches, and the two that protect a position."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from adapters.base import Grouping
from gateway.operations.desk import Leg, Placed
from gateway.operations.placement import (
    Price,
    Size,
    SlippageBps,
    check_limit,
    check_post_only,
    check_time_in_force,
    standing,
)
from gateway.operations.wire import (
    Call,
    ClientOrderId,
    CredentialRequest,
    DecimalText,
    EpochSeconds,
    MarketName,
    MarketRequest,
    Reply,
    price,
    require_printable,
)
from normalization.decimals import is_sane, require_positive, trimmed
from normalization.errors import ExchangeError, InvalidParameter
from normalization.instruments import Instrument
from normalization.orders import (
    Execution,
    Limit,
    Market,
    OrderIntent,
    PositionSide,
    PostOnly,
    Side,
    Stop,
    TakeProfit,
    TimeInForce,
)

MAX_BATCH: Final = 10

# With what goes behind it, it must still be a clientOrderId that getOrder takes.
GroupId = Annotated[str, Meta(pattern=r"^[!-~]{1,61}\Z")]


class BatchLeg(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One order of a batch. ``price`` belongs to LIMIT orders, ``trigger_price`` to STOP orders."""

    market: MarketName
    side: Side
    size: Size
    order_type: Literal["LIMIT", "MARKET", "STOP"] = "LIMIT"
    price: Price | None = None
    trigger_price: Decimal | None = None
    post_only: bool = False
    reduce_only: bool | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    max_slippage_bps: SlippageBps = 100
    client_order_id: ClientOrderId | None = None

    def check(self) -> None:
        """:raises InvalidParameter: where the fields do not fit each other or the rules that need no market."""
        require_printable(self.market, "market")
        require_positive(self.size, "size")
        for field, value, owner in (("price", self.price, "LIMIT"), ("triggerPrice", self.trigger_price, "STOP")):
            if (value is not None) != (self.order_type == owner):
                raise InvalidParameter(field, f"a price for {owner} orders, and only for them")
            if value is not None:
                require_positive(value, field)
        if self.order_type != "LIMIT" and (self.post_only or self.time_in_force is not TimeInForce.GTC):
            raise InvalidParameter("orderType", "LIMIT, because postOnly and timeInForce belong to limit orders")
        if self.post_only and self.time_in_force is not TimeInForce.GTC:
            raise InvalidParameter("timeInForce", "GTC, because a post-only order always rests")

    def leg(self, instrument: Instrument, fallback_id: str | None) -> Leg:
        """The leg to place, checked against its instrument. Stops are reduce-only unless told otherwise."""
        reduce_only = self.order_type == "STOP" if self.reduce_only is None else self.reduce_only
        execution: Execution
        if self.price is not None:
            check_limit(instrument, self.size, self.price, reduce_only)
            execution = (
                PostOnly(price=self.price)
                if self.post_only
                else Limit(price=self.price, time_in_force=self.time_in_force)
            )
        elif self.trigger_price is not None:
            instrument.check_size(self.size)
            instrument.check_price(self.trigger_price, "triggerPrice")
            execution = Stop(trigger_price=self.trigger_price)
        else:
            instrument.check_size(self.size)
            execution = Market(max_slippage_bps=self.max_slippage_bps)
        intent = OrderIntent(
            symbol=instrument.symbol, side=self.side, size=self.size, execution=execution, reduce_only=reduce_only
        )
        return Leg(intent=intent, instrument=instrument, client_order_id=self.client_order_id or fallback_id)


class PlaceBatchOrder(CredentialRequest, frozen=True, kw_only=True):
    orders: Annotated[list[BatchLeg], Meta(min_length=1, max_length=MAX_BATCH, description="Up to 10 orders")]
    client_order_id: Annotated[
        GroupId | None,
        Meta(
            description="Id of the whole batch: legs without an id of their own get this one with -0, -1, … behind it"
        ),
    ] = None

    def __post_init__(self) -> None:
        for index, order in enumerate(self.orders):
            with within(f"orders[{index}]"):
                order.check()
        given = [
            order.client_order_id or leg_id(self.client_order_id, str(index)) for index, order in enumerate(self.orders)
        ]
        named = [client_order_id for client_order_id in given if client_order_id is not None]
        if len(named) != len(set(named)):
            raise InvalidParameter("orders", "a different clientOrderId for every order")

    def markets_named(self) -> Sequence[tuple[str, str]]:
        return [(f"orders[{index}].market", order.market) for index, order in enumerate(self.orders)]

    async def perform(self, call: Call) -> BatchReply:
        legs = []
        for index, (order, instrument) in enumerate(zip(self.orders, call.instruments, strict=True)):
            check_time_in_force(call, order.time_in_force)
            check_post_only(call, order.post_only)
            with within(f"orders[{index}]"):
                legs.append(order.leg(instrument, leg_id(self.client_order_id, str(index))))
        outcomes = await call.orders.place(call, self.operation, legs)
        return BatchReply(results=[LegReply.of(placed) for placed in outcomes])


class LegReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How one leg stands; ``code``, ``error`` and ``details`` say why where ``status`` is REJECTED or NOT_SENT."""

    order_id: str | None
    status: str
    client_order_id: str
    filled_size: DecimalText | UnsetType = UNSET
    filled_price: DecimalText | UnsetType = UNSET
    code: str | UnsetType = UNSET
    error: str | UnsetType = UNSET
    details: dict[str, Any] | UnsetType = UNSET
    replayed: bool | UnsetType = UNSET
    final_by: EpochSeconds | UnsetType = UNSET
    hint: str | UnsetType = UNSET

    @staticmethod
    def of(placed: Placed) -> LegReply:
        failure, order = placed.failure, placed.order
        if failure is not None:
            return LegReply(
                order_id=None,
                status=placed.state,
                client_order_id=placed.client_order_id or "",
                code=failure.code,
                error=failure.message,
                details=dict(failure.details or {}),
                replayed=placed.replayed or UNSET,
            )
        average = order.average_price if order else None
        return LegReply(
            **standing(placed),
            filled_size=trimmed(order.filled_size) if order and order.filled_size else UNSET,
            filled_price=UNSET if average is None else price(average, placed.instrument),
        )


class BatchReply(Reply, frozen=True, kw_only=True):
    """One entry per order, in the order of the request. The HTTP status is 202 while any of them is UNKNOWN."""

    results: list[LegReply]

    @property
    def http_status(self) -> int:
        return 202 if any(leg.status == "UNKNOWN" for leg in self.results) else 200


Percent = Annotated[Decimal, Meta(description="Distance from the entry price in percent (5 = 5%)", examples=[5])]


class PlaceProtectionOrders(MarketRequest, frozen=True, kw_only=True):
    side: Annotated[PositionSide, Meta(description="Side of the position to protect")]
    size: Size
    entry_price: Annotated[Decimal, Meta(description="Entry price of the position", examples=["94000"])]
    tp_percent: Percent | None = None
    sl_percent: Percent | None = None
    client_order_id: Annotated[
        GroupId | None, Meta(description="Id of the pair: the orders get it with -tp and -sl behind it")
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self.size, "size")
        require_positive(self.entry_price, "entryPrice")
        if self.tp_percent is None and self.sl_percent is None:
            raise InvalidParameter("tpPercent", "tpPercent, slPercent or both")
        for field, value in (("tpPercent", self.tp_percent), ("slPercent", self.sl_percent)):
            if value is not None and not (is_sane(value) and 0 < value <= 1000):
                raise InvalidParameter(field, "a percentage above 0, such as 5")

    async def perform(self, call: Call) -> ProtectionReply:
        instrument = call.instruments[0]
        instrument.check_size(self.size)
        legs: dict[str, Leg] = {}
        if self.tp_percent is not None:
            trigger = self._trigger(instrument, self.tp_percent, "tpPercent", profit=True)
            legs["tp"] = self._leg(instrument, TakeProfit(trigger_price=trigger), "tp")
        if self.sl_percent is not None:
            trigger = self._trigger(instrument, self.sl_percent, "slPercent", profit=False)
            legs["sl"] = self._leg(instrument, Stop(trigger_price=trigger), "sl")
        outcomes = await call.orders.place(
            call, self.operation, list(legs.values()), grouping=Grouping.ONE_CANCELS_OTHER
        )
        placed = dict(zip(legs, outcomes, strict=True))
        _refuse_half_a_protection(placed)
        results = {name: LegReply.of(leg) for name, leg in placed.items()}
        return ProtectionReply(
            tp_order_id=results["tp"].order_id if "tp" in results else None,
            sl_order_id=results["sl"].order_id if "sl" in results else None,
            results=list(results.values()),
        )

    def _trigger(self, instrument: Instrument, percent: Decimal, field: str, *, profit: bool) -> Decimal:
        """The trigger price, rounded towards the entry: a protection may act a tick early, never a tick late."""
        upwards = profit == (self.side is PositionSide.LONG)
        distance = self.entry_price * percent / 100
        exact = self.entry_price + distance if upwards else self.entry_price - distance
        trigger = instrument.round_down(exact) if upwards else instrument.round_up(exact)
        if exact <= 0 or trigger <= 0:
            raise InvalidParameter(field, "less than 100 for this side, so that the trigger price stays positive")
        return trigger

    def _leg(self, instrument: Instrument, execution: Execution, suffix: str) -> Leg:
        intent = OrderIntent(
            symbol=instrument.symbol,
            side=self.side.closing_side,
            size=self.size,
            execution=execution,
            reduce_only=True,
        )
        return Leg(intent=intent, instrument=instrument, client_order_id=leg_id(self.client_order_id, suffix))


class ProtectionReply(Reply, frozen=True, kw_only=True):
    """``results`` has the take-profit, then the stop-loss, those that were asked for."""

    tp_order_id: str | None
    sl_order_id: str | None
    results: list[LegReply]

    @property
    def http_status(self) -> int:
        return 202 if any(leg.status == "UNKNOWN" for leg in self.results) else 200


def leg_id(group: str | None, suffix: str) -> str | None:
    return None if group is None else f"{group}-{suffix}"


@contextmanager
def within(prefix: str) -> Iterator[None]:
    """Complaints about a field of a leg name the leg."""
    try:
        yield
    except InvalidParameter as complaint:
        raise complaint.within(prefix) from None


def _refuse_half_a_protection(placed: dict[str, Placed]) -> None:
    """A position with one of two protections must not look protected: say so, and what is live."""
    failed = [leg for leg in placed.values() if leg.failure is not None]
    if not failed:
        return
    if len(failed) == len(placed):
        raise failed[0].failure or AssertionError
    names = {"tp": "take-profit", "sl": "stop-loss"}
    missing = next(name for name, leg in placed.items() if leg.failure is not None)
    other = next(name for name in placed if name != missing)
    cause = failed[0].failure
    details = dict(cause.details or {}) if cause else {}
    raise ExchangeError(
        f"The {names[missing]} was not placed: {cause.message.rstrip('.') if cause else ''}. "
        f"The {names[other]} {_how_it_stands(placed[other])}.",
        outcome=details.get("outcome", "rejected"),
        reason=details.get("reason", "OTHER"),
        retryable=False,
        results=[msgspec.to_builtins(LegReply.of(leg)) for leg in placed.values()],
    )


def _how_it_stands(placed: Placed) -> str:
    if placed.order is None:
        return "may stand: the exchange did not say"
    return "is over" if placed.order.status.is_final else "stands"
