from __future__ import annotations

import asyncio
from typing import Any

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature

from sandbox.milo.programs import token_account
from sandbox.milo.signin import MAINNET
from sandbox.milo.tokens import USDC
from tests.support.milo_user import MiloReply, MiloServer

DAY_S = 86_400


async def issued(milo: MiloServer, wallet: Keypair) -> dict[str, Any]:
    reply = await milo.call("POST", "/users/siwx/message", {"accountAddress": str(wallet.pubkey()), "chainId": MAINNET})
    assert reply.status == 200, reply.text
    data = reply.data
    assert isinstance(data, dict)
    return data


def signed(wallet: Keypair, step1: dict[str, Any], **changed: Any) -> dict[str, Any]:
    siwx = {**step1, "signature": str(wallet.sign_message(step1["message"].encode()))} | changed
    return {"signupWallet": str(wallet.pubkey()), "siwx": siwx}


async def register(milo: MiloServer, body: dict[str, Any]) -> MiloReply:
    return await milo.call("POST", "/users", body)


async def test_a_wallet_signs_up_and_its_key_opens_its_profile(milo: MiloServer) -> None:
    wallet = Keypair()
    step1 = await issued(milo, wallet)
    assert step1["message"].startswith(
        f"andmilo.com wants you to sign in with your Solana account:\n{wallet.pubkey()}\n\n"
    )
    assert set(step1["data"]) == {
        "accountAddress", "chainId", "domain", "uri", "version", "nonce", "issuedAt", "expirationTime", "statement",
    }  # fmt: skip
    reply = await register(milo, signed(wallet, step1))
    registered = reply.data
    assert registered["apiKey"].startswith("mk_test_")
    signup, trading = registered["wallets"]
    assert (signup["type"], signup["address"]) == ("signup", str(wallet.pubkey()))
    assert (trading["type"], trading["chain"]) == ("milo", "solana")
    assert registered["user"]["signupWalletId"] == signup["id"]
    me = await milo.call("GET", "/me", key=registered["apiKey"])
    assert me.json == {"user": registered["user"], "wallets": registered["wallets"]}


async def test_a_nonce_serves_once_also_at_the_same_moment(milo: MiloServer) -> None:
    wallet = Keypair()
    body = signed(wallet, await issued(milo, wallet))
    replies = await asyncio.gather(*(register(milo, body) for _ in range(4)))
    assert sorted(reply.status for reply in replies) == [200, 400, 400, 400]
    for refused in (reply for reply in replies if reply.status != 200):
        assert refused.refusal == (400, "bad_request")
        assert "`siwx.data.nonce`: the nonce is unknown, expired or was used before" in refused.message
    assert (await milo.run(lambda core: core.db.value("SELECT count(*) FROM users"))) == 1


async def test_a_known_wallet_is_a_conflict_and_may_ask_once_a_minute(milo: MiloServer) -> None:
    wallet = Keypair()
    assert (await register(milo, signed(wallet, await issued(milo, wallet)))).status == 200
    again = signed(wallet, await issued(milo, wallet))
    refused = await register(milo, again)
    assert refused.refusal == (429, "rate_limit_exceeded")
    assert refused.headers["Retry-After"] == "60"
    milo.clock.advance(60)
    assert (await register(milo, again)).refusal == (409, "error")


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("message", lambda siwx: siwx | {"message": siwx["message"].replace("Nonce", "Nonse")}),
        ("data", lambda siwx: siwx | {"data": siwx["data"] | {"domain": "elsewhere.example"}}),
        ("data", lambda siwx: siwx | {"data": siwx["data"] | {"expirationTime": "2099-01-01T00:00:00.000Z"}}),
        ("nonce", lambda siwx: siwx | {"data": siwx["data"] | {"nonce": "0" * 32}}),
        ("signature", lambda siwx: siwx | {"signature": str(Keypair().sign_message(siwx["message"].encode()))}),
        ("signature", lambda siwx: siwx | {"signature": "0OIl"}),
        ("signature", lambda siwx: siwx | {"signature": siwx["signature"][:-4]}),
        ("signature", lambda siwx: siwx | {"signature": str(Signature.default())}),
        ("signature", lambda siwx: {k: v for k, v in siwx.items() if k != "signature"}),
    ],
)
async def test_what_was_not_issued_or_not_signed_by_the_wallet_is_refused(
    milo: MiloServer, part: str, change: Any
) -> None:
    wallet = Keypair()
    body = signed(wallet, await issued(milo, wallet))
    refused = await register(milo, body | {"siwx": change(body["siwx"])})
    assert refused.refusal == (400, "bad_request")
    assert part in refused.message
    assert (await milo.run(lambda core: core.db.value("SELECT count(*) FROM users"))) == 0
    # Neither the nonce nor the wallet's one registration a minute was used up.
    assert (await register(milo, body)).status == 200


