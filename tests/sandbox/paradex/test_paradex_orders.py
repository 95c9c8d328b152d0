from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from sandbox.paradex import ParadexVenue
from tests.support.paradex_trader import Clock, OpenVenue, StarkTrader, mark, move_until

BTC = "BTC-USD-PERP"
MINUTE_MS = 60_000


async def code(trader: StarkTrader, *order: Any, **more: Any) -> str:
    answer = await trader.place(*order, status=400, **more)
    assert set(answer) == {"error", "message", "data"}
    found: str = answer["error"]
    return found


async def test_an_order_is_new_then_open_under_its_id_and_its_client_id(trader: StarkTrader) -> None:
    new = await trader.place("BUY", "LIMIT", "0.01", "80000.5", client_id="one")
    assert (new["status"], new["remaining_size"], new["client_id"]) == ("NEW", "0.01", "one")
    assert new["id"].isdecimal()
    assert 25 <= len(new["id"]) <= 28
    for path in (f"/orders/{new['id']}", "/orders/by_client_id/one"):
        found = await trader.get(path)
        assert (found["id"], found["status"], found["price"]) == (new["id"], "OPEN", "80000.5")
    assert [order["id"] for order in await trader.results("/orders")] == [new["id"]]
    assert await trader.results("/orders?market=ETH-USD-PERP") == []


async def test_a_market_order_fills(trader: StarkTrader) -> None:
    filled = await trader.placed("BUY", "MARKET", "0.5")
    assert (filled["status"], filled["remaining_size"], filled["cancel_reason"]) == ("CLOSED", "0", "")
    (position,) = await trader.results("/positions")
    assert (position["market"], position["side"], position["size"]) == (BTC, "LONG", "0.5")
    (fill,) = await trader.results("/fills")
    assert (fill["order_id"], fill["liquidity"], fill["remaining_size"]) == (filled["id"], "TAKER", "0")
    account = await trader.get("/account")
    assert float(account["free_collateral"]) < float(account["account_value"]) < 100_000


@pytest.mark.parametrize(
    ("order", "more", "reason"),
    [
        (("BUY", "LIMIT", "1000", 80000), {}, "NOT_ENOUGH_MARGIN"),
        (("BUY", "LIMIT", "0.00001", 80000), {}, "ORDER_SIZE_BELOW_MIN"),
        (("SELL", "LIMIT", "0.01", 90000), {"instruction": "POST_ONLY"}, "POST_ONLY_WOULD_CROSS"),
        (("BUY", "LIMIT", "0.01", 80000), {"instruction": "IOC"}, "IMMEDIATE_NOT_MATCHED"),
        (("SELL", "MARKET", "0.01"), {"flags": ["REDUCE_ONLY"]}, "REDUCE_ONLY_WOULD_INCREASE"),
    ],
)
async def test_what_the_market_refuses_is_accepted_and_then_closed_with_a_reason(
    trader: StarkTrader, order: tuple[Any, ...], more: dict[str, Any], reason: str
) -> None:
    closed = await trader.placed(*order, **more)
    assert (closed["status"], closed["cancel_reason"]) == ("CLOSED", reason)
    history = await trader.get("/orders-history")
    assert [entry["cancel_reason"] for entry in history["results"]] == [reason]
    assert await trader.results("/orders") == []


@pytest.mark.parametrize(
    ("order", "more", "expected"),
    [
        (("BUY", "LIMIT", "0.000001", 80000), {}, "VALIDATION_ERROR"),
        (("BUY", "LIMIT", "0", 80000), {}, "VALIDATION_ERROR"),
        (("BUY", "LIMIT", "0.01", "80000.05"), {}, "VALIDATION_ERROR"),
        (("BUY", "LIMIT", "0.01", "0"), {}, "VALIDATION_ERROR"),
        (("SELL", "STOP_LOSS_MARKET", "0"), {"trigger_price": "60000"}, "VALIDATION_ERROR"),
        (("SELL", "STOP_MARKET", "1"), {}, "VALIDATION_ERROR"),
        (("BUY", "LIMIT", "0.01", 80000), {"flags": ["NONSENSE"]}, "VALIDATION_ERROR"),
        (("BUY", "LIMIT", "0.01", 80000), {"recv_window": 5}, "VALIDATION_ERROR"),
        (("BUY", "LIMIT", "0.01", 80000), {"instruction": "RPI"}, "RPI_ACCOUNT_NOT_WHITELISTED"),
        (("BUY", "LIMIT", "0.01", 80000), {"instruction": "FOK"}, "BINDING_ERROR"),
        (("BUY", "LIMIT", "0.01", 80000), {"client_id": 5}, "BINDING_ERROR"),
    ],
)
async def test_an_order_that_makes_no_sense_is_not_accepted(
    trader: StarkTrader, order: tuple[Any, ...], more: dict[str, Any], expected: str
) -> None:
    assert await code(trader, *order, **more) == expected
    assert (await trader.get("/orders-history"))["results"] == []


