"""Venues that answer as their documents say: a small book, rendered in each venue's own words.

book     what happens to orders, the same everywhere
wire     one venue's requests and replies: a module per venue
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import pytest

from adapters.ccxt_venues.apex import signing
from tests.adapters.ccxt.recorded.apex import ApexWire
from tests.adapters.ccxt.recorded.aster import AsterWire
from tests.adapters.ccxt.recorded.derive import DeriveWire
from tests.adapters.ccxt.recorded.dydx import DydxWire
from tests.adapters.ccxt.recorded.extended import ExtendedWire
from tests.adapters.ccxt.recorded.grvt import GrvtWire
from tests.adapters.ccxt.recorded.hibachi import HibachiWire
from tests.adapters.ccxt.recorded.lighter import LighterWire
from tests.adapters.ccxt.recorded.nado import NadoWire
from tests.adapters.ccxt.recorded.orderly import OrderlyWire
from tests.adapters.ccxt.recorded.pacifica import PacificaWire
from tests.adapters.ccxt.recorded.wire import Wire

WIRES: Final[Mapping[str, Callable[[], Wire]]] = {
    "apex": ApexWire,
    "aster": AsterWire,
    "derive": DeriveWire,
    "dydx": DydxWire,
    "extended": ExtendedWire,
    "grvt": GrvtWire,
    "hibachi": HibachiWire,
    "lighter": LighterWire,
    "modetrade": OrderlyWire,
    "nado": NadoWire,
    "pacifica": PacificaWire,
    "woofipro": OrderlyWire,
}
"""By exchange. A wire is made anew for every test."""

_SIGNS_APEX: Final = pytest.mark.skipif(
    not signing.is_installed(), reason=f"signing ApeX orders needs {signing.INSTALL}"
)

RECORDED: Final = [pytest.param(name, marks=[_SIGNS_APEX] if name == "apex" else []) for name in sorted(WIRES)]
"""For a test that places orders."""
