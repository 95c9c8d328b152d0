from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from adapters.base import Network
from gateway.operations.table import OPERATIONS
from gateway.operations.wire import CredentialRequest
from normalization.errors import KeyRevoked
from normalization.orders import TimeInForce
from normalization.venue_failures import Reason, VenueDeferred, VenueNotReached, VenueRejected, VenueUnclear
from storage.ports import KeyEnvironment, Scopes, Tier
from tests.support.scripted_venue import CAPABILITIES, ScriptedVenue, accept_then, fail
from tests.support.served import Served, served

BALANCE = {"operation": "getBalance"}


class Shop:
    """A served gateway with one builder account, its key and a credential."""

    def __init__(self, gateway: Served, venue: ScriptedVenue, key: str, credential_id: str) -> None:
        self.gateway = gateway
        self.venue = venue
        self.key = key
        self.credential_id = credential_id

    def body(self, operation: str, **fields: Any) -> dict[str, Any]:
        return {"operation": operation, "credentialId": self.credential_id, **fields}

    def limit(self, **fields: Any) -> dict[str, Any]:
        return self.body("placeLimitOrder", market="BTC", side="BUY", size="0.01", price="94000", **fields)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    venue = ScriptedVenue()
    async with served(tmp_path, {"scripted": venue}) as gateway:
        account = await gateway.account()
        credential = await gateway.credential(account)
        yield Shop(gateway, venue, await gateway.key(account), credential.credential_id)


async def test_an_answer_bears_every_header(shop: Shop) -> None:
    reply = await shop.gateway.post(shop.body("getBalance"), shop.key)
    assert reply.status == 200
    assert uuid.UUID(reply.headers["X-Request-Id"]).version == 4
    assert float(reply.headers["X-Request-Duration-Ms"]) > 0
    assert reply.headers["X-RateLimit-Limit-Minute"] == "120"
    assert int(reply.headers["X-RateLimit-Remaining-Minute"]) == 119
    assert reply.headers["X-RateLimit-Limit-Day"] == "50000"
    assert int(reply.headers["X-RateLimit-Remaining-Day"]) == 49_999
    assert {part.split(";")[0].strip() for part in reply.headers["Server-Timing"].split(",")} >= {
        "auth",
        "limits",
        "venue",
    }


async def test_an_order_tells_how_long_its_journal_took(shop: Shop) -> None:
    reply = await shop.gateway.post(shop.limit(), shop.key)
    assert "journal;dur=" in reply.headers["Server-Timing"]


async def test_money_is_decimal_text_without_an_exponent(shop: Shop) -> None:
    balance = (await shop.gateway.post(shop.body("getBalance"), shop.key)).json
    assert balance == {
        "success": True,
        "exchange_type": "scripted",
        "equity": "10000.00",
        "freeCollateral": "8200.50",
        "accountValue": "10000.00",
    }
    funding = (await shop.gateway.post(shop.body("getFundingRate", market="BTC"), shop.key)).json
    assert funding["fundingRate"] == "0.00000001"


async def test_a_key_is_taken_from_either_header_and_x_api_key_wins(shop: Shop) -> None:
    body = shop.body("getBalance")
    assert (await shop.gateway.post(body, Authorization=f"Bearer {shop.key}")).status == 200
    assert (await shop.gateway.post(body, shop.key, Authorization="Bearer nonsense")).status == 200
    wrong_first = await shop.gateway.post(body, "nonsense", Authorization=f"Bearer {shop.key}")
    assert wrong_first.json["code"] == "INVALID_KEY_FORMAT"


async def test_a_key_in_the_address_is_refused_and_not_used(shop: Shop) -> None:
    async with shop.gateway.client.post(
        f"{shop.gateway.url}/v1?api_key={shop.key}", json=shop.body("getBalance")
    ) as response:
        body = await response.json()
    assert (response.status, body["code"]) == (400, "INVALID_PARAMETER")
    assert shop.key not in json.dumps(body)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
async def test_everything_but_post_is_405(shop: Shop, method: str) -> None:
    reply = await shop.gateway.post(b"", shop.key, method=method)
    assert (reply.status, reply.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json; charset=utf-8", 200),
        ("Application/JSON", 200),
        ("text/plain", 415),
        ("application/xml", 415),
    ],
)
async def test_only_json_is_taken(shop: Shop, content_type: str, status: int) -> None:
    body = json.dumps(shop.body("getBalance")).encode()
    headers = {"X-API-Key": shop.key, "Content-Type": content_type}
    async with shop.gateway.client.post(f"{shop.gateway.url}/v1", data=body, headers=headers) as response:
        assert response.status == status


