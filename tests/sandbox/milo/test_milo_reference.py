"""The partner API's document, example by example: what it asks is taken, and what it answers is answered."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from solders.keypair import Keypair

from sandbox.milo.demo import open_demo_user
from tests.support.milo_orders import at, order, usd
from tests.support.milo_reference import REFERENCE, Asked, Example, differences, examples
from tests.support.milo_user import MiloReply, MiloServer, MiloUser
from tests.support.milo_words import SETTINGS, buy, make_strategy, send

pytestmark = pytest.mark.skipif(not REFERENCE.exists(), reason="the partner API's document is not beside the project")

ALLOWED = {
    # A diary's entry that is about no single token.
    ".data[].tokenAddress: expected a text like 'So111111...', not None",
    # The end of a list, and a close that nothing was in the way of.
    ".nextCursor: expected a text like 'eyJ...', not None",
    ".data.failures: expected a list with something in it, not []",
}


class Reader:
    """Reads the document from top to bottom as a user who has traded, doing what it shows."""

    def __init__(self, milo: MiloServer, user: MiloUser) -> None:
        self.milo = milo
        self.user = user
        self.values = {"{userId}": user.user_id, "{walletId}": user.wallet.wallet_id}
        self.newcomer = Keypair()
        self.siwx: dict[str, Any] = {}

    async def prepare(self, example: Example) -> None:
        """What the example takes for granted."""
        match example.method, example.path.rpartition("/")[2]:
            case "POST", "deploy":
                self.values["<strategy-uuid>"] = await make_strategy(self.user, isPublic=True)
            case "POST", "sync":
                self.values["{strategyId}"] = await make_strategy(self.user)
                await self.user.call("PATCH", SETTINGS, {"strategyId": self.values["{strategyId}"]})
            case "POST", "claim":
                done = (await self.user.call("GET", "/users/{userId}/quests?unclaimed=true")).data
                self.values["{questId}"] = done[0]["questId"]
            case "GET", "{orderId}":
                waits = order("buy", "JUP", usd(20), at("lte", 0.01))
                placed = (await self.user.call("POST", "/wallets/{walletId}/orders", waits)).data["data"]
                self.values["{orderId}"] = placed["id"]
            case "POST", "close":
                held = (await self.user.call("GET", "/users/{userId}/positions?status=active")).data
                self.values["{thesisId}"] = held[0]["thesisId"]
            case "POST", "close-all":
                await buy(self.user, "JUP", 20)

    async def ask(self, asked: Asked) -> MiloReply:
        self.milo.clock.advance(61)
        if "X-PAYMENT" in asked.headers:
            await self._pay()
        headers = {name: self._filled(value) for name, value in asked.headers.items() if name != "X-API-Key"}
        body = self._body(asked) if asked.body is not None else {} if asked.method == "PATCH" else None
        return await self.user.call(asked.method, self._filled(asked.path), body, **headers)

    def learn(self, example: Example, reply: MiloReply) -> None:
        """Ids that the examples after it use."""
        if example.path.endswith("/siwx/message"):
            self.siwx = reply.data
        for field, path in (("strategyId", "/strategies"), ("conversationId", "/conversations")):
            if example.method == "POST" and example.path.endswith(path):
                self.values[f"{{{field}}}"] = reply.data.get("id") or reply.data[field]

    async def _pay(self) -> None:
        """Use the free messages up, and pay for the next."""
        path, hello = "/users/{userId}/conversations", {"message": "hello"}
        for _ in range(2):
            await self.user.call("POST", path, hello)
        terms = (await self.user.call("POST", path, hello)).json["error"]["details"]
        self.values["<TREASURY_WALLET>"] = terms["recipient"]
        signature = await send(self.user, "USDC", 0.25, terms["recipient"])
        self.values["<confirmed-solana-tx-signature>"] = signature

    def _filled(self, text: str) -> str:
        for name, value in self.values.items():
            text = text.replace(name, value)
        return text

    def _body(self, asked: Asked) -> Any:
        address = str(self.newcomer.pubkey())
        if asked.path == "/users":
            signature = str(self.newcomer.sign_message(self.siwx["message"].encode()))
            return {"signupWallet": address, "siwx": {**self.siwx, "signature": signature}}
        body = json.loads(self._filled(asked.body or ""))
        return body | {name: address for name in ("accountAddress", "recipient") if name in body}


async def test_every_example_of_the_document_is_taken_and_answered_as_it_shows(milo: MiloServer) -> None:
    demo = await milo.run(open_demo_user)
    reader = Reader(milo, MiloUser(milo, Keypair(), demo.user_id, demo.api_key, demo.wallet))
    found, count = dict[str, Any](), 0
    for example in examples():
        await reader.prepare(example)
        for asked in example.asked:
            reply, name = await reader.ask(asked), f"{example.method} {asked.path}"
            count += 1
            if reply.status != example.status and reply.status not in (200, 201):
                found[name] = reply.text
            elif example.answer:
                found[name] = set(differences(example.answer, reply.json)) - ALLOWED
            reader.learn(example, reply)
    assert {name: wrong for name, wrong in found.items() if wrong} == {}
    assert count >= 36


async def test_numbers_are_written_without_zeros_that_say_nothing(milo: MiloServer) -> None:
    demo = await milo.run(open_demo_user)
    user = MiloUser(milo, Keypair(), demo.user_id, demo.api_key, demo.wallet)
    for part in ("orders", "positions", "arena/leaderboard", "quests", "transactions", "executed-transactions"):
        of = "/wallets/{walletId}/" if "transactions" in part else "/users/{userId}/"
        told = (await user.call("GET", of + part)).text
        assert re.findall(r"[:,\[](-0(?:\.0*)?|-?\d+\.\d*0)[,}\]]", told) == [], part


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        ({"a": "1", "b": [{"c": 1}]}, []),
        ({"a": "1", "b": [{"c": 1, "d": None}, {"c": 2}], "e": 1}, []),
        ({"b": [{"c": 1}]}, [".a is missing"]),
        (
            {"a": 1, "b": [{"c": "1"}]},
            [".a: expected a text like '200.5', not 1", ".b[].c: expected a number, not '1'"],
        ),
        ({"a": "1", "b": []}, [".b: expected a list with something in it, not []"]),
    ],
)
def test_a_difference_from_an_example_is_found(told: Any, wrong: list[str]) -> None:
    assert sorted(differences({"a": "200.5", "b": [{"c": 1}]}, told)) == wrong
