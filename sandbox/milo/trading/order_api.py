"""``/wallets/{walletId}/orders`` and ``/users/{userId}/orders``"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from sandbox.milo.calls import Call, Reply
from sandbox.milo.errors import bad_request, not_found
from sandbox.milo.pages import choice, page_of, paged
from sandbox.milo.tokens import known_token
from sandbox.milo.trading.dependants import Dependant
from sandbox.milo.trading.desk import Desk
from sandbox.milo.trading.orders import (
    Amount,
    Fill,
    NewOrder,
    Order,
    OrderStatus,
    OrderType,
    StopLoss,
    SubType,
    TakeProfit,
    Trigger,
)
from sandbox.milo.wire import Asked, Data, Wire, iso, neat, short


class PayloadAsked(Asked, frozen=True, kw_only=True):
    type: OrderType
    amount: Amount
    trigger: Trigger


class OrderAsked(Asked, frozen=True, kw_only=True):
    token_address: str
    type: OrderType
    payload: PayloadAsked
    status: OrderStatus = OrderStatus.ACTIVE
    take_profits: tuple[TakeProfit, ...] = ()
    stop_losses: tuple[StopLoss, ...] = ()


class PayloadShown(Wire, frozen=True, kw_only=True):
    type: OrderType
    amount: Amount
    trigger: Trigger


class FillShown(Wire, frozen=True, kw_only=True):
    """``amount`` of the token; ``realized_pnl`` of a sale, after the fee."""

    signature: str
    amount: Decimal
    price: Decimal
    value: Decimal
    fee: Decimal
    realized_pnl: Decimal | None
    executed_at: str


class OrderShown(Wire, frozen=True, kw_only=True):
    """``trigger_price`` is what a relative trigger comes to, None for a draft whose parent has not filled."""

    id: str
    user_id: str
    wallet_id: str
    token_address: str
    type: OrderType
    sub_type: SubType | None
    status: OrderStatus
    parent_id: str | None
    thesis_id: str | None
    payload: PayloadShown
    trigger_price: Decimal | None
    error: str | None
    fill: FillShown | None
    created_at: str
    updated_at: str
    dependants: list[DependantShown] | msgspec.UnsetType = msgspec.UNSET


class DependantShown(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """``error`` in place of ``order`` where the child could not be made."""

    type: SubType
    order: OrderShown | None = None
    error: str | None = None


def create(call: Call) -> Reply:
    """``POST /wallets/{walletId}/orders``"""
    asked = call.asked(OrderAsked)
    if asked.payload.type is not asked.type:
        raise bad_request("`payload.type` must be the order's `type`", field="payload.type")
    if not call.wallet.is_held_here:
        raise bad_request("Orders are placed with the `milo` wallet: nobody here can sign for a `signup` one")
    new = NewOrder(
        token=known_token(asked.token_address, "tokenAddress"),
        type=asked.type,
        amount=asked.payload.amount,
        trigger=asked.payload.trigger,
        status=asked.status,
        take_profits=asked.take_profits,
        stop_losses=asked.stop_losses,
    )
    order, dependants = Desk(call.core).place(call.wallet, new)
    return Reply(Data(Data(order_shown(order, [_dependant_shown(item) for item in dependants]))), status=201)


def list_orders(call: Call) -> Reply:
    """``GET /users/{userId}/orders``, newest first"""
    status = choice(call.query, "status", [status.value for status in OrderStatus])
    type_ = choice(call.query, "type", [type_.value for type_ in OrderType])
    page = page_of(call.query)
    found, total = Desk(call.core).book.page(
        call.user_id,
        page,
        status=None if status is None else OrderStatus(status),
        type_=None if type_ is None else OrderType(type_),
        token_address=call.query.get("tokenAddress"),
    )
    return Reply(paged(page, [order_shown(order) for order in found], total))


def get(call: Call) -> Reply:
    """``GET /users/{userId}/orders/{orderId}``, with its children"""
    return _shown_with_children(call, _own(call))


def pause(call: Call) -> Reply:
    """``POST /users/{userId}/orders/{orderId}/pause``"""
    return _shown_with_children(call, Desk(call.core).pause(_own(call)))


def activate(call: Call) -> Reply:
    """``POST /users/{userId}/orders/{orderId}/activate``"""
    return _shown_with_children(call, Desk(call.core).activate(_own(call)))


def delete(call: Call) -> Reply:
    """``DELETE /users/{userId}/orders/{orderId}``: it is archived, and still found"""
    return _shown_with_children(call, Desk(call.core).delete(_own(call)))


def order_shown(order: Order, dependants: list[DependantShown] | msgspec.UnsetType = msgspec.UNSET) -> OrderShown:
    return OrderShown(
        id=order.order_id,
        user_id=order.user_id,
        wallet_id=order.wallet_id,
        token_address=order.token_address,
        type=order.type,
        sub_type=order.sub_type,
        status=order.status,
        parent_id=order.parent_id,
        thesis_id=order.thesis_id,
        payload=PayloadShown(type=order.type, amount=order.amount, trigger=order.trigger),
        trigger_price=None if order.trigger_price is None else short(order.trigger_price),
        error=order.error,
        fill=None if order.fill is None else _fill_shown(order, order.fill),
        created_at=iso(order.created_at_ms),
        updated_at=iso(order.updated_at_ms),
        dependants=dependants,
    )


def orders_shown(orders: Sequence[Order]) -> list[OrderShown]:
    return [order_shown(order) for order in orders]


def _own(call: Call) -> Order:
    order = Desk(call.core).book.find(call.path["orderId"])
    if order is None or order.user_id != call.user_id:
        raise not_found("Order")
    return order


def _shown_with_children(call: Call, order: Order) -> Reply:
    children = Desk(call.core).book.children(order.order_id)
    shown = [
        DependantShown(type=child.sub_type, order=order_shown(child))
        for child in children
        if child.sub_type is not None
    ]
    return Reply(Data(order_shown(order, shown)))


def _dependant_shown(dependant: Dependant) -> DependantShown:
    shown = None if dependant.order is None else order_shown(dependant.order)
    return DependantShown(type=dependant.type, order=shown, error=dependant.error)


def _fill_shown(order: Order, fill: Fill) -> FillShown:
    return FillShown(
        signature=fill.signature,
        amount=neat(order.token.amount(fill.units)),
        price=short(fill.price_usd),
        value=short(fill.value_usd),
        fee=short(fill.fee_usd),
        realized_pnl=None if fill.realized_pnl_usd is None else short(fill.realized_pnl_usd),
        executed_at=iso(fill.at_ms),
    )
