"""ApeX's session. ccxt signs the requests; orders are put together here, because ccxt cannot send one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

from adapters.base import Submission
from adapters.ccxt_venues.apex import signing
from adapters.ccxt_venues.apex.signing import Contract
from adapters.ccxt_venues.bridge import raw
from adapters.ccxt_venues.bridge.quirks import Document
from adapters.ccxt_venues.bridge.raw import RawSession
from adapters.ccxt_venues.bridge.session import done
from adapters.ccxt_venues.checks import check
from adapters.ccxt_venues.link import before_sending
from adapters.ccxt_venues.numbers import exact, optional, positive, rounded
from adapters.ccxt_venues.refusals import Action
from normalization.accounts import Balance, Fill, Position
from normalization.decimals import BPS, ZERO, ceil_to, product, trimmed
from normalization.instruments import Instrument
from normalization.market_data import Fees, FundingRate, MarketSummary, MarkPrice
from normalization.orders import Order, OrderStatus, OrderType, Side

T = TypeVar("T")

_HOUR_MS: Final = 3_600_000
_RESTS_MS: Final = 28 * 24 * _HOUR_MS
"""How long an order rests at the most, as the venue recommends."""

_FEE_STEP: Final = Decimal("0.000001")
_RATE_STEP: Final = Decimal("0.0001")

_STATUSES: Final = {
    "PENDING": OrderStatus.OPEN,
    "OPEN": OrderStatus.OPEN,
    "UNTRIGGERED": OrderStatus.PENDING,
    "FILLED": OrderStatus.FILLED,
    # It may still execute.
    "CANCELING": OrderStatus.OPEN,
    "CANCELED": OrderStatus.CANCELED,
    "EXPIRED": OrderStatus.EXPIRED,
}
_TYPES: Final = {
    "LIMIT": OrderType.LIMIT,
    "MARKET": OrderType.MARKET,
    "STOP_MARKET": OrderType.STOP,
    "STOP_LIMIT": OrderType.STOP,
    "TAKE_PROFIT_MARKET": OrderType.TAKE_PROFIT,
    "TAKE_PROFIT_LIMIT": OrderType.TAKE_PROFIT,
}


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What an order's signature says of the account. Fee rates are fractions."""

    account_id: str
    maker_fee_rate: Decimal
    taker_fee_rate: Decimal