@pytest.mark.parametrize(
    "sign_as",
    [{"size": "0.02"}, {"price": "79999"}, {"side": "SELL"}, {"market": "ETH-USD-PERP"}, {"signature_timestamp": 1}],
)
async def test_every_signed_field_is_checked(trader: StarkTrader, sign_as: dict[str, Any]) -> None:
    assert await code(trader, "BUY", "LIMIT", "0.01", 80000, sign_as=sign_as) == "INVALID_ORDER_SIGNATURE"


async def test_the_key_of_another_cannot_order(trader: StarkTrader, http: aiohttp.ClientSession, clock: Clock) -> None:
    forger = StarkTrader(http, trader.url, clock, 12345, signing_key=999)
    forger.token = trader.token
    assert await code(forger, "BUY", "LIMIT", "0.01", 80000) == "INVALID_ORDER_SIGNATURE"


async def test_an_order_is_good_for_its_window(trader: StarkTrader, clock: Clock) -> None:
    order = trader.order("BUY", "LIMIT", "0.01", 80000, recv_window=10_000)
    clock.ms += 10_001
    answer = await trader.call("POST", "/orders", order, status=400)
    assert answer["error"] == "INVALID_TIMESTAMP"
    early = trader.order("BUY", "LIMIT", "0.01", 80000, signature_timestamp=clock.ms + 2 * MINUTE_MS)
    assert (await trader.call("POST", "/orders", early, status=400))["error"] == "INVALID_TIMESTAMP"


async def test_a_client_id_is_free_again_when_its_order_is_closed(trader: StarkTrader) -> None:
    first = await trader.place("BUY", "LIMIT", "0.01", 80000, client_id="one")
    assert await code(trader, "BUY", "LIMIT", "0.01", 80000, client_id="one") == "DUPLICATED_CLIENT_ID"
    await trader.call("DELETE", "/orders/by_client_id/one?clientOrderId=one", status=204)
    answer = await trader.get("/orders/by_client_id/one", status=400)
    assert answer["error"] == "CLIENT_ORDER_ID_NOT_FOUND"
    second = await trader.place("BUY", "LIMIT", "0.01", 80000, client_id="one")
    history = (await trader.get("/orders-history?client_id=one"))["results"]
    assert [entry["id"] for entry in history] == [second["id"], first["id"]]
    assert [entry["status"] for entry in history] == ["OPEN", "CLOSED"]


async def test_canceling_says_what_is_closed_and_what_never_was(trader: StarkTrader) -> None:
    order = await trader.place("BUY", "LIMIT", "0.01", 80000)
    path = f"/orders/{order['id']}"
    assert await trader.call("DELETE", path, status=204) is None
    assert (await trader.get(path))["cancel_reason"] == "USER_CANCELED"
    assert (await trader.call("DELETE", path, status=400))["error"] == "ORDER_IS_CLOSED"
    assert (await trader.call("DELETE", "/orders/123", status=400))["error"] == "ORDER_ID_NOT_FOUND"


async def test_a_batch_of_cancels_tells_of_each(trader: StarkTrader) -> None:
    one = await trader.place("BUY", "LIMIT", "0.01", 80000)
    await trader.place("BUY", "LIMIT", "0.01", 80000, client_id="two")
    ids = {"order_ids": [one["id"], "9" * 25], "client_order_ids": ["two", "three"]}
    results = (await trader.call("DELETE", "/orders/batch", ids))["results"]
    assert [result["status"] for result in results] == [
        "QUEUED_FOR_CANCELLATION",
        "NOT_FOUND",
        "QUEUED_FOR_CANCELLATION",
        "NOT_FOUND",
    ]
    again = (await trader.call("DELETE", "/orders/batch", {"order_ids": [one["id"]]}))["results"]
    assert again[0]["status"] == "ALREADY_CLOSED"