async def test_a_missing_content_type_is_taken_as_json(shop: Shop) -> None:
    body = json.dumps(shop.body("getBalance")).encode()
    reply = await raw(shop.gateway, body, f"X-API-Key: {shop.key}")
    assert reply.startswith(b"HTTP/1.1 200")


async def test_a_compressed_body_is_refused(shop: Shop) -> None:
    reply = await shop.gateway.post(shop.body("getBalance"), shop.key, **{"Content-Encoding": "gzip"})
    assert reply.json["code"] in ("UNSUPPORTED_MEDIA_TYPE", "INVALID_JSON")
    assert reply.status < 500


async def test_a_large_body_is_refused_whether_its_length_is_told_or_not(shop: Shop) -> None:
    big = b'{"operation": "' + b"x" * 10_000_000 + b'"}'

    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(big), 65_536):
            yield big[start : start + 65_536]

    assert (await raw(shop.gateway, big, f"X-API-Key: {shop.key}")).startswith(b"HTTP/1.1 413")
    headers = {"X-API-Key": shop.key, "Content-Type": "application/json"}
    try:
        async with shop.gateway.client.post(f"{shop.gateway.url}/v1", data=in_pieces(), headers=headers) as response:
            assert response.status == 413
    except aiohttp.ClientError:
        # The server answered and closed while the client was still sending.
        pass
    assert (await shop.gateway.post(shop.body("getBalance"), shop.key)).status == 200


async def test_a_good_request_is_served_on_the_same_connection_after_bad_ones(shop: Shop) -> None:
    for bad in (b"", b"{", b"\xff", b'{"operation": "nope"}', json.dumps({**shop.limit(), "size": "NaN"}).encode()):
        assert 400 <= (await shop.gateway.post(bad, shop.key)).status < 500
    assert (await shop.gateway.post(shop.body("getBalance"), shop.key)).status == 200


async def test_requests_sent_together_are_answered_in_order(shop: Shop) -> None:
    body = json.dumps(shop.body("getBalance")).encode()
    request = (
        f"POST /v1 HTTP/1.1\r\nHost: x\r\nX-API-Key: {shop.key}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", shop.gateway.port)
    async with asyncio.timeout(10):
        writer.write(request * 3)
        for _ in range(3):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            assert json.loads(await reader.readexactly(length))["success"]
    writer.close()


async def test_a_path_that_does_not_exist_is_a_404_with_the_envelope(shop: Shop) -> None:
    async with shop.gateway.client.get(f"{shop.gateway.url}/v2") as response:
        assert response.status == 404
        assert (await response.json())["code"] == "NOT_FOUND"


async def test_it_is_alive_and_ready(shop: Shop) -> None:
    for path in ("/healthz", "/readyz"):
        async with shop.gateway.client.get(f"{shop.gateway.url}{path}") as response:
            assert response.status == 200


async def test_it_is_not_ready_without_its_database(tmp_path: Path) -> None:
    async with served(tmp_path) as gateway:
        await gateway.gateway.stores.close()
        async with gateway.client.get(f"{gateway.url}/readyz") as response:
            assert response.status == 503
            assert "database" in (await response.json())["problems"]
        async with gateway.client.get(f"{gateway.url}/healthz") as response:
            assert response.status == 200


@pytest.mark.parametrize(
    ("failure", "outcome", "reason"),
    [
        (VenueRejected(Reason.AUTHENTICATION_FAILED, "bad signature"), "rejected", "AUTHENTICATION_FAILED"),
        (VenueNotReached(Reason.VENUE_UNREACHABLE, "refused"), "not_sent", "VENUE_UNREACHABLE"),
        (VenueDeferred(Reason.VENUE_RATE_LIMITED, "slow down", retry_after_s=7), "not_sent", "VENUE_RATE_LIMITED"),
        (VenueUnclear(Reason.VENUE_UNAVAILABLE, "502"), "unknown", "VENUE_UNAVAILABLE"),
        (TimeoutError(), "unknown", "VENUE_TIMEOUT"),
    ],
    ids=repr,
)
async def test_a_venues_failure_of_a_read_is_an_exchange_error(
    shop: Shop, failure: Exception, outcome: str, reason: str
) -> None:
    shop.venue.lookup_failure = failure
    reply = await shop.gateway.post(shop.body("getOrder", orderId="ord_9"), shop.key)
    assert (reply.status, reply.json["code"]) == (502, "EXCHANGE_ERROR")
    assert (reply.json["details"]["outcome"], reply.json["details"]["reason"]) == (outcome, reason)
    assert ("Retry-After" in reply.headers) == (reason == "VENUE_RATE_LIMITED")