class ApexSession(RawSession):
    _account: Account | None = None

    async def get_mark_price(self, instrument: Instrument) -> MarkPrice:
        return await self._ticker(
            instrument,
            lambda row: MarkPrice(mark_price=positive(row["markPrice"]), index_price=optional(row["indexPrice"])),
        )

    async def get_funding_rate(self, instrument: Instrument) -> FundingRate:
        return await self._ticker(
            instrument,
            lambda row: FundingRate(rate=exact(row["fundingRate"]), next_funding_ms=_at_ms(row["nextFundingTime"])),
        )

    async def get_markets_with_funding(self) -> Sequence[MarketSummary]:
        def parse(rows: Mapping[str, Document]) -> list[MarketSummary]:
            return [
                _summary(instrument, rows[self._data_symbol(instrument)])
                for instrument in self._names.markets
                if self._data_symbol(instrument) in rows
            ]

        return await self._tickers(parse)

    async def get_fees(self, instrument: Instrument) -> Fees:
        account = await self._read(self._exchange.privateGetV3Account(), _account_of)
        return Fees(maker_bps=account.maker_fee_rate * BPS, taker_bps=account.taker_fee_rate * BPS)

    async def get_positions(self, instrument: Instrument | None) -> Sequence[Position]:
        def held(reply: Document) -> list[Document]:
            listed = self._on_known_markets(reply["data"]["positions"])
            return [row for row in listed if exact(row["size"])]

        rows = await self._read(self._exchange.privateGetV3Account(), held)
        if not rows:
            return []
        positions = await self._tickers(lambda tickers: [self._held(row, tickers) for row in rows])
        return raw.on(instrument, positions)

    async def get_open_orders(self, instrument: Instrument | None) -> Sequence[Order]:
        listed = await self._read(
            self._exchange.privateGetV3OpenOrders(),
            lambda reply: list(map(self._order_of, self._on_known_markets(reply["data"]))),
        )
        return raw.on(instrument, listed)

    async def get_fills(self, instrument: Instrument, limit: int) -> Sequence[Fill]:
        asked = self._exchange.privateGetV3Fills({"symbol": self._venue_symbol(instrument), "limit": limit})

        def parse(reply: Document) -> list[Fill]:
            rows = reply["data"]["orders"]
            return [_fill_of(row, instrument) for row in rows if not str(row["status"]).startswith("FAILED")]

        fills = await self._read(asked, parse)
        return sorted(fills, key=lambda fill: -fill.at_ms)[:limit]

    async def get_order(self, order_id: str, instrument: Instrument | None) -> Order:
        asked = self._exchange.privateGetV3Order({"id": self._known(order_id, instrument)})
        return await self._read(asked, lambda reply: self._order_of(reply["data"]))

    async def find_order(self, client_id: str, instrument: Instrument) -> Order | None:
        asked = self._exchange.privateGetV3OrderByClientOrderId({"id": client_id})
        return raw.ours(await self._unless_missing(asked, lambda reply: self._order_of(reply["data"])), client_id)

    async def test(self) -> Sequence[str]:
        await self.get_balance()
        missing = f"orders cannot be placed until the library that signs them is installed: {signing.INSTALL}"
        return [] if signing.is_installed() else [missing]

    async def place_order(self, submission: Submission) -> Order:
        check(submission)
        body = await self._body(submission)
        return await self._ask(
            Action.PLACE,
            self._exchange.privatePostV3Order(body),
            lambda reply: self._taken(reply["data"], submission),
        )

    async def set_leverage(self, instrument: Instrument, leverage: int) -> None:
        """The venue takes the inverse; ccxt would round it to more leverage than was asked for."""
        rate = ceil_to(Decimal(1) / leverage, _RATE_STEP)
        wanted = {"symbol": self._venue_symbol(instrument), "initialMarginRate": trimmed(rate)}
        await self._ask(Action.SET, self._exchange.privatePostV3SetInitialMarginRate(wanted), done)

    async def _body(self, submission: Submission) -> dict[str, Any]:
        """:raises VenueRejected: it cannot be signed here; nothing was sent."""
        await asyncio.to_thread(signing.load)
        intent, instrument = submission.intent, submission.instrument
        _, price, params = await self._terms(submission)
        account = await self._who()
        market = self._exchange.market(self._theirs(instrument))["info"]
        limit = exact(price or ZERO)
        contract = Contract(
            account_id=int(account.account_id),
            client_id=submission.client_id,
            pair_id=int(market["l2PairId"]),
            size=intent.size,
            price=limit,
            buys=intent.side is Side.BUY,
            maker_fee_rate=account.maker_fee_rate,
            taker_fee_rate=account.taker_fee_rate,
            decimals=market["settleDecimals"],
        )
        fee = ceil_to(product(product(intent.size, limit), account.taker_fee_rate), _FEE_STEP)
        hours = (self._now_ms() + _RESTS_MS) // _HOUR_MS
        return {
            "symbol": instrument.venue_symbol,
            "side": intent.side.value,
            "size": trimmed(intent.size),
            "price": price,
            "limitFee": trimmed(fee),
            "expiration": str(hours * _HOUR_MS),
            "clientId": submission.client_id,
            "signature": await asyncio.to_thread(signing.sign, contract, self._secrets["seeds"]),
            **params,
            **(self._quirks.reduce_only if intent.reduce_only else {}),
        }

    async def _who(self) -> Account:
        if self._account is None:
            asked = self._exchange.privateGetV3Account()
            self._account = await before_sending(self._read(asked, _account_of))
        return self._account

    def _taken(self, row: Document, submission: Submission) -> Order:
        """:raises ValueError: it is not plainly the order that was sent."""
        found = self._order_of(row)
        if found.client_id != submission.client_id:
            raise ValueError("not the order that was sent")
        return raw.as_sent(found, submission)

    def _data_symbol(self, instrument: Instrument) -> str:
        """What the market is called where its data is asked for."""
        name: str = self._exchange.market(self._theirs(instrument))["id2"]
        return name

    async def _ticker(self, instrument: Instrument, parse: Callable[[Document], T]) -> T:
        name = self._data_symbol(instrument)
        asked: Awaitable[Any] = self._exchange.publicGetV3Ticker({"symbol": name})

        def only(reply: Document) -> T:
            (row,) = (row for row in reply["data"] if row["symbol"] == name)
            return parse(row)

        return await self._read(asked, only)

    async def _tickers(self, parse: Callable[[Mapping[str, Document]], T]) -> T:
        return await self._read(
            self._exchange.publicGetV3DataAllTickerInfo(),
            lambda reply: parse({row["symbol"]: row for row in reply["data"]}),
        )

    def _held(self, row: Document, tickers: Mapping[str, Document]) -> Position:
        instrument, size = self._instrument(row["symbol"]), positive(row["size"])
        chosen = optional(row["customInitialMarginRate"])
        usual = self._exchange.market(self._theirs(instrument))["info"]["defaultInitialMarginRate"]
        return raw.position(
            instrument,
            signed_size={"LONG": size, "SHORT": -size}[row["side"]],
            entry_price=positive(row["entryPrice"]),
            mark_price=positive(tickers[self._data_symbol(instrument)]["markPrice"]),
            leverage=round(1 / (chosen or exact(usual))),
        )

    def _order_of(self, row: Document) -> Order:
        size, filled, kind = positive(row["size"]), exact(row["cumMatchFillSize"]), _TYPES[row["type"]]
        waits = kind in (OrderType.STOP, OrderType.TAKE_PROFIT)
        # Of an order that was just taken it says PENDING, whatever it is.
        status = OrderStatus.PENDING if waits and row["status"] == "PENDING" else _STATUSES[row["status"]]
        return Order(
            order_id=raw.number(row["id"]),
            client_id=row.get("clientOrderId") or row.get("clientId"),
            symbol=self._instrument(row["symbol"]).symbol,
            side=Side(row["side"]),
            type=kind,
            size=size,
            filled_size=filled,
            price=positive(row["price"]) if kind is OrderType.LIMIT else None,
            trigger_price=positive(row["triggerPrice"]) if waits else None,
            average_price=rounded(positive(row["cumMatchFillValue"]) / filled) if filled else None,
            fee=exact(row["cumMatchFillFee"]) if filled else None,
            reduce_only=row["reduceOnly"] is True,
            status=raw.checked(status, filled, size),
            created_at_ms=int(row["createdAt"]),
        )


