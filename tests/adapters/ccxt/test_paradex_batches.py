"""Batches at Paradex, whose answers are out of order, and the tokens of its accounts."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from adapters.base import Grouping, Submission
from normalization.orders import (
    Order,
    OrderStatus,
    Side,
    Stop,
    TakeProfit,
)
from normalization.venue_failures import (
    Reason,
    VenueDeferred,
    VenueNotReached,
    VenueRejected,
    VenueUnclear,
)
from tests.adapters.ccxt.paradex_rig import (
    ACCOUNT,
    ParadexRig,
    buy,
    refusal,
    report,
)
from tests.adapters.ccxt.recording_server import Answer, said


def batch_of(paradex: ParadexRig, count: int) -> list[Submission]:
    return [buy(paradex, size=f"0.0{number + 1}", client_id=f"leg{number}") for number in range(count)]


def batch_reply(*, orders: list[int], errors: list[Any], sent: Any) -> Answer:
    return said({"orders": [report(sent[n], id=f"{n + 1}") for n in orders], "errors": errors}, 201)


async def test_legs_that_come_back_out_of_order_are_told_in_order(paradex: ParadexRig) -> None:
    error = {"error": "INVALID_ORDER_SIGNATURE", "message": "bad"}
    paradex.replies["POST /v1/orders/batch"] = lambda sent: batch_reply(
        orders=[2, 0], errors=[error], sent=sent.document
    )
    outcomes = await paradex.session.place_orders(batch_of(paradex, 3), Grouping.NONE)
    assert [o.order_id if isinstance(o, Order) else type(o).__name__ for o in outcomes] == ["1", "VenueRejected", "3"]


async def test_a_leg_nobody_speaks_of_is_left_open(paradex: ParadexRig) -> None:
    paradex.replies["POST /v1/orders/batch"] = lambda sent: batch_reply(orders=[0], errors=[], sent=sent.document)
    first, second = await paradex.session.place_orders(batch_of(paradex, 2), Grouping.NONE)
    assert isinstance(first, Order)
    assert isinstance(second, VenueUnclear)


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([None, {"error": "MARKET_NOT_OPEN", "message": ""}, {"error": "INTERNAL_ERROR", "message": ""}], True),
        ([{"error": "MARKET_NOT_OPEN", "message": ""}, {"error": "INTERNAL_ERROR", "message": ""}], False),
    ],
)
async def test_refusals_that_cannot_be_told_apart_leave_every_such_leg_open(
    paradex: ParadexRig, errors: list[Any], expected: bool
) -> None:
    paradex.replies["POST /v1/orders/batch"] = lambda sent: batch_reply(orders=[0], errors=errors, sent=sent.document)
    _, second, third = await paradex.session.place_orders(batch_of(paradex, 3), Grouping.NONE)
    assert isinstance(second, VenueRejected) is expected
    assert isinstance(third, VenueUnclear)


async def test_an_order_in_a_batch_reply_that_was_not_sent_makes_all_of_it_unclear(paradex: ParadexRig) -> None:
    paradex.replies["POST /v1/orders/batch"] = said({"orders": [report(client_id="stranger")], "errors": []}, 201)
    with pytest.raises(VenueUnclear):
        await paradex.session.place_orders(batch_of(paradex, 2), Grouping.NONE)


async def test_protection_uses_the_kinds_that_cancel_each_other_with_their_real_size(paradex: ParadexRig) -> None:
    def taken(sent: Any) -> Answer:
        both = [report(order, id=f"{n}", status="UNTRIGGERED") for n, order in enumerate(sent.document)]
        return said({"orders": both, "errors": []}, 201)

    paradex.replies["POST /v1/orders/batch"] = taken
    legs = [
        buy(paradex, TakeProfit(trigger_price=Decimal(70000)), side=Side.SELL, reduce_only=True, client_id="tp"),
        buy(paradex, Stop(trigger_price=Decimal(49000)), side=Side.SELL, reduce_only=True, client_id="sl"),
    ]
    outcomes = await paradex.session.place_orders(legs, Grouping.ONE_CANCELS_OTHER)
    assert [o.status for o in outcomes if isinstance(o, Order)] == [OrderStatus.PENDING] * 2
    (sent,) = paradex.server.to("/v1/orders/batch")
    assert [(order["type"], order["size"], order["flags"]) for order in sent.document] == [
        ("TAKE_PROFIT_MARKET", "0.01", ["REDUCE_ONLY"]),
        ("STOP_LOSS_MARKET", "0.01", ["REDUCE_ONLY"]),
    ]


async def test_accounts_that_sign_in_together_never_get_each_others_token(paradex: ParadexRig) -> None:
    arrived: list[str] = []

    def issue(sent: Any) -> Answer:
        account = sent.headers["PARADEX-STARKNET-ACCOUNT"]
        arrived.append(account)
        return said({"jwt_token": f"token-of-{account}"})

    paradex.replies["POST /v1/auth"] = issue
    paradex.replies["GET /v1/account"] = {"account_value": "1", "free_collateral": "1", "status": "ACTIVE"}
    accounts = [hex(int(ACCOUNT, 16) + n) for n in range(8)]
    sessions = [await paradex.open(account) for account in accounts]
    await asyncio.gather(*(session.get_balance() for session in sessions for _ in range(3)))
    assert sorted(arrived) == sorted(accounts)
    used = {sent.headers["Authorization"] for sent in paradex.server.to("/v1/account")}
    assert used == {f"Bearer token-of-{account}" for account in accounts}
    for session in sessions:
        await session.close()


async def test_a_token_that_is_refused_is_renewed_once_for_a_read(paradex: ParadexRig) -> None:
    def account(sent: Any) -> Answer:
        if sent.headers["Authorization"] == "Bearer token-1":
            return refusal("INVALID_TOKEN", status=401)
        return said({"account_value": "7", "free_collateral": "5", "status": "ACTIVE"})

    paradex.replies["GET /v1/account"] = account
    assert (await paradex.session.get_balance()).equity == 7
    paradex.replies["GET /v1/account"] = refusal("INVALID_TOKEN", status=401)
    with pytest.raises(VenueDeferred):
        await paradex.session.get_balance()
    assert len(paradex.server.to("/v1/account")) == 4


async def test_a_token_that_is_refused_for_an_order_is_another_one_at_the_next_try(paradex: ParadexRig) -> None:
    accepted = paradex.replies["POST /v1/orders"]
    paradex.replies["POST /v1/orders"] = refusal("INVALID_TOKEN", status=401)
    with pytest.raises(VenueDeferred):
        await paradex.session.place_order(buy(paradex))
    paradex.replies["POST /v1/orders"] = accepted
    await paradex.session.place_order(buy(paradex))
    assert [sent.headers["Authorization"] for sent in paradex.server.to("/v1/orders")] == [
        "Bearer token-1",
        "Bearer token-2",
    ]


async def test_an_order_that_could_not_sign_in_was_not_sent(paradex: ParadexRig) -> None:
    paradex.replies["POST /v1/auth"] = Answer(b"", 502)
    with pytest.raises(VenueNotReached):
        await paradex.session.place_order(buy(paradex))
    paradex.replies["POST /v1/auth"] = refusal("STARKNET_SIGNATURE_VERIFICATION_FAILED", status=401)
    with pytest.raises(VenueRejected) as refused:
        await paradex.session.place_order(buy(paradex))
    assert refused.value.reason is Reason.AUTHENTICATION_FAILED
    assert paradex.placed == []
