from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from storage.ports import Journal, JournalChange, JournalEvent, JournalRow, OrderState
from tests.storage.conftest import OpenNode
from tests.storage.samples import LEASE_MS, NOW_MS, note, order

FINAL = [
    OrderState.FILLED,
    OrderState.CANCELED,
    OrderState.EXPIRED,
    OrderState.REJECTED,
    OrderState.NOT_SENT,
    OrderState.LATE_EXECUTION,
]
ANY = tuple(OrderState)


async def move(journal: Journal, row: JournalRow, to: OrderState, **fields: Any) -> JournalRow | None:
    return await journal.change(
        row.order_key,
        expected=(row.state,),
        fence=row.fence,
        change=JournalChange(state=to, **fields),
        at_ms=NOW_MS + 1,
    )


async def test_a_stored_order_comes_back_as_it_was(journal: Journal) -> None:
    row = order(
        1,
        group_id="group",
        leg=2,
        attempt=3,
        state=OrderState.UNKNOWN,
        fence=4,
        venue_order_id="77",
        venue_order=b'{"price":"1.50"}',
        reason="OTHER",
        evidence="\u00e9vidence \U0001f600",
        negatives=5,
        last_negative_ms=NOW_MS,
        checks=6,
        next_check_ms=NOW_MS + 5,
        cancel_requested_at_ms=NOW_MS + 6,
        request=bytes(range(256)),
    )
    assert await journal.insert([row]) == [None]
    assert await journal.row(row.order_key) == row
    assert await journal.find("account-1", "credential-1", "mine-1") == row
    assert await journal.by_venue_order_id("account-1", "credential-1", "77") == row


async def test_what_is_not_there_is_none_or_empty(journal: Journal) -> None:
    assert await journal.row("no") is None
    assert await journal.find("account-1", "credential-1", "no") is None
    assert await journal.by_venue_order_id("account-1", "credential-1", "no") is None
    assert await journal.group("no") == []
    assert await journal.events("no") == []
    assert await journal.undecided("no") == []
    assert await journal.in_states([OrderState.SENDING], 5) == []
    assert await journal.next_due_ms() is None
    assert await journal.claim(owner="node-2", now_ms=NOW_MS, lease_ms=1, limit=5) == []
    assert await journal.change("no", expected=ANY, fence=1, change=note("n"), at_ms=NOW_MS) is None


async def test_an_id_that_is_taken_gives_the_order_that_has_it_and_stores_nothing(journal: Journal) -> None:
    first = order(1)
    await journal.insert([first])
    again = order(2, client_order_id=first.client_order_id, request_hash=b"other")
    assert await journal.insert([again]) == [first]
    assert await journal.row(again.order_key) is None
    assert await journal.events(again.order_key) == []


async def test_ids_belong_to_one_account_and_credential(journal: Journal) -> None:
    await journal.insert([order(1)])
    elsewhere = order(2, client_order_id="mine-1", credential_id="credential-2")
    assert await journal.insert([elsewhere]) == [None]
    assert await journal.find("account-1", "credential-2", "mine-1") == elsewhere
    assert await journal.find("account-2", "credential-1", "mine-1") is None


async def test_one_taken_id_keeps_every_leg_of_a_batch_out(journal: Journal) -> None:
    taken = order(2)
    await journal.insert([taken])
    legs = [
        order(11, group_id="g", leg=0),
        order(12, group_id="g", leg=1, client_order_id=taken.client_order_id),
        order(13, group_id="g", leg=2),
    ]
    assert await journal.insert(legs) == [None, taken, None]
    assert await journal.group("g") == []
    assert await journal.events("order-11") == []


async def test_two_legs_of_one_batch_with_one_id_keep_it_out(journal: Journal) -> None:
    legs = [order(1), order(2, client_order_id="mine-1"), order(3)]
    assert await journal.insert(legs) == [None, legs[0], None]
    assert await journal.in_states(ANY, 10) == []


