from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from aiohttp.test_utils import unused_port

from sandbox.milo.agents.agent import AgentType, Answer, Holding, Question, Role, Said
from sandbox.milo.agents.model import MOST_ANSWER, ModelAgent
from sandbox.milo.agents.model_config import ModelConfig
from sandbox.milo.tokens import SOL
from tests.support import fake_model
from tests.support.drawn_market import DrawnMarket
from tests.support.fake_model import FakeModel, says, sends
from tests.support.milo_facts import facts

KEY = "sk-very-secret"


def question(text: str = "How is SOL?", kind: AgentType = AgentType.MARKET_ANALYST) -> Question:
    known = facts(DrawnMarket(SOL=lambda _: 123.25), (Holding(SOL, Decimal(2), Decimal("246.50")),))
    said = (Said(Role.USER, "Hello"), Said(Role.ASSISTANT, "Hello, you"))
    return Question(text=text, agent_type=kind, earlier=said, facts=known)


async def asked(model: FakeModel, what: Question | None = None, timeout_s: float = 5.0) -> Answer:
    async with model as url, asyncio.timeout(10):
        config = ModelConfig(base_url=url, model="some-model", api_key=KEY, timeout_s=timeout_s)
        return await ModelAgent(config).answer(what or question())


async def test_the_model_answers_with_the_conversation_and_the_computed_figures_before_it() -> None:
    model = FakeModel(says("  It is calm.  "))
    answer = await asked(model)
    assert answer == Answer(text="It is calm.")
    (body,) = model.asked
    assert body["model"] == "some-model"
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "user"]
    assert "SOL trades at $123.25" in body["messages"][0]["content"]
    assert body["messages"][-1]["content"] == "How is SOL?"
    assert model.keys == [f"Bearer {KEY}"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (sends(500, b'{"error": "overloaded"}'), "it refused with status 500"),
        (sends(401, b"{}"), "it refused with status 401"),
        (sends(302, b"", Location="http://127.0.0.1:9/"), "it refused with status 302"),
        (sends(200, b"<html>"), "its answer could not be read"),
        (sends(200, b'{"choices": 3}'), "its answer could not be read"),
        (sends(200, b'{"choices": []}'), "its answer was empty"),
        (sends(200, b"\xff\xfe"), "its answer could not be read"),
        (says(None), "its answer was empty"),
        (says("   "), "its answer was empty"),
        (fake_model.for_ever, "its answer was too long"),
    ],
)
async def test_a_model_that_fails_is_said_to_have_and_the_figures_are_given_without_it(
    answer: fake_model.Answer, why: str
) -> None:
    text = (await asked(FakeModel(answer))).text
    assert text.startswith(f"The language model gave no answer: {why}.")
    assert "SOL trades at $123.25" in text
    assert KEY not in text


async def test_a_model_that_does_not_answer_in_time_is_given_up() -> None:
    text = (await asked(FakeModel(fake_model.never), timeout_s=0.05)).text
    assert text.startswith("The language model gave no answer: it did not answer within 0.05 seconds.")


async def test_a_model_that_is_not_there_is_said_to_be_out_of_reach() -> None:
    config = ModelConfig(base_url=f"http://127.0.0.1:{unused_port()}/v1", model="m", api_key=KEY)
    async with asyncio.timeout(10):
        text = (await ModelAgent(config).answer(question())).text
    assert text.startswith("The language model gave no answer: it could not be reached.")


async def test_a_very_long_answer_is_cut() -> None:
    assert len((await asked(FakeModel(says("word " * 10_000)))).text) == MOST_ANSWER


async def test_slow_answers_beyond_the_places_that_there_are_end_in_time_too() -> None:
    async with FakeModel(fake_model.never) as url, asyncio.timeout(10):
        agent = ModelAgent(ModelConfig(base_url=url, model="m", timeout_s=0.2))
        answers = await asyncio.gather(*(agent.answer(question()) for _ in range(20)))
    assert all("did not answer within 0.2 seconds" in answer.text for answer in answers)


async def test_settings_are_changed_by_rule_and_without_asking_the_model() -> None:
    model = FakeModel(says("I have deleted everything."))
    answer = await asked(model, question("Set the risk to degen", AgentType.AUTO_TRADER))
    assert answer.change is not None
    assert answer.change.risk_tolerance == "degen"
    assert model.asked == []


@pytest.mark.parametrize("url", ["ftp://models.example.com", "models.example.com/v1", "http://", ""])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must be one such as"):
        ModelConfig(base_url=url, model="m")
