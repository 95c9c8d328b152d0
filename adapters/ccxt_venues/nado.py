"""Nado: an order book whose orders are EIP-712 structs, known by their digest and by nothing else.

The venue has no client order ids. Ours is in what is signed: twenty bits of it in the nonce, where the venue wants a
random number, and twenty-seven in the second at which the order expires, some eighty years from now. Its own SDKs are
the source of what ccxt leaves out or reads wrongly, such as the price of a fill.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from adapters.base import (
    NATIVE,
    Capabilities,
    Capability,
    CredentialField,
    LeverageScope,
    Network,
    Submission,
    TriggerSource,
)
from adapters.ccxt_venues.bridge import raw
from adapters.ccxt_venues.bridge.quirks import ALL_TIMES_IN_FORCE, Document, Quirks, fires_on_the_way_up
from adapters.ccxt_venues.bridge.raw import RawSession
from adapters.ccxt_venues.bridge.service import bridged
from adapters.ccxt_venues.bridge.session import done
from adapters.ccxt_venues.checks import check, refused
from adapters.ccxt_venues.hyperliquid.signing import Signer
from adapters.ccxt_venues.link import before_sending
from adapters.ccxt_venues.numbers import exact, positive, rounded
from adapters.ccxt_venues.refusals import Action
from adapters.ccxt_venues.secret_checks import ethereum_address, ethereum_key, nado_subaccount
from normalization.accounts import Balance, Fill, Position
from normalization.decimals import BPS, ZERO
from normalization.instruments import Instrument
from normalization.market_data import Fees, FundingRate, MarketSummary, MarkPrice
from normalization.orders import (
    Limit,
    Market,
    Order,
    OrderIntent,
    OrderStatus,
    OrderType,
    PostOnly,
    Side,
    Stop,
    TakeProfit,
    TimeInForce,
)
from normalization.venue_failures import Reason, VenueRejected

CAPABILITIES: Final = Capabilities(
    supports=NATIVE - {Capability.PROTECTION, Capability.LEVERAGE},
    unsupported={
        Capability.PROTECTION: "Place two reduce-only stop orders, and cancel the other when one has filled.",
        Capability.LEVERAGE: "Margin is cross, by each market's weight: choose the leverage by the size of the order.",
    },
    emulated={
        Capability.FEES: "the market's published rates",
        Capability.BATCH: "one order after the other",
        Capability.CLOSE_POSITIONS: "reduce-only market orders",
    },
    request_expiry=True,
    triggers_expire=False,
    # Whether an order that was canceled unfilled stays in the archive is not documented.
    lookup_includes_finished=False,
    trigger_source=TriggerSource.INDEX,
    needs_market_to_cancel=True,
    client_id="12 hex digits: 47 bits in the signed nonce and expiration",
    leverage_scope=LeverageScope.NONE,
    least_privilege="a linked signer: it can withdraw too, but only to the account's own address",
)

_X18: Final = Decimal(10) ** 18
_HOURS: Final = 24
_PAGE: Final = 500

_VERSION: Final = 1
_REDUCE_ONLY: Final = 1 << 11
_BY_PRICE: Final = 1 << 12
_KINDS: Final = {TimeInForce.GTC: 0, TimeInForce.IOC: 1, TimeInForce.FOK: 2}
_POST_ONLY: Final = 3

_RANDOM_BITS: Final = 20
_EXPIRY_BITS: Final = 27
_LAST_EXPIRY: Final = (1 << 32) - 1


class Mark(msgspec.Struct, frozen=True):
    """What of an order tells that it is ours: where the venue would have a random number, and when it expires."""

    random: int
    expiration: int

    @classmethod
    def of(cls, client_id: str) -> Mark:
        number = int(client_id, 16)
        return cls(number & ((1 << _RANDOM_BITS) - 1), _LAST_EXPIRY - (number >> _RANDOM_BITS))

    def is_on(self, row: Document) -> bool:
        bits = int(row["nonce"]) & ((1 << _RANDOM_BITS) - 1)
        return (bits, int(row["expiration"])) == (self.random, self.expiration)


class NadoSession(RawSession):
    async def get_mark_price(self, instrument: Instrument) -> MarkPrice:
        return await self._read(
            self._exchange.archiveV2PublicGetContracts(),
            lambda reply: MarkPrice(
                mark_price=positive(self._contract(reply, instrument)["mark_price"]),
                index_price=positive(self._contract(reply, instrument)["index_price"]),
            ),
        )

    async def get_funding_rate(self, instrument: Instrument) -> FundingRate:
        return await self._read(
            self._exchange.archiveV2PublicGetContracts(),
            lambda reply: FundingRate(
                rate=_hourly(self._contract(reply, instrument)),
                next_funding_ms=int(self._contract(reply, instrument)["next_funding_rate_timestamp"]) * 1000,
            ),
        )

    async def get_markets_with_funding(self) -> Sequence[MarketSummary]:
        def parse(reply: Document) -> list[MarketSummary]:
            return [
                MarketSummary(
                    symbol=self._instrument(row["product_id"]).symbol,
                    mark_price=positive(row["mark_price"]),
                    funding_rate=_hourly(row),
                    open_interest=exact(row["open_interest_usd"]),
                )
                for row in self._on_known_markets(reply.values(), "product_id")
            ]

        return await self._read(self._exchange.archiveV2PublicGetContracts(), parse)

    async def get_fees(self, instrument: Instrument) -> Fees:
        market = self._exchange.market(self._theirs(instrument))["info"]
        return Fees(
            maker_bps=_from_x18(market["maker_fee_rate_x18"]) * BPS,
            taker_bps=_from_x18(market["taker_fee_rate_x18"]) * BPS,
        )

    async def get_balance(self) -> Balance:
        return await self._read(self._account(), _balance_of)

    async def get_positions(self, instrument: Instrument | None) -> Sequence[Position]:
        def parse(reply: Document) -> list[Position]:
            products = {row["product_id"]: row for row in reply["data"]["perp_products"]}
            listed = self._on_known_markets(reply["data"]["perp_balances"], "product_id")
            return [
                self._holding(row["balance"], products[row["product_id"]])
                for row in listed
                if exact(row["balance"]["amount"])
            ]

        return raw.on(instrument, await self._read(self._account(), parse))

    async def get_open_orders(self, instrument: Instrument | None) -> Sequence[Order]:
        products = [int(i.venue_symbol) for i in ([instrument] if instrument else self._names.markets)]
        # In this order: what fires in between is among the open ones, and not missed.
        waiting = [self._waiting(row) for row in await self._triggers(products)]
        resting = [self._resting(row) for row in await self._open(products)]
        return resting + [order for order in waiting if order.status is OrderStatus.PENDING]

    async def get_fills(self, instrument: Instrument, limit: int) -> Sequence[Fill]:
        wanted = {"subaccounts": [self._sender], "product_ids": [self._product(instrument)], "limit": limit}

        def parse(reply: Document) -> list[Fill]:
            seconds = {row["submission_idx"]: int(row["timestamp"]) for row in reply["txs"]}
            return [_fill_of(row, instrument, seconds[row["submission_idx"]]) for row in reply["matches"]]

        fills = await self._read(self._exchange.archivePost({"matches": wanted}), parse)
        return sorted(fills, key=lambda fill: -fill.at_ms)[:limit]

    async def get_order(self, order_id: str, instrument: Instrument | None) -> Order:
        digest, product = self._known(order_id, instrument), self._product(instrument)
        wanted = {"type": "order", "product_id": product, "digest": digest}
        order = await self._unless_missing(
            self._exchange.gatewayPublicGetQuery(wanted), lambda reply: self._resting(reply["data"])
        )
        order = order or await self._finished({"digests": [digest]}, lambda row: row["digest"] == digest)
        if order is None:
            triggers = await self._triggers([product])
            order = next((self._waiting(row) for row in triggers if row["order"]["digest"] == digest), None)
        if order is None:
            raise VenueRejected(Reason.ORDER_NOT_FOUND, "the venue has no such order")
        return order

    async def find_order(self, client_id: str, instrument: Instrument) -> Order | None:
        """:raises VenueUnclear: it is not among as many orders as the venue tells of at once."""
        mark, product = Mark.of(client_id), self._product(instrument)
        triggers = await self._triggers([product])
        fired = next((self._waiting(row) for row in triggers if mark.is_on(row["order"]["order"])), None)
        if fired is not None and not fired.status.is_final:
            return raw.ours(fired, client_id)
        order = next((self._resting(row) for row in await self._open([product]) if mark.is_on(row)), None)
        wanted = {"subaccounts": [self._sender], "product_ids": [product], "limit": _PAGE}
        order = order or await self._finished(wanted, mark.is_on)
        # Of what a trigger order became, more is known there than in the list of triggers.
        return raw.ours(order or fired, client_id)

    async def test(self) -> Sequence[str]:
        """Reading takes no key here, so what the key may do is asked for.

        :raises VenueRejected: it is neither the account's own nor its linked signer.
        """
        signer = Signer(self._exchange.privateKey, mainnet=True).address
        if signer == self._secrets["account_address"].lower():
            return ["this is the account's own key, which can withdraw: a linked signer is enough"]
        wanted = {"type": "linked_signer", "subaccount": self._sender}
        linked = await self._read(
            self._exchange.gatewayPublicGetQuery(wanted), lambda reply: reply["data"]["linked_signer"].lower()
        )
        if linked != signer:
            raise VenueRejected(
                Reason.AUTHENTICATION_FAILED, "the key is neither the account's own nor the subaccount's linked signer"
            )
        return ["a linked signer can also withdraw, though only to the account's own address"]

    async def place_order(self, submission: Submission) -> Order:
        check(submission)
        price, appendix = await self._price_and_appendix(submission)
        await self._learn_contracts()
        is_trigger = submission.intent.trigger_price is not None
        post = self._exchange.triggerPrivatePostExecute if is_trigger else self._exchange.gatewayPrivatePostExecute

        async def send() -> Document:
            return await post({"place_order": self._signed(submission, price, appendix)})

        return await self._ask(
            Action.PLACE, send(), lambda reply: raw.accepted(submission, reply["data"]["digest"], self._now_ms())
        )

    async def cancel_order(self, order_id: str, instrument: Instrument | None) -> None:
        digest = self._known(order_id, instrument)
        self._product(instrument)
        await self._learn_contracts()
        theirs = self._their_symbol(instrument)
        await self._first_that_has_it(
            self._exchange.cancel_orders([digest], theirs),
            lambda: self._exchange.cancel_orders([digest], theirs, {"trigger": True}),
        )

    async def cancel_by_client_id(self, client_id: str, instrument: Instrument) -> None:
        mark, product = Mark.of(client_id), self._product(instrument)
        waiting = [
            row["order"]["digest"] for row in await self._triggers([product]) if mark.is_on(row["order"]["order"])
        ]
        resting = [row["digest"] for row in await self._open([product]) if mark.is_on(row)]
        for digest in (*resting, *waiting):
            await self.cancel_order(digest, instrument)
            return
        raise VenueRejected(Reason.ORDER_NOT_FOUND, "the venue has no open order of ours with that id")

    async def cancel_all(self, instrument: Instrument) -> None:
        theirs = self._theirs(instrument)
        await self._learn_contracts()
        await self._ask(Action.CANCEL, self._exchange.cancel_all_orders(theirs), done)
        await self._ask(Action.CANCEL, self._exchange.cancel_all_orders(theirs, {"trigger": True}), done)

    @property
    def _sender(self) -> str:
        sender: str = self._exchange.create_subaccount(self._exchange.walletAddress, _subaccount(self._secrets))
        return sender

    def _product(self, instrument: Instrument | None) -> int:
        return int(self._venue_symbol(instrument))

    def _account(self) -> Awaitable[Any]:
        asked: Awaitable[Any] = self._exchange.gatewayPublicGetQuery(
            {"type": "subaccount_info", "subaccount": self._sender}
        )
        return asked

    def _contract(self, reply: Document, instrument: Instrument) -> Document:
        """What the archive tells of that market."""
        return reply[self._exchange.market(self._theirs(instrument))["info"]["ticker_id"]]

    async def _learn_contracts(self) -> None:
        """What signatures are made over: ccxt would ask as if it were part of the order."""
        options = self._exchange.options
        if "gatewayContracts" not in options:
            asked = self._exchange.gatewayPublicGetQuery({"type": "contracts"})
            options["gatewayContracts"] = await before_sending(self._read(asked, _contracts_of))

    async def _price_and_appendix(self, submission: Submission) -> tuple[Decimal, int]:
        """A trigger order is an IOC order that waits; there is no other market order.

        :raises VenueRejected: the venue has no such order; nothing was sent.
        """
        intent = submission.intent
        if intent.reduce_only and isinstance(intent.execution, PostOnly | Limit):
            if not isinstance(intent.execution, Limit) or intent.execution.time_in_force is TimeInForce.GTC:
                raise refused("a reduce-only order of this venue cannot rest: use IOC, FOK or a market order")
        _, price, _ = await self._terms(submission)
        return exact(price or ZERO), appendix_of(intent)

    def _signed(self, submission: Submission, price: Decimal, appendix: int) -> dict[str, Any]:
        intent, mark = submission.intent, Mark.of(submission.client_id)
        product = self._product(submission.instrument)
        order = {
            "sender": self._sender,
            "priceX18": _to_x18(price),
            "amount": _to_x18(intent.side.sign * intent.size),
            "expiration": str(mark.expiration),
            "nonce": str((submission.valid_until_ms << _RANDOM_BITS) | mark.random),
            "appendix": str(appendix),
        }
        chain = self._exchange.options["gatewayContracts"]["chain_id"]
        signature = self._exchange.sign_order(order, product, chain)
        return {"product_id": product, "order": order, "signature": signature} | _trigger_of(intent)

    async def _triggers(self, products: Sequence[int]) -> list[Document]:
        """All trigger orders on those markets that the venue still knows, whatever became of them."""
        await self._learn_contracts()
        contracts = self._exchange.options["gatewayContracts"]

        async def ask() -> Document:
            tx = {"sender": self._sender, "recvTime": str(self._now_ms() + 10_000)}
            signature = self._exchange.sign_fetch_trigger_orders(tx, contracts["chain_id"], contracts["endpoint_addr"])
            wanted = {"type": "list_trigger_orders", "tx": tx, "product_ids": list(products), "limit": _PAGE}
            return await self._exchange.triggerPrivatePostQuery({**wanted, "signature": signature})

        return await self._read(ask(), lambda reply: _whole(reply["data"]["orders"]))

    async def _open(self, products: Sequence[int]) -> list[Document]:
        wanted = {"type": "orders", "sender": self._sender, "product_ids": list(products)}
        return await self._read(
            self._exchange.gatewayPublicPostQuery(wanted),
            lambda reply: [row for listed in reply["data"]["product_orders"] for row in listed["orders"]],
        )

    async def _finished(self, wanted: Mapping[str, Any], fits: Any) -> Order | None:
        def parse(reply: Document) -> Order | None:
            found = next((row for row in reply["orders"] if fits(row)), None)
            return self._archived(found) if found is not None or _whole(reply["orders"]) is None else None

        return await self._read(self._exchange.archivePost({"orders": wanted}), parse)

    def _holding(self, balance: Document, product: Document) -> Position:
        """What it cost is the quote that would have to come back for nothing to be won or lost."""
        instrument, size = self._instrument(product["product_id"]), _from_x18(balance["amount"])
        mark, quote = _from_x18(product["oracle_price_x18"]), _from_x18(balance["v_quote_balance"])
        return raw.position(
            instrument,
            signed_size=size,
            entry_price=rounded(-quote / size),
            mark_price=positive(mark),
            leverage=instrument.max_leverage,
            unrealized_pnl=size * mark + quote,
        )

    def _resting(self, row: Document) -> Order:
        amount, left = _from_x18(row["amount"]), _from_x18(row["unfilled_amount"])
        filled = abs(amount) - abs(left)
        return self._told(
            row,
            amount=amount,
            filled=filled,
            status=OrderStatus.OPEN,
            price=_from_x18(row["price_x18"]),
            created_at_ms=int(row["placed_at"]) * 1000,
        )

    def _archived(self, row: Document) -> Order:
        """It is not open any more: what was not filled was canceled."""
        amount, filled = _from_x18(row["amount"]), _from_x18(row["base_filled"])
        fee = _from_x18(row["fee"])
        order = self._told(
            row,
            amount=amount,
            filled=abs(filled),
            status=OrderStatus.CANCELED,
            price=_from_x18(row["price_x18"]),
            created_at_ms=_created_ms(row),
        )
        if not filled:
            return order
        return msgspec.structs.replace(
            order, average_price=_price_of_fill(filled, _from_x18(row["quote_filled"]), fee), fee=fee
        )

    def _waiting(self, row: Document) -> Order:
        signed, placed = row["order"]["order"], row["order"]
        amount = _from_x18(signed["amount"])
        ((name, at),) = placed["trigger"]["price_trigger"]["price_requirement"].items()
        side = Side.BUY if amount > 0 else Side.SELL
        order = self._told(
            {**signed, "product_id": placed["product_id"], "digest": placed["digest"]},
            amount=amount,
            filled=ZERO,
            status=_status_of_trigger(row["status"]),
            price=_from_x18(signed["priceX18"]),
            created_at_ms=int(row["placed_at"]),
        )
        stops = (side is Side.BUY) is name.endswith("above")
        return msgspec.structs.replace(
            order,
            type=OrderType.STOP if stops else OrderType.TAKE_PROFIT,
            price=None,
            trigger_price=_from_x18(at),
        )

    def _order(
        self,
        row: Document,
        *,
        amount: Decimal,
        filled: Decimal,
        status: OrderStatus,
        price: Decimal,
        created_at_ms: int,
    ) -> Order:
        size = positive(abs(amount))
        return Order(
            order_id=row["digest"],
            client_id=None,
            symbol=self._instrument(row["product_id"]).symbol,
            side=Side.BUY if amount > 0 else Side.SELL,
            type=OrderType.LIMIT,
            size=size,
            filled_size=filled,
            price=positive(price),
            reduce_only=bool(int(row.get("appendix", 0)) & _REDUCE_ONLY),
            status=raw.checked(status, filled, size),
            created_at_ms=created_at_ms,
        )


def appendix_of(intent: OrderIntent) -> int:
    """The venue's packed flags. Those of a builder and of its fee stay zero: ccxt would fill in its own."""
    flags = _VERSION | (_REDUCE_ONLY if intent.reduce_only else 0)
    match intent.execution:
        case Limit(time_in_force=time_in_force):
            return flags | _KINDS[time_in_force] << 9
        case PostOnly():
            return flags | _POST_ONLY << 9
        case Market():
            return flags | _KINDS[TimeInForce.IOC] << 9
        case Stop() | TakeProfit():
            return flags | _KINDS[TimeInForce.IOC] << 9 | _BY_PRICE