async def test_the_legs_of_a_batch_come_back_in_order(journal: Journal) -> None:
    legs = [order(number, group_id="g", leg=9 - number) for number in range(3)]
    assert await journal.insert(legs) == [None] * 3
    assert await journal.group("g") == legs[::-1]


async def test_a_venue_client_id_is_never_given_to_a_second_order(journal: Journal) -> None:
    first, second = order(1), order(2)
    await journal.insert([first])
    with pytest.raises(ValueError, match="venue client id"):
        await journal.insert([order(3), msgspec.structs.replace(second, venue_client_id=first.venue_client_id)])
    assert await journal.row("order-3") is None
    await journal.insert([second])
    with pytest.raises(ValueError, match="venue client id"):
        await journal.change(
            second.order_key,
            expected=ANY,
            fence=1,
            change=JournalChange(venue_client_id=first.venue_client_id),
            at_ms=NOW_MS,
        )
    assert await journal.row(second.order_key) == second


async def test_a_change_sets_what_it_names_and_keeps_the_rest(journal: Journal) -> None:
    row = order(1, reason="OTHER", evidence="before", next_check_ms=5)
    await journal.insert([row])
    change = JournalChange(
        state=OrderState.ACKED,
        venue_order_id="9",
        venue_order=b"{}",
        evidence=None,
        attempt=1,
        valid_until_ms=2,
        venue_client_id="0xnew",
        negatives=3,
        last_negative_ms=4,
        checks=5,
        next_check_ms=None,
        lease_until_ms=6,
        cancel_requested_at_ms=7,
    )
    changed = await journal.change("order-1", expected=(OrderState.SENDING,), fence=1, change=change, at_ms=NOW_MS + 9)
    assert changed == msgspec.structs.replace(
        row,
        state=OrderState.ACKED,
        venue_order_id="9",
        venue_order=b"{}",
        evidence=None,
        attempt=1,
        valid_until_ms=2,
        venue_client_id="0xnew",
        negatives=3,
        last_negative_ms=4,
        checks=5,
        next_check_ms=None,
        lease_until_ms=6,
        cancel_requested_at_ms=7,
        updated_at_ms=NOW_MS + 9,
    )
    assert await journal.row("order-1") == changed


@pytest.mark.parametrize(
    ("expected", "fence"),
    [((OrderState.UNKNOWN,), 1), ((OrderState.SENDING,), 2), ((OrderState.SENDING,), 0), ((), 1)],
)
async def test_a_change_under_another_state_or_fence_does_nothing(
    journal: Journal, expected: tuple[OrderState, ...], fence: int
) -> None:
    row = order(1)
    await journal.insert([row])
    change = JournalChange(state=OrderState.FILLED, note="no")
    assert await journal.change("order-1", expected=expected, fence=fence, change=change, at_ms=NOW_MS) is None
    assert await journal.row("order-1") == row
    assert len(await journal.events("order-1")) == 1


@pytest.mark.parametrize("final", FINAL)
async def test_an_order_in_a_final_state_never_moves(journal: Journal, final: OrderState) -> None:
    row = order(1, state=final)
    await journal.insert([row])
    for change in (JournalChange(state=OrderState.WORKING), JournalChange(next_check_ms=1), note("touched")):
        assert await journal.change("order-1", expected=ANY, fence=1, change=change, at_ms=NOW_MS) is None
    assert await journal.row("order-1") == row


async def test_an_order_proved_absent_can_only_turn_out_to_have_executed(journal: Journal) -> None:
    row = order(1, state=OrderState.NOT_PLACED)
    await journal.insert([row])
    for state in set(OrderState) - {OrderState.NOT_PLACED, OrderState.LATE_EXECUTION}:
        assert await move(journal, row, state) is None
    looked = await journal.change("order-1", expected=ANY, fence=1, change=JournalChange(checks=1), at_ms=NOW_MS)
    assert looked is not None
    late = await move(journal, row, OrderState.LATE_EXECUTION)
    assert late is not None
    assert late.state is OrderState.LATE_EXECUTION


