"""One request to a venue: its turn, the sending, the verdict on the reply, and only then its meaning.

    budgets → transport → refusal? → parse

A reply that cannot be read in full proves nothing: it is ``VenueUnclear``, never an empty answer.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

import msgspec

from adapters.ccxt_venues.limits import Priority, Turns
from adapters.ccxt_venues.refusals import Action
from adapters.transport import MAX_BODY, Reply, Request, Transport
from normalization.errors import ServiceUnavailable
from normalization.venue_failures import (
    Reason,
    VenueDeferred,
    VenueFailure,
    VenueNotReached,
    VenueRejected,
    VenueUnclear,
)

T = TypeVar("T")

BEFORE_SENDING_S: Final = 2.0
_HOLD_S: Final = 2
_NAMES: Final = re.compile(rb'"([^"]*)"\s*:')

_PRIORITIES: Final = {Action.CANCEL: Priority.CANCEL, Action.PLACE: Priority.PLACE, Action.SET: Priority.PLACE}
_PUBLIC_HEADERS: Final = frozenset({"accept", "accept-encoding", "content-type", "user-agent"})
_SHORTEST_SECRET: Final = 6
_UNREADABLE: Final = (msgspec.MsgspecError, ValueError, LookupError, ArithmeticError, TypeError, RecursionError)


class Judge(Protocol):
    """What a venue's reply proves by its status and its body: a failure, or None where it is to be parsed."""

    def __call__(self, action: Action, reply: Reply) -> VenueFailure | None: ...


class Link:
    """A venue's host on one network. ``budgets`` are charged for every request: those of our address."""

    def __init__(
        self, *, exchange: str, base_url: str, transport: Transport, judge: Judge, budgets: Sequence[Turns] = ()
    ) -> None:
        self.exchange = exchange
        self.base_url = base_url
        self._transport = transport
        self._judge = judge
        self._budgets = tuple(budgets)

    async def ask(
        self,
        action: Action,
        request: Request,
        parse: Callable[[bytes], T],
        *,
        weight: float = 1,
        budgets: Sequence[Turns] = (),
        max_body: int = MAX_BODY,
    ) -> T:
        """``request.url`` is a path. What ``parse`` makes of the body of a reply that refuses nothing.

        :raises VenueFailure: and nothing else.
        """
        return await self.ask_whole(
            action, request, lambda reply: parse(reply.body), weight=weight, budgets=budgets, max_body=max_body
        )

    async def ask_whole(
        self,
        action: Action,
        request: Request,
        parse: Callable[[Reply], T],
        *,
        weight: float = 1,
        budgets: Sequence[Turns] = (),
        max_body: int = MAX_BODY,
    ) -> T:
        """As ``ask``, for a reply whose headers matter too."""
        priority = _PRIORITIES.get(action, Priority.READ)
        for budget in (*budgets, *self._budgets):
            await budget.take(weight, priority)
        whole = msgspec.structs.replace(request, url=self.base_url + request.url)
        reply = await self._transport.send(whole, max_body=max_body)
        try:
            failure = self._judge(action, reply)
            if failure is None:
                if action is not Action.READ:
                    refuse_duplicate_names(reply.body)
                return parse(reply)
        except _UNREADABLE as problem:
            raise VenueUnclear(
                Reason.OTHER, f"{self.exchange} sent a reply that could not be read (status {reply.status})"
            ) from problem
        if _repeats_a_secret(request, reply):
            failure = type(failure)(failure.reason, "a refusal that repeats our own credentials")
        if isinstance(failure, VenueDeferred) and failure.reason is Reason.VENUE_RATE_LIMITED:
            for budget in (*budgets, *self._budgets):
                budget.hold(failure.retry_after_s or _HOLD_S)
        raise failure

    def has_to_spare(self) -> bool:
        return all(budget.has_to_spare() for budget in self._budgets)


async def before_sending(reading: Awaitable[T]) -> T:
    """What has to be known before an order can be sent. Whatever goes wrong with it, the order never left."""
    try:
        async with asyncio.timeout(BEFORE_SENDING_S):
            return await reading
    except (VenueNotReached, VenueDeferred, VenueRejected):
        raise
    except VenueFailure as failure:
        raise VenueNotReached(failure.reason, f"nothing was sent: {failure.text}") from failure
    except ServiceUnavailable as failure:
        raise VenueNotReached(Reason.VENUE_UNREACHABLE, failure.message) from failure
    except TimeoutError:
        raise VenueNotReached(Reason.VENUE_TIMEOUT, "nothing was sent: the venue told no price in time") from None


def judge_status(action: Action, reply: Reply) -> VenueFailure | None:
    """What a status proves on its own, without a code of the venue: that a read was refused, never that a write was."""
    if 200 <= reply.status < 300:
        return None
    if action in (Action.READ, Action.AUTHENTICATE):
        if reply.status in (418, 429):
            return VenueDeferred(Reason.VENUE_RATE_LIMITED, "too many requests", retry_after_s=retry_after_s(reply))
        if reply.status == 401:
            return VenueRejected(Reason.AUTHENTICATION_FAILED, "the venue does not accept this credential")
    if reply.status in (418, 429):
        return VenueUnclear(Reason.VENUE_RATE_LIMITED, "status 429 without a word of the venue's")
    return VenueUnclear(Reason.VENUE_UNAVAILABLE, f"status {reply.status} without a word of the venue's")


def _repeats_a_secret(request: Request, reply: Reply) -> bool:
    """Whether a token, key or cookie that went out with the request stands in the reply, whose text may be shown."""
    sent = [value.rpartition(" ")[2] for name, value in request.headers.items() if name.lower() not in _PUBLIC_HEADERS]
    return any(value.encode() in reply.body for value in sent if len(value) >= _SHORTEST_SECRET)


def retry_after_s(reply: Reply) -> int:
    told = reply.headers.get("retry-after", "")
    return min(max(int(told), 1), 300) if told.isdecimal() and len(told) < 6 else _HOLD_S


def refuse_duplicate_names(body: bytes) -> None:
    """A reply that says something twice may say two things, and a parser would pick one.

    :raises ValueError: a name stands twice in one object.
    """
    names = _NAMES.findall(body)
    if len(set(names)) == len(names) and b"\\" not in body:
        # Nothing that could be a name stands twice anywhere.
        return

    def unique(pairs: list[tuple[str, Any]]) -> None:
        if len({name for name, _ in pairs}) != len(pairs):
            raise ValueError("a name stands twice")

    if body:
        json.loads(body, object_pairs_hook=unique, parse_int=str, parse_float=str)