async def test_a_message_for_one_wallet_does_not_register_another(milo: MiloServer) -> None:
    mine, other = Keypair(), Keypair()
    step1 = await issued(milo, mine)
    refused = await register(milo, signed(other, step1))
    assert refused.refusal == (400, "bad_request")
    assert "`signupWallet`: the message was issued to another wallet" in refused.message
    assert (await milo.run(lambda core: core.db.value("SELECT count(*) FROM users"))) == 0
    assert (await register(milo, signed(mine, step1))).status == 200


async def test_a_message_expires(milo: MiloServer) -> None:
    wallet = Keypair()
    body = signed(wallet, await issued(milo, wallet))
    milo.clock.advance(7 * DAY_S)
    refused = await register(milo, body)
    assert refused.refusal == (400, "bad_request")
    assert "expired" in refused.message
    assert "ask for a new message" in refused.message
    assert (await milo.run(lambda core: core.db.value("SELECT count(*) FROM users"))) == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("accountAddress", "not-base58-0OIl" + "1" * 20),
        ("accountAddress", "11"),
        ("accountAddress", "7" * 65),
        # A token account: on no curve, so nobody has its key.
        ("accountAddress", str(token_account(Pubkey.from_bytes(bytes(32)), USDC.mint))),
        ("chainId", "eip155:1"),
        ("chainId", 7),
        ("accountAddress", None),
    ],
)
async def test_a_message_is_only_for_a_solana_wallet(milo: MiloServer, field: str, value: Any) -> None:
    body = {"accountAddress": str(Keypair().pubkey()), "chainId": MAINNET} | {field: value}
    refused = await milo.call("POST", "/users/siwx/message", body)
    assert refused.refusal == (400, "bad_request")
    assert field in refused.message


async def test_five_messages_and_five_registrations_a_minute_per_address(milo: MiloServer) -> None:
    for path in ("/users/siwx/message", "/users"):
        statuses = [(await milo.call("POST", path, {})).status for _ in range(6)]
        assert statuses == [400] * 5 + [429]
        milo.clock.advance(60)
        assert (await milo.call("POST", path, {})).status == 400


async def test_a_key_is_needed_and_is_nowhere_in_the_file(milo: MiloServer) -> None:
    user = await milo.user()
    assert (await milo.call("GET", "/me")).refusal == (401, "unauthorized")
    assert (await milo.call("GET", "/me", key=user.key + "x")).refusal == (401, "unauthorized")
    assert (await user.call("GET", "/me")).status == 200
    rows = await milo.run(lambda core: core.db.rows("SELECT * FROM api_keys"))
    assert user.key.encode() not in repr(rows).encode()


async def test_every_answer_of_a_limited_group_says_what_is_left(milo: MiloServer) -> None:
    user = await milo.user()
    replies = [await user.call("GET", "/me") for _ in range(61)]
    assert [int(reply.headers["X-RateLimit-Remaining"]) for reply in replies] == [*range(59, -1, -1), 0]
    assert {reply.headers["X-RateLimit-Limit"] for reply in replies} == {"60"}
    assert replies[-1].refusal == (429, "rate_limit_exceeded")
    assert int(replies[-1].headers["X-RateLimit-Reset"]) == milo.clock.now_ms() // 1000 + 60