async def test_events_tell_an_orders_history(journal: Journal) -> None:
    row = order(1)
    await journal.insert([row])
    unknown = await move(journal, row, OrderState.UNKNOWN, note="timed out")
    assert unknown is not None
    for change in (JournalChange(checks=1), note("looked")):
        await journal.change("order-1", expected=(OrderState.UNKNOWN,), fence=1, change=change, at_ms=NOW_MS + 2)
    await move(journal, unknown, OrderState.FILLED)
    seen = [
        (event.number, event.at_ms, event.state, event.fence, event.note) for event in await journal.events("order-1")
    ]
    assert seen == [
        (1, row.created_at_ms, OrderState.SENDING, 1, ""),
        (2, NOW_MS + 1, OrderState.UNKNOWN, 1, "timed out"),
        (3, NOW_MS + 2, OrderState.UNKNOWN, 1, "looked"),
        (4, NOW_MS + 1, OrderState.FILLED, 1, ""),
    ]
    assert all(isinstance(event, JournalEvent) for event in await journal.events("order-1"))


async def test_whatever_a_venue_says_is_kept_as_far_as_it_is_text(journal: Journal) -> None:
    row = order(1)
    await journal.insert([row])
    said = "no\0such \u202e\u2028\U0001f600 'order' $1 \\x00 %s"
    change = JournalChange(state=OrderState.WORKING, evidence=said, venue_order_id="\0", note=said)
    changed = await journal.change("order-1", expected=ANY, fence=1, change=change, at_ms=NOW_MS)
    assert changed is not None
    assert changed.evidence == said.replace("\0", "\ufffd")
    assert (await journal.events("order-1"))[-1].note == changed.evidence
    assert await journal.by_venue_order_id("account-1", "credential-1", "\0") == changed


async def test_the_newest_of_orders_with_one_venue_order_id_is_meant(journal: Journal) -> None:
    await journal.insert([order(2, venue_order_id="77")])
    await journal.insert([order(1, venue_order_id="77")])
    found = await journal.by_venue_order_id("account-1", "credential-1", "77")
    assert found is not None
    assert found.order_key == "order-2"


async def test_a_sender_that_let_its_lease_pass_loses_the_order(journal: Journal) -> None:
    row = order(1, next_check_ms=NOW_MS - 5)
    await journal.insert([row])
    assert await journal.next_due_ms() == row.lease_until_ms
    assert await journal.claim(owner="node-2", now_ms=row.lease_until_ms - 1, lease_ms=10, limit=5) == []
    now_ms = row.lease_until_ms
    (claimed,) = await journal.claim(owner="node-2", now_ms=now_ms, lease_ms=10, limit=5)
    assert claimed == msgspec.structs.replace(
        row, owner="node-2", fence=2, lease_until_ms=now_ms + 10, next_check_ms=now_ms + 10
    )
    assert await move(journal, row, OrderState.ACKED) is None
    assert await move(journal, claimed, OrderState.UNKNOWN) is not None


async def test_work_is_claimed_when_its_check_is_due_whatever_the_lease(journal: Journal) -> None:
    row = order(1, state=OrderState.UNKNOWN, next_check_ms=NOW_MS + 250, lease_until_ms=NOW_MS + LEASE_MS)
    await journal.insert([row, order(2, state=OrderState.WORKING)])
    assert await journal.next_due_ms() == NOW_MS + 250
    (claimed,) = await journal.claim(owner="node-2", now_ms=NOW_MS + 250, lease_ms=100, limit=5)
    assert (claimed.order_key, claimed.fence, claimed.owner) == ("order-1", 2, "node-2")
    assert await journal.claim(owner="node-3", now_ms=NOW_MS + 349, lease_ms=100, limit=5) == []
    (again,) = await journal.claim(owner="node-3", now_ms=NOW_MS + 350, lease_ms=100, limit=5)
    assert again.fence == 3


