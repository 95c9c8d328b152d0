"""Asking a person about an order, in the words of both eras, and knowing the answer again when it comes back.

The later era keeps nothing here between the question and its answer: a call comes again, with what was said and with
the ``requestState`` it was given. That is a token of ours, good for one caller, one call and a few minutes. It names
the client order id, so that however often it comes back there is one order.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from decimal import Decimal
from enum import Enum, auto
from typing import Any, Final

import msgspec

from gateway.clock import Clock
from gateway.operations.desk import Leg
from gateway.orders.client_ids import new_client_order_id
from gateway.orders.confirmation import ConfirmationRequired
from gateway.pipeline import Credentials
from mcp_server import results
from mcp_server.calls import ToolCall
from mcp_server.protocol import INVALID_PARAMS, MISSING_CAPABILITY, Message, RpcError, members_of, text_of
from mcp_server.questions import Said
from normalization.decimals import plain
from normalization.errors import OperationNotAllowed
from normalization.orders import Limit, Market, PostOnly, Stop, TakeProfit

METHOD: Final = "elicitation/create"
ANSWER_WITHIN_S: Final = 300

_BPS_OF_A_PERCENT: Final = Decimal(100)
_QUESTION: Final = "confirm"
_FIELD: Final = "place"
_FORM: Final = {
    "type": "object",
    "properties": {_FIELD: {"type": "boolean", "title": "Place it", "description": "Whether to send the order"}},
    "required": [_FIELD],
}


class Verdict(Enum):
    YES = auto()
    NO = auto()
    NOT_SAID = auto()


def can_be_asked(capabilities: msgspec.Raw | None) -> bool:
    """Whether a client with these capabilities shows forms to a person. To have none in particular means forms."""
    elicitation = members_of(capabilities).get("elicitation")
    if elicitation is None or not bytes(elicitation).startswith(b"{"):
        return False
    modes = members_of(elicitation)
    return not modes or "form" in modes


def question_of(needed: ConfirmationRequired) -> dict[str, Any]:
    """The parameters of an ``elicitation/create``. Nothing in it is text that an agent chose."""
    orders = "\n".join(_described(leg) for leg in needed.legs)
    message = (
        f"Place {'this order' if len(needed.legs) == 1 else 'these orders'} on {needed.exchange} ({needed.network})?\n"
        f"{orders}\n"
        f"Worth up to {needed.value} {needed.quote}; above {needed.above} this key has to ask."
    )
    return {"message": message, "requestedSchema": _FORM}


def verdict(said: Said | None) -> Verdict:
    """What a client's answer to the question comes to. Only a yes is a yes."""
    if said is None:
        return Verdict.NOT_SAID
    places = members_of(said.get("content")).get(_FIELD)
    agreed = text_of(said.get("action")) == "accept" and places is not None and bytes(places) == b"true"
    return Verdict.YES if agreed else Verdict.NO


def declined() -> OperationNotAllowed:
    return _not_confirmed("The person who was asked did not confirm it", "CONFIRMATION_DECLINED")


def unanswered() -> OperationNotAllowed:
    return _not_confirmed("Nobody answered whether to place it", "CONFIRMATION_UNANSWERED")


def cannot_ask(needed: ConfirmationRequired) -> OperationNotAllowed:
    """What a client of the era of handshakes hears that cannot ask anybody."""
    return OperationNotAllowed(
        f"{needed.message} This client cannot ask anybody: it has to declare elicitation, take events and keep the "
        "session that initialize opens.",
        details=needed.details,
    )


def missing_capability(needed: ConfirmationRequired, id: bytes) -> RpcError:
    """The same in the later era, which has an error of its own for it."""
    error = OperationNotAllowed(
        f"{needed.message} This client cannot ask anybody: it has to declare elicitation.", details=needed.details
    )
    data = {"requiredCapabilities": {"elicitation": {"form": {}}}, **results.envelope(error)}
    return RpcError(MISSING_CAPABILITY, error.message, status=400, data=data, id=id)


class RequestStates:
    """``secret`` is the same on every node, so that any of them knows what another has given out."""

    def __init__(self, secret: bytes, clock: Clock) -> None:
        self._secret = secret
        self._clock = clock

    def input_required(self, needed: ConfirmationRequired, call: ToolCall, credentials: Credentials) -> bytes:
        """The result that asks, as JSON."""
        expires_at_ms = self._clock.now_ms() + ANSWER_WITHIN_S * 1000
        given = f"{expires_at_ms}.{new_client_order_id()}"
        return msgspec.json.encode(
            {
                "resultType": "input_required",
                "inputRequests": {_QUESTION: {"method": METHOD, "params": question_of(needed)}},
                "requestState": f"{given}.{self._mark(given, call, credentials)}",
            }
        )

    def resumed(self, state: str, call: ToolCall, credentials: Credentials) -> ToolCall:
        """The call, as it was asked about.

        :raises RpcError: the state is not ours, or not for this caller and this call, or too old.
        """
        given, _, mark = state.rpartition(".")
        expires_at_ms, _, client_order_id = given.partition(".")
        if not hmac.compare_digest(mark.encode(), self._mark(given, call, credentials).encode()) or (
            int(expires_at_ms) <= self._clock.now_ms()
        ):
            raise RpcError(INVALID_PARAMS, "Invalid or expired requestState: make the call anew, without it")
        return call.with_client_order_id(client_order_id)

    def _mark(self, given: str, call: ToolCall, credentials: Credentials) -> str:
        about = msgspec.json.encode(
            (given, credentials.api_key, credentials.authorization, call.name, call.canonical())
        )
        return base64.urlsafe_b64encode(hmac.digest(self._secret, about, hashlib.sha256)).decode()


def said_in(message: Message) -> Said | None:
    """The answer to our question that a call comes back with; None where it has none."""
    answer = members_of(message.params.get("inputResponses")).get(_QUESTION)
    return None if answer is None else members_of(answer)


def _not_confirmed(problem: str, reason: str) -> OperationNotAllowed:
    return OperationNotAllowed(f"{problem}. Nothing was sent.", details={"reason": reason})


def _described(leg: Leg) -> str:
    intent = leg.intent
    match intent.execution:
        case Limit(price=price) | PostOnly(price=price):
            how = f"limit {plain(price)}"
        case Market(max_slippage_bps=bound):
            how = f"market, at most {plain(bound / _BPS_OF_A_PERCENT)}% from the best price"
        case Stop(trigger_price=trigger):
            how = f"stop at {plain(trigger)}"
        case TakeProfit(trigger_price=trigger):
            how = f"take profit at {plain(trigger)}"
    return f"{intent.side} {plain(intent.size)} {intent.symbol}, {how}"
