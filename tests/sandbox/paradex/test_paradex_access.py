from __future__ import annotations

from typing import Any

import aiohttp
import fast_stark_crypto
import pytest

from sandbox.paradex import ParadexVenue
from tests.support.paradex_trader import Clock, StarkTrader

NAMELESS = "invalid bearer jwt: missing value in request header"


@pytest.fixture
def stranger(trader: StarkTrader, http: aiohttp.ClientSession, clock: Clock) -> StarkTrader:
    return StarkTrader(http, trader.url, clock, 999)


def code(answer: dict[str, Any]) -> str:
    assert set(answer) == {"error", "message", "data"}
    found: str = answer["error"]
    return found


async def test_onboarding_funds_an_account_once(trader: StarkTrader) -> None:
    await trader.onboard()
    (balance,) = await trader.results("/balance")
    assert (balance["token"], balance["size"]) == ("USDC", "100000")
    assert (await trader.get("/account"))["account"] == trader.account


async def test_onboarding_needs_the_signature_of_the_key(stranger: StarkTrader) -> None:
    assert code(await stranger.onboard(status=401, **{"PARADEX-STARKNET-SIGNATURE": stranger.signature(5)})) == (
        "STARKNET_SIGNATURE_VERIFICATION_FAILED"
    )
    assert code(await stranger.onboard(status=400, **{"PARADEX-STARKNET-SIGNATURE": "junk"})) == (
        "INVALID_STARKNET_SIGNATURE"
    )
    assert code(await stranger.onboard(status=400, **{"PARADEX-STARKNET-ACCOUNT": "0x5"})) == "PUBLIC_KEY_INVALID"
    assert code(await stranger.authenticate(status=400)) == "NOT_ONBOARDED"


async def test_a_token_is_given_for_a_signature_of_now(trader: StarkTrader, clock: Clock) -> None:
    now_s = clock.ms // 1_000
    assert code(await trader.authenticate(status=400, at_s=now_s - 400, lasting_s=600)) == "INVALID_TIMESTAMP"
    assert code(await trader.authenticate(status=400, at_s=now_s + 400)) == "INVALID_TIMESTAMP"
    assert code(await trader.authenticate(status=400, at_s=now_s - 200, lasting_s=100)) == (
        "INVALID_SIGNATURE_EXPIRATION"
    )
    assert code(await trader.authenticate(status=400, lasting_s=8 * 86_400)) == "INVALID_SIGNATURE_EXPIRATION"
    await trader.authenticate(in_path=True)
    assert (await trader.get("/account"))["status"] == "ACTIVE"


async def test_another_key_cannot_authenticate(trader: StarkTrader, http: aiohttp.ClientSession, clock: Clock) -> None:
    forger = StarkTrader(http, trader.url, clock, 12345, signing_key=999)
    assert code(await forger.authenticate(status=401)) == "STARKNET_SIGNATURE_VERIFICATION_FAILED"
    assert code(await forger.authenticate(status=400, in_path=True)) == "INVALID_SUBKEY"


async def test_a_token_lasts_five_minutes(trader: StarkTrader, clock: Clock) -> None:
    clock.ms += 299_000
    await trader.get("/account")
    clock.ms += 1_000
    answer = await trader.get("/account", status=401)
    assert (code(answer), answer["message"]) == ("INVALID_TOKEN", "invalid bearer jwt: token is expired by 0s")


async def test_a_token_that_was_touched_is_refused(trader: StarkTrader) -> None:
    header, payload, signature = trader.token.split(".")
    for token in (
        f"{header}.{payload}.{signature[:-4]}AAAA",
        f"{header}.{payload[:-2]}AA.{signature}",
        f"eyJhbGciOiJub25lIn0.{payload}.",
        "x",
        "a.b.c",
    ):
        trader.token = token
        assert code(await trader.get("/account", status=401)) == "INVALID_TOKEN"


async def test_without_a_token_nothing_private_is_told(trader: StarkTrader) -> None:
    for method, path in (("GET", "/account"), ("GET", "/positions"), ("POST", "/orders"), ("DELETE", "/orders")):
        answer = await trader.call(method, path, headers={}, status=401)
        assert (code(answer), answer["message"]) == ("INVALID_TOKEN", NAMELESS)


async def test_a_subkey_trades_but_cannot_manage_keys(
    trader: StarkTrader, http: aiohttp.ClientSession, clock: Clock
) -> None:
    key = {"name": "bot", "public_key": hex(fast_stark_crypto.get_public_key(777)), "state": "active"}
    await trader.call("POST", "/account/keys/subkeys", key, status=201)
    (listed,) = await trader.results("/account/keys/subkeys")
    assert (listed["name"], listed["state"]) == ("bot", "active")
    bot = StarkTrader(http, trader.url, clock, 12345, signing_key=777)
    await bot.authenticate(in_path=True)
    placed = await bot.placed("BUY", "LIMIT", "0.01", 80000)
    assert (placed["account"], placed["status"]) == (trader.account, "OPEN")
    answer = await bot.call("POST", "/account/keys/subkeys", {**key, "public_key": "0x5"}, status=403)
    assert code(answer) == "REQUEST_NOT_ALLOWED"
    await trader.call("DELETE", f"/account/keys/subkeys/{key['public_key']}")
    assert code(await bot.get("/account", status=401)) == "INVALID_TOKEN"
    assert code(await bot.authenticate(status=400, in_path=True)) == "INVALID_SUBKEY"
    assert code(await trader.call("POST", "/account/keys/subkeys", key, status=400)) == "INVALID_SUBKEY"


async def test_an_account_can_be_admitted_from_inside(
    venue: ParadexVenue, trader: StarkTrader, stranger: StarkTrader
) -> None:
    assert await venue.admit(stranger.public_key) == stranger.account
    await stranger.authenticate()
    assert (await stranger.get("/account"))["account_value"] == "100000"


async def test_the_token_key_is_published(trader: StarkTrader) -> None:
    (key,) = (await trader.get("/jwks.json"))["keys"]
    assert (key["kty"], key["crv"], key["alg"]) == ("EC", "P-256", "ES256")
