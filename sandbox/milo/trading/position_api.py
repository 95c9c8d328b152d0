"""``/users/{userId}/positions``"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

from sandbox.milo.calls import Call, Reply
from sandbox.milo.core import Core
from sandbox.milo.errors import ApiError, not_found
from sandbox.milo.pages import choice, page_of, paged
from sandbox.milo.trading.desk import Closed, Desk
from sandbox.milo.trading.order_api import OrderShown, orders_shown
from sandbox.milo.trading.orders import Order, SubType
from sandbox.milo.trading.positions import Position, PositionStatus
from sandbox.milo.wire import Data, Wire, iso, neat, short


class PositionShown(Wire, frozen=True, kw_only=True):
    """Money in US dollars, amounts in whole tokens. ``invested_amount`` is all that was paid, fees among it."""

    thesis_id: str
    user_id: str
    wallet_id: str
    token_address: str
    status: PositionStatus
    amount: Decimal
    bought_amount: Decimal
    sold_amount: Decimal
    invested_amount: Decimal
    average_entry_price: Decimal | None
    current_price: Decimal
    current_value: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    entry_orders: list[OrderShown]
    exit_orders: list[OrderShown]
    take_profit_orders: list[OrderShown]
    stop_loss_orders: list[OrderShown]
    created_at: str
    updated_at: str
    closed_at: str | None


class CloseShown(Wire, frozen=True, kw_only=True):
    thesis_id: str
    cancelled: int
    sell_order_created: bool


class CloseFailure(Wire, frozen=True, kw_only=True):
    thesis_id: str
    error: str


class CloseAllShown(Wire, frozen=True, kw_only=True):
    successes: list[CloseShown]
    failures: list[CloseFailure]


def list_positions(call: Call) -> Reply:
    """``GET /users/{userId}/positions``, newest first"""
    status = choice(call.query, "status", [status.value for status in PositionStatus])
    page, desk = page_of(call.query), Desk(call.core)
    found, total = desk.positions.page(call.user_id, page, None if status is None else PositionStatus(status))
    return Reply(paged(page, _shown(call.core, desk, found), total))


def close(call: Call) -> Reply:
    """``POST /users/{userId}/positions/{thesisId}/close``"""
    desk = Desk(call.core)
    position = desk.positions.find(call.path["thesisId"])
    if position is None or position.user_id != call.user_id:
        raise not_found("Position")
    return Reply(Data(_close_shown(position, desk.close(position))))


def close_all(call: Call) -> Reply:
    """``POST /users/{userId}/positions/close-all``: one that fails keeps no other back"""
    desk = Desk(call.core)
    successes, failures = [], []
    for position in desk.positions.all_open(call.user_id):
        try:
            successes.append(_close_shown(position, desk.close(position)))
        except ApiError as refusal:
            failures.append(CloseFailure(thesis_id=position.thesis_id, error=refusal.message))
    return Reply(Data(CloseAllShown(successes=successes, failures=failures)))


def _close_shown(position: Position, closed: Closed) -> CloseShown:
    return CloseShown(thesis_id=position.thesis_id, cancelled=closed.cancelled, sell_order_created=closed.has_sold)


def _shown(core: Core, desk: Desk, found: Sequence[Position]) -> list[PositionShown]:
    orders: dict[str | None, list[Order]] = defaultdict(list)
    for order in desk.book.of_theses([position.thesis_id for position in found]):
        orders[order.thesis_id].append(order)
    return [_position_shown(core, position, orders[position.thesis_id]) for position in found]


def _position_shown(core: Core, position: Position, orders: Sequence[Order]) -> PositionShown:
    token = position.token
    price, amount = core.market.price(token, core.now_ms // 1_000), token.amount(position.units)
    average = position.average_entry_usd
    return PositionShown(
        thesis_id=position.thesis_id,
        user_id=position.user_id,
        wallet_id=position.wallet_id,
        token_address=position.token_address,
        status=position.status,
        amount=neat(amount),
        bought_amount=neat(token.amount(position.bought_units)),
        sold_amount=neat(token.amount(position.sold_units)),
        invested_amount=short(position.invested_usd),
        average_entry_price=None if average is None else short(average),
        current_price=neat(price),
        current_value=short(amount * price),
        realized_pnl=short(position.realized_usd),
        unrealized_pnl=short(amount * price - position.basis_usd),
        entry_orders=orders_shown([order for order in orders if order.is_buy]),
        exit_orders=orders_shown([order for order in orders if not order.is_buy and order.sub_type is None]),
        take_profit_orders=orders_shown([order for order in orders if order.sub_type is SubType.TAKE_PROFIT]),
        stop_loss_orders=orders_shown([order for order in orders if order.sub_type is SubType.STOP_LOSS]),
        created_at=iso(position.created_at_ms),
        updated_at=iso(position.updated_at_ms),
        closed_at=None if position.closed_at_ms is None else iso(position.closed_at_ms),
    )
