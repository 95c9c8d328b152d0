from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from sandbox.milo.core import Core
from sandbox.milo.programs import transfer_lamports
from sandbox.milo.tokens import BY_SYMBOL, SOL, USDC
from tests.sandbox.milo.conftest import OpenMilo
from tests.support.milo_user import MiloReply, MiloServer, MiloUser
from tests.support.milo_words import CONVERSATIONS, send

PRICES = {"USDC": 0.25, "SOL": 0.01}


async def treasury(milo: MiloServer) -> str:
    return await milo.run(lambda core: core.chain.treasury)


async def write(user: MiloUser, payment: Any = None, message: str = "hello") -> MiloReply:
    headers = {} if payment is None else {"X-PAYMENT": payment if isinstance(payment, str) else json.dumps(payment)}
    return await user.call("POST", CONVERSATIONS, {"message": message}, **headers)


async def spent(milo: MiloServer) -> MiloUser:
    """A user who has money, and no free writes left."""
    user = await milo.user(SOL=2, USDC=10)
    for _ in range(2):
        assert (await write(user)).status == 201
    return user


async def count(user: MiloUser) -> int:
    return int((await user.call("GET", CONVERSATIONS)).json["meta"]["total"])


async def paid(user: MiloUser, asset: str = "USDC", **changes: Any) -> dict[str, Any]:
    """A proof of a payment that was made."""
    recipient = await treasury(user.server)
    signature = await send(user, asset, PRICES[asset], recipient)
    proof = {"recipient": recipient, "asset": asset, "amount": PRICES[asset], "paymentId": "pay_001"}
    return proof | {"txSignature": signature} | changes


async def test_two_writes_a_minute_are_free_for_a_key_over_all_its_conversations(milo: MiloServer) -> None:
    user, other = await milo.user(), await milo.user()
    first = await write(user)
    conversation_id = first.data["conversationId"]
    path = f"{CONVERSATIONS}/{conversation_id}/messages"
    assert (await user.call("POST", path, {"message": "more"})).status == 200
    assert (await write(user)).refusal == (402, "payment_required")
    assert (await user.call("POST", path, {"message": "more"})).refusal == (402, "payment_required")
    assert (await write(other)).status == 201
    milo.clock.advance(60)
    assert (await write(user)).status == 201


async def test_the_refusal_is_the_references_word_for_word(milo: MiloServer) -> None:
    user = await spent(milo)
    recipient = await treasury(milo)
    refused = await write(user)
    assert refused.status == 402
    assert refused.json == {
        "error": {
            "code": "payment_required",
            "message": "Conversation write limit exceeded. Payment is required for overage messages.",
            "details": {
                "reason": "conversation_write_overage",
                "acceptedHeader": "X-PAYMENT",
                "recipient": recipient,
                "options": [{"asset": "USDC", "amount": 0.25}, {"asset": "SOL", "amount": 0.01}],
                "freeTier": {"requests": 2, "windowSeconds": 60},
                "antiReplay": {
                    "required": True,
                    "oneTimeIdField": "paymentId",
                    "oneTimeTxField": "txSignature",
                    "scope": "api_key",
                },
                "onChainVerification": {
                    "required": True,
                    "chain": "solana",
                    "commitment": "confirmed",
                    "txField": "txSignature",
                },
            },
        }
    }
    assert {name: refused.headers[name] for name in refused.headers if name.startswith("X-Payment")} == {
        "X-Payment-Required": "true",
        "X-Payment-Header": "X-PAYMENT",
        "X-Payment-Recipient": recipient,
        "X-Payment-Options": "USDC:0.25,SOL:0.01",
        "X-Payment-Id-Field": "paymentId",
        "X-Payment-Tx-Field": "txSignature",
    }


async def test_the_refusal_has_the_terms_as_x402_has_them_too(milo: MiloServer) -> None:
    user = await spent(milo)
    refused = await write(user)
    told = json.loads(base64.b64decode(refused.headers["PAYMENT-REQUIRED"]))
    accepts = told.pop("accepts")
    assert told == {
        "x402Version": 2,
        "error": refused.message,
        "resource": {
            "url": f"{milo.url}/api/v1/users/{user.user_id}/conversations",
            "description": "A conversation message beyond the free ones",
            "mimeType": "application/json",
        },
    }
    fields = ["recipient", "asset", "amount", "paymentId", "txSignature"]
    assert accepts == [
        {
            "scheme": "exact",
            "network": "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp",
            "amount": amount,
            "asset": token.address,
            "payTo": await treasury(milo),
            "maxTimeoutSeconds": 300,
            "extra": {
                "assetTransferMethod": "txid",
                "symbol": token.symbol,
                "decimals": token.decimals,
                "header": "X-PAYMENT",
                "fields": fields,
            },
        }
        for token, amount in ((USDC, "250000"), (SOL, "10000000"))
    ]


