"""The table of endpoints against the partner API's own list, both ways, and what every endpoint has in common."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sandbox.milo.limits import Group, Per
from sandbox.milo.routes import PREFIX, ROUTES
from tests.support.milo_user import MiloServer

USER = "/api/v1/users/{userId}"
WALLET = "/api/v1/wallets/{walletId}"
SETTINGS = f"{USER}/auto-trade-settings"

# Every endpoint of the partner API, with its requests per minute. The API does not say how often settings can be read.
ENDPOINTS = {
    ("GET", "/api/v1/me"): 60,
    ("POST", "/api/v1/users/siwx/message"): 5,
    ("POST", "/api/v1/users"): 5,
    ("GET", SETTINGS): 60,
    ("PATCH", SETTINGS): 10,
    ("POST", f"{SETTINGS}/strategies"): 10,
    ("GET", f"{SETTINGS}/strategies"): 60,
    ("GET", f"{SETTINGS}/strategies/{{strategyId}}"): 60,
    ("PATCH", f"{SETTINGS}/strategies/{{strategyId}}"): 10,
    ("DELETE", f"{SETTINGS}/strategies/{{strategyId}}"): 10,
    ("POST", f"{SETTINGS}/strategies/{{strategyId}}/sync"): 10,
    ("POST", f"{USER}/arena/deploy"): 5,
    ("POST", f"{USER}/arena/withdraw"): 5,
    ("GET", f"{USER}/arena/leaderboard"): 30,
    ("GET", f"{USER}/quests"): 60,
    ("POST", f"{USER}/quests/{{questId}}/claim"): 10,
    ("GET", f"{USER}/quests/bones"): 60,
    ("POST", f"{WALLET}/orders"): 5,
    ("GET", f"{USER}/orders"): 60,
    ("GET", f"{USER}/orders/{{orderId}}"): 60,
    ("POST", f"{USER}/orders/{{orderId}}/pause"): 10,
    ("POST", f"{USER}/orders/{{orderId}}/activate"): 10,
    ("DELETE", f"{USER}/orders/{{orderId}}"): 10,
    ("POST", f"{WALLET}/actions/send"): 10,
    ("POST", f"{USER}/conversations"): 2,
    ("GET", f"{USER}/conversations"): 30,
    ("GET", f"{USER}/conversations/{{conversationId}}"): 30,
    ("POST", f"{USER}/conversations/{{conversationId}}/messages"): 2,
    ("GET", f"{USER}/conversations/{{conversationId}}/messages"): 30,
    ("GET", f"{USER}/positions"): 60,
    ("POST", f"{USER}/positions/{{thesisId}}/close"): 10,
    ("POST", f"{USER}/positions/close-all"): 1,
    ("GET", f"{WALLET}/holdings"): 60,
    ("GET", f"{WALLET}/transactions"): 60,
    ("GET", f"{WALLET}/executed-transactions"): 60,
    ("GET", f"{USER}/diary-logs"): 60,
}
REFERENCE = Path(__file__).parents[4] / "shared" / "reference" / "milo-partner-api.md"
PUBLIC = {("POST", "/api/v1/users/siwx/message"), ("POST", "/api/v1/users")}


def test_the_table_has_every_endpoint_with_its_limit_and_no_other() -> None:
    assert {(route.method, PREFIX + route.path): route.group.limit for route in ROUTES} == ENDPOINTS
    assert len(ROUTES) == len(ENDPOINTS) == 36
    assert {(route.method, PREFIX + route.path) for route in ROUTES if route.is_public} == PUBLIC


def test_the_list_is_that_of_the_partner_api() -> None:
    if not REFERENCE.exists():
        pytest.skip(f"the partner API's document is not beside the project: {REFERENCE.name}")
    named = re.findall(r"^`(GET|POST|PATCH|DELETE) (/api/v1/\S+)`$", REFERENCE.read_text(), re.MULTILINE)
    assert set(named) == set(ENDPOINTS)


def test_every_limit_is_of_an_endpoint_and_counts_by_key_but_where_there_is_none() -> None:
    assert (Group.SIGNUP_WALLET.limit, Group.SIGNUP_WALLET.per) == (1, Per.WALLET)
    used = {route.group for route in ROUTES} | {Group.SIGNUP_WALLET}
    assert used == set(Group)
    assert {route.group.per for route in ROUTES if not route.is_public} == {Per.KEY}
    assert {route.group.per for route in ROUTES if route.is_public} == {Per.IP}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_without_a_key_nothing_is_answered_and_a_strangers_ids_are_not_found(
    milo: MiloServer, route: object
) -> None:
    from sandbox.milo.routes import Route

    assert isinstance(route, Route)
    ids = dict.fromkeys(re.findall(r"{(\w+)}", route.path), "6b2f1f2e-0000-4000-8000-000000000000")
    path = route.path.format(**ids)
    if route.is_public:
        assert (await milo.call(route.method, path, {})).refusal == (400, "bad_request")
        return
    assert (await milo.call(route.method, path, {})).refusal == (401, "unauthorized")
    assert (await milo.call(route.method, path, {}, key="mk_test_" + "x" * 43)).refusal == (401, "unauthorized")
    user = await milo.user()
    if "userId" in ids or "walletId" in ids:
        stranger = await user.call(route.method, path, {})
        assert stranger.refusal == (404, "not_found")
        # It was counted all the same: whoever guesses runs into the limit.
        assert stranger.headers["X-RateLimit-Remaining"] == str(route.group.limit - 1)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"a": "\xff"}', b"[" * 100_000, b'{"tokenAddress": 7}', b"{}" + b" " * 70_000]
)
async def test_a_body_that_is_none_is_refused(milo: MiloServer, body: bytes) -> None:
    user = await milo.user()
    refused = await user.call("POST", "/wallets/{walletId}/orders", body)
    assert refused.refusal == (400, "bad_request")


async def test_what_is_not_there_is_not_found_in_the_same_envelope(milo: MiloServer) -> None:
    user = await milo.user()
    for method, path in (("GET", "/nothing"), ("PUT", "/me"), ("GET", "/users"), ("DELETE", "/users/{userId}/orders")):
        assert (await user.call(method, path)).refusal == (404, "not_found"), path
