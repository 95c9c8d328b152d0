"""Milo's operations through ``POST /v1``, with the local Milo behind."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import pytest_asyncio
from solders.keypair import Keypair

from adapters.milo.endpoints import ENDPOINTS, PREFIX, REGISTER, REQUEST_MESSAGE, Endpoint
from gateway.codec import Codec
from gateway.operations.table import OPERATIONS, Group
from gateway.operations.wire import Call, CredentialRequest
from sandbox.milo.routes import ROUTES
from sandbox.milo.tokens import BY_SYMBOL, SOL, USDC
from storage.ports import KeyEnvironment, Scopes, Tier
from tests.support.milo_gateway import MiloGateway, Trader, milo_gateway

REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "milo-partner-api.md"
JUP = BY_SYMBOL["JUP"].address
ADDRESS = "7HgJxkY3bS9v2oQmW4nZcTfR8dLpEuAiKjHGVFDsNMq1"


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[MiloGateway]:
    """One for all: every test has a trader of its own."""
    async with milo_gateway(tmp_path_factory.mktemp("milo")) as desk:
        yield desk


def at(operator: str, value: str, kind: str = "absolute") -> dict[str, Any]:
    return {"type": kind, "operator": operator, "value": value}


def buy(amount: Mapping[str, Any], trigger: Mapping[str, Any], token: str = SOL.address) -> dict[str, Any]:
    return {"tokenAddress": token, "type": "buy", "payload": {"type": "buy", "amount": amount, "trigger": trigger}}


def usd(amount: int) -> dict[str, Any]:
    return {"type": "absolute_usd", "amount": amount}


def tokens(amount: str) -> dict[str, Any]:
    return {"type": "absolute", "amount": amount}


class Asked(Exception):
    def __init__(self, endpoint: Endpoint[Any]) -> None:
        super().__init__(endpoint.path)
        self.endpoint = endpoint


class Recorder:
    """A session and its partner API: it tells which endpoint is asked."""

    @property
    def partner_api(self) -> Recorder:
        return self

    async def ask(self, endpoint: Endpoint[Any], **parameters: Any) -> Any:
        raise Asked(endpoint)

    async def ask_paid(self, endpoint: Endpoint[Any], *parameters: Any, **more: Any) -> Any:
        raise Asked(endpoint)


class RecordingCall:
    session = Recorder()
    confirm_above = None


async def asked_by(name: str) -> Endpoint[Any]:
    row = OPERATIONS[name]
    body = msgspec.json.encode({"operation": name, **row.example})
    request = Codec(OPERATIONS).read(body).request()
    assert isinstance(request, CredentialRequest)
    with pytest.raises(Asked) as asked:
        await request.perform(cast(Call, RecordingCall()))
    return asked.value.endpoint


async def test_every_endpoint_has_an_operation_and_every_operation_an_endpoint() -> None:
    public = {"miloRequestSiwxMessage": REQUEST_MESSAGE, "miloSignup": REGISTER}
    names = [name for name, row in OPERATIONS.items() if row.group is Group.MILO]
    asked = [public.get(name) or await asked_by(name) for name in names]
    assert {id(endpoint) for endpoint in asked} == {id(endpoint) for endpoint in ENDPOINTS}
    assert len(names) == len(ENDPOINTS) == 36


async def test_the_endpoints_are_the_local_milos_with_its_limits() -> None:
    theirs = {(route.method, route.path, route.group.name, route.is_public) for route in ROUTES}
    assert {(one.method, one.path, one.group.name, one.is_public) for one in ENDPOINTS} == theirs


async def test_the_endpoints_are_the_references() -> None:
    if not REFERENCE.is_file():
        pytest.skip("the reference is not beside this checkout")
    written = re.findall(rf"^`(GET|POST|PATCH|DELETE) {PREFIX}(\S+?)`", REFERENCE.read_text(), re.MULTILINE)
    assert {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS} == set(written)


BAD = {
    "a buy of a share": ("payload.amount.type", buy({"type": "relative", "percentage": 50}, at("gte", "0"))),
    "an amount of the wrong kind": ("payload.amount.percentage", buy(usd(5) | {"percentage": 5}, at("gte", "0"))),
    "no amount": ("payload.amount.amount", buy({"type": "absolute"}, at("gte", "0"))),
    "less than nothing": ("payload.amount.amount", buy(usd(-5), at("gte", "0"))),
    "an operator of the wrong kind": ("payload.trigger.operator", buy(usd(5), at("rise", "5"))),
    "a drop of all and more": ("payload.trigger.value", buy(usd(5), at("drop", "101", "relative"))),
    "a price of nothing": ("payload.trigger.value", buy(usd(5), at("lte", "0"))),
    "another type inside": ("payload.type", buy(usd(5), at("gte", "0")) | {"type": "sell"}),
    "no mint": ("tokenAddress", buy(usd(5), at("gte", "0"), "SOL")),
    "a gain of nothing": (
        "takeProfits[0].profitPercentage",
        buy(usd(5), at("gte", "0")) | {"takeProfits": [{"percentage": 50, "profitPercentage": 0}]},
    ),
    "six stop-losses": (
        "stopLosses",
        buy(usd(5), at("gte", "0")) | {"stopLosses": [{"percentage": 10, "lossPercentage": 5}] * 6},
    ),
    "nine of both": (
        "takeProfits",
        buy(usd(5), at("gte", "0"))
        | {
            "takeProfits": [{"percentage": 10, "profitPercentage": 5}] * 4,
            "stopLosses": [{"percentage": 10, "lossPercentage": 5}] * 5,
        },
    ),
}


@pytest.mark.parametrize("what", BAD)
async def test_an_order_that_cannot_be_is_refused_here_and_names_the_field(desk: MiloGateway, what: str) -> None:
    trader = await desk.trader()
    field, order = BAD[what]
    reply = await trader.ask("miloCreateOrder", **order)
    assert (reply.status, reply.json["code"]) == (400, "INVALID_PARAMETER"), reply.text
    assert reply.json["details"]["field"] == field
    assert (await trader.told("miloListOrders"))["meta"]["total"] == 0


@pytest.mark.parametrize(
    ("operation", "parameters", "field"),
    [
        ("miloGetOrder", {"orderId": "../../me"}, "orderId"),
        ("miloListOrders", {"page": 101}, "page"),
        ("miloListOrders", {"pageSize": 0}, "pageSize"),
        ("miloListOrders", {"status": "frozen"}, "status"),
        ("miloGetTransactions", {"limit": 201}, "limit"),
        ("miloSendTokens", {"recipient": ADDRESS, "token": SOL.address, "amount": "NaN"}, "amount"),
        ("miloSendTokens", {"recipient": "0x12", "token": SOL.address, "amount": "1"}, "recipient"),
        ("miloUpdateAutoTradeSettings", {"allocation": {"majors": 40, "memes": 50}}, "allocation"),
        ("miloUpdateAutoTradeSettings", {"allocation": {"moons": 100}}, "allocation.moons"),
        ("miloUpdateAutoTradeSettings", {"allocation": {"promising-memes": 101}}, "allocation.promising-memes"),
        ("miloUpdateAutoTradeSettings", {"riskTolerance": "yolo"}, "riskTolerance"),
        ("miloCreateStrategy", {"name": "x" * 201, "strategy": "SCALPER"}, "name"),
        ("miloCreateStrategy", {"name": "  ", "strategy": "SCALPER"}, "name"),
        ("miloCreateConversation", {"message": ""}, "message"),
        ("miloCreateConversation", {"message": "x" * 4001}, "message"),
        ("miloCreateConversation", {"message": "x", "agentType": "oracle"}, "agentType"),
        ("miloCreateConversation", {"message": "x", "payment": {"header": "X-API-Key"}}, "payment"),
    ],
)
async def test_bad_input_never_reaches_milo(
    desk: MiloGateway, operation: str, parameters: dict[str, Any], field: str
) -> None:
    trader = await desk.trader(scopes=Scopes(operations=frozenset(OPERATIONS)))
    reply = await trader.ask(operation, **parameters)
    assert (reply.status, reply.json["code"]) == (400, "INVALID_PARAMETER"), reply.text
    assert str(reply.json["details"]["field"]).startswith(field)


@pytest.mark.parametrize("header", ["X-API-Key", "Cookie", "X-PAYMENT\r\nX-Evil", "x-payment", "Authorization"])
async def test_a_proof_goes_into_no_header_but_one_for_payments(desk: MiloGateway, header: str) -> None:
    trader = await desk.trader()
    proof = {
        "recipient": ADDRESS,
        "asset": "SOL",
        "amount": "0.01",
        "paymentId": "p",
        "txSignature": "5" * 88,
        "header": header,
    }
    reply = await trader.ask("miloCreateConversation", message="Hello", payment=proof)
    assert (reply.status, reply.json["details"]["field"]) == (400, "payment.header")


async def test_a_credential_of_another_exchange_is_told_which_it_takes(desk: MiloGateway) -> None:
    trader = await desk.trader()
    other = await desk.gateway.credential(trader.account, "scripted")
    reply = await desk.ask("miloGetHoldings", trader.key, credentialId=other.credential_id)
    assert (reply.status, reply.json["code"]) == (422, "UNSUPPORTED_OPERATION")
    assert reply.json["details"] == {"exchange": "scripted", "operation": "miloGetHoldings"}


async def test_a_free_key_reads_and_only_a_named_key_sends(desk: MiloGateway) -> None:
    trader = await desk.trader(Tier.FREE)
    assert (await trader.ask("miloGetHoldings")).status == 200
    assert (await trader.ask("miloCreateStrategy", name="x", strategy="SCALPER")).json["code"] == "TIER_INSUFFICIENT"
    builder = await desk.trader(Tier.BUILDER)
    sending = {"recipient": ADDRESS, "token": USDC.address, "amount": "1"}
    refused = await builder.ask("miloSendTokens", **sending)
    assert (refused.status, refused.json["code"]) == (403, "OPERATION_NOT_ALLOWED")
    named = await builder.another_key(Scopes(operations=frozenset({"miloSendTokens"})))
    sent = await builder.ask("miloSendTokens", key=named, **sending)
    assert sent.status == 200, sent.text
    assert sent.json["data"] == (await builder.told("miloGetTransactions"))["data"][0]["signature"]
    for other in await _other_scopes(builder):
        assert (await builder.ask("miloSendTokens", key=other, **sending)).status == 403


async def _other_scopes(trader: Trader) -> list[str]:
    reads = Scopes(operations=frozenset({"miloGetHoldings"}))
    wide = Scopes(exchanges=frozenset({"milo"}), credentials=frozenset({trader.credential_id}))
    return [await trader.another_key(scopes) for scopes in (reads, wide)]


async def test_the_gateway_keeps_to_milos_limits_and_says_when_to_come_back(desk: MiloGateway) -> None:
    trader = await desk.trader()
    for _ in range(5):
        placed = await desk.ask("miloCreateOrder", trader.key, credentialId=trader.credential_id,
                                **buy(usd(5), at("lte", "1")))  # fmt: skip
        assert placed.status == 200, placed.text
    refused = await desk.ask(
        "miloCreateOrder", trader.key, credentialId=trader.credential_id, **buy(usd(5), at("lte", "1"))
    )
    assert (refused.status, refused.json["code"]) == (502, "EXCHANGE_ERROR")
    details = refused.json["details"]
    assert (details["outcome"], details["reason"], details["retryable"]) == ("not_sent", "VENUE_RATE_LIMITED", True)
    assert 0 < int(refused.headers["Retry-After"]) <= 61
    desk.clock.advance(61)
    again = await desk.ask(
        "miloCreateOrder", trader.key, credentialId=trader.credential_id, **buy(usd(5), at("lte", "1"))
    )
    assert again.status == 200


async def test_milos_own_too_many_reads_the_same(desk: MiloGateway) -> None:
    trader = await desk.trader()
    # Somebody else uses the same key.
    assert (await trader.user.call("POST", "/users/{userId}/positions/close-all")).status == 200
    refused = await desk.ask("miloCloseAllPositions", trader.key, credentialId=trader.credential_id)
    details = refused.json["details"]
    assert (refused.status, details["outcome"], details["reason"]) == (502, "not_sent", "VENUE_RATE_LIMITED")
    assert int(refused.headers["Retry-After"]) > 0


async def test_a_message_that_was_not_paid_for_says_what_it_costs_and_a_proof_serves_once(desk: MiloGateway) -> None:
    trader = await desk.trader(scopes=Scopes(operations=frozenset(OPERATIONS)))
    hello = {"credentialId": trader.credential_id, "message": "Hello"}
    for _ in range(2):
        assert (await desk.ask("miloCreateConversation", trader.key, **hello)).status == 200
    refused = await desk.ask("miloCreateConversation", trader.key, **hello)
    assert (refused.status, refused.json["code"]) == (402, "PAYMENT_REQUIRED")
    terms = refused.json["details"]
    assert terms["acceptedHeader"] == "X-PAYMENT"
    assert terms["antiReplay"]["oneTimeIdField"] == "paymentId"
    sent = await desk.ask("miloSendTokens", trader.key, credentialId=trader.credential_id,
                          recipient=terms["recipient"], token=USDC.address, amount="0.25")  # fmt: skip
    proof = {
        "recipient": terms["recipient"],
        "asset": "USDC",
        "amount": "0.25",
        "paymentId": "one",
        "txSignature": sent.json["data"],
    }
    cheaper = await desk.ask("miloCreateConversation", trader.key, **hello, payment=proof | {"amount": "0.2"})
    assert (cheaper.status, cheaper.json["code"]) == (402, "PAYMENT_REQUIRED")
    paid = await desk.ask("miloCreateConversation", trader.key, **hello, payment=proof)
    assert paid.status == 200, paid.text
    assert paid.json["payment"] | {"payer": ""} == {
        "success": True,
        "transaction": sent.json["data"],
        "network": "solana",
        "payer": "",
        "recipient": terms["recipient"],
        "asset": "USDC",
        "amount": "0.25",
        "paymentId": "one",
    }
    again = await desk.ask("miloCreateConversation", trader.key, **hello, payment=proof)
    assert (again.status, again.json["code"]) == (402, "PAYMENT_REQUIRED")


async def test_an_unanswered_write_is_unknown_and_says_where_to_look(tmp_path: Path) -> None:
    async with milo_gateway(tmp_path) as desk:
        await _look_at_an_unanswered_write(desk)


async def _look_at_an_unanswered_write(desk: MiloGateway) -> None:
    trader = await desk.trader()
    assert (await trader.ask("miloGetMe")).status == 200
    await desk.milo.venue.close()
    order = await trader.ask("miloCreateOrder", **buy(usd(5), at("gte", "0")))
    assert (order.status, order.json["code"]) == (502, "EXCHANGE_ERROR")
    details = order.json["details"]
    assert (details["outcome"], details["retryable"]) == ("unknown", False)
    assert "miloListOrders" in details["hint"]
    read = (await trader.ask("miloGetHoldings")).json["details"]
    assert (read["outcome"], read["retryable"]) == ("unknown", True)
    assert "hint" not in read


class Careful:
    """A key that decides up to 100 dollars by itself."""

    def __init__(self, trader: Trader, key: str) -> None:
        self.trader = trader
        self.key = key

    async def ask(self, operation: str, **parameters: Any) -> tuple[int, Any]:
        reply = await self.trader.ask(operation, key=self.key, **parameters)
        return reply.status, reply.json


@pytest_asyncio.fixture(loop_scope="module")
async def careful(desk: MiloGateway) -> Careful:
    trader = await desk.trader()
    scopes = Scopes(operations=frozenset(OPERATIONS), confirm_above=Decimal(100))
    return Careful(trader, await trader.another_key(scopes))


LARGE = {
    "dollars": ("miloCreateOrder", buy(usd(101), at("lte", "1"))),
    "tokens at a price": ("miloCreateOrder", buy(tokens("2"), at("lte", "51"))),
    "tokens at whatever they cost": ("miloCreateOrder", buy(tokens("10"), at("gte", "0"))),
    "tokens when they are dearer": ("miloCreateOrder", buy(tokens("0.1"), at("gte", "1500"))),
    "tokens whose price nobody knows": ("miloCreateOrder", buy(tokens("0.1"), at("gte", "0"), JUP)),
    "a percentage below a price": ("miloCreateOrder", buy(tokens("10"), at("drop", "5", "relative"))),
    "sending": ("miloSendTokens", {"recipient": ADDRESS, "token": USDC.address, "amount": "101"}),
    "sending what nobody knows the worth of": (
        "miloSendTokens",
        {"recipient": ADDRESS, "token": JUP, "amount": "0.1"},
    ),
    "auto-trading": ("miloUpdateAutoTradeSettings", {"isActive": True}),
    "the arena": ("miloDeployToArena", {"strategyId": "s"}),
    "the auto-trader": ("miloCreateConversation", {"message": "Buy!", "agentType": "auto-trader"}),
}


@pytest.mark.parametrize("what", LARGE)
async def test_a_key_that_has_to_ask_may_not_do_what_nobody_can_be_asked_about(careful: Careful, what: str) -> None:
    operation, parameters = LARGE[what]
    before = (await careful.trader.told("miloGetTransactions"))["data"]
    status, body = await careful.ask(operation, **parameters)
    assert (status, body["code"]) == (403, "OPERATION_NOT_ALLOWED"), body
    assert body["details"]["reason"] == "CONFIRMATION_REQUIRED"
    assert (await careful.trader.told("miloListOrders"))["meta"]["total"] == 0
    assert (await careful.trader.told("miloGetTransactions"))["data"] == before


async def test_it_may_do_what_is_worth_less_and_what_only_reduces(careful: Careful) -> None:
    for operation, parameters in (
        ("miloCreateOrder", buy(usd(100), at("gte", "0"))),
        ("miloCreateOrder", buy(tokens("1.9"), at("lte", "51"))),
        ("miloSendTokens", {"recipient": ADDRESS, "token": USDC.address, "amount": "99"}),
        ("miloUpdateAutoTradeSettings", {"isActive": False}),
        ("miloCreateConversation", {"message": "How is SOL?"}),
    ):
        status, body = await careful.ask(operation, **parameters)
        assert status == 200, (operation, body)
    payload = {"type": "sell", "amount": {"type": "relative", "percentage": 100}, "trigger": at("gte", "0")}
    status, body = await careful.ask("miloCreateOrder", tokenAddress=SOL.address, type="sell", payload=payload)
    assert status == 200, body


async def test_what_was_paused_is_weighed_before_it_is_activated(careful: Careful) -> None:
    waiting = {}
    for name, amount in (("small", 50), ("large", 500)):
        order = buy(usd(amount), at("lte", "1")) | {"status": "paused"}
        waiting[name] = (await careful.trader.told("miloCreateOrder", **order))["data"]["id"]
    assert (await careful.ask("miloActivateOrder", orderId=waiting["small"]))[0] == 200
    status, body = await careful.ask("miloActivateOrder", orderId=waiting["large"])
    assert (status, body["details"]["reason"]) == (403, "CONFIRMATION_REQUIRED")
    shown = await careful.trader.told("miloGetOrder", orderId=waiting["large"])
    assert shown["data"]["status"] == "paused"


async def test_common_orders_are_valued_by_what_milo_tells(careful: Careful) -> None:
    order = {"market": "SOL", "side": "BUY", "size": "0.1"}
    status, body = await careful.ask("placeMarketOrder", **order)
    assert status == 200, body
    status, body = await careful.ask("placeMarketOrder", **(order | {"size": "10"}))
    assert (status, body["details"]["reason"]) == (403, "CONFIRMATION_REQUIRED")
    status, body = await careful.ask("placeMarketOrder", market="JUP", side="BUY", size="1")
    assert (status, body["details"]["outcome"]) == (502, "not_sent")


async def test_the_common_operations_trade_and_close(desk: MiloGateway) -> None:
    trader = await desk.trader()
    bought = await trader.told("placeMarketOrder", market="JUP", side="BUY", size="100", clientOrderId="first")
    assert (bought["status"], bought["filledSize"]) == ("FILLED", "100")
    again = await trader.told("placeMarketOrder", market="JUP", side="BUY", size="100", clientOrderId="first")
    assert (again["orderId"], again["replayed"]) == (bought["orderId"], True)
    resting = await trader.told("placeLimitOrder", market="JUP-USD", side="BUY", size="5", price="0.1")
    assert resting["status"] == "OPEN"
    refused = await trader.ask("placeLimitOrder", market="JUP", side="BUY", size="5", price="0.1", postOnly=True)
    assert (refused.status, refused.json["details"]["field"]) == (422, "postOnly")
    for operation in ("getOrderbook", "getCandles", "getFundingRate", "getFeeInfo"):
        told = await trader.ask(operation, market="JUP")
        assert (told.status, told.json["code"]) == (422, "UNSUPPORTED_OPERATION")
    assert (await trader.told("getBalance"))["exchange_type"] == "milo"
    protected = await trader.told(
        "placeProtectionOrders", market="JUP", side="LONG", size="100", entryPrice="0.5", tpPercent=300, slPercent=90
    )
    assert [leg["status"] for leg in protected["results"]] == ["PENDING", "PENDING"]
    assert [p["size"] for p in (await trader.told("getPositions"))["positions"]] == ["100"]
    closed = await trader.told("closeAllPositions", market="JUP")
    assert (closed["closedSize"], closed["remainingSize"]) == ("100", "0")
    assert Decimal(closed["avgClosePrice"]) > 0
    assert (await trader.told("getOrders"))["orders"] == []
    markets = {one["symbol"]: one for one in (await trader.told("getMarkets"))["markets"]}
    assert (markets["BONK-USD"]["assetClass"], markets["BONK-USD"]["type"]) == ("memes", "SPOT")


async def test_an_order_that_milo_never_answered_for_stays_unknown_and_names_what_looks_like_it(
    desk: MiloGateway,
) -> None:
    trader = await desk.trader()
    assert (await trader.ask("getBalance")).status == 200
    before = len(desk.wire.written)
    desk.wire.loses_answers = True
    placed = await trader.ask("placeLimitOrder", market="JUP", side="BUY", size="5", price="0.1", clientOrderId="lost")
    desk.wire.loses_answers = False
    assert (placed.status, placed.json["status"], placed.json["orderId"]) == (202, "UNKNOWN", None)
    asked = await trader.ask("getOrder", clientOrderId="lost")
    assert (asked.status, asked.json["status"]) == (202, "UNKNOWN")
    again = await trader.ask("placeLimitOrder", market="JUP", side="BUY", size="5", price="0.1", clientOrderId="lost")
    assert (again.status, again.json["status"]) == (202, "UNKNOWN")
    assert len(desk.wire.written) == before + 1
    assert len((await trader.told("miloListOrders"))["data"]) == 1


async def test_live_keys_do_not_sign_up_at_the_local_milo(desk: MiloGateway) -> None:
    account = await desk.gateway.account()
    live = await desk.gateway.key(account, environment=KeyEnvironment.LIVE)
    wallet = str(Keypair().pubkey())
    asked = {"accountAddress": wallet, "chainId": "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp", "network": "paper"}
    refused = await desk.ask("miloRequestSiwxMessage", live, **asked)
    assert (refused.status, refused.json["code"]) == (403, "CREDENTIAL_NOT_ALLOWED")
