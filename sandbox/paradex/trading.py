"""Placing, changing and canceling orders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from normalization.instruments import Instrument
from normalization.venue_failures import Reason, VenueFailure
from sandbox.engine import SetLeverage
from sandbox.paradex.access import Access
from sandbox.paradex.errors import ApiError, invalid, no_market
from sandbox.paradex.orders import (
    ModifyRequest,
    OrderRequest,
    Record,
    Terms,
    check_times,
    draft_of,
    id_of,
    modify_hash,
    number_of,
    order_hash,
    order_shown,
    terms_of,
)
from sandbox.paradex.signatures import MalformedSignature, Signature, parsed
from sandbox.paradex.system import CHAIN_ID
from sandbox.wires.desk import Desk, Draft, Outcome, Standing
from sandbox.wires.exchange import WireExchange
from sandbox.wires.records import Records

MOST_PER_BATCH: Final = 10


class CancelBatch(msgspec.Struct, frozen=True):
    order_ids: tuple[str, ...] | None = ()
    client_order_ids: tuple[str, ...] | None = ()


class MarginRequest(msgspec.Struct, frozen=True):
    leverage: int
    margin_type: Literal["CROSS", "ISOLATED"]


class Trading:
    def __init__(
        self,
        exchange: WireExchange,
        records: Records[Terms],
        desk: Desk[Terms],
        access: Access,
        instruments: Mapping[str, Instrument],
        now_ms: Callable[[], int],
    ) -> None:
        self._exchange = exchange
        self._records = records
        self._desk = desk
        self._access = access
        self._instruments = instruments
        self._now_ms = now_ms

    async def place(self, account: str, request: OrderRequest) -> dict[str, Any]:
        """The order as new: what comes of it is told by looking it up.

        :raises ApiError: it was not accepted.
        """
        (outcome,) = await self._place(account, [await self._checked(account, request)])
        return _as_new(outcome)

    async def place_batch(self, account: str, requests: Sequence[OrderRequest]) -> dict[str, Any]:
        """What was accepted, and why the others were not. A bad signature refuses all of them.

        :raises ApiError: nothing was accepted.
        """
        if not 1 <= len(requests) <= MOST_PER_BATCH:
            raise ApiError(400, "BATCH_SIZE_OUT_OF_RANGE", f"a batch has 1 to {MOST_PER_BATCH} orders")
        drafts = [await self._checked(account, request) for request in requests]
        orders: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        for outcome in await self._place(account, drafts):
            try:
                orders.append(_as_new(outcome))
            except ApiError as refusal:
                errors.append({"error": refusal.code, "message": refusal.message})
        return {"orders": orders, "errors": errors}

    async def _checked(self, account: str, request: OrderRequest) -> Draft[Terms]:
        check_times(request, self._now_ms())
        terms = terms_of(request)
        if request.market not in self._instruments:
            raise no_market(request.market)
        mark = await self._exchange.read(lambda engine: engine.views.mark_price(request.market).mark_price)
        draft = draft_of(terms, request.client_id, self._instruments, mark)
        address = int(account, 16)
        await self._verify(account, lambda: order_hash(CHAIN_ID, address, request), request.signature)
        return draft

    async def _verify(self, account: str, hashes: Callable[[], Sequence[int]], text: str) -> None:
        keys = self._access.member(account).live_keys
        if not await self._access.is_signed(keys, hashes, _signature(text)):
            raise ApiError(400, "INVALID_ORDER_SIGNATURE", "order signature verification failed")

    async def _place(self, account: str, drafts: Sequence[Draft[Terms]]) -> list[Outcome[Terms]]:
        """Protection is placed by itself, bound to its position; everything else together."""
        plain = [draft for draft in drafts if not draft.terms.is_protection]
        placed = iter(await self._desk.place(account, plain) if plain else ())
        outcomes: list[Outcome[Terms]] = []
        for draft in drafts:
            if draft.terms.is_protection:
                outcomes += await self._desk.place(account, [draft], paired=True)
            else:
                outcomes.append(next(placed))
        return outcomes

    async def modify(self, account: str, order_id: str, request: ModifyRequest) -> dict[str, Any]:
        """The order as it was, with what has been asked.

        :raises ApiError: it is not open, or its new terms are refused, in which case it is closed.
        """
        standing = await self.standing(account, order_id)
        if not standing.is_open:
            raise _closed()
        former = standing.record.terms
        if (request.market, request.side, request.type) != (former.market, former.side, former.type):
            raise invalid("only price, size and trigger price can be changed")
        placing = OrderRequest(
            market=request.market,
            side=request.side,
            type=request.type,
            size=request.size,
            price=request.price,
            trigger_price=request.trigger_price,
            signature=request.signature,
            signature_timestamp=request.signature_timestamp,
            flags=("REDUCE_ONLY",) if former.reduce_only else (),
        )
        check_times(placing, self._now_ms())
        terms = msgspec.structs.replace(terms_of(placing), instruction=former.instruction, stp=former.stp)
        mark = await self._exchange.read(lambda engine: engine.views.mark_price(request.market).mark_price)
        draft = draft_of(terms, standing.record.client_id, self._instruments, mark)
        address = int(account, 16)
        await self._verify(account, lambda: [modify_hash(CHAIN_ID, address, request)], request.signature)
        try:
            await self._desk.replace(account, standing.record.number, draft)
        except VenueFailure as failure:
            code = "ORDER_IS_NOT_OPEN" if failure.reason is Reason.ORDER_ALREADY_CLOSED else "INVALID_ORDER_SIZE"
            raise ApiError(400, code, failure.text) from None
        info = {"id": id_of(standing.record), "request_type": "MODIFY_ORDER", "status": "SUCCEEDED", "message": ""}
        return {**order_shown(standing), "request_info": info}

    # Looking up and canceling.

    async def record(self, account: str, order_id: str) -> Record:
        """:raises ApiError: there is no such order."""
        number = number_of(order_id)
        found = None if number is None else (await self._records.by_number(account, [number])).get(number)
        if found is None or id_of(found) != order_id:
            raise ApiError(400, "ORDER_ID_NOT_FOUND", f"order id not found: {order_id[:40]}")
        return found

    async def standing(self, account: str, order_id: str) -> Standing[Terms]:
        return await self._desk.standing(await self.record(account, order_id))

    async def standing_by_client_id(self, account: str, client_id: str) -> Standing[Terms]:
        """The open order with that client id: the venue knows no others by it.

        :raises ApiError: there is none.
        """
        record = await self._records.by_client_id(account, client_id)
        standing = None if record is None else await self._desk.standing(record)
        if standing is None or not standing.is_open:
            raise ApiError(400, "CLIENT_ORDER_ID_NOT_FOUND", f"client order id not found: {client_id[:40]}")
        return standing

    async def cancel(self, account: str, record: Record) -> None:
        """:raises ApiError: it is closed."""
        try:
            await self._desk.cancel(account, record.number)
        except VenueFailure as failure:
            if failure.reason in (Reason.ORDER_ALREADY_CLOSED, Reason.ORDER_NOT_FOUND):
                raise _closed() from None
            raise

    async def cancel_all(self, account: str, market: str | None) -> None:
        if market and market not in self._instruments:
            raise no_market(market)
        for standing in await self._desk.open_orders(account):
            if not market or standing.record.terms.market == market:
                await self._quietly_canceled(account, standing.record)

    async def cancel_batch(self, account: str, batch: CancelBatch) -> list[dict[str, Any]]:
        results = []
        for order_id in batch.order_ids or ():
            number = number_of(order_id)
            found = {} if number is None else await self._records.by_number(account, [number])
            results.append(await self._batch_result(account, next(iter(found.values()), None), order_id, ""))
        for client_id in batch.client_order_ids or ():
            record = await self._records.by_client_id(account, client_id)
            results.append(await self._batch_result(account, record, "", client_id))
        return results

    async def _batch_result(self, account: str, record: Record | None, order_id: str, client_id: str) -> dict[str, Any]:
        if record is None:
            return {"id": order_id, "client_id": client_id, "account": account, "market": "", "status": "NOT_FOUND"}
        canceled = await self._quietly_canceled(account, record)
        return {
            "id": id_of(record),
            "client_id": record.client_id or "",
            "account": account,
            "market": record.terms.market,
            "status": "QUEUED_FOR_CANCELLATION" if canceled else "ALREADY_CLOSED",
        }

    async def _quietly_canceled(self, account: str, record: Record) -> bool:
        try:
            await self.cancel(account, record)
        except ApiError:
            return False
        return True

    async def set_margin(self, account: str, market: str, request: MarginRequest) -> dict[str, Any]:
        """:raises ApiError: the market or its leverage is wrong."""
        if market not in self._instruments:
            raise no_market(market)
        if request.margin_type == "ISOLATED":
            raise invalid("isolated margin is not available here")
        try:
            await self._exchange.execute(SetLeverage(account=account, symbol=market, leverage=request.leverage))
        except VenueFailure as failure:
            raise invalid(failure.text) from None
        return {"account": account, "market": market, "leverage": request.leverage, "margin_type": "CROSS"}


def _as_new(outcome: Outcome[Terms]) -> dict[str, Any]:
    if isinstance(outcome, Standing):
        return order_shown(outcome, as_new=True)
    if outcome.record is None:
        raise ApiError(400, "DUPLICATED_CLIENT_ID", "client id is in use by an open order")
    if outcome.failure.reason is Reason.VENUE_UNAVAILABLE:
        raise ApiError(503, "SERVICE_UNAVAILABLE", "try again later")
    return order_shown(Standing(outcome.record, None), as_new=True)


def _signature(text: str) -> Signature:
    try:
        return parsed(text)
    except MalformedSignature:
        raise ApiError(400, "INVALID_ORDER_SIGNATURE", "signature is not an array of two numbers") from None


def _closed() -> ApiError:
    return ApiError(400, "ORDER_IS_CLOSED", "order is closed")
