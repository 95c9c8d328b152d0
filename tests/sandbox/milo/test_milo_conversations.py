from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sandbox.milo.agents.agent import Answer, Question
from sandbox.milo.agents.model import ModelAgent
from sandbox.milo.agents.model_config import ModelConfig
from tests.support import fake_model
from tests.support.fake_model import FakeModel
from tests.support.manual_clock import ManualClock
from tests.support.milo_served import served
from tests.support.milo_user import MiloServer, MiloUser
from tests.support.milo_words import CONVERSATIONS, SETTINGS, answered, messages

NOBODYS = "00000000-0000-4000-8000-000000000000"


class Held:
    """An agent whose answers wait until the test lets them go."""

    def __init__(self) -> None:
        self.asked: list[Question] = []
        self.may_answer = asyncio.Event()

    async def answer(self, question: Question) -> Answer:
        self.asked.append(question)
        await self.may_answer.wait()
        return Answer(text=f"You said: {question.text}")


class Broken:
    async def answer(self, question: Question) -> Answer:
        raise RuntimeError("secret detail")


async def start(user: MiloUser, message: str, **more: str) -> str:
    """The id of a new conversation."""
    reply = await user.call("POST", CONVERSATIONS, {"message": message} | more)
    assert reply.status == 201, reply.text
    return str(reply.data["conversationId"])


async def say(user: MiloUser, conversation_id: str, message: str) -> None:
    user.server.clock.advance(61)
    reply = await user.call("POST", f"{CONVERSATIONS}/{conversation_id}/messages", {"message": message})
    assert reply.status == 200, reply.text


async def test_a_conversation_is_answered_in_the_background(milo: MiloServer) -> None:
    user = await milo.user(SOL=2)
    reply = await user.call("POST", CONVERSATIONS, {"message": "How is JUP?", "agentType": "market-analyst"})
    assert reply.status == 201
    assert reply.data | {"conversationId": "", "createdAt": "", "updatedAt": ""} == {
        "conversationId": "",
        "agentType": "market-analyst",
        "status": "active",
        "agentActive": True,
        "processing": True,
        "createdAt": "",
        "updatedAt": "",
    }
    conversation_id = reply.data["conversationId"]
    asked, told = await answered(user, conversation_id)
    assert asked == "How is JUP?"
    assert told.startswith("JUP trades at $")
    found = await messages(user, conversation_id)
    assert found.json["meta"] == {"page": 1, "pageSize": 25, "total": 2, "pages": 1}
    assert [message["role"] for message in found.data["messages"]] == ["user", "assistant"]
    assert found.data["messages"][0].keys() == {"messageId", "role", "content", "createdAt"}
    assert found.data["processing"] is False


async def test_a_second_message_is_answered_with_the_first_in_mind(milo: MiloServer) -> None:
    user = await milo.user()
    conversation_id = await start(user, "How volatile is BONK?")
    await answered(user, conversation_id)
    await say(user, conversation_id, "What about JUP?")
    said = await answered(user, conversation_id)
    assert len(said) == 4
    assert "Volatility over 7 days" in said[3]
    assert said[3].startswith("JUP trades at")


async def test_the_answer_is_about_the_users_own_wallet(milo: MiloServer) -> None:
    user = await milo.user(SOL=2, BONK=1_000)
    _, told = await answered(user, await start(user, "What do I hold?"))
    assert "2 SOL" in told
    assert "1,000 BONK" in told


async def test_conversations_are_listed_newest_first_and_found_by_their_ids(milo: MiloServer) -> None:
    user = await milo.user()
    first = await start(user, "hello")
    second = await start(user, "hello again", agentType="auto-trader")
    for conversation_id in (first, second):
        await answered(user, conversation_id)
    listed = await user.call("GET", f"{CONVERSATIONS}?pageSize=1")
    assert listed.json["meta"] == {"page": 1, "pageSize": 1, "total": 2, "pages": 2}
    assert [found["conversationId"] for found in listed.data] == [second]
    found = (await user.call("GET", f"{CONVERSATIONS}/{first}")).data
    assert (found["conversationId"], found["agentType"], found["processing"]) == (first, "market-analyst", False)


async def test_messages_have_pages_oldest_first(milo: MiloServer) -> None:
    user = await milo.user()
    conversation_id = await start(user, "hello")
    await answered(user, conversation_id)
    page = await user.call("GET", f"{CONVERSATIONS}/{conversation_id}/messages?page=2&pageSize=1")
    assert [message["role"] for message in page.data["messages"]] == ["assistant"]
    assert page.json["meta"] == {"page": 2, "pageSize": 1, "total": 2, "pages": 2}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"message": ""}, "`message` must have 1 to 4000 characters"),
        ({"message": "  \n"}, "`message` must have 1 to 4000 characters"),
        ({"message": "x" * 4_001}, "`message` must have 1 to 4000 characters"),
        ({"message": 3}, "Expected `str`"),
        ({}, "missing required field `message`"),
        ({"message": "hi", "agentType": "psychic"}, "must be one of market-analyst, auto-trader"),
        ({"message": "hi", "agent": "x"}, "unknown field"),
        (b"message", "not valid JSON"),
    ],
)
async def test_a_message_that_is_none_is_refused(milo: MiloServer, body: object, expected: str) -> None:
    user = await milo.user()
    refused = await user.call("POST", CONVERSATIONS, body)
    assert refused.refusal == (400, "bad_request")
    assert expected in refused.message
    assert (await user.call("GET", CONVERSATIONS)).json["meta"]["total"] == 0


