"""Nodes of several workers on one PostgreSQL and one Redis, a venue with a ledger, and traders who never give up."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
import asyncpg  # type: ignore[import-untyped]
import msgspec
import psutil  # type: ignore[import-untyped]

from adapters.base import Network
from gateway.accounts import Accounts, CredentialSafe, KeyMint, Keys
from gateway.clock import SystemClock
from gateway.keyring import Keyring, MasterKeyRing
from gateway.vault import Vault
from storage.ports import JournalRow, KeyEnvironment, OrderState, Tier
from storage.sql.postgresql.place import PostgresPlace
from tests.support.ledger_venue import Execution, Fault, LedgerVenue, executions
from tests.support.redis_server import free_port

MASTER_KEY: Final = bytes(range(32))
START_WITHIN_S: Final = 60.0
_TRIES: Final = 5
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.3, 5.0
_MOST_UNANSWERED: Final = 200
ON_THE_VENUE: Final = frozenset(
    {
        OrderState.ACKED,
        OrderState.WORKING,
        OrderState.PARTIALLY_FILLED,
        OrderState.FILLED,
        OrderState.CANCELED,
        OrderState.EXPIRED,
        OrderState.LATE_EXECUTION,
    }
)
_SENDING: Final = "SELECT count(*) FROM journal WHERE state = 'SENDING' AND split_part(owner, '/', 2) = ANY($1)"
UNDECIDED: Final = (OrderState.SENDING, OrderState.UNKNOWN, OrderState.NEEDS_OPERATOR)


class Ended(Exception):
    """A program ended before it was ready, with what it said."""


class Process:
    """A program of ours that says a line when it is ready. What it says goes to a file."""

    def __init__(self, log: Path, *command: str, ready: str, **environment: str) -> None:
        self.log = log
        self._command = [sys.executable, "-m", *command]
        self._ready = ready
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("VENUEGATE_")} | environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when it is ready.

        :raises Ended: it never was.
        """
        already = self.log.read_text().count(self._ready) if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=self._environment)
        deadline = time.monotonic() + START_WITHIN_S
        while self.log.read_text().count(self._ready) == already:
            if self._process.poll() is not None:
                raise Ended(self.log.read_text()[-3_000:])
            assert time.monotonic() < deadline, self.log.read_text()[-3_000:]
            time.sleep(0.05)

    def keep_up(self) -> None:
        """As a service manager does: start it, and again if it ends, which it may where the database is busy."""
        for _ in range(_TRIES - 1):
            with contextlib.suppress(Ended):
                return self.start()
        return self.start()

    def children(self) -> list[psutil.Process]:
        """Oldest first; of a node, the first is its owner as long as that was not killed."""
        assert self._process is not None
        with contextlib.suppress(psutil.NoSuchProcess):
            return sorted(psutil.Process(self._process.pid).children(), key=lambda child: float(child.create_time()))
        return []

    def processes(self) -> list[psutil.Process]:
        """All of it."""
        assert self._process is not None
        return [psutil.Process(self._process.pid), *self.children()]

    def kill(self) -> None:
        """All of it at once, as when the machine is gone."""
        assert self._process is not None
        children = self.children()
        self._process.kill()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        self._process.wait(START_WITHIN_S)

    def stop(self) -> int:
        """The exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(START_WITHIN_S)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()


class Caller(NamedTuple):
    key: str
    account_id: str
    credential_id: str


async def callers_on(database_url: str, count: int) -> list[Caller]:
    """Pro accounts with a key and a credential for the ledger venue."""
    ring, clock = MasterKeyRing([MASTER_KEY]), SystemClock()
    stores, adapter = await PostgresPlace(database_url).open(), LedgerVenue("http://127.0.0.1")
    try:
        keyring = await Keyring.open(stores.directory, ring)
        accounts = Accounts(stores.directory, clock)
        mint = KeyMint(stores.directory, keyring, Keys(stores.directory, {}, clock), clock)
        safe = CredentialSafe(stores.directory, Vault(ring, keyring.fingerprint_key), clock)
        found = []
        for number in range(count):
            account = await accounts.create(f"trader-{number}", Tier.PRO)
            credential = await safe.add(account, adapter, Network.PAPER, label="ledger", secrets={})
            key = (await mint.mint(account, KeyEnvironment.TEST, label="")).text
            found.append(Caller(key, account.account_id, credential.credential_id))
        return found
    finally:
        await adapter.close()
        await stores.close()


class Answer(NamedTuple):
    """``outcome`` is what a refusal says about the venue; "" where it says nothing."""

    number: int
    node: int
    status: int
    outcome: str


class Traders:
    """They place orders by the rule for bots: the same request with the same id, through the next node, less and less
    often, until the answer is final. ``answers`` is their ledger.
    """

    def __init__(self, callers: Sequence[Caller], ports: Sequence[int], client: aiohttp.ClientSession) -> None:
        self.answers: list[Answer] = []
        self._placed = 0
        self._callers = callers
        self._ports = ports
        self._client = client

    def caller(self, number: int) -> Caller:
        return self._callers[number % len(self._callers)]

    async def place(self, number: int, *, patience_s: float) -> Answer | None:
        """The final answer; None when there was none in that time."""
        deadline = time.monotonic() + patience_s
        attempt, pause_s = number, _FIRST_PAUSE_S
        while time.monotonic() < deadline:
            node = attempt % len(self._ports)
            answer = await self._ask(number, node)
            if answer is not None:
                self.answers.append(answer)
                if answer.status == 200 or answer.outcome:
                    return answer
            await asyncio.sleep(pause_s)
            attempt, pause_s = attempt + 1, min(2 * pause_s, _LAST_PAUSE_S)
        return None

    async def _ask(self, number: int, node: int) -> Answer | None:
        caller = self.caller(number)
        body = {
            "operation": "placeLimitOrder",
            "credentialId": caller.credential_id,
            "market": "BTC",
            "side": "BUY",
            "size": "0.01",
            "price": str(10_000 + number),
            "clientOrderId": f"order-{number}",
        }
        url = f"http://127.0.0.1:{self._ports[node]}/v1"
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with (
                asyncio.timeout(15),
                self._client.post(url, json=body, headers={"X-API-Key": caller.key}) as reply,
            ):
                said: dict[str, Any] = msgspec.json.decode(await reply.read())
                outcome = said.get("details", {}).get("outcome", "") if reply.status == 502 else ""
                return Answer(number, node, reply.status, outcome)
        return None

    async def run(self, orders: int, per_second: float, *, patience_s: float, within_s: float = 3_600.0) -> None:
        """So many more orders at a steady rate, or slower while very many have no answer, until each has its own; fewer
        where the machine takes longer than ``within_s`` to place them.
        """
        began = time.monotonic()
        room = asyncio.Semaphore(_MOST_UNANSWERED)
        async with asyncio.TaskGroup() as group:
            for place in range(orders):
                await asyncio.sleep(max(0.0, began + place / per_second - time.monotonic()))
                await room.acquire()
                if time.monotonic() > began + within_s:
                    break
                placing = group.create_task(self.place(self._placed, patience_s=patience_s))
                self._placed += 1
                placing.add_done_callback(lambda _: room.release())


class Join(NamedTuple):
    """What the three ledgers say together. All but the first three must be 0."""

    orders: int
    executed: int
    rows: int
    doubled: int
    without_one_row: int
    denied_but_executed: int
    taken_but_not_executed: int
    undecided: int
    row_and_venue_differ: int

    def in_words(self) -> str:
        return ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in self._asdict().items())

    @property
    def faults(self) -> dict[str, int]:
        return {name: value for name, value in list(self._asdict().items())[3:] if value}


def join(answers: Sequence[Answer], rows: Sequence[JournalRow], executed: Sequence[Execution]) -> Join:
    by_client_id = {row.venue_client_id: row for row in rows}
    by_number: defaultdict[int, list[JournalRow]] = defaultdict(list)
    for row in rows:
        by_number[int(row.client_order_id.partition("-")[2])].append(row)
    times = Counter(int(execution.price) - 10_000 for execution in executed)
    executed_ids = {execution.client_id for execution in executed}
    return Join(
        orders=len({answer.number for answer in answers}),
        executed=len(executed),
        rows=len(rows),
        doubled=sum(count - 1 for count in times.values()),
        without_one_row=sum(
            execution.client_id not in by_client_id or len(by_number[int(execution.price) - 10_000]) != 1
            for execution in executed
        ),
        denied_but_executed=sum(bool(answer.outcome) and times[answer.number] > 0 for answer in answers),
        taken_but_not_executed=sum(answer.status == 200 and times[answer.number] == 0 for answer in answers),
        undecided=sum(row.state in UNDECIDED for row in rows),
        row_and_venue_differ=sum(
            (row.state in ON_THE_VENUE) != (row.venue_client_id in executed_ids)
            for row in rows
            if row.state not in UNDECIDED
        ),
    )


class Fleet:
    """The venue, and nodes that are added before all of it is started."""

    def __init__(self, directory: Path, *, database_url: str, redis_url: str) -> None:
        self.database_url = database_url
        self.ledger = directory / "ledger"
        self._directory = directory
        self._redis_url = redis_url
        venue_port = free_port()
        self.venue = Process(
            directory / "venue.log", "tests.support.ledger_venue", str(venue_port), str(self.ledger), ready="ready"
        )
        self._venue_url = f"http://127.0.0.1:{venue_port}"
        self.ports: list[int] = []
        self.nodes: list[Process] = []

    def add_node(self, *, workers: int, database_url: str | None = None) -> Process:
        number, port = len(self.nodes), free_port()
        node = Process(
            self._directory / f"node-{number}.log",
            "tests.support.node_process",
            ready="Venuegate listens on",
            LEDGER_VENUE=self._venue_url,
            VENUEGATE_MASTER_KEY=base64.b64encode(MASTER_KEY).decode(),
            VENUEGATE_DATABASE_URL=database_url or self.database_url,
            VENUEGATE_REDIS_URL=self._redis_url,
            VENUEGATE_DATA_DIR=str(self._directory / f"node-{number}"),
            VENUEGATE_PORT=str(port),
            VENUEGATE_METRICS_PORT="0",
            VENUEGATE_WORKERS=str(workers),
            VENUEGATE_LOG_LEVEL="warning",
        )
        self.ports.append(port)
        self.nodes.append(node)
        return node

    async def start(self) -> None:
        await asyncio.gather(*(asyncio.to_thread(process.keep_up) for process in (self.venue, *self.nodes)))

    async def let_the_venue_fail(self, rates: Mapping[Fault, float]) -> None:
        async with aiohttp.ClientSession() as client:
            (await client.put(f"{self._venue_url}/faults", data=msgspec.json.encode(rates))).raise_for_status()

    async def rows(self) -> Sequence[JournalRow]:
        stores = await PostgresPlace(self.database_url, patience_s=10).open()
        try:
            return await stores.journal.in_states(tuple(OrderState), 1_000_000)
        finally:
            await stores.close()

    async def until_sending(self, node: Process, orders: int, *, within_s: float = 60.0) -> None:
        """So many orders of the node's workers are stored, and nothing is stored of what came of them."""
        pids = [str(child.pid) for child in node.children()]
        connection = await asyncpg.connect(self.database_url)
        try:
            async with asyncio.timeout(within_s):
                while await connection.fetchval(_SENDING, pids) < orders:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
        finally:
            await connection.close()

    async def join(self, answers: Sequence[Answer]) -> Join:
        return join(answers, await self.rows(), executions(self.ledger))

    async def until_decided(self, answers: Sequence[Answer], *, within_s: float) -> Join:
        """The join when nothing is in doubt any more, or when the time is over."""
        deadline = time.monotonic() + within_s
        while True:
            found = await self.join(answers)
            if not found.undecided or time.monotonic() > deadline:
                return found
            await asyncio.sleep(1.0)

    def close(self) -> None:
        for process in (*self.nodes, self.venue):
            process.close()


@contextlib.asynccontextmanager
async def trading(fleet: Fleet, callers: Sequence[Caller]) -> AsyncIterator[Traders]:
    """Every request is a connection of its own: any worker may get it."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as client:
        yield Traders(callers, fleet.ports, client)


def any_process(nodes: Sequence[Process], luck: random.Random) -> psutil.Process | None:
    """One that a supervisor watches: a worker or an owner."""
    found = [child for node in nodes for child in node.children()]
    return luck.choice(found) if found else None
