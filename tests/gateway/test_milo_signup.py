"""Signing up without a key: what it makes, what it may cost, and that nothing is ever half there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from solders.keypair import Keypair

from gateway.newcomers import PER_ADDRESS
from gateway.settings import Settings, SettingsError
from storage.ports import Directory, StorageUnavailable, Tier
from tests.support.milo_gateway import CHAIN_ID, MiloGateway, milo_gateway


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[MiloGateway]:
    async with milo_gateway(tmp_path) as desk:
        yield desk


async def test_a_wallet_gets_an_account_a_key_and_a_credential_that_work(desk: MiloGateway) -> None:
    joined = await desk.sign_up(Keypair())
    assert joined.status == 200, joined.text
    body = joined.json
    credentials = await desk.ask("listCredentials", body["apiKey"])
    (credential,) = credentials.json["credentials"]
    assert (credential["credentialId"], credential["exchange"]) == (body["credentialId"], "milo")
    assert (credential["network"], credential["address"]) == ("paper", body["data"]["wallets"][1]["address"])
    tested = await desk.ask("testCredentials", body["apiKey"], credentialId=body["credentialId"])
    assert tested.json["valid"] is True
    account = await desk.gateway.gateway.stores.directory.account(body["accountId"])
    assert account is not None
    assert (account.tier, account.name) == (Tier.BUILDER, f"milo-{body['data']['user']['id']}")
    assert body["apiKey"].startswith("mt_test_")


async def test_a_wallet_that_milo_knows_is_told_so_and_nothing_is_made(desk: MiloGateway) -> None:
    wallet = Keypair()
    await desk.sign_up(wallet)
    desk.clock.advance(61)
    accounts = len(await desk.gateway.gateway.stores.directory.accounts())
    again = await desk.sign_up(wallet)
    assert (again.status, again.json["code"]) == (409, "ALREADY_REGISTERED")
    assert again.json["details"]["reason"] == "CONFLICT"
    assert len(await desk.gateway.gateway.stores.directory.accounts()) == accounts


async def test_of_two_at_the_same_moment_one_gets_in(desk: MiloGateway) -> None:
    wallet = Keypair()
    replies = await asyncio.gather(desk.sign_up(wallet), desk.sign_up(wallet))
    assert sorted(reply.status for reply in replies)[0] == 200
    assert len([reply for reply in replies if reply.status == 200]) == 1
    assert len(await desk.gateway.gateway.stores.directory.accounts()) == 1


async def test_a_signature_of_another_wallet_gets_nobody_in(desk: MiloGateway) -> None:
    wallet, other = Keypair(), Keypair()
    issued = await desk.ask("miloRequestSiwxMessage", None, accountAddress=str(wallet.pubkey()), chainId=CHAIN_ID)
    told = issued.json["data"]
    siwx = {**told, "signature": str(other.sign_message(told["message"].encode()))}
    refused = await desk.ask("miloSignup", None, signupWallet=str(wallet.pubkey()), siwx=siwx)
    assert (refused.status, refused.json["code"]) == (502, "EXCHANGE_ERROR")
    assert refused.json["details"]["outcome"] == "rejected"
    assert await desk.gateway.gateway.stores.directory.accounts() == []


async def test_with_a_key_the_credential_is_that_accounts_and_no_other_key_is_made(desk: MiloGateway) -> None:
    account = await desk.gateway.account(Tier.FREE)
    key = await desk.gateway.key(account)
    joined = await desk.sign_up(Keypair(), key)
    assert joined.status == 200, joined.text
    assert (joined.json["accountId"], "apiKey" in joined.json) == (account.account_id, False)
    assert joined.headers["X-RateLimit-Limit-Minute"] == "30"
    assert (await desk.ask("miloGetMe", key, credentialId=joined.json["credentialId"])).status == 200
    assert len(await desk.gateway.gateway.stores.directory.accounts()) == 1


class Failing:
    """A directory of which ``broken`` does not work; the rest is the real one's."""

    def __init__(self, directory: Directory, broken: str) -> None:
        self._directory = directory
        self._broken = broken

    def __getattr__(self, name: str) -> Any:
        return self._gone if name == self._broken else getattr(self._directory, name)

    async def _gone(self, *of: object) -> None:
        raise StorageUnavailable("The database is gone", "Bring it back")


async def test_where_it_cannot_be_stored_milo_is_not_asked(desk: MiloGateway) -> None:
    wallet, newcomers = Keypair(), desk.gateway.gateway.newcomers
    directory = newcomers.directory
    newcomers.directory = cast(Directory, Failing(directory, "revision"))
    refused = await desk.sign_up(wallet)
    assert (refused.status, refused.json["code"]) == (503, "SERVICE_UNAVAILABLE")
    newcomers.directory = directory
    desk.clock.advance(61)
    assert (await desk.sign_up(wallet)).status == 200


