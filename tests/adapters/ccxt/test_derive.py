"""Derive: the actions that are signed, the lists that an order wanders through, and what it costs at the most."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Network
from adapters.ccxt_venues.derive import max_fee, nonce
from normalization.orders import (
    Execution,
    Limit,
    Market,
    OrderStatus,
    OrderType,
    PostOnly,
    Side,
    Stop,
    TakeProfit,
    TimeInForce,
)
from normalization.venue_failures import (
    Reason,
    VenueDeferred,
    VenueDuplicate,
    VenueFailure,
    VenueRejected,
    VenueUnclear,
)
from tests.adapters.ccxt.bridge_rig import path_of
from tests.adapters.ccxt.orders_to_place import NOW_MS
from tests.adapters.ccxt.recorded.derive import (
    CHAINS,
    INSTRUMENT,
    OWNER,
    SECRETS,
    SIGNER,
    TICKER,
    DeriveWire,
    error,
    ok,
    signer_of,
)
from tests.adapters.ccxt.recorded.desk import Desk, desk
from tests.adapters.ccxt.recording_server import said

CLIENT_ID = "000102030405060708090a0b0c0d0e0f"
COMMON = {
    "instrument_name": "BTC-PERP",
    "subaccount_id": 86815,
    "signer": SIGNER,
    "label": CLIENT_ID,
    "amount": "0.01",
    "signature_expiry_sec": NOW_MS // 1000 + 60 * 86_400,
}
UNTIL = {"reject_timestamp": NOW_MS + 10_000}
BUY = {**COMMON, **UNTIL, "direction": "buy", "order_type": "limit", "limit_price": "50000", "max_fee": "250"}
SELL = {**COMMON, "direction": "sell", "order_type": "market", "trigger_price_type": "mark"}


@pytest.fixture
async def derive(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk("derive", tmp_path) as found:
        yield found


@pytest.mark.parametrize(
    ("execution", "terms", "body"),
    [
        (Limit(price=Decimal(50_000)), {}, {**BUY, "time_in_force": "gtc"}),
        (PostOnly(price=Decimal(50_000)), {}, {**BUY, "time_in_force": "post_only"}),
        (
            Limit(price=Decimal(50_000), time_in_force=TimeInForce.FOK),
            {"reduce_only": True},
            {**BUY, "time_in_force": "fok", "reduce_only": True},
        ),
        (
            Market(max_slippage_bps=100),
            {"reduce_only": True},
            {**BUY, "time_in_force": "ioc", "reduce_only": True, "limit_price": "60610", "max_fee": "281.83"},
        ),
        (
            Stop(trigger_price=Decimal(49_000)),
            {"side": Side.SELL, "reduce_only": True},
            {
                **SELL,
                "trigger_type": "stoploss",
                "trigger_price": "49000",
                "reduce_only": True,
                "limit_price": "46550",
                "max_fee": "239.65",
            },
        ),
        (
            TakeProfit(trigger_price=Decimal(70_000)),
            {"side": Side.SELL},
            {
                **SELL,
                "trigger_type": "takeprofit",
                "trigger_price": "70000",
                "limit_price": "66500",
                "max_fee": "299.5",
            },
        ),
    ],
)
async def test_every_kind_of_order_leaves_as_exactly_this(
    derive: Desk, execution: Execution, terms: dict[str, Any], body: dict[str, Any]
) -> None:
    derive.wire.book.position = Decimal(-1)
    order = await derive.place(execution, **terms)
    (sent,) = derive.placements()
    document = sent.document
    assert document.pop("nonce") == nonce(derive.rig.order(execution))
    del document["signature"]
    assert document == body
    assert order.client_id == CLIENT_ID


@pytest.mark.parametrize("execution", [PostOnly(price=Decimal(50_000)), Limit(price=Decimal(50_000))])
async def test_a_reduce_only_order_that_would_rest_is_not_sent(derive: Desk, execution: Execution) -> None:
    with pytest.raises(VenueRejected, match="cannot rest"):
        await derive.place(execution, reduce_only=True)
    assert derive.asked() == []


async def test_on_the_testnet_orders_are_signed_for_its_own_chain(tmp_path: Path) -> None:
    wire = DeriveWire()
    wire.chain = CHAINS[Network.TESTNET]
    async with desk("derive", tmp_path, network=Network.TESTNET, wire=wire) as derive:
        await derive.place(PostOnly(price=Decimal(50_000)))
        (sent,) = derive.placements()
        assert signer_of(sent.document, CHAINS[Network.TESTNET]) == SIGNER
        assert signer_of(sent.document, CHAINS[Network.PAPER]) != SIGNER


async def test_one_that_is_sent_twice_has_one_nonce_and_others_have_others(derive: Desk) -> None:
    orders = [derive.rig.order(PostOnly(price=Decimal(50_000)))]
    derive.rig.client_id = "f" * 32
    orders.append(derive.rig.order(PostOnly(price=Decimal(50_000))))
    assert len({nonce(order) for order in orders}) == 2
    for order in orders:
        assert nonce(order) == nonce(order)
        assert len(nonce(order)) == 19


def test_the_ceiling_of_fees_is_ten_times_the_published_one_rounded_up() -> None:
    assert max_fee(INSTRUMENT, Decimal(50_000), Decimal("0.01")) == Decimal(250)
    assert max_fee(INSTRUMENT, Decimal("0.0001"), Decimal(3)) == Decimal("0.333334")


async def test_an_order_is_found_in_whichever_list_it_has_come_to(derive: Desk) -> None:
    await derive.place(Stop(trigger_price=Decimal(70_000)))
    derive.asked()
    waiting = await derive.session.find_order(CLIENT_ID, derive.btc)
    assert (waiting.type, waiting.status) == (OrderType.STOP, OrderStatus.PENDING)
    assert derive.asked() == [("POST", "/v3/private/get_trigger_orders")]
    derive.wire.book.cancel_all()
    over = await derive.session.find_order(CLIENT_ID, derive.btc)
    assert over.status is OrderStatus.CANCELED
    history = derive.rig.server.sent[-1]
    assert [path_of(sent).rpartition("/")[2] for sent in derive.rig.server.sent] == [
        "get_trigger_orders",
        "get_open_orders",
        "get_order_history",
    ]
    assert history.document == {
        "subaccount_id": 86815,
        "from_timestamp": NOW_MS - 25 * 3_600_000,
        "page": 1,
        "page_size": 500,
    }


async def test_a_history_too_long_to_look_through_proves_nothing(derive: Desk) -> None:
    endless = {"orders": [], "pagination": {"count": 6_000, "num_pages": 12}}
    derive.answer_instead(".*/get_order_history", said(ok(endless)))
    with pytest.raises(VenueUnclear, match="longer"):
        await derive.session.find_order(CLIENT_ID, derive.btc)
    assert sum(path.endswith("history") for _, path in derive.asked()) == 10


async def test_cancels_reach_trigger_orders_too(derive: Desk) -> None:
    orders = []
    for number, execution in enumerate((PostOnly(price=Decimal(50_000)), Stop(trigger_price=Decimal(70_000)))):
        derive.rig.client_id = f"{number:032x}"
        orders.append(await derive.place(execution))
    derive.asked()
    await derive.session.cancel_by_client_id(f"{1:032x}", derive.btc)
    await derive.session.cancel_order(orders[0].order_id, derive.btc)
    assert [path.rpartition("/")[2] for _, path in derive.asked()] == [
        "cancel_by_label",
        "get_trigger_orders",
        "cancel_trigger_order",
        "cancel",
    ]
    derive.rig.client_id = "f" * 32
    await derive.place(Stop(trigger_price=Decimal(70_000)))
    await derive.session.cancel_all(derive.btc)
    assert derive.wire.book.open_orders() == []
    with pytest.raises(VenueRejected) as refused:
        await derive.session.cancel_by_client_id(f"{1:032x}", derive.btc)
    assert refused.value.reason is Reason.ORDER_NOT_FOUND


@pytest.mark.parametrize(
    ("answer", "failure", "reason"),
    [
        (error(11000, "Insufficient funds"), VenueRejected, Reason.INSUFFICIENT_FUNDS),
        (error(11022, "Reject timestamp passed"), VenueRejected, Reason.REQUEST_EXPIRED),
        (error(11017, "Nonce not unique"), VenueDuplicate, None),
        (error(-32000, "Rate limit exceeded"), VenueDeferred, Reason.VENUE_RATE_LIMITED),
        (error(9000, "Order confirmation timeout"), VenueUnclear, None),
        (error(11002, "Rejected from queue"), VenueUnclear, None),
        (said(ok({"order": {}, "trades": []})), VenueUnclear, None),
        (said(ok(None)), VenueUnclear, None),
    ],
)
async def test_what_is_answered_to_an_order_is_judged_by_the_venues_code(
    derive: Desk, answer: Any, failure: type[VenueFailure], reason: Reason | None
) -> None:
    derive.answer_instead(".*/private/order", answer)
    with pytest.raises(VenueFailure) as raised:
        await derive.place(PostOnly(price=Decimal(50_000)))
    assert type(raised.value) is failure
    assert reason in (None, raised.value.reason)


@pytest.mark.parametrize("changed", [{"label": "x"}, {"amount": "0.02"}, {"direction": "sell"}, {"order_id": None}])
async def test_an_acknowledgement_of_another_order_proves_nothing(derive: Desk, changed: dict[str, Any]) -> None:
    await derive.place(PostOnly(price=Decimal(50_000)))
    (kept,) = derive.wire.book.orders.values()
    derive.answer_instead(".*/private/order", said(ok({"order": {**derive.wire._order(kept), **changed}})))
    with pytest.raises(VenueUnclear):
        await derive.place(PostOnly(price=Decimal(50_000)))


async def test_the_book_is_its_best_prices_and_a_side_that_is_empty_is_empty(derive: Desk) -> None:
    derive.answer_instead(".*/get_ticker", said(ok({**TICKER, "a": "0", "A": "0"})))
    book = await derive.session.get_orderbook(derive.btc, 20)
    assert (book.bids, book.asks) == (((Decimal(59_990), Decimal("1.5")),), ())
    with pytest.raises(VenueRejected) as refused:
        await derive.place(Market())
    assert refused.value.reason is Reason.NO_LIQUIDITY


async def test_the_keys_that_could_do_more_than_trade_are_told(derive: Desk, tmp_path: Path) -> None:
    assert await derive.session.test() == []
    key = {**derive.wire._key(), "protocol_scopes": ["trade", "withdraw"]}
    derive.answer_instead(".*/session_keys", said(ok({"public_session_keys": [key]})))
    assert await derive.session.test() == ["this session key may do more than trade: withdraw"]
    derive.answer_instead(".*/session_keys", said(ok({"public_session_keys": []})))
    with pytest.raises(VenueUnclear):
        await derive.session.test()
    derive.wire.instead = {}
    owner = await derive.rig.open({**SECRETS, "account_address": SIGNER})
    derive.wire.owner = SIGNER
    assert await owner.test() == ["this is the account's own key, which can withdraw: a session key is enough"]


async def test_every_private_request_names_the_wallet_and_is_signed_by_the_session_key(derive: Desk) -> None:
    await derive.session.get_balance()
    (sent,) = derive.rig.server.sent
    assert sent.headers["X-DeriveWallet"] == OWNER
