"""``POST /exchange``: signed actions carried out, and answered in the venue's words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final, assert_never

from msgspec import UNSET

from normalization.decimals import ZERO
from normalization.orders import OrderStatus
from normalization.venue_failures import Reason, VenueFailure
from sandbox.engine import SetLeverage
from sandbox.hyperliquid.actions import (
    ApproveAgent,
    ApproveBuilderFee,
    BatchModify,
    Builder,
    Cancel,
    CancelByCloid,
    Envelope,
    L1Action,
    Modify,
    Noop,
    PlaceOrders,
    PriorityGrouping,
    ScheduleCancel,
    SetReferrer,
    TwapOrder,
    UpdateIsolatedMargin,
    UpdateLeverage,
    UsdClassTransfer,
    UsdSend,
    UserSignedAction,
    WireOrder,
    Withdraw,
)
from sandbox.hyperliquid.identity import Identity, Refused
from sandbox.hyperliquid.orders import BadOrder, Grouping, Terms, draft_of
from sandbox.hyperliquid.signing import (
    Chain,
    UnrecoverableSignature,
    action_hash,
    l1_digest,
    normal_address,
    recover,
    user_signed_digest,
)
from sandbox.hyperliquid.spelling import spelled
from sandbox.hyperliquid.universe import Asset, Universe
from sandbox.wires.desk import Desk, Draft, Refusal, Standing
from sandbox.wires.exchange import WireExchange
from sandbox.wires.records import Fact, OrderRecord, Phase, Records

Reply = dict[str, Any]
Status = dict[str, Any] | str
Outcome = Standing[Terms] | Refusal[Terms] | str

_SCHEDULING_VOLUME: Final = 1_000_000
_NEVER_PLACED: Final = "Order was never placed, already canceled, or filled."
_CANNOT_MODIFY: Final = "Cannot modify canceled or filled order."
_TEXTS: Final = {
    Reason.INSUFFICIENT_FUNDS: "Insufficient margin to place order.",
    Reason.REDUCE_ONLY_WOULD_INCREASE: "Reduce only order would increase position.",
    Reason.NO_POSITION: "Reduce only order would increase position.",
    Reason.NO_LIQUIDITY: "Order could not immediately match against any resting orders.",
    Reason.TRIGGER_WOULD_FIRE: "Invalid TP/SL price.",
    Reason.PRICE_OUT_OF_RANGE: "Order price cannot be more than 80% away from the reference price",
    Reason.INVALID_ORDER: "Order has invalid size.",
    Reason.TOO_MANY_ORDERS: "Too many open orders.",
    Reason.DUPLICATE_ORDER_ID: "Duplicate cloid",
}


class Trading:
    """``chains`` are the networks whose signatures are taken; the first is the venue's own."""

    def __init__(
        self,
        exchange: WireExchange,
        records: Records[Terms],
        desk: Desk[Terms],
        universe: Universe,
        identity: Identity,
        chains: Sequence[Chain],
        now_ms: Callable[[], int],
    ) -> None:
        self._exchange = exchange
        self._records = records
        self._desk = desk
        self._universe = universe
        self._identity = identity
        self._chains = chains
        self._now_ms = now_ms

    async def carry_out(self, envelope: Envelope) -> Reply:
        """The answer, always of status 200: the venue tells its refusals in the body."""
        try:
            return await self._carry_out(envelope)
        except Refused as refusal:
            return {"status": "err", "response": str(refusal)}
        except UnrecoverableSignature:
            return {"status": "err", "response": "Unable to recover signer."}

    async def _carry_out(self, envelope: Envelope) -> Reply:
        action = envelope.action
        if isinstance(action, ApproveAgent | ApproveBuilderFee | UsdSend | Withdraw | UsdClassTransfer):
            return await self._carry_out_owned(action, envelope)
        signer, account = await self._signer_of(action, envelope)
        if envelope.expiresAfter is not None and self._now_ms() > envelope.expiresAfter:
            raise Refused("Action already expired")
        nonce = self._identity.use_nonce(signer, envelope.nonce, self._now_ms())
        await self._desk.settle(account)
        return await self._dispatch(account, action, nonce)

    async def _signer_of(self, action: L1Action, envelope: Envelope) -> tuple[str, str]:
        """The signer and the account it acts for.

        :raises Refused: it is nobody's; which is also what every signature over something else comes to.
        """
        vault = None if envelope.vaultAddress is None else normal_address(envelope.vaultAddress)
        connection_id = action_hash(action, envelope.nonce, vault, envelope.expiresAfter)
        signers: list[str] = []
        for chain in self._chains:
            signers.append(recover(l1_digest(connection_id, chain), envelope.signature))
            signer = signers[-1]
            agent = self._identity.agent(signer, self._now_ms())
            account = signer if agent is None else agent.master
            if await self._exchange.has_account(account):
                if vault is not None and vault != account:
                    raise Refused(f"Vault not registered: {vault}")
                return signer, account
        raise Refused(f"User or API Wallet {signers[0]} does not exist.")

    async def _carry_out_owned(self, action: UserSignedAction, envelope: Envelope) -> Reply:
        """What only the owner's key can do."""
        if action.hyperliquidChain not in self._chains:
            raise Refused("Mainnet and testnet require different signature.")
        owner = recover(user_signed_digest(action), envelope.signature)
        inner = action.time if isinstance(action, UsdSend | Withdraw) else action.nonce
        if inner != envelope.nonce:
            raise Refused("Nonce mismatch.")
        self._identity.check_nonce(owner, envelope.nonce, self._now_ms())
        if not await self._exchange.has_account(owner):
            raise Refused(f"Must deposit before performing actions. User: {owner}")
        nonce = self._identity.use_nonce(owner, envelope.nonce, self._now_ms())
        match action:
            case ApproveAgent():
                accounts = await self._exchange.read(lambda engine: frozenset(engine.ledger.accounts))
                facts = self._identity.approve_agent(owner, action, self._now_ms(), accounts.__contains__)
            case ApproveBuilderFee():
                facts = self._identity.approve_builder(owner, action)
            case _:
                raise Refused("Transfers are disabled on this network.")
        await self._records.commit(facts=[nonce, *facts])
        return _DEFAULT

    async def _dispatch(self, account: str, action: L1Action, nonce: Fact) -> Reply:
        if isinstance(action, PlaceOrders):
            return _statuses("order", await self._place(account, action, nonce))
        await self._records.commit(facts=[nonce])
        match action:
            case Cancel():
                return _statuses("cancel", [await self._cancel(account, c.a, c.o) for c in action.cancels])
            case CancelByCloid():
                return _statuses("cancel", [await self._cancel(account, c.asset, c.cloid) for c in action.cancels])
            case Modify():
                status = await self._modify(account, action.oid, action.order)
                if isinstance(status, dict) and "error" in status:
                    raise Refused(status["error"])
                return _DEFAULT
            case BatchModify():
                return _statuses("order", [await self._modify(account, m.oid, m.order) for m in action.modifies])
            case UpdateLeverage():
                return await self._update_leverage(account, action)
            case UpdateIsolatedMargin():
                raise Refused("Position does not use isolated margin.")
            case ScheduleCancel():
                raise Refused(await self._no_schedule(account))
            case SetReferrer():
                raise Refused("Referral code not registered")
            case TwapOrder():
                return _reply("twapOrder", {"status": {"error": "TWAP orders are disabled on this network."}})
            case Noop():
                return _DEFAULT
        assert_never(action)

    # Orders.

    async def _place(self, account: str, action: PlaceOrders, nonce: Fact) -> list[Status]:
        grouping: Grouping = "na" if isinstance(action.grouping, PriorityGrouping) else action.grouping
        complaint = self._complaint(account, action, grouping)
        if complaint is not None:
            await self._records.commit(facts=[nonce])
            raise Refused(complaint)
        legs = [self._draft(order, grouping, place) for place, order in enumerate(action.orders)]
        drafts = [leg for leg in legs if isinstance(leg, Draft)]
        if grouping == "normalTpsl" and len(drafts) < len(legs):
            # A parent is not placed without the protection that was asked for with it.
            drafts, first = [], next(leg for leg in legs if isinstance(leg, str))
            legs = [first] * len(legs)
        placed = iter(await self._desk.place(account, drafts, paired=grouping == "positionTpsl", facts=[nonce]))
        outcomes: list[Outcome] = [leg if isinstance(leg, str) else next(placed) for leg in legs]
        return [
            await self._status(order, outcome, outcomes[0])
            for order, outcome in zip(action.orders, outcomes, strict=True)
        ]

    def _complaint(self, account: str, action: PlaceOrders, grouping: Grouping) -> str | None:
        """What is wrong with the batch as a whole."""
        if isinstance(action.builder, Builder):
            if action.builder.f > self._identity.builder_fee(account, action.builder.b):
                return "Builder fee has not been approved."
        if not action.orders:
            return "Empty batch of orders."
        triggers = [order.t.trigger is not UNSET for order in action.orders]
        if grouping == "na":
            return None
        if grouping == "normalTpsl" and triggers[0]:
            return "Main order cannot be trigger order."
        children = action.orders[1:] if grouping == "normalTpsl" else action.orders
        if not all(triggers[len(triggers) - len(children) :]) or len(children) > 2 or not children:
            return "Unexpected number of trigger orders"
        if not all(order.r for order in children):
            return "TP/SL orders must be reduce only."
        return None

    def _draft(self, order: WireOrder, grouping: Grouping, place: int) -> Draft[Terms] | str:
        asset = self._universe.asset(order.a)
        if asset is None:
            return f"Invalid asset {order.a}"
        try:
            return draft_of(order, asset, grouping, is_child=grouping == "normalTpsl" and place > 0)
        except BadOrder as refusal:
            return str(refusal)

    async def _status(self, order: WireOrder, outcome: Outcome, parent: Outcome | None) -> Status:
        if isinstance(outcome, str):
            return {"error": f"{outcome} asset={order.a}"}
        if isinstance(outcome, Refusal):
            return {"error": f"{await self._refusal(outcome.failure, order)} asset={order.a}"}
        if outcome.record.parent is not None:
            order_of_parent = parent.order if isinstance(parent, Standing) else None
            is_filled = order_of_parent is not None and order_of_parent.status is OrderStatus.FILLED
            return "waitingForTrigger" if is_filled else "waitingForFill"
        if outcome.record.terms.trigger is not None and outcome.record.terms.grouping != "na":
            return "waitingForTrigger"
        return _placed(outcome)

    async def _refusal(self, failure: VenueFailure, order: WireOrder) -> str:
        asset = self._universe.asset(order.a)
        if failure.reason is Reason.POST_ONLY_WOULD_TAKE and asset is not None:
            return f"Post only order would have immediately matched, bbo was {await self._bbo(asset)}."
        return _TEXTS.get(failure.reason, failure.text)

    async def _bbo(self, asset: Asset) -> str:
        book = await self._exchange.read(lambda engine: engine.views.orderbook(asset.symbol, 1))
        best = [spelled(side[0].price) if side else "0" for side in (book.bids, book.asks)]
        return "@".join(text.removesuffix(".0") for text in best)

    async def _record(self, account: str, key: int | str) -> OrderRecord[Terms] | None:
        if isinstance(key, str):
            return await self._records.by_client_id(account, key.lower())
        return (await self._records.by_number(account, [key])).get(key)

    async def _cancel(self, account: str, asset_index: int, key: int | str) -> Status:
        record = await self._record(account, key)
        asset = self._universe.asset(asset_index)
        if record is None or asset is None or record.terms.coin != asset.coin:
            return {"error": _NEVER_PLACED}
        try:
            await self._desk.cancel(account, record.number)
        except VenueFailure:
            return {"error": _NEVER_PLACED}
        return "success"

    async def _modify(self, account: str, key: int | str, order: WireOrder) -> Status:
        """The old order is canceled first: where the new one is refused, neither is left."""
        record = await self._record(account, key)
        if record is None or record.phase is Phase.REFUSED:
            return {"error": _CANNOT_MODIFY}
        draft = self._draft(order, "na", 0)
        if isinstance(draft, str):
            return {"error": f"{draft} asset={order.a}"}
        try:
            await self._desk.cancel(account, record.number)
        except VenueFailure:
            return {"error": _CANNOT_MODIFY}
        (outcome,) = await self._desk.place(account, [draft], reusing=record.client_id)
        status = await self._status(order, outcome, None)
        if isinstance(status, dict) and "error" in status:
            return {"error": f"Error placing new order during modify: {status['error']}"}
        return status

    # The rest.

    async def _update_leverage(self, account: str, action: UpdateLeverage) -> Reply:
        asset = self._universe.asset(action.asset)
        if asset is None:
            raise Refused(f"Invalid asset {action.asset}")
        if not action.isCross:
            raise Refused("Isolated margin is not allowed for this asset.")
        try:
            await self._exchange.execute(SetLeverage(account=account, symbol=asset.symbol, leverage=action.leverage))
        except VenueFailure as failure:
            if failure.reason is Reason.INVALID_LEVERAGE:
                raise Refused("Invalid leverage value") from None
            raise Refused("Cross position does not have sufficient margin available to decrease leverage.") from None
        return _DEFAULT

    async def _no_schedule(self, account: str) -> str:
        fills = await self._exchange.fills(account, 2_000)
        traded = sum((fill.size * fill.price for fill in fills), ZERO)
        if traded >= _SCHEDULING_VOLUME:
            return "Scheduled cancels are disabled on this network."
        return (
            "Cannot set scheduled cancel time until enough volume traded. "
            f"Required: $1000000. Traded: ${traded.quantize(Decimal('0.01'))}."
        )


def _placed(standing: Standing[Terms]) -> Status:
    record, order = standing.record, standing.order
    known: dict[str, Any] = {"oid": record.number}
    if record.client_id is not None:
        known["cloid"] = record.client_id
    if order is None or not order.status.is_final or order.average_price is None:
        return {"resting": known}
    return {"filled": {"totalSz": spelled(order.filled_size), "avgPx": spelled(order.average_price), **known}}


def _reply(kind: str, data: dict[str, Any]) -> Reply:
    return {"status": "ok", "response": {"type": kind, "data": data}}


def _statuses(kind: str, statuses: Sequence[Status]) -> Reply:
    return _reply(kind, {"statuses": statuses})


_DEFAULT: Final[Reply] = {"status": "ok", "response": {"type": "default"}}
