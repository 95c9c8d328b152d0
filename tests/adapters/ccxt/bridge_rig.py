"""A venue's adapter through the bridge, over a recording server that answers as its documents say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from adapters.base import Network, OpenCredential, Submission
from adapters.ccxt_venues.adapter import CcxtAdapter
from adapters.ccxt_venues.bridge.session import BridgedSession
from adapters.ccxt_venues.venue import Row
from adapters.transport import Transport
from normalization.instruments import Instrument
from normalization.orders import Execution, Side
from normalization.resolver import Markets
from tests.adapters.ccxt.hyperliquid_rig import surroundings
from tests.adapters.ccxt.orders_to_place import TOKEN, submission
from tests.adapters.ccxt.recording_server import Answer, RecordingServer, Script, Sent, recording, said


class BridgedRig:
    """``replies`` are by method and path: a document, an ``Answer``, or a function from what was sent to either.

    Of a venue with several hosts each is a folder of the server's. A reply may be meant for one host only: with the
    host in front of the path. What has no reply is for ``script`` to answer.
    """

    def __init__(self, row: Row, replies: Mapping[str, Any], script: Script | None = None) -> None:
        self.row = row
        self.replies = dict(replies)
        self.script = script
        self.client_id = row.client_id(TOKEN)
        self.paused_s = 0.0
        self.server: RecordingServer
        self.adapter: CcxtAdapter
        self.session: BridgedSession
        self.markets: Markets

    @property
    def btc(self) -> Instrument:
        return self.markets.resolve("BTC")

    def order(
        self, execution: Execution, *, side: Side = Side.BUY, size: str = "0.01", reduce_only: bool = False
    ) -> Submission:
        return submission(self.btc, execution, side=side, size=size, reduce_only=reduce_only, client_id=self.client_id)

    def asked(self) -> list[tuple[str, str]]:
        """Method and path of everything that was sent."""
        return [(sent.method, path_of(sent)) for sent in self.server.sent]

    def sent_to(self, method: str, path: str) -> list[Sent]:
        return [sent for sent in self.server.sent if (sent.method, path_of(sent)) == (method, path)]

    async def pause(self, seconds: float) -> None:
        """Time passes at once here."""
        self.paused_s += seconds
        await asyncio.sleep(0)

    def answer(self, sent: Sent) -> Answer:
        host, path = _split(sent)
        for key in (f"{sent.method} {host}{path}", f"{sent.method} {path}"):
            if key in self.replies:
                found = self.replies[key]
                if callable(found):
                    found = found(sent)
                return found if isinstance(found, Answer) else said(found)
        if self.script is None:
            raise AssertionError(f"nothing answers {sent.method} {host}{path}")
        answer = self.script(sent)
        assert isinstance(answer, Answer)
        return answer

    async def open(self, secrets: Mapping[str, str], network: Network = Network.PAPER) -> BridgedSession:
        session = await self.adapter.open(
            OpenCredential(
                credential_id="c-1",
                account_id="a-1",
                exchange=self.row.exchange,
                network=network,
                secrets=secrets,
            )
        )
        assert isinstance(session, BridgedSession)
        return session


def path_of(sent: Sent) -> str:
    """Without the host and the query."""
    return _split(sent)[1]


def _split(sent: Sent) -> tuple[str, str]:
    path = sent.path.partition("?")[0]
    first, slash, rest = path.removeprefix("/").partition("/")
    return (first, slash + rest) if "." in first else ("", path)


@asynccontextmanager
async def bridged_rig(
    row: Row,
    secrets: Mapping[str, str],
    replies: Mapping[str, Any],
    data_dir: Path,
    *,
    script: Script | None = None,
    network: Network = Network.PAPER,
) -> AsyncIterator[BridgedRig]:
    """A session is open, the list of markets is loaded, and what that took is not in ``server.sent``.

    With a ``network`` other than PAPER the server stands for the venue's own host on that network.
    """
    rig = BridgedRig(row, replies, script)
    async with recording(rig.answer) as rig.server:
        transport = Transport()
        around = msgspec.structs.replace(surroundings(data_dir, transport), sleep=rig.pause)
        if network is Network.PAPER:
            rig.adapter = CcxtAdapter(row, around, paper_url=rig.server.url)
        else:
            rig.adapter = CcxtAdapter(msgspec.structs.replace(row, hosts={network: rig.server.url}), around)
        try:
            rig.markets = await rig.adapter.markets(network)
            rig.session = await rig.open(secrets, network)
            rig.server.sent.clear()
            yield rig
        finally:
            await rig.adapter.close()
            await transport.close()
