from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from normalization.instruments import Instrument, InstrumentKind
from normalization.symbols import canonical_symbol


def make_listing(
    base: str,
    quote: str = "USD",
    settle: str = "USDC",
    *,
    spot: bool = False,
    symbol: str | None = None,
    venue_symbol: str | None = None,
    multiplier: int | str = 1,
    tick: str = "0.1",
    lot: str = "0.001",
    min_notional: str = "0",
) -> Instrument:
    kind = InstrumentKind.SPOT if spot else InstrumentKind.PERP
    symbol = symbol or canonical_symbol(base, quote, kind)
    return Instrument(
        exchange="venue",
        symbol=symbol,
        venue_symbol=venue_symbol or symbol,
        base=base,
        quote=quote,
        settle=settle,
        kind=kind,
        tick_size=Decimal(tick),
        lot_size=Decimal(lot),
        min_notional=Decimal(min_notional),
        contract_multiplier=Decimal(multiplier),
    )


@pytest.fixture(scope="session")
def listing() -> Callable[..., Instrument]:
    """Makes an instrument; what is not said is as on a venue that quotes in USD and settles in USDC."""
    return make_listing
