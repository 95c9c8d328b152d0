"""The built-in agent. Every number that it says is computed from the sandbox's market or the user's own affairs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from sandbox.milo.agents import market_topics, portfolio_topics, token_topics, trading_topics
from sandbox.milo.agents.agent import AgentType, Answer, Facts, Question, Role
from sandbox.milo.agents.demands import demand_of
from sandbox.milo.agents.questions import Topic, Understood, read_question
from sandbox.milo.agents.token_topics import Subject
from sandbox.milo.analysis.series import Horizon
from sandbox.milo.tokens import Token

_USUAL_HORIZON: Final = Horizon("7 days", 7 * 1440)
_MOST_TOKENS: Final = 4
_BRIEFLY: Final = (Topic.PRICE, Topic.TREND)
_AT_LARGE: Final = (Topic.PRICE, Topic.TREND, Topic.AVERAGES, Topic.MOMENTUM, Topic.VOLATILITY, Topic.LEVELS)
_OWN_AFFAIRS: Final = frozenset({Topic.HOLDINGS, Topic.POSITIONS, Topic.SETTINGS})

_OF_A_TOKEN: Final[dict[Topic, Callable[[Subject], str]]] = {
    Topic.PRICE: token_topics.price,
    Topic.TREND: token_topics.trend,
    Topic.AVERAGES: token_topics.averages,
    Topic.MOMENTUM: token_topics.momentum,
    Topic.VOLATILITY: token_topics.volatility,
    Topic.LEVELS: token_topics.levels,
    Topic.STRENGTH: token_topics.strength,
    Topic.DRAWDOWN: token_topics.drawdown,
    Topic.VOLUME: token_topics.volume,
    Topic.CORRELATION: token_topics.correlation,
    Topic.OUTLOOK: token_topics.outlook,
    Topic.DEPTH: token_topics.depth,
}
_NO_NEWS: Final = "I read no news and no social media: this is what the market itself says."
_WHAT_I_DO: Final = (
    "Ask me about a token's price, trend, averages, momentum, volatility, levels, volume, drawdown, depth or strength,"
    " or about your holdings, positions and settings."
)


class Analyst:
    """An ``Agent`` that needs nothing from outside."""

    async def answer(self, question: Question) -> Answer:
        # Some milliseconds of arithmetic, which the event loop does not wait for.
        return await asyncio.to_thread(answer, question)


def answer(question: Question) -> Answer:
    """What there is to say, and for the agent that trades, what it is told to change."""
    market = question.facts.market
    earlier = [said.text for said in reversed(question.earlier) if said.role is Role.USER]
    understood = read_question(question.text, market.tokens(), earlier)
    if question.agent_type is AgentType.MARKET_ANALYST:
        return Answer(text="\n".join(paragraphs(understood, question.facts)))
    demand = demand_of(question.text, market.tokens())
    if demand is not None:
        return Answer(text=trading_topics.demand_met(demand, question.facts), change=demand)
    about_trading = trading_topics.talk(question.facts)
    if understood.tokens or set(understood.topics) - {Topic.SETTINGS}:
        about_trading += paragraphs(understood, question.facts)
    return Answer(text="\n".join(about_trading))


def paragraphs(understood: Understood, facts: Facts) -> list[str]:
    horizon = understood.horizon or _USUAL_HORIZON
    own = _own_affairs(understood, facts, horizon)
    topics = [topic for topic in understood.topics if topic not in _OWN_AFFAIRS]
    if understood.tokens and (topics or not own):
        subjects = [Subject(token, facts.market, horizon) for token in understood.tokens[:_MOST_TOKENS]]
        return own + _about_tokens(subjects, topics, understood)
    if own and not topics:
        return own
    return own + _about_the_market(topics, facts, horizon)


def _own_affairs(understood: Understood, facts: Facts, horizon: Horizon) -> list[str]:
    found: list[str] = []
    if Topic.HOLDINGS in understood.topics:
        found.append(portfolio_topics.holdings(facts.holdings, understood.tokens))
        if not understood.tokens and facts.holdings:
            found.append(portfolio_topics.portfolio_risk(facts.holdings, facts.market, horizon))
    if Topic.POSITIONS in understood.topics:
        found.append(portfolio_topics.positions(facts.positions, understood.tokens))
    if Topic.SETTINGS in understood.topics:
        found.append(trading_topics.settings(facts))
    return found


def _about_tokens(subjects: Sequence[Subject], topics: Sequence[Topic], understood: Understood) -> list[str]:
    chosen = [topic for topic in topics if topic in _OF_A_TOKEN]
    if not chosen:
        chosen = list(_AT_LARGE if len(subjects) == 1 else (*_BRIEFLY, Topic.STRENGTH))
    if Topic.PRICE not in chosen:
        chosen.insert(0, Topic.PRICE)
    found: list[str] = [_NO_NEWS] if Topic.BREADTH in topics else []
    for subject in subjects:
        found += [_paragraph(topic, subject, understood) for topic in chosen]
    if len(subjects) > 1:
        found.append(_compared(subjects))
    return found


def _paragraph(topic: Topic, subject: Subject, understood: Understood) -> str:
    amount = understood.amount_usd
    if amount is None and understood.quantity is not None and subject.token == understood.tokens[0]:
        amount = understood.quantity * subject.price
    if topic is Topic.DEPTH and amount is not None:
        return token_topics.depth(subject, (amount,))
    return _OF_A_TOKEN[topic](subject)


def _compared(subjects: Sequence[Subject]) -> str:
    by_change = sorted(subjects, key=lambda subject: subject.change, reverse=True)
    by_volatility = sorted(subjects, key=lambda subject: subject.daily_volatility)
    return (
        f"Of these, {by_change[0].token.symbol} did best over {subjects[0].horizon.words} and"
        f" {by_change[-1].token.symbol} worst; {by_volatility[0].token.symbol} is the calmest and"
        f" {by_volatility[-1].token.symbol} the wildest."
    )


def _about_the_market(topics: Sequence[Topic], facts: Facts, horizon: Horizon) -> list[str]:
    ordered = market_topics.standings(facts.market, horizon)
    found = [_NO_NEWS] if Topic.BREADTH in topics else []
    found.append(market_topics.ranking(ordered, horizon))
    if Topic.VOLATILITY in topics or Topic.OUTLOOK in topics:
        found.append(market_topics.calm_and_wild(ordered, horizon))
    found.append(market_topics.breadth(ordered, horizon))
    if Topic.DEPTH in topics or Topic.VOLUME in topics or Topic.CORRELATION in topics:
        native = Subject(_native(facts), facts.market, horizon)
        found += [_OF_A_TOKEN[topic](native) for topic in topics if topic in _OF_A_TOKEN and topic is not Topic.OUTLOOK]
    return found if topics else [*found, _WHAT_I_DO]


def _native(facts: Facts) -> Token:
    return next(token for token in facts.market.tokens() if token.symbol == token_topics.NATIVE)