async def test_cancel_all_keeps_to_its_market(trader: StarkTrader) -> None:
    await trader.place("BUY", "LIMIT", "0.01", 80000)
    eth = await trader.place("BUY", "LIMIT", "1", 2000, market="ETH-USD-PERP")
    await trader.call("DELETE", f"/orders?market={BTC}")
    assert [order["id"] for order in await trader.results("/orders")] == [eth["id"]]
    await trader.call("DELETE", "/orders")
    assert await trader.results("/orders") == []


async def test_a_batch_tells_what_was_accepted_and_why_the_rest_was_not(trader: StarkTrader) -> None:
    await trader.place("BUY", "LIMIT", "0.01", 80000, client_id="taken")
    batch = [
        trader.order("BUY", "LIMIT", "0.01", 80000),
        trader.order("BUY", "LIMIT", "0.01", 80000, client_id="taken"),
        trader.order("BUY", "LIMIT", "1000", 80000),
    ]
    answer = await trader.call("POST", "/orders/batch", batch, status=201)
    assert len(answer["orders"]) == 2
    assert [error["error"] for error in answer["errors"]] == ["DUPLICATED_CLIENT_ID"]


async def test_one_bad_signature_refuses_the_whole_batch(trader: StarkTrader) -> None:
    batch = [
        trader.order("BUY", "LIMIT", "0.01", 80000),
        trader.order("BUY", "LIMIT", "0.01", 80000, sign_as={"size": "5"}),
    ]
    assert (await trader.call("POST", "/orders/batch", batch, status=400))["error"] == "INVALID_ORDER_SIGNATURE"
    assert await trader.results("/orders") == []
    too_many = [trader.order("BUY", "LIMIT", "0.01", 80000)] * 11
    assert (await trader.call("POST", "/orders/batch", too_many, status=400))["error"] == "BATCH_SIZE_OUT_OF_RANGE"


async def test_a_change_keeps_the_id_and_is_signed(trader: StarkTrader) -> None:
    order = await trader.place("BUY", "LIMIT", "0.01", 80000, client_id="one", instruction="POST_ONLY")
    path = f"/orders/{order['id']}"
    answer = await trader.call("PUT", path, trader.change(order, price="81000", size="0.02"))
    assert (answer["price"], answer["request_info"]["request_type"]) == ("80000", "MODIFY_ORDER")
    changed = await trader.get(path)
    assert (changed["price"], changed["size"], changed["status"]) == ("81000", "0.02", "OPEN")
    assert (changed["client_id"], changed["instruction"]) == ("one", "POST_ONLY")
    forged = {**trader.change(order, price="82000"), "price": "82001"}
    assert (await trader.call("PUT", path, forged, status=400))["error"] == "INVALID_ORDER_SIGNATURE"
    await trader.call("DELETE", path, status=204)
    late = trader.change(order, price="82000")
    assert (await trader.call("PUT", path, late, status=400))["error"] == "ORDER_IS_CLOSED"


@pytest.mark.parametrize("kind", ["TAKE_PROFIT_MARKET", "TAKE_PROFIT_LIMIT"])
async def test_protection_of_size_zero_closes_the_position_and_ends_the_rest(
    trader: StarkTrader, venue: ParadexVenue, clock: Clock, kind: str
) -> None:
    await trader.placed("BUY", "MARKET", "0.01")
    at = await mark(venue)
    price = at + 10 if "LIMIT" in kind else None
    reduce = {"flags": ["REDUCE_ONLY"]}
    profit = await trader.placed("SELL", kind, "0", price, trigger_price=str(at + 50), **reduce)
    loss = await trader.placed("SELL", "STOP_LOSS_MARKET", "0", trigger_price=str(at - 40000), **reduce)
    assert (profit["status"], loss["status"]) == ("UNTRIGGERED", "UNTRIGGERED")
    await move_until(venue, clock, lambda price: price > at + 55)
    await trader.authenticate()
    assert await trader.results("/positions") == []
    assert await trader.results("/orders") == []
    profit, loss = [await trader.get(f"/orders/{order['id']}") for order in (profit, loss)]
    assert (profit["cancel_reason"], loss["cancel_reason"]) == ("", "POSITION_CLOSED")


