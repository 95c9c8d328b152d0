"""What is listed, under this venue's names and numbers, and with prices that this venue has."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from normalization.decimals import ONE
from normalization.instruments import Instrument
from sandbox.engine import Listing, listings
from sandbox.hyperliquid.spelling import coarsest_step, decimals_of

# No market gets further from its base price than this, so a step that is right there is right everywhere below.
_HIGHEST: Final = Decimal("1.5")


class Asset(NamedTuple):
    """``number`` is what the venue calls it in orders."""

    number: int
    coin: str
    symbol: str
    size_decimals: int
    instrument: Instrument


class Universe:
    def __init__(self, instruments: Sequence[Listing]) -> None:
        self.assets = tuple(_asset(number, listing.instrument) for number, listing in enumerate(instruments))
        self.by_coin = {asset.coin: asset for asset in self.assets}
        self.by_symbol = {asset.symbol: asset for asset in self.assets}

    def asset(self, number: int) -> Asset | None:
        return self.assets[number] if number < len(self.assets) else None

    def meta(self) -> dict[str, Any]:
        leverages = sorted({asset.instrument.max_leverage for asset in self.assets})
        return {
            "universe": [
                {
                    "szDecimals": asset.size_decimals,
                    "name": asset.coin,
                    "maxLeverage": asset.instrument.max_leverage,
                    "marginTableId": asset.instrument.max_leverage,
                }
                for asset in self.assets
            ],
            "marginTables": [
                [leverage, {"description": "", "marginTiers": [{"lowerBound": "0.0", "maxLeverage": leverage}]}]
                for leverage in leverages
            ],
            "collateralToken": 0,
        }


def hyperliquid_listings() -> tuple[Listing, ...]:
    """The exchange's instruments with this venue's steps."""
    return tuple(_restepped(listing) for listing in listings("hyperliquid"))


def _asset(number: int, instrument: Instrument) -> Asset:
    return Asset(number, instrument.base, instrument.symbol, decimals_of(instrument.lot_size), instrument)


def _restepped(listing: Listing) -> Listing:
    """With a lot that is a power of ten up to one, and a tick that the venue has at every price it may reach."""
    instrument = listing.instrument
    lot = min(instrument.lot_size, ONE)
    tick = coarsest_step(Decimal(str(listing.base_price)) * _HIGHEST, decimals_of(lot))
    ratio = tick / instrument.tick_size
    return msgspec.structs.replace(
        listing,
        instrument=msgspec.structs.replace(instrument, tick_size=tick, lot_size=lot, venue_symbol=instrument.base),
        half_spread_ticks=max(1, round(listing.half_spread_ticks / ratio)),
        level_gap_ticks=max(1, round(listing.level_gap_ticks / ratio)),
    )
