"""The venues of this package."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from adapters.ccxt_venues.aster import ASTER
from adapters.ccxt_venues.hyperliquid import HYPERLIQUID
from adapters.ccxt_venues.orderly import MODETRADE, WOOFIPRO
from adapters.ccxt_venues.paradex import PARADEX
from adapters.ccxt_venues.venue import Row

ROWS: Final[Mapping[str, Row]] = MappingProxyType(
    {row.exchange: row for row in (HYPERLIQUID, PARADEX, ASTER, WOOFIPRO, MODETRADE)}
)
