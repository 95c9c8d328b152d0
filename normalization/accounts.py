"""What a venue account holds. Sizes are in base units, money in the settle asset."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from normalization.orders import PositionSide, Side


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """``equity`` is collateral plus unrealized profit; ``free_collateral`` what new orders may use."""

    equity: Decimal
    free_collateral: Decimal
    account_value: Decimal


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """``size`` is positive on both sides; ``liquidation_price`` is None where there is none or the venue hides it."""

    symbol: str
    side: PositionSide
    size: Decimal
    entry_price: Decimal
    mark_price: Decimal
    unrealized_pnl: Decimal
    leverage: int
    liquidation_price: Decimal | None = None


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """Our execution. ``fee`` is in the settle asset, negative for a rebate."""

    fill_id: str
    order_id: str
    symbol: str
    side: Side
    size: Decimal
    price: Decimal
    fee: Decimal
    at_ms: int