async def test_what_has_waited_longest_is_claimed_first(journal: Journal) -> None:
    await journal.insert([order(n, state=OrderState.UNKNOWN, next_check_ms=NOW_MS - n) for n in range(5)])
    claimed = await journal.claim(owner="node-2", now_ms=NOW_MS, lease_ms=10, limit=2)
    assert [row.order_key for row in claimed] == ["order-4", "order-3"]


@pytest.mark.parametrize("final", FINAL)
async def test_an_order_in_a_final_state_is_no_work(journal: Journal, final: OrderState) -> None:
    await journal.insert([order(1, state=final, next_check_ms=NOW_MS)])
    assert await journal.next_due_ms() is None
    assert await journal.claim(owner="node-2", now_ms=NOW_MS * 2, lease_ms=10, limit=5) == []


async def test_undecided_are_a_credentials_unknown_orders_oldest_first(journal: Journal) -> None:
    unknown = OrderState.UNKNOWN
    await journal.insert(
        [
            order(3, state=unknown),
            order(1, state=unknown),
            order(2),
            order(4, state=unknown, credential_id="credential-2"),
            order(5, state=OrderState.NEEDS_OPERATOR),
        ]
    )
    assert [row.order_key for row in await journal.undecided("credential-1")] == ["order-1", "order-3"]


async def test_orders_are_listed_by_state_oldest_first(journal: Journal) -> None:
    await journal.insert([order(n, state=state) for n, state in enumerate(reversed(OrderState))])
    wanted = [OrderState.UNKNOWN, OrderState.SENDING]
    assert [row.state for row in await journal.in_states(wanted, 10)] == wanted
    assert [row.state for row in await journal.in_states(wanted, 1)] == wanted[:1]
    assert [row.state for row in await journal.in_states(wanted, 10, newest_first=True)] == wanted[::-1]
    assert await journal.in_states([], 10) == []


async def test_no_two_nodes_ever_claim_the_same_work(open_node: OpenNode) -> None:
    stores, other = await open_node(), await open_node()
    await stores.journal.insert([order(n, state=OrderState.UNKNOWN, next_check_ms=NOW_MS) for n in range(40)])
    claims = await asyncio.gather(
        *(
            node.journal.claim(owner=f"node-{number}", now_ms=NOW_MS, lease_ms=1_000, limit=7)
            for number, node in enumerate([stores, other] * 5)
        )
    )
    keys = [row.order_key for rows in claims for row in rows]
    assert len(keys) == 40
    assert len(set(keys)) == 40
    assert all(row.fence == 2 and row.owner == f"node-{number}" for number, rows in enumerate(claims) for row in rows)


async def test_of_two_nodes_that_insert_one_id_exactly_one_wins(open_node: OpenNode) -> None:
    stores, other = await open_node(), await open_node()
    for number in range(10):
        mine, theirs = order(number), order(number + 100, client_order_id=f"mine-{number}")
        outcomes = await asyncio.gather(stores.journal.insert([mine]), other.journal.insert([theirs]))
        assert sorted(outcomes, key=lambda outcome: outcome[0] is None) in ([[mine], [None]], [[theirs], [None]])
        winner = mine if outcomes[0] == [None] else theirs
        assert await other.journal.find("account-1", "credential-1", f"mine-{number}") == winner


async def test_of_many_callers_that_insert_one_id_exactly_one_wins(journal: Journal) -> None:
    outcomes = await asyncio.gather(*(journal.insert([order(n, client_order_id="same")]) for n in range(20)))
    assert sum(outcome == [None] for outcome in outcomes) == 1
    assert len({outcome[0].order_key for outcome in outcomes if outcome[0] is not None}) == 1


async def test_of_many_changes_under_one_fence_the_first_wins(journal: Journal) -> None:
    row = order(1)
    await journal.insert([row])
    outcomes = await asyncio.gather(
        *(move(journal, row, state) for state in (OrderState.FILLED, OrderState.REJECTED, OrderState.UNKNOWN) * 3)
    )
    assert [outcome is not None for outcome in outcomes] == [True] + [False] * 8
