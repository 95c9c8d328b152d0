"""Errors win in a stated order: for each, a request in which it and everything after it is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.base import NATIVE, Capability
from gateway import keys
from storage.ports import KeyEnvironment, Scopes, Tier
from tests.support.scripted_venue import CAPABILITIES, ScriptedVenue
from tests.support.served import FrozenWallClock, Reply, Served, served


class Shot:
    """A request under construction. ``traits`` are those of the key that it will be sent with."""

    def __init__(self) -> None:
        self.method = "POST"
        self.traits: set[str] = set()
        self.key: str | None = None
        self.exchange = "scripted"
        self.body: dict[str, Any] = {
            "operation": "placeLimitOrder",
            "market": "BTC-USD-PERP",
            "side": "BUY",
            "size": "0.01",
            "price": "94000",
        }
        self.finish: Callable[[bytes], bytes] = lambda body: body

    def trait(self, *names: str) -> None:
        self.traits |= set(names)

    def sets(self, **fields: Any) -> None:
        self.body.update(fields)

    def drops(self, field: str) -> None:
        self.body.pop(field, None)

    def ends(self, finish: Callable[[bytes], bytes]) -> None:
        self.finish = finish


SPOILERS: dict[str, Callable[[Shot], None]] = {
    "METHOD_NOT_ALLOWED": lambda shot: setattr(shot, "method", "PUT"),
    "PAYLOAD_TOO_LARGE": lambda shot: shot.ends(lambda body: body + b" " * 70_000),
    "MISSING_API_KEY": lambda shot: shot.trait("no key"),
    "INVALID_KEY_FORMAT": lambda shot: shot.trait("foreign key"),
    "INVALID_API_KEY": lambda shot: shot.trait("unknown key"),
    "KEY_REVOKED": lambda shot: shot.trait("revoked"),
    "KEY_EXPIRED": lambda shot: shot.trait("expired"),
    "RATE_LIMITED": lambda shot: shot.trait("exhausted"),
    "INVALID_JSON": lambda shot: shot.ends(lambda body: body + b"}"),
    "MISSING_OPERATION": lambda shot: shot.drops("operation"),
    "UNKNOWN_OPERATION": lambda shot: shot.sets(operation="placeLimitOrders"),
    "TIER_INSUFFICIENT": lambda shot: shot.trait("free"),
    "OPERATION_NOT_ALLOWED": lambda shot: shot.trait("operation scope"),
    "INVALID_PARAMETER": lambda shot: shot.sets(size="-1"),
    "CREDENTIAL_NOT_FOUND": lambda shot: shot.sets(credentialId="00000000-0000-4000-8000-000000000000"),
    "CREDENTIAL_NOT_ALLOWED": lambda shot: shot.trait("credential scope"),
    "EXCHANGE_NOT_ALLOWED": lambda shot: shot.trait("exchange scope"),
    "UNKNOWN_MARKET": lambda shot: shot.sets(market="NOSUCH-USD-PERP"),
    "UNSUPPORTED_OPERATION": lambda shot: setattr(shot, "exchange", "limited"),
}
STATUS = {
    "METHOD_NOT_ALLOWED": 405, "PAYLOAD_TOO_LARGE": 413, "RATE_LIMITED": 429, "CREDENTIAL_NOT_FOUND": 404,
    "UNSUPPORTED_OPERATION": 422,
    **dict.fromkeys(["MISSING_API_KEY", "INVALID_KEY_FORMAT", "INVALID_API_KEY", "KEY_REVOKED", "KEY_EXPIRED"], 401),
    **dict.fromkeys(["TIER_INSUFFICIENT", "OPERATION_NOT_ALLOWED"], 403),
    **dict.fromkeys(["CREDENTIAL_NOT_ALLOWED", "EXCHANGE_NOT_ALLOWED"], 403),
    **dict.fromkeys(["INVALID_JSON", "MISSING_OPERATION", "UNKNOWN_OPERATION"], 400),
    **dict.fromkeys(["INVALID_PARAMETER", "UNKNOWN_MARKET"], 400),
}  # fmt: skip


def adapters() -> dict[str, Any]:
    without = msgspec.structs.replace(
        CAPABILITIES,
        supports=NATIVE - {Capability.LIMIT_ORDER},
        unsupported={Capability.LIMIT_ORDER: "Use placeMarketOrder."},
    )
    limited = ScriptedVenue(without)
    limited.exchange = "limited"
    return {"scripted": ScriptedVenue(), "limited": limited}


async def fire(gateway: Served, shot: Shot) -> Reply:
    traits = shot.traits
    account = await gateway.account(Tier.FREE if "free" in traits else Tier.BUILDER)
    credential = await gateway.credential(account, shot.exchange)
    scopes = Scopes(
        operations=frozenset({"getBalance"}) if "operation scope" in traits else None,
        credentials=frozenset({"other"}) if "credential scope" in traits else None,
        exchanges=frozenset({"milo"}) if "exchange scope" in traits else None,
    )
    key: str | None = await gateway.key(
        account, scopes=scopes, revoked="revoked" in traits, expires_at_ms=1 if "expired" in traits else None
    )
    if "exhausted" in traits and not traits & {"revoked", "expired"}:
        principal = await gateway.gateway.authenticator.authenticate(key, None, "here")
        for _ in range(30 if "free" in traits else 120):
            await gateway.gateway.limiter.charge(principal)
    if "unknown key" in traits:
        key = keys.mint(KeyEnvironment.TEST)
    if "foreign key" in traits:
        key = "sk-" + "x" * 48
    if "no key" in traits:
        key = None
    body = {"credentialId": credential.credential_id} | shot.body
    return await gateway.post(shot.finish(json.dumps(body).encode()), key, method=shot.method)


@pytest.mark.parametrize("code", SPOILERS)
async def test_of_everything_that_is_wrong_the_first_is_told(code: str, tmp_path: Path) -> None:
    order = list(SPOILERS)
    async with served(tmp_path, adapters(), FrozenWallClock()) as gateway:
        shot = Shot()
        for later in reversed(order[order.index(code) :]):
            SPOILERS[later](shot)
        reply = await fire(gateway, shot)
    assert (reply.json["code"], reply.status) == (code, STATUS[code])
    assert reply.json["success"] is False
    assert reply.json["error"]
    assert all(name in reply.headers for name in ("X-Request-Id", "X-Request-Duration-Ms", "Server-Timing"))
    recognised = order.index(code) >= order.index("RATE_LIMITED")
    assert ("X-RateLimit-Remaining-Day" in reply.headers) is recognised
    assert ("Retry-After" in reply.headers) is (code == "RATE_LIMITED")
    assert (reply.headers.get("Allow") == "POST") is (code == "METHOD_NOT_ALLOWED")


async def test_nothing_wrong_is_a_placed_order(tmp_path: Path) -> None:
    async with served(tmp_path, adapters(), FrozenWallClock()) as gateway:
        reply = await fire(gateway, Shot())
    assert (reply.status, reply.json["success"], reply.json["status"]) == (200, True, "OPEN")


async def test_an_unsupported_operation_says_what_the_venue_can_do_instead(tmp_path: Path) -> None:
    async with served(tmp_path, adapters(), FrozenWallClock()) as gateway:
        shot = Shot()
        shot.exchange = "limited"
        assert "placeMarketOrder" in (await fire(gateway, shot)).json["error"]
