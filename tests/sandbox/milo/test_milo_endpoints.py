"""The endpoints that there are are those of the reference: every one of them, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sandbox.milo.limits import Group, Per
from sandbox.milo.routes import PREFIX, ROUTES
from tests.support.milo_user import MiloServer

REFERENCE = Path(__file__).parents[4] / "shared" / "reference" / "milo-partner-api.md"

ENDPOINTS = {
    "GET /me",
    "POST /users",
    "POST /users/siwx/message",
    "GET /users/{userId}/auto-trade-settings",
    "PATCH /users/{userId}/auto-trade-settings",
    "GET /users/{userId}/auto-trade-settings/strategies",
    "POST /users/{userId}/auto-trade-settings/strategies",
    "GET /users/{userId}/auto-trade-settings/strategies/{strategyId}",
    "PATCH /users/{userId}/auto-trade-settings/strategies/{strategyId}",
    "DELETE /users/{userId}/auto-trade-settings/strategies/{strategyId}",
    "POST /users/{userId}/auto-trade-settings/strategies/{strategyId}/sync",
    "POST /users/{userId}/arena/deploy",
    "POST /users/{userId}/arena/withdraw",
    "GET /users/{userId}/arena/leaderboard",
    "GET /users/{userId}/quests",
    "POST /users/{userId}/quests/{questId}/claim",
    "GET /users/{userId}/quests/bones",
    "POST /wallets/{walletId}/orders",
    "GET /users/{userId}/orders",
    "GET /users/{userId}/orders/{orderId}",
    "POST /users/{userId}/orders/{orderId}/pause",
    "POST /users/{userId}/orders/{orderId}/activate",
    "DELETE /users/{userId}/orders/{orderId}",
    "POST /wallets/{walletId}/actions/send",
    "POST /users/{userId}/conversations",
    "GET /users/{userId}/conversations",
    "GET /users/{userId}/conversations/{conversationId}",
    "POST /users/{userId}/conversations/{conversationId}/messages",
    "GET /users/{userId}/conversations/{conversationId}/messages",
    "GET /users/{userId}/positions",
    "POST /users/{userId}/positions/{thesisId}/close",
    "POST /users/{userId}/positions/close-all",
    "GET /wallets/{walletId}/holdings",
    "GET /wallets/{walletId}/transactions",
    "GET /wallets/{walletId}/executed-transactions",
    "GET /users/{userId}/diary-logs",
}
# As the reference's table has them.
LIMITS = {
    ("Signup", 5, Per.IP),
    ("Signup", 1, Per.WALLET),
    ("SIWX message", 5, Per.IP),
    ("Me", 60, Per.KEY),
    ("Portfolio reads", 60, Per.KEY),
    ("Auto-trade settings (write)", 10, Per.KEY),
    ("Strategies (write)", 10, Per.KEY),
    ("Strategies (read)", 60, Per.KEY),
    ("Conversations (write)", 2, Per.KEY),
    ("Conversations (read)", 30, Per.KEY),
    ("Arena write", 5, Per.KEY),
    ("Arena read", 30, Per.KEY),
    ("Quests read", 60, Per.KEY),
    ("Quests write", 10, Per.KEY),
    ("Wallet actions", 10, Per.KEY),
    ("Orders create", 5, Per.KEY),
    ("Orders write", 10, Per.KEY),
    ("Orders (read)", 60, Per.KEY),
    ("Position close", 10, Per.KEY),
    ("Position close-all", 1, Per.KEY),
}


def test_the_table_has_the_references_endpoints_and_no_others() -> None:
    assert {f"{route.method} {route.path}" for route in ROUTES} == ENDPOINTS
    assert len(ROUTES) == len(ENDPOINTS) == 36


def test_the_list_is_the_one_that_the_reference_has() -> None:
    if not REFERENCE.is_file():
        pytest.skip("the reference is not beside this checkout")
    written = re.findall(rf"^`(GET|POST|PATCH|DELETE) {PREFIX}(\S+?)`", REFERENCE.read_text(), re.MULTILINE)
    assert {f"{method} {path}" for method, path in written} == ENDPOINTS


def test_the_limits_are_the_references() -> None:
    assert {(group.title, group.limit, group.per) for group in Group} == LIMITS


@pytest.mark.parametrize("endpoint", sorted(ENDPOINTS - {"POST /users", "POST /users/siwx/message"}))
async def test_nothing_but_signing_up_is_answered_without_a_key_or_to_somebody_else(
    milo: MiloServer, endpoint: str
) -> None:
    user, other = await milo.user(), await milo.user()
    method, template = endpoint.split()
    path = template.replace("{userId}", other.user_id).replace("{walletId}", other.wallet.wallet_id)
    path = re.sub(r"\{\w+\}", "x", path)
    for key in (None, "mk_test_nobody"):
        assert (await milo.call(method, path, {}, key=key)).refusal == (401, "unauthorized")
    if path != template:
        assert (await milo.call(method, path, {}, key=user.key)).refusal == (404, "not_found")
