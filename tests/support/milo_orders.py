"""Orders as a client of the partner API writes them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sandbox.milo.tokens import BY_SYMBOL
from tests.support.milo_user import MiloReply, MiloServer, MiloUser

AT_ONCE = {"type": "absolute", "trigger": "price", "operator": "gte", "value": 0}
# Five orders a minute: so far apart, none is refused.
APART_S = 13


def usd(amount: float) -> dict[str, Any]:
    return {"type": "absolute_usd", "amount": amount}


def tokens(amount: float, symbol: str) -> dict[str, Any]:
    """So many whole tokens, as an order has them: in the token's smallest units."""
    return {"type": "absolute", "amount": BY_SYMBOL[symbol].units(Decimal(str(amount)))}


def percent(percentage: float) -> dict[str, Any]:
    return {"type": "relative", "percentage": percentage}


def at(operator: str, value: float) -> dict[str, Any]:
    kind = "absolute" if operator in ("gte", "lte") else "relative"
    return {"type": kind, "trigger": "price", "operator": operator, "value": value}


def take(percentage: float, profit: float) -> dict[str, Any]:
    return {"percentage": percentage, "profitPercentage": profit}


def stop(percentage: float, loss: float) -> dict[str, Any]:
    return {"percentage": percentage, "lossPercentage": loss}


def order(
    type_: str, symbol: str, amount: dict[str, Any], trigger: dict[str, Any] = AT_ONCE, **more: Any
) -> dict[str, Any]:
    payload = {"type": type_, "amount": amount, "trigger": trigger}
    return {"tokenAddress": BY_SYMBOL[symbol].address, "type": type_, "status": "active", "payload": payload} | more


async def place(user: MiloUser, *args: Any, **more: Any) -> dict[str, Any]:
    """The order as it is once it was accepted."""
    reply = await refused(user, *args, **more)
    assert reply.status == 201, reply.text
    return await get(user, reply.data["data"]["id"])


async def refused(user: MiloUser, *args: Any, **more: Any) -> MiloReply:
    user.server.clock.advance(APART_S)
    return await user.call("POST", "/wallets/{walletId}/orders", order(*args, **more))


async def get(user: MiloUser, order_id: str) -> dict[str, Any]:
    found = (await user.call("GET", f"/users/{{userId}}/orders/{order_id}")).data
    assert isinstance(found, dict)
    return found


async def positions(user: MiloUser, **query: str) -> list[dict[str, Any]]:
    suffix = "&".join(f"{name}={value}" for name, value in query.items())
    found = (await user.call("GET", f"/users/{{userId}}/positions?{suffix}")).data
    assert isinstance(found, list)
    return found


async def price(milo: MiloServer, symbol: str) -> float:
    return float(await milo.run(lambda core: core.market.price(BY_SYMBOL[symbol], core.now_ms // 1000)))