def _trigger_of(intent: OrderIntent) -> dict[str, Any]:
    match intent.execution:
        case Stop(trigger_price=trigger) | TakeProfit(trigger_price=trigger) as execution:
            way = "above" if fires_on_the_way_up(intent.side, execution) else "below"
            requirement = {f"oracle_price_{way}": _to_x18(trigger)}
            return {"trigger": {"price_trigger": {"price_requirement": requirement}}}
        case _:
            return {}


def _status_of_trigger(status: Document) -> OrderStatus:
    """:raises LookupError: it is one that nobody has heard of."""
    name = status if isinstance(status, str) else next(iter(status))
    return {
        "waiting_price": OrderStatus.PENDING,
        "waiting_dependency": OrderStatus.PENDING,
        "triggering": OrderStatus.PENDING,
        # What came of it is in the other lists; where nothing did, it found nobody to trade with.
        "triggered": OrderStatus.CANCELED,
        "cancelled": OrderStatus.CANCELED,
        "internal_error": OrderStatus.REJECTED,
    }[name]


def _whole(rows: list[Document]) -> list[Document]:
    """:raises VenueUnclear: there may be more of them."""
    if len(rows) >= _PAGE:
        raise raw.too_long()
    return rows


def _to_x18(value: Decimal) -> str:
    """:raises ValueError: it has more places than the venue has."""
    scaled = value * _X18
    if scaled != scaled.to_integral_value():
        raise ValueError("more than eighteen places")
    return f"{scaled:.0f}"