@pytest.mark.parametrize("asset", ["USDC", "SOL"])
async def test_a_payment_that_was_made_is_taken_and_settled(milo: MiloServer, asset: str) -> None:
    user = await spent(milo)
    proof = await paid(user, asset)
    taken = await write(user, proof)
    assert taken.status == 201
    assert taken.headers["X-Billing-Mode"] == "payg"
    assert taken.headers["PAYMENT-RESPONSE"] == taken.headers["X-PAYMENT-RESPONSE"]
    settlement = json.loads(base64.b64decode(taken.headers["PAYMENT-RESPONSE"]))
    assert settlement == {
        "success": True,
        "transaction": proof["txSignature"],
        "network": "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp",
        "payer": user.wallet.address,
        "recipient": proof["recipient"],
        "asset": BY_SYMBOL[asset].address,
        "amount": {"USDC": "250000", "SOL": "10000000"}[asset],
        "paymentId": "pay_001",
    }
    assert await count(user) == 3


async def test_a_message_is_paid_for_like_a_conversation(milo: MiloServer) -> None:
    user = await spent(milo)
    conversation_id = (await user.call("GET", CONVERSATIONS)).data[0]["conversationId"]
    path = f"{CONVERSATIONS}/{conversation_id}/messages"
    taken = await user.call("POST", path, {"message": "more"}, **{"X-PAYMENT": json.dumps(await paid(user))})
    assert taken.status == 200
    assert taken.headers["X-Billing-Mode"] == "payg"


async def test_a_write_that_is_free_takes_no_payment(milo: MiloServer) -> None:
    user = await milo.user(SOL=2, USDC=10)
    proof = await paid(user)
    free = await write(user, proof)
    assert "X-Billing-Mode" not in free.headers
    await write(user)
    assert (await write(user, proof)).headers["X-Billing-Mode"] == "payg"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"asset": "USDT"}, "`asset` must be one of USDC, SOL"),
        ({"asset": "usdc"}, "`asset` must be one of USDC, SOL"),
        ({"asset": "SOL"}, "`amount` must be 0.01 for SOL"),
        ({"asset": "SOL", "amount": 0.01}, "the transaction must send 0.01 SOL to"),
        ({"amount": 0.2}, "`amount` must be 0.25 for USDC"),
        ({"amount": 0.26}, "`amount` must be 0.25 for USDC"),
        ({"amount": -0.25}, "`amount` must be 0.25 for USDC"),
        ({"recipient": "11111111111111111111111111111111"}, "`recipient` must be "),
        ({"txSignature": "1" * 88}, "must be that of a confirmed transaction"),
        ({"txSignature": ""}, "must be that of a confirmed transaction"),
    ],
)
async def test_a_proof_of_something_else_is_refused_with_what_was_expected(
    milo: MiloServer, changes: dict[str, Any], expected: str
) -> None:
    user = await spent(milo)
    proof = await paid(user)
    refused = await write(user, proof | changes)
    assert refused.refusal == (402, "payment_required")
    assert expected in refused.message
    assert refused.headers["X-Payment-Required"] == "true"
    assert refused.json["error"]["details"]["reason"] == "conversation_write_overage"
    assert await count(user) == 2
    # Nothing of it was used up.
    assert (await write(user, proof)).status == 201


@pytest.mark.parametrize(("asset", "amount"), [("USDC", 0.24), ("USDC", 0.26), ("SOL", 0.009), ("BONK", 5)])
async def test_a_transaction_that_paid_something_else_is_refused(milo: MiloServer, asset: str, amount: float) -> None:
    user = await spent(milo)
    await user.fund("BONK", 10)
    claimed = "SOL" if asset == "SOL" else "USDC"
    recipient = await treasury(milo)
    signature = await send(user, asset, amount, recipient)
    proof = {"recipient": recipient, "asset": claimed, "amount": PRICES[claimed], "paymentId": "p"}
    refused = await write(user, proof | {"txSignature": signature})
    assert refused.refusal == (402, "payment_required")
    assert f"must send {PRICES[claimed]} {claimed} to {recipient}" in refused.message
    assert await count(user) == 2


async def test_a_transaction_that_was_signed_and_never_sent_pays_nothing_until_it_is(milo: MiloServer) -> None:
    user = await spent(milo)
    payer, recipient = user.keypair, await treasury(milo)

    def signed(core: Core) -> VersionedTransaction:
        core.chain.fund(str(payer.pubkey()), SOL, 10**9, core.now_ms)
        step = transfer_lamports(payer.pubkey(), Pubkey.from_string(recipient), 10_000_000)
        blockhash = core.chain.blockhash(core.chain.slot(core.now_ms))
        return VersionedTransaction(Message.new_with_blockhash([step], payer.pubkey(), blockhash), [payer])

    transaction = await milo.run(signed)
    proof = {"recipient": recipient, "asset": "SOL", "amount": 0.01, "paymentId": "p"}
    proof |= {"txSignature": str(transaction.signatures[0])}
    refused = await write(user, proof)
    assert refused.refusal == (402, "payment_required")
    assert "must be that of a confirmed transaction" in refused.message
    assert await count(user) == 2
    await milo.run(lambda core: core.chain.submit(transaction, core.now_ms))
    assert (await write(user, proof)).status == 201


