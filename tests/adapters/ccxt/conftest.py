from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.adapters.ccxt import plain_ccxt
from tests.adapters.ccxt.hyperliquid_rig import HyperliquidRig, hyperliquid_rig
from tests.adapters.ccxt.paradex_rig import ParadexRig, paradex_rig


@pytest.fixture
async def hyperliquid(tmp_path: Path) -> AsyncIterator[HyperliquidRig]:
    async with hyperliquid_rig(tmp_path) as rig:
        yield rig


@pytest.fixture
async def paradex(tmp_path: Path) -> AsyncIterator[ParadexRig]:
    async with paradex_rig(tmp_path) as rig:
        yield rig


@pytest.fixture
async def connections() -> AsyncIterator[plain_ccxt.Connections]:
    async with plain_ccxt.connections() as found:
        yield found