def _from_x18(value: Any) -> Decimal:
    return exact(exact(str(value)) / _X18)


def _hourly(row: Document) -> Decimal:
    """The venue tells a day's rate, and pays every hour."""
    return rounded(exact(row["funding_rate"]) / _HOURS)


def _price_of_fill(base: Decimal, quote: Decimal, fee: Decimal) -> Decimal:
    """``quote`` is what changed hands with the fee already taken off it."""
    return positive(rounded(-(quote + fee) / base))


def _fill_of(row: Document, instrument: Instrument, at_s: int) -> Fill:
    base, fee = _from_x18(row["base_filled"]), _from_x18(row["fee"])
    return Fill(
        fill_id=f"{row['submission_idx']}-{row['digest'][:10]}",
        order_id=row["digest"],
        symbol=instrument.symbol,
        side=Side.BUY if base > 0 else Side.SELL,
        size=positive(abs(base)),
        price=_price_of_fill(base, _from_x18(row["quote_filled"]), fee),
        fee=fee,
        at_ms=at_s * 1000,
    )


def _created_ms(row: Document) -> int:
    """When it first traded, or until when it could have been accepted."""
    first = row.get("first_fill_timestamp")
    return int(first) * 1000 if first else int(row["nonce"]) >> _RANDOM_BITS


