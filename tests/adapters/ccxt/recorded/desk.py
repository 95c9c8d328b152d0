"""A session at a recorded venue, with what the tests of one venue share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from adapters.base import Network
from normalization.instruments import Instrument
from normalization.orders import Order
from tests.adapters.ccxt.benches import Bench, bench_of
from tests.adapters.ccxt.bridge_rig import BridgedRig
from tests.adapters.ccxt.recorded import WIRES
from tests.adapters.ccxt.recorded.wire import Wire


class Desk(Bench[Any]):
    def __init__(self, rig: BridgedRig, wire: Any) -> None:
        super().__init__(rig, wire)
        self.session: Any = rig.session

    @property
    def btc(self) -> Instrument:
        return self.rig.btc

    @property
    def client_id(self) -> str:
        return self.rig.client_id

    async def place(self, *order: Any, **terms: Any) -> Order:
        placed: Order = await self.session.place_order(self.rig.order(*order, **terms))
        return placed

    def answer_instead(self, pattern: str, answer: Any) -> None:
        self.wire.instead = {pattern: answer}

    def asked(self) -> list[tuple[str, str]]:
        """Method and path of everything that was sent since the last time that somebody asked."""
        asked = self.rig.asked()
        self.rig.server.sent.clear()
        return asked


@asynccontextmanager
async def desk(
    exchange: str,
    data_dir: Path,
    *,
    secrets: Mapping[str, str] | None = None,
    network: Network = Network.PAPER,
    wire: Wire | None = None,
) -> AsyncIterator[Desk]:
    wire = wire or WIRES[exchange]()
    wire.secrets = secrets or wire.secrets
    async with bench_of(exchange, wire, data_dir, network) as bench:
        yield Desk(bench.rig, wire)