async def test_a_fault_of_ours_is_told_without_its_text(shop: Shop) -> None:
    shop.venue.lookup_failure = RuntimeError("the secret is hunter2 at /etc/venuegate")
    reply = await shop.gateway.post(shop.body("getOrder", orderId="ord_9"), shop.key)
    assert (reply.status, reply.json["code"]) == (500, "INTERNAL_ERROR")
    assert reply.headers["X-Request-Id"] in reply.json["error"]
    assert "hunter2" not in reply.text
    assert "RuntimeError" not in reply.text


async def test_an_order_whose_answer_was_lost_is_202_and_found_by_its_id(shop: Shop) -> None:
    shop.venue.hidden = True
    shop.venue.script.append(accept_then(ConnectionResetError()))
    placed = await shop.gateway.post(shop.limit(clientOrderId="mine"), shop.key)
    assert placed.status == 202
    assert placed.json["success"] is True
    assert placed.json["orderId"] is None
    assert placed.json["status"] == "UNKNOWN"
    assert {"clientOrderId", "finalBy", "hint"} <= placed.json.keys()
    again = await shop.gateway.post(shop.limit(clientOrderId="mine"), shop.key)
    assert (again.status, again.json["replayed"]) == (202, True)
    shop.venue.hidden = False
    found = await shop.gateway.post(shop.body("getOrder", clientOrderId="mine"), shop.key)
    assert (found.status, found.json["orderId"], found.json["status"]) == (200, "ord_1", "OPEN")
    assert len(shop.venue.sent) == 1


async def test_a_refused_order_is_a_502_that_says_so(shop: Shop) -> None:
    shop.venue.script.append(fail(VenueRejected(Reason.INSUFFICIENT_FUNDS, "not enough margin")))
    reply = await shop.gateway.post(shop.limit(), shop.key)
    assert reply.status == 502
    assert reply.json["details"]["outcome"] == "rejected"
    assert reply.json["details"]["reason"] == "INSUFFICIENT_FUNDS"
    assert reply.json["details"]["venueMessage"] == "not enough margin"
    assert reply.json["details"]["clientOrderId"]


async def test_the_same_id_with_other_parameters_is_a_409(shop: Shop) -> None:
    await shop.gateway.post(shop.limit(clientOrderId="mine"), shop.key)
    reply = await shop.gateway.post({**shop.limit(clientOrderId="mine"), "size": "0.02"}, shop.key)
    assert (reply.status, reply.json["code"]) == (409, "CLIENT_ORDER_ID_CONFLICT")


@pytest.mark.parametrize(
    ("field", "value", "nearest"), [("price", "94000.05", "94000.0"), ("size", "0.000014", "0.00001")]
)
async def test_a_number_off_the_step_is_refused_with_the_nearest(
    shop: Shop, field: str, value: str, nearest: str
) -> None:
    reply = await shop.gateway.post({**shop.limit(), field: value}, shop.key)
    assert (reply.status, reply.json["code"]) == (400, "INVALID_PARAMETER")
    assert (reply.json["details"]["field"], reply.json["details"]["nearest"]) == (field, nearest)
    assert shop.venue.sent == []


async def test_a_batch_with_one_bad_leg_sends_none(shop: Shop) -> None:
    leg = {"market": "BTC", "side": "BUY", "size": "0.01", "price": "93000"}
    bad = {**leg, "price": "93000.05"}
    reply = await shop.gateway.post(shop.body("placeBatchOrder", orders=[leg, bad]), shop.key)
    assert reply.json["details"]["field"] == "orders[1].price"
    unknown = await shop.gateway.post(shop.body("placeBatchOrder", orders=[leg, {**leg, "market": "XXQ"}]), shop.key)
    assert (unknown.json["code"], unknown.json["details"]["field"]) == ("UNKNOWN_MARKET", "orders[1].market")
    assert shop.venue.sent == []


