"""What a key with ``confirmAbove`` may do by itself here.

Milo's own orders are not on the gateway's desk, where a person can be asked about an order. So whatever is worth more
than the key may decide on, or worth nobody knows how much, is refused; the common operations are there to be confirmed.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from msgspec import UNSET

from adapters.milo.agents import Conversation
from adapters.milo.endpoints import GET_CONVERSATION, GET_HOLDINGS
from adapters.milo.trading import NewOrder, OrderLine
from adapters.milo.wire import number
from gateway.operations.milo.common import milo
from gateway.operations.wire import Call, money
from normalization.decimals import ZERO, plain, product
from normalization.errors import OperationNotAllowed

AUTO_TRADER: Final = "auto-trader"
_INSTEAD: Final = "Nobody can be asked about it: use a key without confirmAbove"


async def require_small_order(call: Call, order: NewOrder) -> None:
    """:raises OperationNotAllowed: it may cost more than the key may spend by itself. Sales only reduce."""
    above = call.confirm_above
    if above is None or order.type != "buy":
        return
    amount, trigger = order.payload.amount, order.payload.trigger
    if amount.amount is UNSET:
        raise _refused("What this order costs cannot be known", None, above)
    if amount.type == "absolute_usd":
        value: Decimal | None = amount.amount
    else:
        price: Decimal | None = trigger.value
        if trigger.type != "absolute" or trigger.operator != "lte":
            price = await _price(call, order.token_address, at_least=trigger.value)
        value = None if price is None else product(amount.amount, price)
    _require(value, above, "This order")


async def require_small_line(call: Call, line: OrderLine) -> None:
    """The same of an order that is there and may be carried out now.

    :raises OperationNotAllowed: it may cost more, or Milo does not say how much.
    """
    above = call.confirm_above
    if above is None or line.type == "sell":
        return
    payload, value = line.payload, None
    if payload is not UNSET and payload.amount.amount is not UNSET:
        size = number(payload.amount.amount)
        if payload.amount.type == "absolute_usd":
            value = size
        elif line.token_address is not UNSET:
            price = await _price(call, line.token_address, at_least=number(payload.trigger.value))
            value = None if price is None else product(size, price)
    _require(value, above, "This order")


async def require_small_transfer(call: Call, mint: str, amount: Decimal) -> None:
    """:raises OperationNotAllowed: it is worth more than the key may move by itself, or nobody knows how much."""
    above = call.confirm_above
    if above is not None:
        price = await _price(call, mint, at_least=ZERO)
        _require(None if price is None else product(amount, price), above, "This transfer")


def require_free_hand(call: Call, what: str) -> None:
    """For what lets Milo's agents trade by themselves.

    :raises OperationNotAllowed: the key has to ask before it places orders, and they would not.
    """
    if call.confirm_above is not None:
        raise _refused(f"{what} lets Milo place orders by itself, of any worth", None, call.confirm_above)


async def require_no_trader(call: Call, conversation_id: str) -> None:
    """:raises OperationNotAllowed: the conversation is with an agent that may change what is traded."""
    if call.confirm_above is not None:
        found: Conversation = (await milo(call).ask(GET_CONVERSATION, ids={"conversationId": conversation_id})).data
        if found.agent_type is UNSET or found.agent_type == AUTO_TRADER:
            require_free_hand(call, "This conversation")


async def _price(call: Call, mint: str, *, at_least: Decimal) -> Decimal | None:
    """What one token may cost, None where the wallet holds none of it: Milo tells no other prices."""
    for holding in (await milo(call).ask(GET_HOLDINGS)).data:
        if holding.token_address == mint:
            return max(number(holding.token_usd_price), at_least)
    return None


def _require(value: Decimal | None, above: Decimal, what: str) -> None:
    if value is None:
        raise _refused(f"What {what[0].lower()}{what[1:]} is worth cannot be known", None, above)
    if value > above:
        raise _refused(f"{what} is worth up to {money(value)} USD", value, above)


def _refused(problem: str, value: Decimal | None, above: Decimal) -> OperationNotAllowed:
    details = {"reason": "CONFIRMATION_REQUIRED", "confirmAbove": plain(above), "quote": "USD"}
    return OperationNotAllowed(
        f"{problem}, and this key decides up to {plain(above)} by itself. {_INSTEAD}. Nothing was sent.",
        details=details if value is None else details | {"value": money(value)},
    )