async def test_a_conversation_of_another_user_is_not_found(milo: MiloServer) -> None:
    alice, bob = await milo.user(), await milo.user()
    conversation_id = await start(alice, "hello")
    for wanted in (conversation_id, NOBODYS, "x"):
        for method, path, body in (
            ("GET", f"{CONVERSATIONS}/{wanted}", None),
            ("GET", f"{CONVERSATIONS}/{wanted}/messages", None),
            ("POST", f"{CONVERSATIONS}/{wanted}/messages", {"message": "hi"}),
        ):
            bob.server.clock.advance(31)
            assert (await bob.call(method, path, body)).refusal == (404, "not_found"), path
    assert (await messages(alice, conversation_id)).json["meta"]["total"] <= 2


async def test_the_trader_changes_the_settings_that_it_is_told_to(milo: MiloServer) -> None:
    user = await milo.user(SOL=2)
    told = (await answered(user, await start(user, "Set my risk to degen, please", agentType="auto-trader")))[1]
    assert "risk tolerance is degen" in told
    assert (await user.call("GET", SETTINGS)).data["riskTolerance"] == "degen"


async def test_a_change_that_is_refused_is_said_to_be_and_nothing_changes(milo: MiloServer) -> None:
    user = await milo.user()
    told = (await answered(user, await start(user, "turn on auto-trading", agentType="auto-trader")))[1]
    assert told.startswith("I did not change that: ")
    assert "at least 1 SOL" in told
    shares = await start(user, "allocate 50% majors and 20% memes", agentType="auto-trader")
    assert "must add up to 100 percent, not 70" in (await answered(user, shares))[1]
    found = (await user.call("GET", SETTINGS)).data
    assert (found["isActive"], found["allocation"]) == (False, {})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "milo.db"


async def test_nobody_waits_for_an_agent_that_does_not_answer(clock: ManualClock) -> None:
    agent = Held()
    async with served(clock, agent) as milo, asyncio.timeout(10):
        user, other = await milo.user(), await milo.user()
        conversation_id = await start(user, "first")
        await say(user, conversation_id, "second")
        assert (await other.call("GET", "/me")).status == 200
        found = await messages(user, conversation_id)
        assert (found.data["processing"], len(found.data["messages"])) == (True, 2)
        agent.may_answer.set()
        said = await answered(user, conversation_id)
        assert sorted(said[2:]) == ["You said: first", "You said: second"]


async def test_what_was_not_answered_before_the_end_is_answered_after_the_next_start(
    clock: ManualClock, path: Path
) -> None:
    agent = Held()
    async with served(clock, agent, path) as milo:
        user = await milo.user()
        conversation_id = await start(user, "How is JUP?")
        await say(user, conversation_id, "And BONK?")
        assert (await messages(user, conversation_id)).data["processing"] is True
    async with served(clock, path=path) as again:
        same = MiloUser(again, user.keypair, user.user_id, user.key, user.wallet)
        said = await answered(same, conversation_id)
    assert len(said) == 4
    assert {text.split(" ")[0] for text in said[2:]} == {"JUP", "BONK"}


async def test_an_agent_that_fails_ends_as_a_message_without_its_details(clock: ManualClock) -> None:
    async with served(clock, Broken()) as milo:
        user = await milo.user()
        said = await answered(user, await start(user, "hello"))
    assert said[1].startswith("I could not answer that")
    assert "secret" not in said[1]


async def test_a_configured_model_that_is_too_slow_ends_as_a_message_that_says_so(clock: ManualClock) -> None:
    async with FakeModel(fake_model.never) as url:
        agent = ModelAgent(ModelConfig(base_url=url, model="m", timeout_s=0.05))
        async with served(clock, agent) as milo:
            user = await milo.user()
            said = await answered(user, await start(user, "How is SOL?"))
    assert said[1].startswith("The language model gave no answer: it did not answer within 0.05 seconds.")
    assert "SOL trades at $" in said[1]


async def test_reads_are_counted_on_their_own(milo: MiloServer) -> None:
    user = await milo.user()
    conversation_id = await start(user, "hello")
    replies = [await messages(user, conversation_id) for _ in range(31)]
    assert [reply.status for reply in replies[:30]] == [200] * 30
    assert replies[30].refusal == (429, "rate_limit_exceeded")
    assert replies[30].headers["X-RateLimit-Limit"] == "30"
