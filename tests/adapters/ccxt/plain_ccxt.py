"""Plain ccxt, as somebody would call it who takes its word for what it does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import ccxt.async_support as ccxt  # type: ignore[import-untyped]
import pytest

from adapters.base import Submission
from normalization.orders import Limit, PostOnly, Stop
from normalization.venue_failures import VenueFailure

PLAIN: Final = pytest.param(
    "plain",
    marks=pytest.mark.xfail(strict=True, raises=(AssertionError, pytest.fail.Exception), reason="plain ccxt"),
)


def unified(order: Submission, symbol: str) -> dict[str, Any]:
    """An order in ccxt's words."""
    intent, params = order.intent, {"clientOrderId": order.client_id, "reduceOnly": order.intent.reduce_only}
    match intent.execution:
        case Limit(time_in_force=time_in_force):
            params["timeInForce"] = time_in_force.value
        case PostOnly():
            params["postOnly"] = True
        case Stop(trigger_price=trigger):
            params["stopLossPrice"] = str(trigger)
    kind = "market" if intent.price is None else "limit"
    return {
        "symbol": symbol,
        "type": kind,
        "side": intent.side.lower(),
        "amount": str(intent.size),
        "price": str(intent.price or intent.trigger_price),
        "params": params,
    }


class Connections:
    """What the exchanges of one test send with."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session
        self.exchanges: list[Any] = []

    def connect(self, exchange: Any) -> Any:
        exchange.session = self.session
        self.exchanges.append(exchange)
        return exchange


@asynccontextmanager
async def connections() -> AsyncIterator[Connections]:
    async with aiohttp.ClientSession() as session:
        found = Connections(session)
        yield found
        for exchange in found.exchanges:
            # It complains about connections that are not its own.
            exchange.session = None


async def attempt(doing: Any) -> Any:
    """What came of it; an error is as good as an answer here."""
    try:
        return await doing
    except (VenueFailure, ccxt.BaseError) as failure:
        return failure
