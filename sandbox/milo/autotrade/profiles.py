"""What a tolerance for risk means."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from sandbox.milo.autotrade.terms import RiskTolerance
from sandbox.milo.tokens import AssetClass


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """``band`` is how far a holding may drift before it is traded, ``most_per_trade`` how much one trade may move, as
    shares of the whole. The greater ``volatility_power``, the less is held of what is volatile. At a loss of
    ``stop_loss_percent`` a bought token is sold. ``allocation`` is for whoever names none."""

    band: Decimal
    most_per_trade: Decimal
    trades_per_round: int
    tokens_per_class: int
    volatility_power: float
    stop_loss_percent: Decimal
    allocation: Mapping[AssetClass, Decimal]


PROFILES: Final = {
    RiskTolerance.CONSERVATIVE: Profile(
        band=Decimal("0.06"),
        most_per_trade=Decimal("0.10"),
        trades_per_round=2,
        tokens_per_class=3,
        volatility_power=1.0,
        stop_loss_percent=Decimal(10),
        allocation={AssetClass.MAJORS: Decimal(50), AssetClass.STAKING: Decimal(20), AssetClass.STABLES: Decimal(30)},
    ),
    RiskTolerance.BALANCED: Profile(
        band=Decimal("0.04"),
        most_per_trade=Decimal("0.20"),
        trades_per_round=3,
        tokens_per_class=3,
        volatility_power=0.5,
        stop_loss_percent=Decimal(20),
        allocation={
            AssetClass.MAJORS: Decimal(40),
            AssetClass.NATIVE: Decimal(30),
            AssetClass.MEMES: Decimal(10),
            AssetClass.STABLES: Decimal(20),
        },
    ),
    RiskTolerance.DEGEN: Profile(
        band=Decimal("0.02"),
        most_per_trade=Decimal("0.50"),
        trades_per_round=4,
        tokens_per_class=1,
        volatility_power=0.0,
        stop_loss_percent=Decimal(40),
        allocation={
            AssetClass.MEMES: Decimal(40),
            AssetClass.PROMISING_MEMES: Decimal(20),
            AssetClass.TRENCHES: Decimal(20),
            AssetClass.NATIVE: Decimal(20),
        },
    ),
}
