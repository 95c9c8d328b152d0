"""Nado's session: ccxt signs what is put together here, and sends it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from adapters.base import Submission
from adapters.ccxt_venues.bridge import raw
from adapters.ccxt_venues.bridge.quirks import Document
from adapters.ccxt_venues.bridge.raw import RawSession
from adapters.ccxt_venues.bridge.session import done
from adapters.ccxt_venues.checks import check, refused
from adapters.ccxt_venues.hyperliquid.signing import Signer
from adapters.ccxt_venues.link import before_sending
from adapters.ccxt_venues.nado import wire
from adapters.ccxt_venues.numbers import exact, positive
from adapters.ccxt_venues.refusals import Action
from normalization.accounts import Balance, Fill, Position
from normalization.decimals import BPS, ZERO
from normalization.instruments import Instrument
from normalization.market_data import Fees, FundingRate, MarketSummary, MarkPrice
from normalization.orders import Limit, Order, OrderStatus, PostOnly, TimeInForce
from normalization.venue_failures import Reason, VenueRejected

DEFAULT_SUBACCOUNT: Final = "default"

_READ_WITHIN_MS: Final = 10_000


class NadoSession(RawSession):
    async def get_mark_price(self, instrument: Instrument) -> MarkPrice:
        return await self._read(
            self._exchange.archiveV2PublicGetContracts(),
            lambda reply: MarkPrice(
                mark_price=positive(reply[self._ticker(instrument)]["mark_price"]),
                index_price=positive(reply[self._ticker(instrument)]["index_price"]),
            ),
        )

    async def get_funding_rate(self, instrument: Instrument) -> FundingRate:
        return await self._read(
            self._exchange.archiveV2PublicGetContracts(),
            lambda reply: FundingRate(
                rate=wire.hourly_funding(reply[self._ticker(instrument)]),
                next_funding_ms=int(reply[self._ticker(instrument)]["next_funding_rate_timestamp"]) * 1000,
            ),
        )

    async def get_markets_with_funding(self) -> Sequence[MarketSummary]:
        def parse(reply: Document) -> list[MarketSummary]:
            return [
                MarketSummary(
                    symbol=self._instrument(row["product_id"]).symbol,
                    mark_price=positive(row["mark_price"]),
                    funding_rate=wire.hourly_funding(row),
                    open_interest=exact(row["open_interest_usd"]),
                )
                for row in self._on_known_markets(reply.values(), "product_id")
            ]

        return await self._read(self._exchange.archiveV2PublicGetContracts(), parse)

    async def get_fees(self, instrument: Instrument) -> Fees:
        market = self._exchange.market(self._theirs(instrument))["info"]
        return Fees(
            maker_bps=wire.from_x18(market["maker_fee_rate_x18"]) * BPS,
            taker_bps=wire.from_x18(market["taker_fee_rate_x18"]) * BPS,
        )

    async def get_balance(self) -> Balance:
        return await self._read(self._account(), wire.balance)

    async def get_positions(self, instrument: Instrument | None) -> Sequence[Position]:
        def parse(reply: Document) -> list[Position]:
            oracle = {row["product_id"]: row["oracle_price_x18"] for row in reply["data"]["perp_products"]}
            return [
                wire.position(row["balance"], oracle[row["product_id"]], self._instrument(row["product_id"]))
                for row in self._on_known_markets(reply["data"]["perp_balances"], "product_id")
                if wire.from_x18(row["balance"]["amount"])
            ]

        return raw.on(instrument, await self._read(self._account(), parse))

    async def get_open_orders(self, instrument: Instrument | None) -> Sequence[Order]:
        products = [self._product(i) for i in ([instrument] if instrument else self._names.markets)]
        # In this order: what fires in between is among the open ones, and not missed.
        waiting = await self._triggers(products, self._waiting)
        resting = await self._open(products, self._resting)
        return resting + [order for order in waiting if order.status is OrderStatus.PENDING]

    async def get_fills(self, instrument: Instrument, limit: int) -> Sequence[Fill]:
        wanted = {"subaccounts": [self._sender], "product_ids": [self._product(instrument)], "limit": limit}

        def parse(reply: Document) -> list[Fill]:
            seconds = {row["submission_idx"]: int(row["timestamp"]) for row in reply["txs"]}
            return [wire.fill(row, instrument, seconds[row["submission_idx"]]) for row in reply["matches"]]

        fills = await self._read(self._exchange.archivePost({"matches": wanted}), parse)
        return sorted(fills, key=lambda fill: -fill.at_ms)[:limit]

    async def get_order(self, order_id: str, instrument: Instrument | None) -> Order:
        digest, product = self._known(order_id, instrument), self._product(instrument)
        asked = self._exchange.gatewayPublicGetQuery({"type": "order", "product_id": product, "digest": digest})
        order = (
            await self._unless_missing(asked, lambda reply: self._resting(reply["data"]))
            or await self._finished({"digests": [digest]}, lambda row: row["digest"] == digest)
            or raw.numbered(await self._triggers([product], self._waiting), digest)
        )
        if order is None:
            raise VenueRejected(Reason.ORDER_NOT_FOUND, "the venue has no such order")
        return order

    async def find_order(self, client_id: str, instrument: Instrument) -> Order | None:
        """:raises VenueUnclear: it is not among as many orders as the venue tells of at once."""
        mark, product = wire.Mark.of(client_id), self._product(instrument)
        fired = next(iter(await self._triggers([product], self._waiting, mark)), None)
        if fired is not None and not fired.status.is_final:
            return raw.ours(fired, client_id)
        order = next(iter(await self._open([product], self._resting, mark)), None)
        if order is None:
            wanted = {"subaccounts": [self._sender], "product_ids": [product], "limit": wire.PAGE}
            order = await self._finished(wanted, mark.is_on)
        # What a trigger order became is told there in full, and not among the triggers.
        return raw.ours(order or fired, client_id)

    async def test(self) -> Sequence[str]:
        """Reading takes no key here, so it is asked which key may sign.

        :raises VenueRejected: this one is neither the account's own nor its linked signer.
        """
        signer = Signer(self._exchange.privateKey, mainnet=True).address
        if signer == self._secrets["account_address"].lower():
            await self.get_balance()
            return ["this is the account's own key, which can withdraw: a linked signer is enough"]
        asked = self._exchange.gatewayPublicGetQuery({"type": "linked_signer", "subaccount": self._sender})
        linked = await self._read(asked, lambda reply: reply["data"]["linked_signer"].lower())
        if linked != signer:
            problem = "the key is neither the account's own nor the subaccount's linked signer"
            raise VenueRejected(Reason.AUTHENTICATION_FAILED, problem)
        return ["a linked signer can also withdraw, though only to the account's own address"]

    async def place_order(self, submission: Submission) -> Order:
        check(submission)
        raw.time_left_ms(submission, self._now_ms())
        signed = await self._signed(submission)
        waits = submission.intent.trigger_price is not None
        post = self._exchange.triggerPrivatePostExecute if waits else self._exchange.gatewayPrivatePostExecute
        return await self._ask(
            Action.PLACE,
            post({"place_order": signed}),
            lambda reply: raw.accepted(submission, raw.number(reply["data"]["digest"]), self._now_ms()),
        )

    async def cancel_order(self, order_id: str, instrument: Instrument | None) -> None:
        digest, theirs = self._known(order_id, instrument), self._their_symbol(instrument)
        await self._contracts()
        try:
            await self._ask(Action.CANCEL, self._exchange.cancel_orders([digest], theirs), _canceled)
        except VenueRejected as refusal:
            if refusal.reason is not Reason.ORDER_NOT_FOUND:
                raise
            await self._ask(Action.CANCEL, self._exchange.cancel_orders([digest], theirs, {"trigger": True}), done)

    async def cancel_by_client_id(self, client_id: str, instrument: Instrument) -> None:
        mark, product = wire.Mark.of(client_id), self._product(instrument)
        waiting = await self._triggers([product], self._waiting, mark)
        resting = await self._open([product], self._resting, mark)
        order = next((order for order in (*resting, *waiting) if not order.status.is_final), None)
        if order is None:
            raise VenueRejected(Reason.ORDER_NOT_FOUND, "the venue has no open order of ours with that id")
        await self.cancel_order(order.order_id, instrument)

    async def cancel_all(self, instrument: Instrument) -> None:
        theirs = self._theirs(instrument)
        await self._contracts()
        await self._ask(Action.CANCEL, self._exchange.cancel_all_orders(theirs), done)
        await self._ask(Action.CANCEL, self._exchange.cancel_all_orders(theirs, {"trigger": True}), done)

    @property
    def _sender(self) -> str:
        name = self._secrets.get("subaccount", DEFAULT_SUBACCOUNT)
        sender: str = self._exchange.create_subaccount(self._secrets["account_address"], name)
        return sender

    def _product(self, instrument: Instrument | None) -> int:
        return int(self._venue_symbol(instrument))

    def _ticker(self, instrument: Instrument) -> str:
        name: str = self._exchange.market(self._theirs(instrument))["info"]["ticker_id"]
        return name

    def _account(self) -> Awaitable[Any]:
        wanted = {"type": "subaccount_info", "subaccount": self._sender}
        asked: Awaitable[Any] = self._exchange.gatewayPublicGetQuery(wanted)
        return asked

    async def _contracts(self) -> Mapping[str, str]:
        """What signatures are made over. ccxt would ask for it as if that were part of the order."""
        options = self._exchange.options
        if "gatewayContracts" not in options:
            asked = self._exchange.gatewayPublicGetQuery({"type": "contracts"})
            options["gatewayContracts"] = await before_sending(self._read(asked, _contracts))
        found: Mapping[str, str] = options["gatewayContracts"]
        return found

    async def _signed(self, submission: Submission) -> dict[str, Any]:
        """:raises VenueRejected: the venue has no such order; nothing was sent."""
        intent, mark = submission.intent, wire.Mark.of(submission.client_id)
        product = self._product(submission.instrument)
        match intent.execution:
            case PostOnly() | Limit(time_in_force=TimeInForce.GTC) if intent.reduce_only:
                raise refused("a reduce-only order of this venue cannot rest: use IOC, FOK or a market order")
        _, price, _ = await self._terms(submission)
        contracts = await self._contracts()
        order = {
            "sender": self._sender,
            "priceX18": wire.to_x18(exact(price or ZERO)),
            "amount": wire.to_x18(intent.side.sign * intent.size),
            "expiration": str(mark.expiration),
            "nonce": str(mark.nonce(submission.valid_until_ms)),
            "appendix": str(wire.appendix(intent)),
        }
        signature = self._exchange.sign_order(order, product, contracts["chain_id"])
        return {"product_id": product, "order": order, "signature": signature, **wire.trigger(intent)}

    async def _triggers(
        self, products: Sequence[int], parse: Callable[[Document], Order], mark: wire.Mark | None = None
    ) -> list[Order]:
        """The trigger orders on those markets that the venue still knows, whatever became of them."""
        contracts = await self._contracts()
        tx = {"sender": self._sender, "recvTime": str(self._now_ms() + _READ_WITHIN_MS)}
        signature = self._exchange.sign_fetch_trigger_orders(tx, contracts["chain_id"], contracts["endpoint_addr"])
        wanted = {"type": "list_trigger_orders", "tx": tx, "product_ids": list(products), "limit": wire.PAGE}
        return await self._read(
            self._exchange.triggerPrivatePostQuery({**wanted, "signature": signature}),
            lambda reply: [
                parse(row)
                for row in wire.whole(reply["data"]["orders"])
                if mark is None or mark.is_on(row["order"]["order"])
            ],
        )

    async def _open(
        self, products: Sequence[int], parse: Callable[[Document], Order], mark: wire.Mark | None = None
    ) -> list[Order]:
        wanted = {"type": "orders", "sender": self._sender, "product_ids": list(products)}
        return await self._read(
            self._exchange.gatewayPublicPostQuery(wanted),
            lambda reply: [
                parse(row)
                for listed in reply["data"]["product_orders"]
                for row in listed["orders"]
                if mark is None or mark.is_on(row)
            ],
        )

    async def _finished(self, wanted: Mapping[str, Any], fits: Callable[[Document], bool]) -> Order | None:
        def parse(reply: Document) -> Order | None:
            found = next((row for row in reply["orders"] if fits(row)), None)
            if found is None:
                wire.whole(reply["orders"])
                return None
            return wire.archived_order(found, self._instrument(found["product_id"]))

        return await self._read(self._exchange.archivePost({"orders": wanted}), parse)

    def _resting(self, row: Document) -> Order:
        return wire.resting_order(row, self._instrument(row["product_id"]))

    def _waiting(self, row: Document) -> Order:
        return wire.trigger_order(row, self._instrument(row["order"]["product_id"]))


def _canceled(orders: Sequence[Document]) -> None:
    """:raises VenueRejected: the venue has canceled none."""
    if not orders:
        raise VenueRejected(Reason.ORDER_NOT_FOUND, "the venue has no open order of that id")


def _contracts(reply: Document) -> dict[str, str]:
    return {name: str(reply["data"][name]) for name in ("chain_id", "endpoint_addr")}