def _balance_of(reply: Document) -> Balance:
    """Health by the initial weights is what new orders may use; unweighted, what the account is worth."""
    initial, _, unweighted = (_from_x18(health["health"]) for health in reply["data"]["healths"])
    return Balance(equity=unweighted, free_collateral=max(initial, ZERO), account_value=unweighted)


def _contracts_of(reply: Document) -> dict[str, str]:
    return {name: str(reply["data"][name]) for name in ("chain_id", "endpoint_addr")}


def _subaccount(secrets: Mapping[str, str]) -> str:
    return secrets.get("subaccount", "default")


def _config(secrets: Mapping[str, str], network: Network) -> dict[str, Any]:
    if not secrets:
        return {"options": {"builderFee": False}}
    return {
        "walletAddress": secrets["account_address"],
        "privateKey": "0x" + secrets["private_key"].removeprefix("0x").lower(),
        "options": {"builderFee": False, "subaccount": _subaccount(secrets), "recvWindow": 10_000},
    }


def _refusal(status: int, document: Document) -> tuple[str, str] | None:
    if not isinstance(document, dict) or document.get("status") != "failure" or "error_code" not in document:
        return None
    return str(document["error_code"]), str(document.get("error", ""))


def _is_shaped(path: str, document: Document) -> bool:
    if path.endswith(("/symbols", "/pairs", "/assets")):
        return isinstance(document, list)
    if path.endswith(("/query", "/execute")):
        return isinstance(document, dict) and document.get("status") == "success"
    return isinstance(document, dict) and document != {} and "error" not in document