@pytest.mark.parametrize(("offset", "waits_for"), [(50, "rise"), (-50, "fall")])
async def test_a_stop_fires_from_the_side_on_which_the_market_is(
    trader: StarkTrader, venue: ParadexVenue, clock: Clock, offset: int, waits_for: str
) -> None:
    at = await mark(venue)
    stop = await trader.placed("BUY", "STOP_MARKET", "0.01", trigger_price=str(at + offset))
    assert stop["status"] == "UNTRIGGERED"
    rising = waits_for == "rise"
    await move_until(venue, clock, lambda price: price >= at + offset if rising else price <= at + offset)
    await trader.authenticate()
    stop = await trader.get(f"/orders/{stop['id']}")
    assert (stop["status"], stop["remaining_size"]) == ("CLOSED", "0")


async def test_lists_come_in_pages(trader: StarkTrader) -> None:
    placed = [(await trader.place("BUY", "LIMIT", "0.01", 80000 + n))["id"] for n in range(5)]
    seen: list[str] = []
    cursor: str | None = ""
    for _ in range(3):
        page = await trader.get(f"/orders-history?page_size=2&cursor={cursor}")
        seen += [order["id"] for order in page["results"]]
        cursor = page["next"]
    assert cursor is None
    assert seen == placed[::-1]
    answer = await trader.get("/orders-history?cursor=nonsense", status=400)
    assert answer["error"] == "INVALID_REQUEST_PARAMETER"


async def test_leverage_is_set_per_market(trader: StarkTrader) -> None:
    path = f"/account/margin/{BTC}"
    await trader.call("POST", path, {"leverage": 25, "margin_type": "CROSS"})
    (config,) = (await trader.get(f"/account/margin?market={BTC}"))["configs"]
    assert config["leverage"] == 25
    for wrong in ({"leverage": 51, "margin_type": "CROSS"}, {"leverage": 5, "margin_type": "ISOLATED"}):
        assert (await trader.call("POST", path, wrong, status=400))["error"] == "VALIDATION_ERROR"
    await trader.call("POST", "/account/margin/NOPE", {"leverage": 5, "margin_type": "CROSS"}, status=404)


async def test_markets_are_told_to_anybody(trader: StarkTrader) -> None:
    trader.token = "nobody"
    assert len(await trader.results("/markets")) == 20
    (summary,) = await trader.results(f"/markets/summary?market={BTC}")
    book = await trader.get(f"/orderbook/{BTC}?depth=5")
    best = await trader.get(f"/bbo/{BTC}")
    assert (best["bid"], best["ask"]) == (book["bids"][0][0], book["asks"][0][0]) == (summary["bid"], summary["ask"])
    assert len(book["bids"]) == 5
    funding = await trader.get(f"/funding/data?market={BTC}&page_size=3")
    assert len(funding["results"]) == 3
    assert funding["next"] is not None
    for path in ("/orderbook/NOPE", "/bbo/NOPE", "/markets/summary?market=NOPE", "/nothing/here"):
        await trader.get(path, status=404)
    assert (await trader.get("/markets/klines?symbol=BTC-USD-PERP", status=400))["error"] == "INVALID_REQUEST_PARAMETER"


async def test_funding_is_paid_every_hour_that_a_position_is_held(trader: StarkTrader, clock: Clock) -> None:
    await trader.placed("BUY", "MARKET", "0.5")
    before = await trader.results("/balance")
    clock.ms += 3 * 3_600_000
    await trader.authenticate()
    payments = (await trader.get(f"/funding/payments?market={BTC}"))["results"]
    assert len(payments) == 3
    after = await trader.results("/balance")
    paid = sum(float(payment["payment"]) for payment in payments)
    assert float(after[0]["size"]) - float(before[0]["size"]) == pytest.approx(paid, abs=1e-5)


async def test_everything_outlives_a_restart(open_venue: OpenVenue, http: aiohttp.ClientSession, clock: Clock) -> None:
    _, url = await open_venue()
    trader = StarkTrader(http, url, clock, 4711)
    await trader.onboard()
    await trader.authenticate()
    await trader.placed("BUY", "MARKET", "0.01")
    await trader.place("BUY", "LIMIT", "0.01", 80000, client_id="one")
    await trader.place("SELL", "STOP_LOSS_LIMIT", "0", 50000, trigger_price="60000", flags=["REDUCE_ONLY"])
    paths = ("/orders", "/fills", "/orders-history", "/positions", "/balance")
    before = [await trader.get(path) for path in paths]
    _, trader.url = await open_venue()
    # The token is still good.
    assert [await trader.get(path) for path in paths] == before
    assert await code(trader, "BUY", "LIMIT", "0.01", 80000, client_id="one") == "DUPLICATED_CLIENT_ID"