async def test_a_batch_answers_for_each_leg(shop: Shop) -> None:
    leg = {"market": "BTC", "side": "BUY", "size": "0.01", "price": "93000"}
    shop.venue.script.extend(
        [lambda venue, sub: venue.execute(sub), fail(VenueRejected(Reason.INSUFFICIENT_FUNDS, "no"))]
    )
    reply = await shop.gateway.post(shop.body("placeBatchOrder", orders=[leg, leg], clientOrderId="b"), shop.key)
    first, second = reply.json["results"]
    assert reply.status == 200
    assert (first["orderId"], first["status"], first["clientOrderId"]) == ("ord_1", "OPEN", "b-0")
    assert (second["orderId"], second["status"], second["code"]) == (None, "REJECTED", "EXCHANGE_ERROR")


async def test_half_a_protection_does_not_look_like_one(shop: Shop) -> None:
    shop.venue.script.extend(
        [lambda venue, sub: venue.execute(sub), fail(VenueRejected(Reason.TOO_MANY_ORDERS, "too many"))]
    )
    body = shop.body(
        "placeProtectionOrders",
        market="BTC", side="LONG", size="0.01", entryPrice="94000", tpPercent=5, slPercent=2, clientOrderId="p",
    )  # fmt: skip
    reply = await shop.gateway.post(body, shop.key)
    assert (reply.status, reply.json["code"]) == (502, "EXCHANGE_ERROR")
    assert "stop-loss was not placed" in reply.json["error"]
    assert [leg["orderId"] for leg in reply.json["details"]["results"]] == ["ord_1", None]


async def test_protection_prices_round_towards_the_entry(shop: Shop) -> None:
    common = {"market": "BTC", "size": "0.01", "entryPrice": "94000.3", "tpPercent": "1.5", "slPercent": 2}
    for side, (take, stop) in {"LONG": ("95410.3", "92120.3"), "SHORT": ("92590.3", "95880.3")}.items():
        shop.venue.sent.clear()
        await shop.gateway.post(shop.body("placeProtectionOrders", side=side, **common), shop.key)
        triggers = [str(submission.intent.trigger_price) for submission in shop.venue.sent]
        assert triggers == [take, stop]


async def test_every_operation_of_another_account_is_a_404(shop: Shop) -> None:
    # Some operations have to be named to a key.
    scopes = Scopes(operations=frozenset(OPERATIONS))
    stranger = await shop.gateway.key(await shop.gateway.account(Tier.PRO), scopes=scopes)
    for name, row in OPERATIONS.items():
        if issubclass(row.request, CredentialRequest):
            body = {"operation": name, **row.example, "credentialId": shop.credential_id}
            reply = await shop.gateway.post(body, stranger)
            assert (reply.status, reply.json["code"]) == (404, "CREDENTIAL_NOT_FOUND"), name
    mine = await shop.gateway.post({"operation": "listCredentials"}, stranger)
    assert mine.json["credentials"] == []
    assert shop.venue.sent == []


async def test_an_order_of_another_account_is_not_found_by_its_client_id(shop: Shop) -> None:
    await shop.gateway.post(shop.limit(clientOrderId="mine"), shop.key)
    other = await shop.gateway.account()
    credential, key = await shop.gateway.credential(other), await shop.gateway.key(other)
    body = {"operation": "getOrder", "credentialId": credential.credential_id, "clientOrderId": "mine"}
    reply = await shop.gateway.post(body, key)
    assert reply.json["details"]["reason"] == "ORDER_NOT_FOUND"


async def test_live_keys_reach_mainnet_and_test_keys_everything_else(shop: Shop) -> None:
    account = await shop.gateway.account()
    keys = {env: await shop.gateway.key(account, environment=env) for env in KeyEnvironment}
    for network, good in (
        (Network.MAINNET, KeyEnvironment.LIVE),
        (Network.TESTNET, KeyEnvironment.TEST),
        (Network.PAPER, KeyEnvironment.TEST),
    ):
        credential = await shop.gateway.credential(account, network=network)
        body = {"operation": "getBalance", "credentialId": credential.credential_id}
        for environment, key in keys.items():
            reply = await shop.gateway.post(body, key)
            expected = 200 if environment is good else 403
            assert reply.status == expected, (network, environment)


