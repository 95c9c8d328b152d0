"""``POST /info``: one table of everything that can be asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta

from normalization.decimals import ZERO
from sandbox.engine import Engine
from sandbox.engine.orders import FillRecord
from sandbox.hyperliquid import account_info, market_info
from sandbox.hyperliquid.actions import Address, Unsigned
from sandbox.hyperliquid.candles import candles
from sandbox.hyperliquid.identity import Identity
from sandbox.hyperliquid.orders import Terms, changed_at_ms, front_order, open_order, status_of
from sandbox.hyperliquid.signing import normal_address
from sandbox.hyperliquid.spelling import spelled
from sandbox.hyperliquid.universe import Asset, Universe
from sandbox.wires.desk import Desk, Standing
from sandbox.wires.exchange import WireExchange
from sandbox.wires.payments import PaidSinceOpen
from sandbox.wires.records import Records

MOST_ORDERS: Final = 2_000
_ALL_FILLS: Final = 10_000
_FOREVER_MS: Final = 2**53
_INTERVAL: Final = r"^(1m|3m|5m|15m|30m|1h|2h|4h|8h|12h|1d|3d|1w|1M)$"


class CandleRange(msgspec.Struct, frozen=True):
    coin: str
    interval: Annotated[str, Meta(pattern=_INTERVAL)]
    startTime: Unsigned
    endTime: Unsigned = _FOREVER_MS


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Any question. Which fields one needs stands in the table; others are ignored, as the venue does."""

    type: str
    user: Address = ""
    builder: Address = ""
    coin: str = ""
    oid: int | str = 0
    startTime: Unsigned | None = None
    endTime: Unsigned | None = None
    nSigFigs: Annotated[int, Meta(ge=2, le=5)] | None = None
    mantissa: Annotated[int, Meta(ge=1, le=5)] | None = None
    req: CandleRange | None = None

    @property
    def account(self) -> str:
        return normal_address(self.user)

    @property
    def bounds_ms(self) -> tuple[int, int]:
        return self.startTime or 0, _FOREVER_MS if self.endTime is None else self.endTime


class UnknownQuestion(Exception):
    """The venue has no such question, or something is missing in it."""


class _Entry(NamedTuple):
    answer: Callable[[Info, Question], Awaitable[Any]]
    needs: tuple[str, ...]


_QUESTIONS: Final[dict[str, _Entry]] = {}
_Answer = Callable[["Info", Question], Awaitable[Any]]


def _answers(*types: str, needs: Sequence[str] = ()) -> Callable[[_Answer], _Answer]:
    def register(answer: _Answer) -> _Answer:
        _QUESTIONS.update({name: _Entry(answer, tuple(needs)) for name in types})
        return answer

    return register


