"""A session at a recorded venue, and what it sends there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest

from adapters.base import Network, Submission
from adapters.ccxt_venues.rows import ROWS
from normalization.errors import UnsupportedOperation
from normalization.venue_failures import Reason, VenueFailure
from tests.adapters.ccxt.bridge_rig import BridgedRig, bridged_rig, path_of
from tests.adapters.ccxt.recorded.wire import Wire
from tests.adapters.ccxt.recording_server import Answer, Sent

W = TypeVar("W", bound=Wire)


class Bench(Generic[W]):
    def __init__(self, rig: BridgedRig, wire: W) -> None:
        self.rig = rig
        self.wire = wire
        self.session = rig.session

    def placements(self) -> list[Sent]:
        return [sent for sent in self.rig.server.sent if f"{sent.method} {path_of(sent)}" in self.wire.places]

    async def verdict_on(self, answer: Answer, order: Submission) -> tuple[type, Reason]:
        """What kind of failure, and why, an order is that is answered so."""
        self.wire.instead = dict.fromkeys(self.wire.places, answer)
        failure = await outcome(self.session.place_order(order))
        assert isinstance(failure, VenueFailure)
        return type(failure), failure.reason

    async def sends(self, doing: Awaitable[object]) -> list[Sent]:
        """Everything that it sends, whatever comes of it at the venue."""
        self.rig.server.sent.clear()
        with suppress(VenueFailure):
            await doing
        return list(self.rig.server.sent)


async def outcome(doing: Awaitable[Any]) -> Any:
    try:
        return await doing
    except Exception as failure:
        return failure


@asynccontextmanager
async def bench_of(exchange: str, wire: W, data_dir: Path, network: Network = Network.PAPER) -> AsyncIterator[Bench[W]]:
    """The test is skipped where signing for the venue needs what is not installed."""
    async with AsyncExitStack() as stack:
        row = wire.row or ROWS[exchange]
        opening = bridged_rig(row, wire.secrets, {}, data_dir, script=wire.answer, network=network)
        try:
            rig = await stack.enter_async_context(opening)
        except UnsupportedOperation as lacking:
            pytest.skip(lacking.message)
        yield Bench(rig, wire)
