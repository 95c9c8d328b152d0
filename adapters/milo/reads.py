"""What Milo says of an account, in our words.

Pure. Every function raises ValueError or LookupError for what it cannot read.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from msgspec import UNSET

from adapters.milo.tokens import BY_MINT, NATIVE_MINT, STABLES
from adapters.milo.trading import Holding, Trade
from adapters.milo.trading import Position as Thesis
from adapters.milo.wire import at_ms, number
from normalization.accounts import Balance, Fill, Position
from normalization.decimals import ZERO
from normalization.orders import PositionSide, Side

_SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}


def balance_of(holdings: Sequence[Holding]) -> Balance:
    """What everything is worth; free is what orders are paid with."""
    worth = sum((number(one.total_usd_val) for one in holdings), ZERO)
    free = sum((number(one.total_usd_val) for one in holdings if _is_free(one)), ZERO)
    return Balance(equity=worth, free_collateral=free, account_value=worth)


def price_in(holdings: Sequence[Holding], mint: str) -> Decimal | None:
    """US dollars for one token; None where the wallet holds none."""
    return next((number(one.token_usd_price) for one in holdings if one.token_address == mint), None)


def position_of(thesis: Thesis) -> Position | None:
    """None where nothing is held, or of a token that is no market here."""
    instrument = None if thesis.token_address is UNSET else BY_MINT.get(thesis.token_address)
    if instrument is None or thesis.amount is UNSET or not number(thesis.amount):
        return None
    if thesis.average_entry_price is UNSET or thesis.current_price is UNSET or thesis.unrealized_pnl is UNSET:
        raise ValueError("a position without its prices")
    return Position(
        symbol=instrument.symbol,
        side=PositionSide.LONG,
        size=number(thesis.amount),
        entry_price=number(thesis.average_entry_price or "0"),
        mark_price=number(thesis.current_price),
        unrealized_pnl=number(thesis.unrealized_pnl),
        leverage=1,
    )


def fill_of(trade: Trade) -> Fill:
    """Of a token that is a market here."""
    return Fill(
        fill_id=trade.id,
        order_id=trade.order_id,
        symbol=BY_MINT[trade.token_address].symbol,
        side=_SIDES[trade.tx_type],
        size=number(trade.amount),
        price=number(trade.price),
        fee=ZERO if trade.fee is UNSET else number(trade.fee),
        at_ms=at_ms(trade.created_at),
    )


def _is_free(holding: Holding) -> bool:
    return holding.token_address == NATIVE_MINT or holding.asset_class == STABLES
