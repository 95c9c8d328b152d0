"""What can be asked of one's own account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from normalization.decimals import ZERO
from normalization.instruments import Instrument
from sandbox.engine.orders import FillRecord
from sandbox.paradex import account_views
from sandbox.paradex.errors import bad_parameter, no_market
from sandbox.paradex.orders import Record, Terms, order_shown
from sandbox.paradex.pages import Page, page_of, paged
from sandbox.wires.desk import Desk
from sandbox.wires.exchange import WireExchange
from sandbox.wires.payments import PaidSinceOpen, payments
from sandbox.wires.records import Records

_ALL_FILLS: Final = 10_000
_SCANNED: Final = 5_000

Query = Mapping[str, str]


class AccountApi:
    def __init__(
        self,
        exchange: WireExchange,
        records: Records[Terms],
        desk: Desk[Terms],
        instruments: Mapping[str, Instrument],
    ) -> None:
        self._exchange = exchange
        self._records = records
        self._desk = desk
        self._instruments = instruments
        self._paid = PaidSinceOpen(exchange)

    async def account(self, account: str) -> dict[str, Any]:
        return await self._exchange.read(lambda engine: account_views.account(engine, account))

    async def balance(self, account: str) -> list[dict[str, Any]]:
        return [await self._exchange.read(lambda engine: account_views.balance(engine, account))]

    async def positions(self, account: str) -> list[dict[str, Any]]:
        paid = await self._paid.of(account)
        fills = await self._exchange.fills(account, _ALL_FILLS)
        return await self._exchange.read(lambda engine: account_views.positions(engine, account, fills, paid))

    async def margin(self, account: str, query: Query) -> dict[str, Any]:
        symbols = [query["market"]] if query.get("market") else list(self._instruments)
        if symbols[0] not in self._instruments:
            raise no_market(symbols[0])
        configs = await self._exchange.read(
            lambda engine: [account_views.margin(engine, account, symbol) for symbol in symbols]
        )
        return {"account": account, "configs": configs, "margin_methodology": "cross_margin"}

    async def open_orders(self, account: str, query: Query) -> list[dict[str, Any]]:
        """Newest first."""
        market = query.get("market")
        standings = await self._desk.open_orders(account)
        return [order_shown(s) for s in reversed(standings) if not market or s.record.terms.market == market]

    async def orders_history(self, account: str, query: Query) -> dict[str, Any]:
        page = page_of(query)
        client_id = query.get("client_id")
        if client_id:
            records = await self._records.with_client_id(account, client_id)
        else:
            records = await self._records.recent(account, _SCANNED, page.before)
        records = [r for r in records if page.has(r.number, r.created_at_ms) and _matches(r, query)]
        standings = await self._desk.standings(records[: page.size + 1]) if records else []
        shown = [(standing.record.number, order_shown(standing)) for standing in standings]
        status = query.get("status")
        return paged(page, [entry for entry in shown if not status or entry[1]["status"] == status])

    async def fills(self, account: str, query: Query) -> dict[str, Any]:
        page, market = page_of(query), query.get("market")
        every = await self._exchange.fills(account, _ALL_FILLS)
        chosen = [f for f in every if page.has(f.number, f.at_ms) and market in (None, "", f.symbol)]
        chosen = chosen[: page.size + 1]
        numbers = await self._records.numbers_of(list({fill.order_id for fill in chosen}))
        records = await self._records.by_number(account, list(set(numbers.values())))
        left = _left_after(every, numbers, records)
        shown = [
            (fill.number, account_views.fill(fill, records.get(numbers.get(fill.order_id, -1)), left[fill.number]))
            for fill in chosen
        ]
        return paged(page, shown)

    async def funding_payments(self, account: str, query: Query) -> dict[str, Any]:
        market = query.get("market")
        if not market:
            raise bad_parameter("market is required")
        page: Page = page_of(query)
        fills = await self._exchange.fills(account, _ALL_FILLS)
        found = await self._exchange.read(
            lambda engine: list(payments(engine, fills, page.start_ms, min(page.end_ms, engine.now_ms)))
        )
        chosen = [(p.at_ms // 3_600_000, p) for p in reversed(found) if p.symbol == market]
        shown = [(n, account_views.payment(account, p, n)) for n, p in chosen if page.has(n, p.at_ms)]
        return paged(page, shown)


def _matches(record: Record, query: Query) -> bool:
    terms = record.terms
    return all(not query.get(name) or query[name] == value for name, value in _filters(terms))


def _filters(terms: Terms) -> Sequence[tuple[str, str]]:
    return ("market", terms.market), ("side", terms.side), ("type", terms.type)


def _left_after(
    fills: Sequence[FillRecord], numbers: Mapping[str, int], records: Mapping[int, Record]
) -> dict[int, Decimal]:
    """What each fill left of its order, by the fill's number. ``fills`` are newest first."""
    left: dict[int, Decimal] = {}
    filled: dict[int, Decimal] = {}
    for fill in reversed(fills):
        order = numbers.get(fill.order_id, -1)
        filled[order] = filled.get(order, ZERO) + fill.size
        record = records.get(order)
        left[fill.number] = ZERO if record is None else max(ZERO, record.terms.size - filled[order])
    return left
