"""The chain: what other people's Solana libraries make of it, and what a transaction that fails leaves behind."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from solana.rpc.async_api import AsyncClient
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from spl.token.constants import ASSOCIATED_TOKEN_PROGRAM_ID, TOKEN_PROGRAM_ID
from spl.token.instructions import (
    create_idempotent_associated_token_account,
    get_associated_token_address,
    transfer_checked,
)
from spl.token.models import TransferCheckedParams

from sandbox.milo import programs
from sandbox.milo.chain import BLOCKHASH_LIFE, FEE_PER_SIGNATURE, SLOT_MS, ChainError
from sandbox.milo.core import Core
from sandbox.milo.faucet import FaucetAsked, give
from sandbox.milo.loopback import FAUCET, RPC
from sandbox.milo.rpc import INVALID_PARAMS, REFUSED, RpcError, RpcRequest, answer
from sandbox.milo.tokens import BY_SYMBOL, SOL, TOKENS, USDC
from tests.sandbox.milo.conftest import OpenMilo
from tests.support.milo_books import check_conserved
from tests.support.milo_user import MiloServer

SOL_UNIT = 10**9


@pytest.fixture
async def rpc(milo: MiloServer) -> AsyncIterator[AsyncClient]:
    client = AsyncClient(milo.url + RPC)
    yield client
    await client.close()


def test_the_instructions_are_those_of_the_spl_library() -> None:
    source, destination, payer = (Keypair().pubkey() for _ in range(3))
    assert programs.TOKEN_PROGRAM == TOKEN_PROGRAM_ID
    assert programs.ASSOCIATED_TOKEN_PROGRAM == ASSOCIATED_TOKEN_PROGRAM_ID
    for token in TOKENS:
        account = get_associated_token_address(source, token.mint)
        assert programs.token_account(source, token.mint) == account
        theirs = transfer_checked(
            TransferCheckedParams(
                program_id=TOKEN_PROGRAM_ID,
                source=account,
                mint=token.mint,
                dest=get_associated_token_address(destination, token.mint),
                owner=source,
                amount=2**40 + 7,
                decimals=token.decimals,
            )
        )
        assert programs.transfer_tokens(source, destination, token.mint, 2**40 + 7, token.decimals) == theirs
        opened = create_idempotent_associated_token_account(payer, destination, token.mint)
        assert programs.open_token_account(payer, destination, token.mint) == opened


async def test_a_wallet_deposits_with_an_ordinary_solana_client(milo: MiloServer, rpc: AsyncClient) -> None:
    user, wallet = await milo.user(), Keypair()
    airdrop = (await rpc.request_airdrop(wallet.pubkey(), 5 * SOL_UNIT)).value
    assert (await rpc.confirm_transaction(airdrop)).value[0] is not None
    assert (await rpc.get_balance(wallet.pubkey())).value == 5 * SOL_UNIT
    blockhash = (await rpc.get_latest_blockhash()).value.blockhash
    step = programs.transfer_lamports(wallet.pubkey(), Pubkey.from_string(user.wallet.address), 2 * SOL_UNIT)
    transaction = VersionedTransaction(Message.new_with_blockhash([step], wallet.pubkey(), blockhash), [wallet])
    sent = (await rpc.send_transaction(transaction)).value
    assert sent == transaction.signatures[0]
    assert await user.units("SOL") == 2 * SOL_UNIT
    found = (await rpc.get_transaction(sent, max_supported_transaction_version=0)).value
    assert found is not None
    assert found.transaction.meta is not None
    assert found.transaction.meta.fee == FEE_PER_SIGNATURE
    assert found.transaction.meta.post_balances[:2] == [3 * SOL_UNIT - FEE_PER_SIGNATURE, 2 * SOL_UNIT]
    (entry,) = (await rpc.get_signatures_for_address(Pubkey.from_string(user.wallet.address))).value
    assert entry.signature == sent
    (shown,) = (await user.call("GET", "/wallets/{walletId}/transactions")).json["data"]
    assert shown["signature"] == str(sent)
    assert shown["movements"] == [{"tokenAddress": SOL.address, "amount": 2}]


async def test_what_a_client_cannot_do_is_said(milo: MiloServer, rpc: AsyncClient) -> None:
    async def asked(method: str, *params: Any) -> dict[str, Any]:
        body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        async with milo.http.post(milo.url + RPC, json=body) as response:
            answer = await response.json()
            assert response.status == 200
            assert answer["id"] == 7
            assert isinstance(answer, dict)
            return answer

    assert (await asked("getProgramAccounts", "x"))["error"]["code"] == -32601
    assert (await asked("getBalance", "0OIl"))["error"]["code"] == -32602
    assert (await asked("getBalance"))["error"]["code"] == -32602
    assert (await asked("sendTransaction", "AAAA", {"encoding": "base64"}))["error"]["code"] == -32602
    assert (await asked("sendTransaction", "AAAA"))["error"]["code"] == -32602
    assert (await asked("getTransaction", str(Signature.default())))["result"] is None
    assert (await asked("getHealth"))["result"] == "ok"
    async with milo.http.post(milo.url + RPC, data=b"{") as response:
        assert (await response.json())["error"]["code"] == -32700


async def test_a_transaction_is_taken_once_fresh_and_signed(milo: MiloServer) -> None:
    wallet, other = Keypair(), Keypair()
    await milo.run(lambda core: core.chain.fund(str(wallet.pubkey()), SOL, 5 * SOL_UNIT, core.now_ms))
    latest = await milo.run(lambda core: core.chain.blockhash(core.chain.slot(core.now_ms)))

    def made(blockhash: Hash, signer: Keypair, lamports: int = SOL_UNIT) -> VersionedTransaction:
        step = programs.transfer_lamports(wallet.pubkey(), other.pubkey(), lamports)
        message = Message.new_with_blockhash([step], wallet.pubkey(), blockhash)
        return VersionedTransaction.populate(message, [signer.sign_message(bytes(message))])

    async def submitted(transaction: VersionedTransaction) -> str:
        def job(core: Core) -> str:
            return core.chain.submit(transaction, core.now_ms)

        return await milo.run(job)

    with pytest.raises(ChainError, match="signature"):
        await submitted(made(latest, other))
    with pytest.raises(ChainError, match="Blockhash"):
        await submitted(made(Hash.new_unique(), wallet))
    with pytest.raises(ChainError, match="refused"):
        await submitted(made(latest, wallet, 50 * SOL_UNIT))
    signature = await submitted(made(latest, wallet))
    with pytest.raises(ChainError, match="already"):
        await submitted(made(latest, wallet))
    milo.clock.advance((BLOCKHASH_LIFE + 2) * SLOT_MS / 1000)
    with pytest.raises(ChainError, match="Blockhash"):
        await submitted(made(latest, wallet, 7))
    found = await milo.run(lambda core: core.chain.transaction(signature))
    assert found is not None
    assert found.gained(str(other.pubkey()), SOL.address) == SOL_UNIT
    assert found.gained(str(wallet.pubkey()), SOL.address) == -SOL_UNIT
    left = await milo.run(lambda core: core.chain.balance(wallet.pubkey(), SOL))
    assert left == 4 * SOL_UNIT - FEE_PER_SIGNATURE


async def test_whatever_bytes_are_signed_and_sent_are_an_answer_and_nothing_is_made_of_nothing(
    milo: MiloServer,
) -> None:
    wallet, other, chance = Keypair(), Keypair(), Random(3)
    await milo.run(lambda core: core.chain.fund(str(wallet.pubkey()), SOL, 5 * SOL_UNIT, core.now_ms))

    def sent(core: Core) -> int:
        """0, or the code of the refusal."""
        latest = core.chain.blockhash(core.chain.slot(core.now_ms))
        step = programs.transfer_lamports(wallet.pubkey(), other.pubkey(), SOL_UNIT // 1000)
        raw = bytearray(bytes(Message.new_with_blockhash([step], wallet.pubkey(), latest)))
        for _ in range(chance.randrange(3)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        # Signed as it is, so that more than the signature is looked at.
        transaction = b"\1" + bytes(wallet.sign_message(bytes(raw))) + bytes(raw)
        params = (b64encode(transaction).decode(), {"encoding": "base64"})
        try:
            answer(core, RpcRequest(method="sendTransaction", params=params))
        except RpcError as refusal:
            return refusal.code
        return 0

    outcomes = [await milo.run(sent) for _ in range(150)]
    assert set(outcomes) == {0, INVALID_PARAMS, REFUSED}
    await milo.run(check_conserved)


async def test_what_is_undone_in_the_database_is_undone_on_the_chain(milo: MiloServer) -> None:
    user = await milo.user(SOL=1)

    def a_part(core: Core) -> None:
        with core.undoable():
            core.chain.fund(user.wallet.address, USDC, 3, core.now_ms)
            core.chain.fund(user.wallet.address, USDC, 2**63, core.now_ms)

    def half(core: Core) -> None:
        core.chain.fund(user.wallet.address, USDC, 5, core.now_ms)
        with pytest.raises(ChainError):
            a_part(core)
        assert core.chain.balance(user.wallet.address, USDC) == 5
        raise LookupError

    with pytest.raises(LookupError):
        await milo.run(half)
    assert await user.units("USDC") == 0
    await user.fund("USDC", 2)
    assert await user.units("USDC") == 2_000_000


async def test_balances_and_transactions_are_there_after_a_restart(open_milo: OpenMilo) -> None:
    milo = await open_milo()
    user = await milo.user(SOL=3, BONK=1000)
    reply = await user.call(
        "POST",
        "/wallets/{walletId}/actions/send",
        {"recipient": str(user.keypair.pubkey()), "token": BY_SYMBOL["BONK"].address, "amount": 250},
    )
    assert reply.status == 202
    before = [await user.units(token.symbol) for token in TOKENS]
    user.server = await open_milo()
    assert [await user.units(token.symbol) for token in TOKENS] == before
    found = await user.server.run(lambda core: core.chain.transaction(reply.data["data"]))
    assert found is not None
    assert found.gained(str(user.keypair.pubkey()), BY_SYMBOL["BONK"].address) == 250 * 10**5
    # The same keys sign on.
    again = {"recipient": str(user.keypair.pubkey()), "token": SOL.address, "amount": 1}
    assert (await user.call("POST", "/wallets/{walletId}/actions/send", again)).status == 202


async def test_the_faucet_gives_any_token_to_anybody_on_this_machine(milo: MiloServer) -> None:
    address = str(Keypair().pubkey())
    for token, amount in (("SOL", "2.5"), (USDC.address, "100")):
        body = {"address": address, "token": token, "amount": amount}
        async with milo.http.post(milo.url + FAUCET, json=body) as response:
            assert response.status == 200, await response.text()
            assert await milo.run(lambda core: core.chain.transaction) is not None
    assert await milo.run(lambda core: core.chain.balance(address, USDC)) == 100_000_000
    for wrong in ({"address": "nobody"}, {"token": "XYZ"}, {"amount": 0}, {"amount": 10**9}, {"amount": "NaN"}):
        async with milo.http.post(milo.url + FAUCET, json={"address": address} | wrong) as response:
            assert response.status == 400, wrong
            assert (await response.json())["error"]["code"] == "bad_request"


async def test_the_faucet_and_the_rpc_are_not_there_for_a_page_in_a_browser(milo: MiloServer) -> None:
    for path in (FAUCET, RPC):
        headers = {"Origin": "https://elsewhere.example"}
        async with milo.http.post(milo.url + path, json={}, headers=headers) as response:
            assert response.status == 404


async def test_the_faucet_says_so_when_it_cannot(milo: MiloServer) -> None:
    most = await milo.run(lambda core: Decimal(1_000_000) / core.market.price(SOL, core.now_ms // 1000))
    asked = FaucetAsked(address=str(Keypair().pubkey()), amount=Decimal(int(most)))
    assert (await milo.run(lambda core: give(core, asked))).signature