def balance(reply: Document) -> Balance:
    equity = exact(reply["totalEquityValue"])
    return Balance(equity=equity, free_collateral=exact(reply["availableBalance"]), account_value=equity)


def _account_of(reply: Document) -> Account:
    return Account(
        account_id=raw.number(reply["data"]["id"]),
        maker_fee_rate=exact(reply["data"]["contractAccount"]["makerFeeRate"]),
        taker_fee_rate=exact(reply["data"]["contractAccount"]["takerFeeRate"]),
    )


def _summary(instrument: Instrument, row: Document) -> MarketSummary:
    mark = positive(row["markPrice"])
    return MarketSummary(
        symbol=instrument.symbol,
        mark_price=mark,
        funding_rate=exact(row["fundingRate"]),
        open_interest=product(exact(row["openInterest"]), mark),
    )


def _fill_of(row: Document, instrument: Instrument) -> Fill:
    return Fill(
        fill_id=raw.number(row["id"]),
        order_id=raw.number(row["orderId"]),
        symbol=instrument.symbol,
        side=Side(row["side"]),
        size=positive(row["size"]),
        price=positive(row["price"]),
        fee=exact(row["fee"]),
        at_ms=int(row["createdAt"]),
    )


def _at_ms(text: str) -> int:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("a time without its zone")
    return int(at.timestamp() * 1000)