async def test_a_list_of_credentials_has_those_that_the_key_may_use(shop: Shop) -> None:
    account = await shop.gateway.account(Tier.FREE)
    paper = await shop.gateway.credential(account)
    other = await shop.gateway.credential(account)
    await shop.gateway.credential(account, network=Network.MAINNET)
    wide = await shop.gateway.key(account)
    narrow = await shop.gateway.key(account, scopes=Scopes(credentials=frozenset({paper.credential_id})))

    async def listed(key: str) -> set[str]:
        reply = await shop.gateway.post({"operation": "listCredentials"}, key)
        return {entry["credentialId"] for entry in reply.json["credentials"]}

    assert await listed(wide) == {paper.credential_id, other.credential_id}
    assert await listed(narrow) == {paper.credential_id}


async def test_a_revoked_key_is_refused_within_two_seconds(shop: Shop) -> None:
    account = await shop.gateway.account()
    key = await shop.gateway.key(account)
    directory = shop.gateway.gateway.stores.directory
    assert (await shop.gateway.post({"operation": "listCredentials"}, key)).status == 200
    (row,) = await directory.keys(account.account_id)
    await directory.revoke_key(row.key_id, 1)
    with pytest.raises(KeyRevoked):
        await _use_for(2.0, shop.gateway, key)
    assert (await shop.gateway.post({"operation": "listCredentials"}, key)).json["code"] == "KEY_REVOKED"


async def test_metrics_count_requests_and_orders_without_any_id(tmp_path: Path) -> None:
    async with served(tmp_path) as gateway:
        account = await gateway.account()
        credential, key = await gateway.credential(account), await gateway.key(account)
        body = {"operation": "getBalance", "credentialId": credential.credential_id}
        await gateway.post(body, key)
        await gateway.post({"operation": "nope" * 100}, key)
        text = gateway.gateway.metrics.exposition().decode()
    assert 'venuegate_requests_total{code="OK",operation="getBalance"} 1.0' in text
    assert 'venuegate_requests_total{code="UNKNOWN_OPERATION",operation="none"} 1.0' in text
    assert credential.credential_id not in text


async def _use_for(seconds: float, gateway: Served, key: str) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while loop.time() < deadline:
        await gateway.gateway.authenticator.authenticate(key, None, "here")
        await asyncio.sleep(0.01)


async def raw(gateway: Served, body: bytes, *headers: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    head = "\r\n".join(["POST /v1 HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", "Connection: close", *headers])
    async with asyncio.timeout(10):
        writer.write(head.encode() + b"\r\n\r\n" + body)
        answer = await reader.readuntil(b"\r\n")
    writer.transport.abort()
    return answer


async def test_a_time_in_force_that_the_venue_lacks_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    only = msgspec.structs.replace(CAPABILITIES, times_in_force=frozenset({TimeInForce.GTC, TimeInForce.IOC}))
    venue = ScriptedVenue(only)
    async with served(tmp_path, {"scripted": venue}) as gateway:
        account = await gateway.account()
        shop = Shop(gateway, venue, await gateway.key(account), (await gateway.credential(account)).credential_id)
        reply = await gateway.post(shop.limit(timeInForce="FOK"), shop.key)
        assert (reply.status, reply.json["code"]) == (422, "UNSUPPORTED_OPERATION")
        assert "GTC or IOC" in reply.json["error"]
        leg = {"market": "BTC", "side": "BUY", "size": "0.01", "price": "93000", "timeInForce": "FOK"}
        assert (await gateway.post(shop.body("placeBatchOrder", orders=[leg]), shop.key)).status == 422
    assert venue.sent == []


async def test_a_venue_that_cancels_by_market_is_told_the_market_of_our_own_orders(tmp_path: Path) -> None:
    venue = ScriptedVenue(msgspec.structs.replace(CAPABILITIES, needs_market_to_cancel=True))
    async with served(tmp_path, {"scripted": venue}) as gateway:
        account = await gateway.account()
        shop = Shop(gateway, venue, await gateway.key(account), (await gateway.credential(account)).credential_id)
        placed = await gateway.post(shop.limit(), shop.key)
        canceled = await gateway.post(shop.body("cancelOrder", orderId=placed.json["orderId"]), shop.key)
        assert canceled.status == 200
        foreign = await gateway.post(shop.body("cancelOrder", orderId="ord_99"), shop.key)
        assert (foreign.json["code"], foreign.json["details"]["field"]) == ("INVALID_PARAMETER", "market")