class Info:
    def __init__(
        self,
        exchange: WireExchange,
        records: Records[Terms],
        desk: Desk[Terms],
        universe: Universe,
        identity: Identity,
        now_ms: Callable[[], int],
    ) -> None:
        self._exchange = exchange
        self._records = records
        self._desk = desk
        self._universe = universe
        self._identity = identity
        self._now_ms = now_ms
        self._paid = PaidSinceOpen(exchange)

    async def answer(self, body: bytes) -> Any:
        """What is sent back, to be encoded as JSON.

        :raises UnknownQuestion, msgspec.ValidationError: it is none of the venue's questions.
        :raises msgspec.DecodeError: it is no JSON.
        """
        question = _DECODER.decode(body)
        entry = _QUESTIONS.get(question.type)
        if entry is None or not all(getattr(question, field) not in ("", None) for field in entry.needs):
            raise UnknownQuestion
        if "user" in entry.needs:
            await self._desk.settle(question.account)
        return await entry.answer(self, question)

    # Markets.

    @_answers("meta")
    async def _meta(self, question: Question) -> Any:
        return self._universe.meta()

    @_answers("allPerpMetas")
    async def _all_metas(self, question: Question) -> Any:
        return [self._universe.meta()]

    @_answers("metaAndAssetCtxs")
    async def _contexts(self, question: Question) -> Any:
        contexts = await self._exchange.read(lambda engine: market_info.contexts(engine, self._universe))
        return [self._universe.meta(), contexts]

    @_answers("spotMeta")
    async def _spot_meta(self, question: Question) -> Any:
        return _SPOT_META

    @_answers("spotMetaAndAssetCtxs")
    async def _spot_contexts(self, question: Question) -> Any:
        return [_SPOT_META, []]

    @_answers("perpDexs")
    async def _dexs(self, question: Question) -> Any:
        return [None]

    @_answers("allMids")
    async def _mids(self, question: Question) -> Any:
        return await self._exchange.read(lambda engine: market_info.mids(engine, self._universe))

    @_answers("l2Book", needs=["coin"])
    async def _book(self, question: Question) -> Any:
        asset = self._asset(question.coin)
        return await self._exchange.read(
            lambda engine: market_info.book(engine, asset, question.nSigFigs, question.mantissa)
        )

    @_answers("candleSnapshot", needs=["req"])
    async def _candles(self, question: Question) -> Any:
        asked = question.req
        assert asked is not None  # noqa: S101
        asset = self._asset(asked.coin)
        return await self._exchange.read(
            lambda engine: candles(
                engine.views.market(asset.symbol),
                asset.coin,
                asked.interval,
                asked.startTime,
                asked.endTime,
                engine.now_ms // 1_000,
            )
        )

    @_answers("fundingHistory", needs=["coin", "startTime"])
    async def _funding_history(self, question: Question) -> Any:
        asset = self._asset(question.coin)
        return await self._exchange.read(lambda engine: market_info.funding_history(engine, asset, *question.bounds_ms))

    @_answers("predictedFundings")
    async def _predicted(self, question: Question) -> Any:
        return await self._exchange.read(lambda engine: market_info.predicted_fundings(engine, self._universe))

    @_answers("recentTrades", needs=["coin"])
    async def _trades(self, question: Question) -> Any:
        self._asset(question.coin)
        return []

    @_answers("exchangeStatus")
    async def _exchange_status(self, question: Question) -> Any:
        return {"time": self._now_ms(), "specialStatuses": None}

    # Accounts.

    @_answers("clearinghouseState", needs=["user"])
    async def _state(self, question: Question) -> Any:
        account = question.account
        funding = await self._paid.of(account)
        return await self._exchange.read(
            lambda engine: account_info.clearinghouse_state(engine, self._universe, account, funding)
        )

    @_answers("spotClearinghouseState", needs=["user"])
    async def _spot_state(self, question: Question) -> Any:
        return {"balances": []}

    @_answers("openOrders", needs=["user"])
    async def _open_orders(self, question: Question) -> Any:
        return [open_order(standing) for standing in await self._open(question.account)]

    @_answers("frontendOpenOrders", needs=["user"])
    async def _front_open_orders(self, question: Question) -> Any:
        standings = await self._open(question.account)
        return [front_order(s, _children(s, standings)) for s in standings if s.record.parent is None]

    @_answers("orderStatus", needs=["user", "oid"])
    async def _order_status(self, question: Question) -> Any:
        oid, account = question.oid, question.account
        if isinstance(oid, str):
            record = await self._records.by_client_id(account, oid.lower())
        else:
            record = (await self._records.by_number(account, [oid])).get(oid)
        if record is None:
            return {"status": "unknownOid"}
        return {"status": "order", "order": _with_status(await self._desk.standing(record))}

    @_answers("historicalOrders", needs=["user"])
    async def _historical_orders(self, question: Question) -> Any:
        records = await self._records.recent(question.account, MOST_ORDERS)
        standings = await self._desk.standings(records) if records else []
        return [_with_status(standing) for standing in standings]

    @_answers("userFills", needs=["user"])
    async def _fills(self, question: Question) -> Any:
        fills = await self._fills_of(question.account, account_info.MOST_FILLS)
        return await self._shown(question.account, fills)

    @_answers("userFillsByTime", needs=["user", "startTime"])
    async def _fills_by_time(self, question: Question) -> Any:
        start_ms, end_ms = question.bounds_ms
        fills = await self._fills_of(question.account, _ALL_FILLS)
        within = [fill for fill in reversed(fills) if start_ms <= fill.at_ms <= end_ms]
        return await self._shown(question.account, within[: account_info.MOST_FILLS])

    @_answers("userFunding", needs=["user"])
    async def _user_funding(self, question: Question) -> Any:
        fills = await self._fills_of(question.account, _ALL_FILLS)
        return await self._exchange.read(
            lambda engine: account_info.user_funding(engine, self._universe, fills, *question.bounds_ms)
        )

    @_answers("userNonFundingLedgerUpdates", needs=["user"])
    async def _ledger_updates(self, question: Question) -> Any:
        def deposits(engine: Engine) -> list[dict[str, Any]]:
            account = engine.ledger.accounts.get(question.account)
            if account is None:
                return []
            delta = {"type": "deposit", "usdc": spelled(account.deposited)}
            return [{"time": 0, "hash": account_info.digest_of(account.key), "delta": delta}]

        return await self._exchange.read(deposits)

    @_answers("userFees", needs=["user"])
    async def _fees(self, question: Question) -> Any:
        fills = await self._fills_of(question.account, account_info.MOST_FILLS)
        return await self._exchange.read(lambda engine: account_info.user_fees(engine, fills))

    @_answers("userRateLimit", needs=["user"])
    async def _rate_limit(self, question: Question) -> Any:
        fills = await self._fills_of(question.account, _ALL_FILLS)
        volume = sum((fill.size * fill.price for fill in fills), ZERO)
        cap = 10_000 + int(volume)
        return {"cumVlm": spelled(volume), "nRequestsUsed": 0, "nRequestsCap": cap, "nRequestsSurplus": 0}

    @_answers("userRole", needs=["user"])
    async def _role(self, question: Question) -> Any:
        agent = self._identity.agent(question.account, self._now_ms())
        if agent is not None:
            return {"role": "agent", "data": {"user": agent.master}}
        return {"role": "user" if await self._exchange.has_account(question.account) else "missing"}

    @_answers("extraAgents", needs=["user"])
    async def _agents(self, question: Question) -> Any:
        agents = self._identity.agents_of(question.account, self._now_ms())
        return [{"name": a.name, "address": a.address, "validUntil": a.valid_until_ms} for a in agents if a.name]

    @_answers("maxBuilderFee", needs=["user", "builder"])
    async def _builder_fee(self, question: Question) -> Any:
        return self._identity.builder_fee(question.account, question.builder)

    @_answers("activeAssetData", needs=["user", "coin"])
    async def _asset_data(self, question: Question) -> Any:
        asset = self._asset(question.coin)
        return await self._exchange.read(lambda engine: account_info.active_asset_data(engine, asset, question.account))

    @_answers("userAbstraction", needs=["user"])
    async def _abstraction(self, question: Question) -> Any:
        return "default"

    @_answers("userDexAbstraction", needs=["user"])
    async def _dex_abstraction(self, question: Question) -> Any:
        return False

    @_answers("subAccounts", "userToMultiSigSigners", needs=["user"])
    async def _nothing(self, question: Question) -> Any:
        return None

    @_answers(
        "userVaultEquities", "userTwapSliceFills", "delegations", "delegatorRewards", "delegatorHistory", needs=["user"]
    )
    async def _none_of_them(self, question: Question) -> Any:
        return []

    @_answers("referral", needs=["user"])
    async def _referral(self, question: Question) -> Any:
        return {"referredBy": None, "cumVlm": "0.0", "unclaimedRewards": "0.0", "claimedRewards": "0.0"}

    @_answers("portfolio", needs=["user"])
    async def _portfolio(self, question: Question) -> Any:
        empty: dict[str, Any] = {"accountValueHistory": [], "pnlHistory": [], "vlm": "0.0"}
        return [[period, empty] for period in ("day", "week", "month", "allTime")]

    @_answers("delegatorSummary", needs=["user"])
    async def _staking(self, question: Question) -> Any:
        return {"delegated": "0.0", "undelegated": "0.0", "totalPendingWithdrawal": "0.0", "nPendingWithdrawals": 0}

    # Shared.

    def _asset(self, coin: str) -> Asset:
        asset = self._universe.by_coin.get(coin)
        if asset is None:
            raise UnknownQuestion
        return asset

    async def _open(self, account: str) -> list[Standing[Terms]]:
        """Newest first."""
        if not await self._exchange.has_account(account):
            return []
        return (await self._desk.open_orders(account))[::-1]

    async def _fills_of(self, account: str, limit: int) -> Sequence[FillRecord]:
        return await self._exchange.fills(account, limit)

    async def _shown(self, account: str, fills: Sequence[FillRecord]) -> list[dict[str, Any]]:
        numbers = await self._records.numbers_of(list({fill.order_id for fill in fills}))
        records = await self._records.by_number(account, list(set(numbers.values())))
        return account_info.fills_shown(self._universe, fills, numbers, records, account)


def _with_status(standing: Standing[Terms]) -> dict[str, Any]:
    return {
        "order": front_order(standing, []),
        "status": status_of(standing),
        "statusTimestamp": changed_at_ms(standing),
    }


def _children(parent: Standing[Terms], standings: Sequence[Standing[Terms]]) -> list[dict[str, Any]]:
    return [front_order(s, []) for s in reversed(standings) if s.record.parent == parent.record.number]


_DECODER: Final = msgspec.json.Decoder(Question)
_SPOT_META: Final = {
    "tokens": [
        {
            "name": "USDC",
            "szDecimals": 8,
            "weiDecimals": 8,
            "index": 0,
            "tokenId": "0x" + "0" * 32,
            "isCanonical": True,
            "evmContract": None,
            "fullName": None,
            "deployerTradingFeeShare": "0.0",
        }
    ],
    "universe": [],
}