def _tame(base: Any) -> Any:
    class Nado(base):  # type: ignore[misc]  # its base is only known at run time
        async def fetch_markets(self, params: Any = None) -> Any:
            """ccxt leaves out what a market's initial weight allows."""
            listed = await super().fetch_markets()
            for market in listed:
                weight = exact(str(market["info"].get("long_weight_initial_x18") or 0)) / _X18
                if 0 < weight < 1:
                    market["limits"]["leverage"]["max"] = str(int(1 / (1 - weight)))
            return listed

    return Nado


def _urls(where: str) -> dict[str, str]:
    versions = {"gateway": "gateway/v1", "gatewayV2": "gateway/v2", "archive": "archive/v1", "archiveV2": "archive/v2"}
    hosts = {name: place.split("/") for name, place in (versions | {"trigger": "trigger/v1"}).items()}
    return {name: f"https://{host}.{where}.nado.xyz/{version}" for name, (host, version) in hosts.items()}


QUIRKS: Final = Quirks(
    ccxt_id="nado",
    urls={Network.MAINNET: _urls("prod"), Network.TESTNET: _urls("test")},
    config=_config,
    tame=_tame,
    limit=ALL_TIMES_IN_FORCE,
    post_only={},
    reduce_only={},
    trigger=lambda side, execution: {},
    triggered_slippage_bps=500,
    order_ids="0x[0-9a-f]{64}",
    refusal=_refusal,
    is_shaped=_is_shaped,
    balance=_balance_of,
    weight_per_minute=600,
)

NADO: Final = bridged(
    "nado",
    quirks=QUIRKS,
    capabilities=CAPABILITIES,
    credential_fields=(
        CredentialField(
            name="account_address",
            description="Address of the wallet that owns the subaccount",
            secret=False,
            check=ethereum_address,
        ),
        CredentialField(
            name="private_key",
            description="Private key of the subaccount's linked signer",
            check=ethereum_key,
        ),
        CredentialField(
            name="subaccount",
            description="Name of the subaccount, where it is not default",
            secret=False,
            required=False,
            check=nado_subaccount,
        ),
    ),
    client_id=lambda token: f"{int.from_bytes(token[:6]) >> 1:012x}",
    describe=lambda secrets: secrets.get("account_address", ""),
    session=NadoSession,
)
