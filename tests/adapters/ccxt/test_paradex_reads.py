"""What Paradex tells of markets and accounts, in our words."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Network
from adapters.ccxt_venues.adapter import CcxtAdapter
from adapters.ccxt_venues.paradex import PARADEX
from adapters.ccxt_venues.paradex.reads import parse_book, parse_candles, parse_market_summaries, parse_positions
from adapters.transport import Transport
from normalization.errors import ServiceUnavailable, UnknownMarket
from normalization.instruments import Instrument
from normalization.orders import PositionSide
from normalization.resolver import Markets
from normalization.venue_failures import Reason, VenueRejected, VenueUnclear
from tests.adapters.ccxt.hyperliquid_rig import surroundings
from tests.adapters.ccxt.orders_to_place import NOW_MS
from tests.adapters.ccxt.paradex_rig import ACCOUNT, CONFIG, MAIN_KEY, ORDER_ID, ParadexRig, page, report
from tests.adapters.ccxt.recording_server import Answer, Sent

RECORDED = Path(__file__).resolve().parents[3].parent / "shared/fixtures/ccxt/response/paradex.http.json"
POSITION: dict[str, Any] = {
    "id": f"{ACCOUNT}-BTC-USD-PERP",
    "market": "BTC-USD-PERP",
    "status": "OPEN",
    "side": "SHORT",
    "size": "-0.5",
    "average_entry_price": "60000.5",
    "unrealized_pnl": "-12.5",
    "liquidation_price": "",
    "leverage": "5",
}
SUMMARY: dict[str, Any] = {
    "symbol": "BTC-USD-PERP",
    "mark_price": "60010.123",
    "underlying_price": "60005.5",
    "funding_rate": "0.0001",
    "open_interest": "152.5",
    "bid": "1",
    "ask": "2",
}


async def test_only_perpetuals_that_can_be_signed_are_listed(paradex: ParadexRig) -> None:
    assert [i.symbol for i in paradex.markets] == ["BTC-USD-PERP", "ETH-USD-PERP", "kPEPE-USD-PERP"]
    assert (paradex.btc.max_leverage, paradex.markets.resolve("ETH").max_leverage) == (50, 30)
    assert paradex.markets.resolve("kPEPE").contract_multiplier == 1000
    with pytest.raises(UnknownMarket):
        paradex.markets.resolve("DUST")


async def test_a_local_venue_that_claims_to_be_the_main_network_is_not_signed_for(
    paradex: ParadexRig, tmp_path: Path
) -> None:
    paradex.replies["GET /v1/system/config"] = {**CONFIG, "starknet_chain_id": "PRIVATE_SN_PARACLEAR_MAINNET"}
    transport = Transport()
    adapter = CcxtAdapter(PARADEX, surroundings(tmp_path, transport), paper_url=paradex.server.url)
    with pytest.raises(ServiceUnavailable):
        await adapter.markets(Network.PAPER)
    await adapter.close()
    await transport.close()


async def test_mark_funding_and_interest_are_told(paradex: ParadexRig) -> None:
    paradex.replies["GET /v1/markets/summary"] = {"results": [SUMMARY, {**SUMMARY, "symbol": "BTC-USD-1-C"}]}
    mark = await paradex.session.get_mark_price(paradex.btc)
    assert (mark.mark_price, mark.index_price) == (Decimal("60010.123"), Decimal("60005.5"))
    funding = await paradex.session.get_funding_rate(paradex.btc)
    assert (funding.rate, funding.next_funding_ms) == (Decimal("0.0001"), NOW_MS + 8 * 3_600_000)
    (summary,) = await paradex.session.get_markets_with_funding()
    assert (summary.symbol, summary.open_interest) == ("BTC-USD-PERP", Decimal("152.5") * Decimal("60010.123"))


@pytest.mark.parametrize("value", ["NaN", "", "1e400", "-5"])
async def test_a_mark_price_that_is_none_is_not_passed_on(paradex: ParadexRig, value: str) -> None:
    paradex.replies["GET /v1/markets/summary"] = {"results": [{**SUMMARY, "mark_price": value}]}
    with pytest.raises(VenueUnclear):
        await paradex.session.get_mark_price(paradex.btc)


async def test_the_book_is_exact_and_no_deeper_than_asked(paradex: ParadexRig) -> None:
    book = {"market": "BTC-USD-PERP", "bids": [["59999.9", "1"], ["59999", "2"]], "asks": [["60000.1", "0.5"]]}
    paradex.replies["GET /v1/orderbook/BTC-USD-PERP"] = book
    found = await paradex.session.get_orderbook(paradex.btc, 1)
    assert (found.bids, found.asks) == (
        ((Decimal("59999.9"), Decimal(1)),),
        ((Decimal("60000.1"), Decimal("0.5")),),
    )


@pytest.mark.parametrize(
    ("minutes", "resolution", "limit"), [(5, "5", 10), (60, "60", 3), (240, "60", 3), (1440, "60", 50)]
)
async def test_candles_of_intervals_that_the_venue_lacks_are_put_together(
    paradex: ParadexRig, minutes: int, resolution: str, limit: int
) -> None:
    def klines(sent: Sent) -> Any:
        query = dict(part.split("=") for part in sent.path.partition("?")[2].split("&"))
        assert query["resolution"] == resolution
        step = int(resolution) * 60_000
        first = -(-int(query["start_at"]) // step) * step
        return {"results": [[t, 10, 12.5, 9.5, 11, 2] for t in range(first, int(query["end_at"]) + 1, step)]}

    paradex.replies["GET /v1/markets/klines"] = klines
    candles = await paradex.session.get_candles(paradex.btc, minutes, limit)
    starts = [candle.opened_at_ms for candle in candles]
    step_ms = minutes * 60_000
    last = NOW_MS - NOW_MS % step_ms
    assert starts == list(range(last - (limit - 1) * step_ms, last + 1, step_ms))
    assert (candles[0].high, candles[0].low) == (Decimal("12.5"), Decimal("9.5"))
    assert candles[0].volume == 2 * minutes / Decimal(resolution)


async def test_positions_are_told_with_their_mark_price_and_leverage(paradex: ParadexRig) -> None:
    config = {"market": "ETH-USD-PERP", "leverage": 7, "margin_type": "CROSS"}
    paradex.replies |= {
        "GET /v1/positions": page(
            POSITION,
            {**POSITION, "market": "ETH-USD-PERP", "side": "LONG", "size": "2", "leverage": ""},
            {**POSITION, "market": "kPEPE-USD-PERP", "status": "CLOSED", "size": "0"},
            {**POSITION, "market": "BTC-USD-1-C"},
        ),
        "GET /v1/markets/summary": {"results": [SUMMARY, {**SUMMARY, "symbol": "ETH-USD-PERP"}]},
        "GET /v1/account/margin": {"account": ACCOUNT, "configs": [config]},
    }
    short, long = await paradex.session.get_positions(None)
    assert (short.side, short.size, short.leverage) == (PositionSide.SHORT, Decimal("0.5"), 5)
    assert (short.mark_price, short.liquidation_price) == (Decimal("60010.123"), None)
    assert (long.side, long.size, long.leverage) == (PositionSide.LONG, Decimal(2), 7)


@pytest.mark.parametrize("answer", [{}, [], None, {"results": None}, Answer(b"<html>")])
async def test_an_answer_without_positions_is_not_an_account_without_any(paradex: ParadexRig, answer: Any) -> None:
    paradex.replies["GET /v1/positions"] = answer
    with pytest.raises(VenueUnclear):
        await paradex.session.get_positions(None)


async def test_a_finished_order_is_told_with_what_it_cost(paradex: ParadexRig) -> None:
    fill = {"order_id": ORDER_ID, "market": "BTC-USD-PERP", "side": "BUY", "created_at": f"{NOW_MS}"}
    paradex.replies |= {
        f"GET /v1/orders/{ORDER_ID}": report(status="CLOSED", remaining_size="0", avg_fill_price="50006"),
        "GET /v1/fills": page(
            {**fill, "id": "1", "size": "0.004", "price": "50000", "fee": "0.06"},
            {**fill, "id": "2", "size": "0.006", "price": "50010", "fee": "0.09"},
            {**fill, "id": "3", "size": "1", "price": "1", "fee": "9", "order_id": "77"},
        ),
    }
    order = await paradex.session.get_order(ORDER_ID, None)
    assert (order.average_price, order.fee) == (Decimal(50006), Decimal("0.15"))
    assert [fill.fill_id for fill in await paradex.session.get_fills(paradex.btc, 2)] == ["1", "2"]


async def test_only_the_venue_can_say_that_there_is_no_such_order(paradex: ParadexRig) -> None:
    with pytest.raises(VenueRejected):
        await paradex.session.get_order("ord_nope", paradex.btc)
    assert paradex.server.sent == []
    paradex.replies["GET /v1/orders-history"] = page(report(id="5"))
    with pytest.raises(VenueRejected) as refused:
        await paradex.session.get_order(ORDER_ID, paradex.btc)
    assert refused.value.reason is Reason.ORDER_NOT_FOUND


async def test_fees_are_the_accounts_own_where_the_venue_says_them(paradex: ParadexRig) -> None:
    listed = await paradex.session.get_fees(paradex.btc)
    assert (listed.maker_bps, listed.taker_bps) == (Decimal("-0.5"), Decimal(3))
    fees = {"maker_rate": "-0.00003", "taker_rate": "0.0002"}
    paradex.replies["GET /v1/account/info"] = {
        "results": [{"account": ACCOUNT.upper().replace("0X", "0x"), "fees": fees}]
    }
    own = await paradex.session.get_fees(paradex.btc)
    assert (own.maker_bps, own.taker_bps) == (Decimal("-0.3"), Decimal(2))


async def test_a_subkey_is_a_good_credential_and_a_main_key_is_warned_about(paradex: ParadexRig) -> None:
    paradex.replies["GET /v1/account"] = {"account_value": "7", "free_collateral": "5", "status": "ACTIVE"}
    assert list(await paradex.session.test()) == []
    session = await paradex.open(private_key=MAIN_KEY)
    (warning,) = await session.test()
    assert "withdraw" in warning
    await session.close()


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded replies are not on this machine")
async def test_real_replies_are_understood(paradex: ParadexRig) -> None:
    recorded = json.loads(RECORDED.read_text())["httpResponse"]

    def raw(name: str) -> bytes:
        return json.dumps(recorded[name]).encode()

    def listing(base: str) -> Instrument:
        return Instrument(
            exchange="paradex",
            symbol=f"{base}-USD-PERP",
            venue_symbol=f"{base}-USD-PERP",
            base=base,
            quote="USD",
            settle="USDC",
            tick_size=Decimal("0.1"),
            lot_size=Decimal("0.001"),
        )

    markets = Markets("paradex", [listing("BTC"), listing("SOL")])
    book = parse_book(raw("fetchOrderBook"), markets.resolve("BTC"), 20)
    assert (book.bids[0].price, book.asks[0].size) == (Decimal(66810), Decimal("3.734"))
    assert parse_candles(raw("fetchOHLCV"))[0].close == Decimal("60823.3")
    assert parse_market_summaries(raw("fetchTickers"), markets)[0].mark_price == Decimal("67307.7225876")
    assert [position.market for position in parse_positions(raw("fetchPositions"), markets)] == ["SOL-USD-PERP"]