async def test_a_transfer_to_somebody_else_is_no_payment(milo: MiloServer) -> None:
    user, other = await spent(milo), await milo.user()
    signature = await send(user, "USDC", 0.25, other.wallet.address)
    proof = {"recipient": await treasury(milo), "asset": "USDC", "amount": 0.25, "paymentId": "p"}
    refused = await write(user, proof | {"txSignature": signature})
    assert refused.refusal == (402, "payment_required")
    assert "not 0" in refused.message
    assert await count(user) == 2


async def test_a_payment_id_and_a_transaction_serve_once_for_a_key(milo: MiloServer) -> None:
    user, other = await spent(milo), await spent(milo)
    first, second = await paid(user), await paid(user, paymentId="pay_002")
    assert (await write(user, first)).status == 201
    again = await write(user, first)
    assert again.refusal == (402, "payment_required")
    assert "`paymentId` must be one that was not used" in again.message
    same_id = await write(user, second | {"paymentId": "pay_001"})
    assert (same_id.status, "`paymentId`" in same_id.message) == (402, True)
    same_transaction = await write(user, first | {"paymentId": "pay_003"})
    assert (same_transaction.status, "`txSignature`" in same_transaction.message) == (402, True)
    assert await count(user) == 3
    assert (await write(user, second)).status == 201
    # The reference's scope of both is the key.
    assert (await write(other, await paid(other))).status == 201


async def test_of_two_requests_with_one_payment_at_the_same_moment_one_is_taken(milo: MiloServer) -> None:
    user = await spent(milo)
    proof = await paid(user)
    statuses = [reply.status for reply in await asyncio.gather(*(write(user, proof) for _ in range(5)))]
    assert sorted(statuses) == [201, 402, 402, 402, 402]
    assert await count(user) == 3


async def test_a_payment_serves_once_over_restarts(open_milo: OpenMilo) -> None:
    user = await spent(await open_milo())
    proof = await paid(user)
    assert (await write(user, proof)).status == 201
    again = MiloUser(await open_milo(), user.keypair, user.user_id, user.key, user.wallet)
    for _ in range(2):
        await write(again)
    assert (await write(again, proof)).refusal == (402, "payment_required")


async def test_a_message_that_is_refused_uses_no_payment_up(milo: MiloServer) -> None:
    user = await spent(milo)
    proof = await paid(user)
    assert (await write(user, proof, message="")).refusal == (400, "bad_request")
    assert (await write(user, proof)).status == 201


@pytest.mark.parametrize(
    "header",
    [
        "",
        "pay",
        "[]",
        "{}",
        '{"recipient": "r", "asset": "USDC", "amount": 0.25, "txSignature": "s"}',
        '{"recipient": "r", "asset": "USDC", "amount": "lots", "paymentId": "p", "txSignature": "s"}',
        '{"recipient": "r", "asset": "USDC", "amount": 0.25, "paymentId": "", "txSignature": "s"}',
        '{"recipient": 1, "asset": "USDC", "amount": 0.25, "paymentId": "p", "txSignature": "s"}',
        '{"recipient": "r", "asset": "USDC", "amount": 0.25, "paymentId": "' + "p" * 201 + '", "txSignature": "s"}',
        "[" * 3_000,
    ],
)
async def test_a_header_that_is_no_proof_is_refused_as_bad_input(milo: MiloServer, header: str) -> None:
    user = await spent(milo)
    refused = await write(user, header)
    assert refused.refusal == (400, "bad_request")
    assert "`X-PAYMENT` must be JSON with `recipient`" in refused.message
    assert await count(user) == 2


@pytest.mark.parametrize("amount", ["NaN", "Infinity"])
async def test_an_amount_that_is_no_number_pays_nothing(milo: MiloServer, amount: str) -> None:
    user = await spent(milo)
    assert (await write(user, await paid(user, amount=amount))).refusal == (402, "payment_required")
    assert await count(user) == 2


async def test_a_payment_made_straight_from_a_wallet_of_ones_own_counts_too(milo: MiloServer) -> None:
    """Anybody may pay: what matters is that the treasury was paid."""
    user = await spent(milo)

    def pay(core: Core) -> str:
        return core.chain.fund(core.chain.treasury, SOL, 10_000_000, core.now_ms)

    proof = {"recipient": await treasury(milo), "asset": "SOL", "amount": 0.01, "paymentId": "p"}
    assert (await write(user, proof | {"txSignature": await milo.run(pay)})).status == 201
