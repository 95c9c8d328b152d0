"""Ours beside recorded requests of ccxt's: the same where those are right, and in every difference for a reason."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from normalization.orders import Execution, Limit, PostOnly, Side, Stop, TakeProfit, TimeInForce
from tests.adapters.ccxt.orders_to_place import NOW_MS
from tests.adapters.ccxt.recorded.desk import desk

RECORDED: Final = Path(__file__).resolve().parents[3].parent / "shared/fixtures/ccxt/recorded_requests.json"
CLIENT_ID: Final = "000102030405060708090a0b0c0d0e0f"

pytestmark = pytest.mark.skipif(not RECORDED.exists(), reason="the recorded requests are not here")


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """``theirs`` is what of ccxt's request must not be there, ``ours`` what must be besides or instead."""

    exchange: str
    operation: str
    execution: Execution
    side: Side = Side.BUY
    reduce_only: bool = False
    theirs: frozenset[str] = frozenset()
    ours: dict[str, Any] = {}

    def __str__(self) -> str:
        return f"{self.exchange} {self.operation}"


AT_50000: Final = Decimal(50_000)
IOC: Final = Limit(price=AT_50000, time_in_force=TimeInForce.IOC)
FOK: Final = Limit(price=AT_50000, time_in_force=TimeInForce.FOK)
STOP: Final = Stop(trigger_price=Decimal(49_000))
TAKE_PROFIT: Final = TakeProfit(trigger_price=Decimal(60_000))

# A referral code that ccxt attaches, over the user's own.
REFERRED: Final = frozenset({"order_tag"})
REWARDED: Final = frozenset({"referral_code"})
# Names that are the caller's, and a bound of the fee that is ten times what it need be.
HIBACHI: Final = {
    "accountId": 128,
    "clientId": CLIENT_ID,
    "creationDeadline": NOW_MS // 1000 + 10,
    "maxFeesPercent": "0.0009",
}
DERIVE: Final = {"subaccount_id": 86815, "label": CLIENT_ID, "max_fee": "250"}
UNTIL: Final = {"reject_timestamp": NOW_MS + 10_000}
# What changes with every request or is another signer's.
VOLATILE: Final = frozenset({"signature", "nonce", "signer", "signature_expiry_sec"})

CASES: Final = [
    *(
        Case(
            exchange=exchange,
            operation=operation,
            execution=execution,
            reduce_only=reduce_only,
            theirs=REFERRED,
            ours={"client_order_id": CLIENT_ID},
        )
        for exchange in ("woofipro", "modetrade")
        for operation, execution, reduce_only in (
            ("limit+postOnly+reduceOnly+clientOrderId", PostOnly(price=AT_50000), True),
            ("limit IOC", IOC, False),
            ("limit FOK", FOK, False),
        )
    ),
    *(
        # With a price it is a stop limit, and by which price it fires ccxt says in words that the venue does not know.
        Case(
            exchange=exchange,
            operation="stop market on mark (triggerPrice, triggerPriceType=mark)",
            execution=STOP,
            side=Side.SELL,
            reduce_only=True,
            theirs=REFERRED | {"price", "triggerDirection", "triggerPriceType"},
            ours={"client_order_id": CLIENT_ID, "trigger_price_type": "MARK_PRICE"},
        )
        for exchange in ("woofipro", "modetrade")
    ),
    Case(
        exchange="hibachi",
        # Of two flags ccxt drops one without a word; we refuse, so ours is not reduce-only.
        operation="limit+postOnly+reduceOnly+clientOrderId",
        execution=PostOnly(price=AT_50000),
        theirs=frozenset({"clientOrderId"}),
        ours=HIBACHI,
    ),
    Case(exchange="hibachi", operation="limit IOC", execution=IOC, ours=HIBACHI),
    Case(
        exchange="hibachi",
        operation="stop market on mark (triggerPrice, triggerPriceType=mark)",
        execution=STOP,
        side=Side.SELL,
        reduce_only=True,
        theirs=frozenset({"price", "triggerPriceType"}),
        ours={**HIBACHI, "triggerDirection": "LOW"},
    ),
    Case(exchange="derive", operation="limit IOC", execution=IOC, theirs=REWARDED, ours={**DERIVE, **UNTIL}),
    Case(exchange="derive", operation="limit FOK", execution=FOK, theirs=REWARDED, ours={**DERIVE, **UNTIL}),
    *(
        Case(
            exchange="derive",
            operation=operation,
            execution=execution,
            side=Side.SELL,
            reduce_only=True,
            theirs=REWARDED,
            ours={**DERIVE, "limit_price": limit, "max_fee": fee},
        )
        for operation, execution, limit, fee in (
            ("stopLossPrice market", STOP, "46550", "239.65"),
            ("takeProfitPrice market", TAKE_PROFIT, "57000", "271"),
        )
    ),
]


def recorded(exchange: str, operation: str) -> dict[str, Any]:
    (request,) = json.loads(RECORDED.read_bytes())[exchange][operation]["requests"][-1:]
    found: dict[str, Any] = request["body"]
    return found


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_an_order_differs_from_ccxts_only_where_ccxts_is_wrong(case: Case, tmp_path: Path) -> None:
    theirs = recorded(case.exchange, case.operation)
    assert case.theirs <= theirs.keys()
    expected = {name: value for name, value in theirs.items() if name not in case.theirs} | case.ours
    async with desk(case.exchange, tmp_path) as at:
        at.wire.book.position = Decimal(-case.side.sign)
        await at.place(case.execution, side=case.side, reduce_only=case.reduce_only)
        (sent,) = at.placements()
        body = sent.document
    assert {name: value for name, value in body.items() if name not in VOLATILE} == expected


@pytest.mark.parametrize("operation", ["limit IOC", "limit FOK"])
async def test_nados_flags_are_ccxts_without_its_builder(operation: str, tmp_path: Path) -> None:
    theirs = recorded("nado", operation)["place_order"]
    execution = {"limit IOC": IOC, "limit FOK": FOK}[operation]
    async with desk("nado", tmp_path) as at:
        await at.place(execution)
        (sent,) = at.placements()
    ours = sent.document["place_order"]
    for name in ("priceX18", "amount", "appendix"):
        assert ours["order"][name] == theirs["order"][name]
    assert ours["product_id"] == theirs["product_id"]
