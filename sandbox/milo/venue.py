"""The venue: one thread that owns the database, the chain and everything else, and a way in from the event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from sandbox.milo import chain, chain_records, signin, timeline, users, wallets
from sandbox.milo.agents.agent import Agent
from sandbox.milo.agents.analyst import Analyst
from sandbox.milo.arena import rounds as arena
from sandbox.milo.autotrade import rounds as auto_trading
from sandbox.milo.calls import Call, Reply
from sandbox.milo.chain import Chain
from sandbox.milo.conversations import answering as conversations
from sandbox.milo.core import Background, Core
from sandbox.milo.database import Database
from sandbox.milo.errors import ApiError, internal, not_found, unauthorized
from sandbox.milo.limits import Allowance
from sandbox.milo.market import TokenMarket
from sandbox.milo.parts import Part
from sandbox.milo.quests import records as quests
from sandbox.milo.routes import Route
from sandbox.milo.timeline import Timeline
from sandbox.milo.trading import triggers
from sandbox.milo.users import Caller
from sandbox.milo.wallets import Wallet, Wallets
from sandbox.milo.wire import encoded

_BASE_SCHEMAS: Final = (chain_records.SCHEMA, chain.SCHEMA, users.SCHEMA, wallets.SCHEMA, timeline.SCHEMA)


def parts_with(agent: Agent) -> tuple[Part, ...]:
    """Everything that has tables of its own, hears of events or does something by itself. ``agent`` answers."""
    return (
        Part(name="sign-in", schema=signin.SCHEMA),
        # Before what may be due often: of the rounds that were missed until then, they skip all but the last.
        auto_trading.PART,
        arena.PART,
        triggers.PART,
        quests.PART,
        conversations.part(agent),
    )


PARTS: Final = parts_with(Analyst())

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What came in on a route. ``headers`` have lower-case names; ``remote`` is the caller's address."""

    route: Route
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    remote: str


class Answer(msgspec.Struct, frozen=True):
    status: int
    body: bytes
    headers: Mapping[str, str]


class MiloVenue:
    """``path`` is its file, None for memory only; ``seed`` makes its market. ``parts`` are what it is made of."""

    def __init__(
        self, *, seed: int, path: Path | None, now_ms: Callable[[], int], parts: Sequence[Part] = PARTS
    ) -> None:
        self._seed = seed
        self._path = path
        self._now_ms = now_ms
        self._parts = parts
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="milo")
        self._tasks: set[asyncio.Task[None]] = set()
        self._core: Core | None = None
        self._timeline: Timeline | None = None

    async def start(self) -> None:
        """Open the file, set up the chain, take up what was unfinished.

        :raises sqlite3.Error: the file cannot be opened, or another process has it.
        """
        await self._in_thread(self._open)
        self._start_spawned()

    async def close(self) -> None:
        """Finish what is being asked, and stop."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._in_thread(self._shut)
        self._thread.shutdown(wait=False)

    async def run(self, job: Callable[[Core], T]) -> T:
        """``job`` in the venue's thread and a transaction of its own, after what happened by itself until now.

        A caller that goes away changes nothing: it is carried out all the same.
        """
        try:
            return await self._in_thread(lambda: self._run(job))
        finally:
            self._start_spawned()

    async def answer(self, request: Request) -> Answer:
        """The whole of a request; never raises."""
        try:
            return await self._in_thread(lambda: self._answered(request))
        finally:
            self._start_spawned()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _open(self) -> None:
        db = Database(self._path, [*_BASE_SCHEMAS, *(part.schema for part in self._parts)])
        try:
            solana = Chain(db)
            core = Core(db=db, chain=solana, market=TokenMarket(self._seed), wallets=Wallets(db, solana))
            moves = Timeline(core, self._parts)
            moves.start()
            with core.transaction():
                solana.start()
                core.now_ms = max(core.now_ms, self._now_ms()) if core.now_ms == 0 else core.now_ms
                for part in self._parts:
                    part.start(core)
        except BaseException:
            db.close()
            raise
        self._core, self._timeline = core, moves

    def _shut(self) -> None:
        if self._core is not None:
            self._core.db.close()
            self._core = self._timeline = None

    def _run(self, job: Callable[[Core], T]) -> T:
        core, moves = self._opened()
        moves.advance(self._now_ms())
        with core.transaction():
            before = core.db.changes
            result = job(core)
            if core.db.changes != before:
                moves.remember()
        return result

    def _answered(self, request: Request) -> Answer:
        allowance: list[Allowance] = []
        try:
            reply = self._run(lambda core: _handled(core, request, allowance))
            status, body, headers = reply.status, encoded(reply.body), dict(reply.headers)
        except ApiError as refusal:
            status, body, headers = refusal.status, encoded(refusal.body()), refusal.headers
        except Exception:
            _log.exception("%s %s failed", request.route.method, request.route.path)
            status, body, headers = 500, encoded(internal().body()), {}
        return Answer(status, body, {**(allowance[0].headers() if allowance else {}), **headers})

    def _opened(self) -> tuple[Core, Timeline]:
        if self._core is None or self._timeline is None:
            raise RuntimeError("the venue is not open")
        return self._core, self._timeline

    def _start_spawned(self) -> None:
        if self._core is None:
            return
        spawned, self._core.spawned[:] = list(self._core.spawned), []
        for work in spawned:
            task = asyncio.create_task(self._in_background(work))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _in_background(self, work: Background) -> None:
        try:
            await work(self)
        except Exception:
            _log.exception("work in the background failed")


def _handled(core: Core, request: Request, allowance: list[Allowance]) -> Reply:
    """Key, limit, ids in the path, handler: refusals win in this order."""
    route = request.route
    caller = None if route.is_public else _caller(core, request)
    whose = caller.key_id if caller is not None else request.remote
    allowed = core.limiter.take(route.group, whose, core.now_ms)
    allowance.append(allowed)
    if not allowed.is_allowed and not route.has_paid_overage:
        raise allowed.refusal(core.now_ms)
    call = Call(
        core=core,
        allowance=allowed,
        path=request.path,
        query=request.query,
        headers=request.headers,
        body=request.body,
        remote=request.remote,
        known_caller=caller,
        known_wallet=_own_wallet(core, caller, request.path),
    )
    return route.handler(call)


def _caller(core: Core, request: Request) -> Caller:
    key = request.headers.get("x-api-key", "")
    if not key:
        raise unauthorized("`X-API-Key` is missing")
    caller = users.caller_of(core.db, key)
    if caller is None:
        raise unauthorized("`X-API-Key` is not a valid API key")
    return caller


def _own_wallet(core: Core, caller: Caller | None, path: Mapping[str, str]) -> Wallet | None:
    """:raises ApiError: 404; the user or the wallet in the path is not the caller's."""
    if caller is None:
        return None
    if path.get("userId", caller.user_id) != caller.user_id:
        raise not_found("User")
    if "walletId" not in path:
        return None
    wallet = core.wallets.find(path["walletId"])
    if wallet is None or wallet.user_id != caller.user_id:
        raise not_found("Wallet")
    return wallet
