"""What holds for every venue that is spoken to through ccxt, asked over its recorded words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.ccxt_venues.refusals import rows_of
from adapters.ccxt_venues.rows import ROWS
from normalization.errors import ExchangeError
from normalization.orders import Execution, Limit, Market, PostOnly, Stop, TimeInForce
from normalization.venue_failures import Reason, VenueFailure, VenueNotReached, VenueRejected, VenueUnclear
from tests.adapters.ccxt.benches import Bench, bench_of, outcome
from tests.adapters.ccxt.orders_to_place import TOKEN, submission
from tests.adapters.ccxt.recorded import RECORDED, WIRES
from tests.adapters.ccxt.recorded.wire import Wire
from tests.adapters.ccxt.recording_server import Answer

DEEP = b"[" * 100_000
ORDER = PostOnly(price=Decimal(50_000))

HOSTILE = {
    "empty": Answer(b""),
    "html": Answer(b"<html><body>502 Bad Gateway</body></html>"),
    "no document": Answer(b"null"),
    "an empty one": Answer(b"{}"),
    "a list": Answer(b"[]"),
    "text": Answer(b'"ok"'),
    "cut short": Answer(b'{"status":"OK","success":true,"code":200,"result":{"order_id":"0x1","ord'),
    "NaN": Answer(b'{"status":"OK","code":NaN,"result":NaN}'),
    "deep": Answer(DEEP),
    "too much": Answer(b'{"a":"' + b"x" * (2 << 20) + b'"}'),
    "a redirect": Answer(b"", 307, {"Location": "http://127.0.0.1:9/"}),
    "no words": Answer(b"", 404),
    "conflict": Answer(b"", 409),
    "teapot": Answer(b"<html>", 418),
    "unavailable": Answer(b'{"error":"x"}', 503),
    "a code nobody knows": Answer(
        b'{"success":false,"status":"ERROR","code":987654,"message":"no","error":{"code":987654},'
        b'"result":{"code":987654,"codespace":"x"}}',
        400,
    ),
}


SIGNING_KEYS = {"private_key", "secret_key", "seeds"}

# Where an empty list is how the venue says that there are no orders.
BARE_LISTS = {"aster", "dydx", "hibachi"}


@pytest.fixture(params=RECORDED)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench[Wire]]:
    async with bench_of(request.param, WIRES[request.param](), tmp_path) as opened:
        yield opened


@pytest.fixture
async def trader(bench: Bench[Wire]) -> Bench[Wire]:
    """One whose orders can be signed here: some venues need a library that does not come by default."""
    refused = await outcome(bench.session.place_order(bench.rig.order(ORDER)))
    if isinstance(refused, VenueRejected) and "library that is not installed" in refused.text:
        pytest.skip(refused.text)
    bench.rig.server.sent.clear()
    return bench


async def test_a_reply_that_proves_nothing_never_says_that_an_order_was_refused(trader: Bench[Wire]) -> None:
    for name, answer in HOSTILE.items():
        trader.rig.server.sent.clear()
        trader.wire.instead = dict.fromkeys(trader.wire.places, answer)
        found = await outcome(trader.session.place_order(trader.rig.order(ORDER)))
        assert isinstance(found, VenueUnclear), f"{name}: {found!r}"
        assert len(trader.placements()) == 1, name


async def test_a_reply_that_proves_nothing_is_never_an_empty_answer(bench: Bench[Wire]) -> None:
    btc, session = bench.rig.btc, bench.session
    await session.test()
    for name, answer in HOSTILE.items():
        bench.wire.instead = {".*": answer}
        reads: tuple[Callable[[], Coroutine[Any, Any, Any]], ...] = (
            lambda: session.get_open_orders(btc),
            lambda: session.get_positions(None),
            session.get_balance,
            lambda: session.get_fills(btc, 10),
            lambda: session.find_order(bench.rig.client_id, btc),
            lambda: session.get_orderbook(btc, 5),
            lambda: session.get_mark_price(btc),
            lambda: session.get_candles(btc, 60, 5),
        )
        for number, read in enumerate(reads):
            found = await outcome(read())
            if name == "a list" and bench.rig.row.exchange in BARE_LISTS and found == []:
                continue
            assert isinstance(found, VenueFailure), f"{name}, {number}: {found!r}"


async def test_an_order_that_no_step_allows_is_not_sent(bench: Bench[Wire]) -> None:
    bench.rig.server.sent.clear()
    for size, price in (("0", "50000"), ("-1", "50000"), ("0.000000001", "50000"), ("0.01", "0"), ("0.01", "50000.01")):
        execution = Limit(price=Decimal(price))
        assert isinstance(
            await outcome(bench.session.place_order(bench.rig.order(execution, size=size))), VenueRejected
        )
    assert bench.rig.server.sent == []


async def test_a_time_in_force_that_the_venue_has_not_is_not_sent_as_another(bench: Bench[Wire]) -> None:
    offered = bench.rig.row.capabilities.times_in_force
    for time_in_force in set(TimeInForce) - offered:
        bench.rig.server.sent.clear()
        refused = await outcome(
            bench.session.place_order(bench.rig.order(Limit(price=Decimal(50_000), time_in_force=time_in_force)))
        )
        assert isinstance(refused, VenueRejected)
        assert bench.placements() == []


async def test_nobody_is_paid_and_nothing_is_approved_whatever_is_placed(trader: Bench[Wire]) -> None:
    executions: tuple[Execution, ...] = (ORDER, Market(), Stop(trigger_price=Decimal(70_000)))
    for number, execution in enumerate(executions):
        trader.rig.client_id = trader.rig.row.client_id(bytes([number]) * 16)
        await outcome(trader.session.place_order(trader.rig.order(execution)))
    assert len(trader.placements()) == len(executions)
    for sent in trader.rig.server.sent:
        words = (sent.path.encode() + sent.body).lower()
        assert not [word for word in (b"builder", b"broker", b"referral", b"integrator", b"ccxt") if word in words]


async def test_a_key_that_the_venue_repeats_is_not_told(bench: Bench[Wire]) -> None:
    keys = {field.name: bench.wire.secrets[field.name] for field in bench.rig.row.credential_fields if field.secret}
    said_back = json.dumps({"success": False, "status": "ERROR", "code": 1, "message": str(keys), "error": str(keys)})
    bench.wire.instead = {".*": Answer(said_back.encode(), 401)}
    doings: tuple[Callable[[], Coroutine[Any, Any, Any]], ...] = (
        bench.session.get_balance,
        lambda: bench.session.get_open_orders(bench.rig.btc),
        lambda: bench.session.place_order(bench.rig.order(ORDER)),
    )
    for doing in doings:
        failure = await outcome(doing())
        assert isinstance(failure, VenueFailure)
        assert not [key for key in keys.values() if key in failure.text]


async def test_a_market_that_is_listed_no_more_is_not_traded(trader: Bench[Wire]) -> None:
    gone = msgspec.structs.replace(trader.rig.btc, symbol="GONE-USD-PERP")
    trader.rig.server.sent.clear()
    failure = await outcome(trader.session.place_order(submission(gone, ORDER, client_id=trader.rig.client_id)))
    assert isinstance(failure, VenueRejected)
    assert failure.reason is Reason.MARKET_CLOSED
    assert trader.placements() == []


async def test_a_market_order_without_a_price_to_start_from_was_not_sent(trader: Bench[Wire]) -> None:
    await trader.session.get_balance()
    trader.wire.instead = {".*": Answer(b"", 500)}
    failure = await outcome(trader.session.place_order(trader.rig.order(Market())))
    assert isinstance(failure, VenueNotReached)
    assert trader.placements() == []


async def test_a_malformed_secret_is_told_without_repeating_it(bench: Bench[Wire]) -> None:
    secret = {field.name: field for field in bench.rig.row.credential_fields if field.secret}
    for name, field in secret.items():
        assert field.check(bench.wire.secrets[name]) is None
        assert field.check("") is not None
        assert "canary" not in (field.check("a canary, with spaces") or "")
    with pytest.raises(ExchangeError) as refused:
        await bench.rig.open({**bench.wire.secrets, **dict.fromkeys(SIGNING_KEYS & secret.keys(), "canary")})
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("exchange", sorted(WIRES))
def test_every_code_of_a_venue_says_what_it_is_about(exchange: str) -> None:
    rows = rows_of(exchange)
    assert len({(row.text, tuple(sorted(row.actions))) for row in rows}) == len(rows)
    assert all(row.actions for row in rows)


@pytest.mark.parametrize("exchange", sorted(WIRES))
def test_every_field_of_a_credential_is_checked_before_it_is_stored(exchange: str) -> None:
    fields = {field.name: field for field in ROWS[exchange].credential_fields}
    for name, value in WIRES[exchange]().secrets.items():
        assert fields[name].check(value) is None
        assert fields[name].check("\u202e not one") is not None
    assert SIGNING_KEYS & {name for name, field in fields.items() if field.secret}


@pytest.mark.parametrize("exchange", sorted(WIRES))
def test_a_client_id_is_the_same_for_the_same_order_and_another_for_another(exchange: str) -> None:
    spell = ROWS[exchange].client_id
    assert spell(TOKEN) == spell(TOKEN)
    assert len({spell(hashlib.sha256(bytes([n])).digest()[:16]) for n in range(200)}) == 200