async def test_milos_key_is_not_lost_where_it_can_no_longer_be_stored(desk: MiloGateway) -> None:
    newcomers = desk.gateway.gateway.newcomers
    directory = newcomers.directory
    newcomers.directory = cast(Directory, Failing(directory, "enroll"))
    joined = await desk.sign_up(Keypair())
    assert joined.status == 200
    assert joined.json["data"]["apiKey"].startswith("mk_test_")
    assert (joined.json["accountId"], joined.json["credentialId"], "apiKey" in joined.json) == (None, None, False)
    assert "add it as a credential" in joined.json["hint"]
    assert await directory.accounts() == []


async def test_an_unanswered_registration_says_what_may_have_happened(desk: MiloGateway) -> None:
    wallet = Keypair()
    issued = await desk.ask("miloRequestSiwxMessage", None, accountAddress=str(wallet.pubkey()), chainId=CHAIN_ID)
    told = issued.json["data"]
    siwx = {**told, "signature": str(wallet.sign_message(told["message"].encode()))}
    desk.wire.loses_answers = True
    lost = await desk.ask("miloSignup", None, signupWallet=str(wallet.pubkey()), siwx=siwx)
    assert (lost.status, lost.json["details"]["outcome"], lost.json["details"]["retryable"]) == (502, "unknown", False)
    assert "may have registered" in lost.json["details"]["hint"]
    assert await desk.gateway.gateway.stores.directory.accounts() == []


async def test_an_address_may_ask_so_often_and_no_more(desk: MiloGateway) -> None:
    async def ask() -> int:
        wallet = str(Keypair().pubkey())
        reply = await desk.ask("miloRequestSiwxMessage", None, accountAddress=wallet, chainId=CHAIN_ID)
        if reply.status == 429:
            assert reply.json["code"] == "RATE_LIMITED"
            assert int(reply.headers["Retry-After"]) > 0
        return reply.status

    assert [await ask() for _ in range(PER_ADDRESS + 2)] == [200] * PER_ADDRESS + [429] * 2
    desk.clock.advance(61)
    assert await ask() == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"operation":"getBalance"}', "MISSING_API_KEY"),
        (b'{"operation":"miloGetMe","credentialId":"9f2a0c1e-5b7d-4e8f-a1b2-c3d4e5f6d841"}', "MISSING_API_KEY"),
        (b'{"operation":"frobnicate"}', "MISSING_API_KEY"),
        (b"{", "MISSING_API_KEY"),
        (b'{"operation":"miloSignup"}', "INVALID_PARAMETER"),
        (b'{"operation":"miloRequestSiwxMessage","accountAddress":"x","chainId":"y"}', "INVALID_PARAMETER"),
    ],
)
async def test_without_a_key_there_is_nothing_else(desk: MiloGateway, body: bytes, code: str) -> None:
    assert (await desk.gateway.post(body)).json["code"] == code


async def test_a_bad_key_is_a_bad_key_whatever_it_asks_for(desk: MiloGateway) -> None:
    asked = {"accountAddress": str(Keypair().pubkey()), "chainId": CHAIN_ID}
    assert (await desk.ask("miloRequestSiwxMessage", "nonsense", **asked)).json["code"] == "INVALID_KEY_FORMAT"


async def test_a_network_that_there_is_not_is_told(desk: MiloGateway) -> None:
    asked = {"accountAddress": str(Keypair().pubkey()), "chainId": CHAIN_ID, "network": "testnet"}
    refused = await desk.ask("miloRequestSiwxMessage", None, **asked)
    assert (refused.status, refused.json["details"]["expected"]) == (400, "mainnet or paper")


def test_the_tier_of_those_who_sign_up_is_the_operators_choice() -> None:
    assert Settings.load({}).signup_tier is None
    assert Settings.load({}, demo=True).signup_tier is Tier.BUILDER
    assert Settings.load({"VENUEGATE_SIGNUP_TIER": "free"}).signup_tier is Tier.FREE
    assert Settings.load({"VENUEGATE_SIGNUP_TIER": "off"}).signup_tier is None
    with pytest.raises(SettingsError):
        Settings.load({"VENUEGATE_SIGNUP_TIER": "gold"})


async def test_where_nobody_may_sign_up_nobody_does(desk: MiloGateway) -> None:
    desk.gateway.gateway.newcomers.tier = None
    asked = {"accountAddress": str(Keypair().pubkey()), "chainId": CHAIN_ID}
    refused = await desk.ask("miloRequestSiwxMessage", None, **asked)
    assert (refused.status, refused.json["code"]) == (403, "OPERATION_NOT_ALLOWED")
