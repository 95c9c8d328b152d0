"""Which moves an order can make in the journal.

SENDING ──ack──► ACKED ─► WORKING ─► PARTIALLY_FILLED ─► FILLED | CANCELED | EXPIRED
   │ └─definitive refusal─► REJECTED          NOT_SENT ◄─proved─ SENDING
   └─anything else─► UNKNOWN ──found──► its real state
                        ├─absence proved──► NOT_PLACED ──found after all──► LATE_EXECUTION
                        └─no proof by 24 h──► NEEDS_OPERATOR
"""

from __future__ import annotations

from typing import Final

from normalization.orders import Order, OrderStatus
from storage.ports import OrderState

_BY_STATUS: Final = {
    OrderStatus.PENDING: OrderState.WORKING,
    OrderStatus.OPEN: OrderState.WORKING,
    OrderStatus.PARTIALLY_FILLED: OrderState.PARTIALLY_FILLED,
    OrderStatus.FILLED: OrderState.FILLED,
    OrderStatus.CANCELED: OrderState.CANCELED,
    OrderStatus.EXPIRED: OrderState.EXPIRED,
    OrderStatus.REJECTED: OrderState.REJECTED,
}

LIVE: Final = frozenset({OrderState.ACKED, OrderState.WORKING, OrderState.PARTIALLY_FILLED})
"""The venue has it and it can still change."""

UNDECIDED: Final = frozenset({OrderState.SENDING, OrderState.UNKNOWN, OrderState.NEEDS_OPERATOR})
"""Nobody knows yet whether the venue has it."""

DENIED: Final = frozenset({OrderState.REJECTED, OrderState.NOT_SENT, OrderState.NOT_PLACED})
"""There is no such order on the venue."""

FINAL: Final = (DENIED - {OrderState.NOT_PLACED}) | {
    OrderState.FILLED,
    OrderState.CANCELED,
    OrderState.EXPIRED,
    OrderState.LATE_EXECUTION,
}
"""Never moves again."""

_ENDS: Final = frozenset({OrderState.FILLED, OrderState.CANCELED, OrderState.EXPIRED, OrderState.REJECTED})

MOVES: Final[dict[OrderState, frozenset[OrderState]]] = {
    OrderState.SENDING: LIVE | _ENDS | {OrderState.NOT_SENT, OrderState.UNKNOWN},
    OrderState.UNKNOWN: LIVE | _ENDS | {OrderState.UNKNOWN, OrderState.NOT_PLACED, OrderState.NEEDS_OPERATOR},
    OrderState.NEEDS_OPERATOR: LIVE | _ENDS | {OrderState.NEEDS_OPERATOR, OrderState.NOT_PLACED},
    OrderState.ACKED: LIVE | _ENDS,
    OrderState.WORKING: LIVE | _ENDS,
    OrderState.PARTIALLY_FILLED: LIVE | _ENDS,
    OrderState.NOT_PLACED: frozenset({OrderState.LATE_EXECUTION, OrderState.NOT_PLACED}),
    **{state: frozenset() for state in FINAL},
}


def state_of(order: Order) -> OrderState:
    """Where an order stands by the venue's own report of it."""
    return _BY_STATUS[order.status]


def sources_of(state: OrderState) -> tuple[OrderState, ...]:
    """The states from which an order may move to ``state``."""
    return tuple(source for source, targets in MOVES.items() if state in targets)
