"""What a user of Milo says most often."""

from __future__ import annotations

import asyncio
from typing import Any

from sandbox.milo.tokens import BY_SYMBOL
from tests.support.milo_orders import place
from tests.support.milo_orders import usd as worth
from tests.support.milo_user import MiloReply, MiloUser

STRATEGIES = "/users/{userId}/auto-trade-settings/strategies"
SETTINGS = "/users/{userId}/auto-trade-settings"
CONVERSATIONS = "/users/{userId}/conversations"


async def buy(user: MiloUser, symbol: str, usd: float, **more: Any) -> dict[str, Any]:
    """A market order that is filled at once."""
    placed = await place(user, "buy", symbol, worth(usd), **more)
    assert placed["status"] == "fulfilled", placed
    return placed


def strategy(**changes: Any) -> dict[str, Any]:
    """The body of a new one, as in the reference's example."""
    return {
        "name": "SOL Ecosystem DCA",
        "description": "Dollar cost average into SOL ecosystem tokens",
        "strategy": "SWING TRADER",
        "instructions": "Focus on SOL, JUP, and BONK",
        "allocation": {"majors": 45, "native": 25, "staking": 10, "promising-memes": 15, "xStocks": 5},
        "customTickers": ["SOL", "JUP", "BONK"],
        "isPublic": False,
    } | changes


async def make_strategy(user: MiloUser, **changes: Any) -> str:
    """Its id."""
    reply = await user.call("POST", STRATEGIES, strategy(**changes))
    return str(reply.data["id"])


async def messages(user: MiloUser, conversation_id: str) -> MiloReply:
    return await user.call("GET", f"{CONVERSATIONS}/{conversation_id}/messages")


async def answered(user: MiloUser, conversation_id: str) -> list[str]:
    """What was said by both, once nothing waits for an answer any more."""
    async with asyncio.timeout(10):
        while True:
            # A minute, so that looking is not too often.
            user.server.clock.advance(3)
            reply = await messages(user, conversation_id)
            if not reply.data["processing"]:
                return [message["content"] for message in reply.data["messages"]]
            await asyncio.sleep(0)


async def send(user: MiloUser, symbol: str, amount: float, recipient: str) -> str:
    """The signature of the transaction."""
    body = {"recipient": recipient, "token": BY_SYMBOL[symbol].address, "amount": amount}
    reply = await user.call("POST", "/wallets/{walletId}/actions/send", body)
    return str(reply.data["data"])
