"""When an order may be said to be absent, at venues that differ in what expires."""

from __future__ import annotations

from decimal import Decimal

import pytest

from adapters.base import NATIVE, Capabilities
from gateway.orders.absence import GIVE_UP_MS, NEGATIVES, Judgement, final_by_ms, rule_negative
from gateway.orders.standing import canonical_request
from normalization.orders import Execution, Limit, OrderIntent, Side, Stop, TakeProfit
from storage.ports import JournalRow

NOW_MS = 1_800_000_000_000


def looked_up(execution: Execution) -> JournalRow:
    """An order that lookups have failed to find for an hour, all but the last that it takes."""
    intent = OrderIntent(symbol="BTC-USD-PERP", side=Side.SELL, size=Decimal(1), execution=execution)
    return JournalRow(
        order_key="k-1",
        account_id="a-1",
        credential_id="c-1",
        client_order_id="mine",
        exchange="derive",
        network="mainnet",
        symbol=intent.symbol,
        venue_client_id="theirs",
        operation="placeOrder",
        request=canonical_request(intent),
        request_hash=b"",
        owner="node",
        lease_until_ms=0,
        valid_until_ms=NOW_MS - 3_600_000,
        created_at_ms=NOW_MS - 3_610_000,
        updated_at_ms=NOW_MS - 10_000,
        negatives=NEGATIVES - 1,
        last_negative_ms=NOW_MS - 10_000,
    )


def venue(*, triggers_expire: bool) -> Capabilities:
    return Capabilities(
        supports=NATIVE, request_expiry=True, triggers_expire=triggers_expire, lookup_includes_finished=True
    )


@pytest.mark.parametrize("execution", [Stop(trigger_price=Decimal(9)), TakeProfit(trigger_price=Decimal(9))])
def test_a_trigger_order_that_cannot_expire_is_left_to_a_person(execution: Execution) -> None:
    row = looked_up(execution)
    capabilities = venue(triggers_expire=False)
    assert rule_negative(row, capabilities, NOW_MS).judgement is Judgement.WAIT
    assert final_by_ms(row, capabilities) == row.created_at_ms + GIVE_UP_MS
    late = rule_negative(row, capabilities, row.created_at_ms + GIVE_UP_MS)
    assert late.judgement is Judgement.NEEDS_OPERATOR


@pytest.mark.parametrize(
    ("execution", "triggers_expire"),
    [(Limit(price=Decimal(9)), False), (Limit(price=Decimal(9)), True), (Stop(trigger_price=Decimal(9)), True)],
)
def test_an_order_that_expires_is_said_to_be_absent(execution: Execution, triggers_expire: bool) -> None:
    capabilities = venue(triggers_expire=triggers_expire)
    assert rule_negative(looked_up(execution), capabilities, NOW_MS).judgement is Judgement.ABSENT
