"""The instruments of the exchange, and how their markets behave. Steps and leverage are as real venues list them."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from normalization.instruments import Instrument


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """An instrument and the character of its market.

    ``base_price`` is what the price wanders around; ``daily_volatility`` a fraction; ``depth_usd`` the notional of the
    best level of the book; ``half_spread_ticks`` the distance from the mark price to either best price.
    """

    instrument: Instrument
    base_price: float
    daily_volatility: float
    depth_usd: float
    daily_volume_usd: float
    open_interest_usd: float
    half_spread_ticks: int
    level_gap_ticks: int


# base, price, tick, lot, max leverage, daily volatility, volume in millions of USD a day
_TABLE: Final = (
    ("BTC", 94_000.0, "0.1", "0.00001", 50, 0.022, 2_400.0),
    ("ETH", 4_100.0, "0.01", "0.0001", 50, 0.030, 1_300.0),
    ("SOL", 180.0, "0.01", "0.01", 20, 0.036, 420.0),
    ("XRP", 2.3, "0.0001", "1", 20, 0.034, 160.0),
    ("BNB", 880.0, "0.01", "0.001", 10, 0.026, 40.0),
    ("DOGE", 0.18, "0.00001", "1", 10, 0.040, 60.0),
    ("ADA", 0.55, "0.00001", "1", 10, 0.038, 18.0),
    ("AVAX", 18.5, "0.001", "0.01", 10, 0.038, 16.0),
    ("LINK", 14.0, "0.001", "0.1", 10, 0.036, 15.0),
    ("LTC", 95.0, "0.01", "0.01", 10, 0.032, 14.0),
    ("SUI", 2.1, "0.0001", "0.1", 10, 0.042, 40.0),
    ("HYPE", 38.0, "0.001", "0.01", 10, 0.044, 280.0),
    ("AAVE", 180.0, "0.01", "0.01", 10, 0.038, 14.0),
    ("ARB", 0.28, "0.00001", "0.1", 10, 0.042, 8.0),
    ("OP", 0.42, "0.00001", "0.1", 10, 0.042, 6.0),
    ("NEAR", 2.4, "0.0001", "0.1", 10, 0.040, 9.0),
    ("TIA", 1.05, "0.0001", "0.1", 10, 0.046, 7.0),
    ("WIF", 0.45, "0.00001", "1", 5, 0.050, 9.0),
    ("kPEPE", 0.0052, "0.000001", "1", 10, 0.048, 22.0),
    ("HMSTR", 0.00042, "0.0000001", "10", 3, 0.055, 1.5),
)

# Quoted per thousand, because one is worth too little: kPEPE is 1,000 PEPE.
_PER_THOUSAND: Final = frozenset({"kPEPE"})

MIN_NOTIONAL: Final = Decimal(10)


def listings(exchange: str = "paper") -> tuple[Listing, ...]:
    """Every instrument, the main ones first, in the name of ``exchange``."""
    return tuple(_listing(exchange, *row) for row in _TABLE)


def _listing(
    exchange: str, base: str, price: float, tick: str, lot: str, leverage: int, volatility: float, volume_musd: float
) -> Listing:
    ticks_per_bp = price / float(tick) / 10_000
    return Listing(
        instrument=Instrument(
            exchange=exchange,
            symbol=f"{base}-USD-PERP",
            venue_symbol=f"{base}-USD-PERP",
            base=base,
            quote="USD",
            settle="USDC",
            tick_size=Decimal(tick),
            lot_size=Decimal(lot),
            min_notional=MIN_NOTIONAL,
            contract_multiplier=Decimal(1000 if base in _PER_THOUSAND else 1),
            max_leverage=leverage,
        ),
        base_price=price,
        daily_volatility=volatility,
        depth_usd=volume_musd * 60,
        daily_volume_usd=volume_musd * 1e6,
        open_interest_usd=volume_musd * 0.6e6,
        half_spread_ticks=max(1, round(ticks_per_bp * 0.3)),
        level_gap_ticks=max(1, round(ticks_per_bp * 0.5)),
    )
