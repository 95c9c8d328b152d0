"""The venues of this package."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from adapters.ccxt_venues.apex import APEX
from adapters.ccxt_venues.aster import ASTER
from adapters.ccxt_venues.derive import DERIVE
from adapters.ccxt_venues.dydx import DYDX
from adapters.ccxt_venues.extended import EXTENDED
from adapters.ccxt_venues.grvt import GRVT
from adapters.ccxt_venues.hibachi import HIBACHI
from adapters.ccxt_venues.hyperliquid import HYPERLIQUID
from adapters.ccxt_venues.lighter import LIGHTER
from adapters.ccxt_venues.nado import NADO
from adapters.ccxt_venues.orderly import MODETRADE, WOOFIPRO
from adapters.ccxt_venues.pacifica import PACIFICA
from adapters.ccxt_venues.paradex import PARADEX
from adapters.ccxt_venues.venue import Row

_ALL: Final = (
    HYPERLIQUID,
    PARADEX,
    ASTER,
    EXTENDED,
    PACIFICA,
    GRVT,
    LIGHTER,
    DYDX,
    WOOFIPRO,
    MODETRADE,
    HIBACHI,
    DERIVE,
    NADO,
    APEX,
)

ROWS: Final[Mapping[str, Row]] = MappingProxyType({row.exchange: row for row in _ALL})
