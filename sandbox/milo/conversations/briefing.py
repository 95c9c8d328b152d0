"""The facts that an agent gets with a question, as they are at that moment."""

from __future__ import annotations

from typing import Final

from sandbox.milo.agents.agent import Facts, Holding, PositionSeen
from sandbox.milo.analysis.reader import MarketAt
from sandbox.milo.autotrade import diary, settings
from sandbox.milo.core import Core
from sandbox.milo.pages import Page
from sandbox.milo.tokens import TOKENS
from sandbox.milo.trading.desk import Desk
from sandbox.milo.trading.positions import Position

_LATEST: Final = Page(1, 5)


def facts_for(core: Core, user_id: str) -> Facts:
    found = settings.current(core.db, user_id)
    strategy = settings.linked_strategy(core.db, found)
    return Facts(
        market=MarketAt(core.market, core.now_ms),
        holdings=_holdings(core, user_id),
        positions=tuple(_seen(core, position) for position in Desk(core).positions.all_open(user_id)),
        settings=found,
        strategy_name=strategy.name if strategy else None,
        diary=tuple(diary.entries(core.db, user_id, _LATEST)),
    )


def _holdings(core: Core, user_id: str) -> tuple[Holding, ...]:
    address, second = core.wallets.trading(user_id).address, core.now_ms // 1_000
    amounts = [(token, token.amount(core.chain.balance(address, token))) for token in TOKENS]
    return tuple(
        Holding(token, amount, amount * core.market.price(token, second)) for token, amount in amounts if amount
    )


def _seen(core: Core, position: Position) -> PositionSeen:
    token = position.token
    amount = token.amount(position.units)
    value = amount * core.market.price(token, core.now_ms // 1_000)
    return PositionSeen(token, amount, position.basis_usd, value, position.realized_usd)
