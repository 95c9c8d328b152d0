from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from adapters.base import Capability, VenueSession
from gateway.openapi import error_classes
from gateway.operations import account, batches, management, market_data, placement
from gateway.operations.milo import arena, autotrade, conversations, orders, positions, quests, signup, wallets
from gateway.operations.table import OPERATIONS, Group, Operation
from gateway.operations.wire import AccountRequest, CredentialRequest, PublicRequest, Reply, Request
from storage.ports import Tier

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = {
    "getOrderbook": {"credentialId", "market", "depth"},
    "getMarkPrice": {"credentialId", "market"},
    "getCandles": {"credentialId", "market", "interval", "limit"},
    "getFundingRate": {"credentialId", "market"},
    "getMarketsWithFunding": {"credentialId"},
    "getFeeInfo": {"credentialId", "market"},
    "getBalance": {"credentialId"},
    "getPositions": {"credentialId", "market"},
    "getOrders": {"credentialId", "market"},
    "getFills": {"credentialId", "market", "limit"},
    "testCredentials": {"credentialId"},
    "placeLimitOrder": {
        "credentialId", "market", "side", "size", "price", "postOnly", "reduceOnly", "clientOrderId",
    },
    "placeMarketOrder": {"credentialId", "market", "side", "size", "reduceOnly"},
    "placeStopOrder": {"credentialId", "market", "side", "size", "triggerPrice", "reduceOnly"},
    "placeBatchOrder": {"credentialId", "orders"},
    "placeProtectionOrders": {"credentialId", "market", "side", "size", "entryPrice", "tpPercent", "slPercent"},
    "cancelOrder": {"credentialId", "orderId", "market"},
    "cancelAllOrders": {"credentialId", "market"},
    "closeAllPositions": {"credentialId", "market"},
    "setLeverage": {"credentialId", "market", "leverage"},
}  # fmt: skip
OURS = {"getOrder", "getMarkets", "listCredentials"}
# One for each endpoint of Milo's partner API, in the reference's order (``shared/milo.md``).
MILOS = """
miloRequestSiwxMessage miloSignup miloGetMe miloGetAutoTradeSettings miloUpdateAutoTradeSettings miloCreateStrategy
miloListStrategies miloGetStrategy miloUpdateStrategy miloDeleteStrategy miloSyncStrategy miloDeployToArena
miloWithdrawFromArena miloGetArenaLeaderboard miloListQuests miloClaimQuest miloGetBones miloCreateOrder miloListOrders
miloGetOrder miloPauseOrder miloActivateOrder miloDeleteOrder miloSendTokens miloCreateConversation
miloListConversations miloGetConversation miloSendMessage miloGetMessages miloListPositions miloClosePosition
miloCloseAllPositions miloGetHoldings miloGetTransactions miloGetExecutedTransactions miloGetDiaryLogs
""".split()
BEYOND_THE_REFERENCE = {"clientOrderId", "timeInForce", "maxSlippageBps"}
REFERENCE_REPLIES = {
    "getOrderbook": {"bids", "asks"},
    "getMarkPrice": {"markPrice", "indexPrice"},
    "getCandles": {"candles"},
    "getFundingRate": {"fundingRate", "nextFundingTime"},
    "getMarketsWithFunding": {"markets"},
    "getFeeInfo": {"makerFee", "takerFee"},
    "getBalance": {"exchange_type", "equity", "freeCollateral", "accountValue"},
    "getPositions": {"positions"},
    "getOrders": {"orders"},
    "getFills": {"fills"},
    "testCredentials": {"valid", "exchange"},
    "placeLimitOrder": {"orderId", "market", "side", "size", "price", "status"},
    "placeMarketOrder": {"orderId", "filledPrice", "filledSize", "fee"},
    "placeStopOrder": {"orderId", "status", "triggerPrice"},
    "placeBatchOrder": {"results"},
    "placeProtectionOrders": {"tpOrderId", "slOrderId"},
    "cancelOrder": set(),
    "cancelAllOrders": {"cancelledCount"},
    "closeAllPositions": {"closedSize", "avgClosePrice"},
    "setLeverage": {"leverage"},
}


def fields(struct: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(struct)}


def test_the_table_has_the_operations_of_the_contract_and_ours() -> None:
    assert set(OPERATIONS) == REFERENCE.keys() | OURS | set(MILOS)
    assert {name for name, row in OPERATIONS.items() if row.group is Group.MILO} == set(MILOS)
    assert len(MILOS) == 36


@pytest.mark.parametrize("name", REFERENCE)
def test_a_request_takes_the_fields_of_the_contract(name: str) -> None:
    taken = fields(OPERATIONS[name].request) - {"operation"}
    assert REFERENCE[name] <= taken
    assert taken - REFERENCE[name] <= BEYOND_THE_REFERENCE


@pytest.mark.parametrize("name", REFERENCE_REPLIES)
def test_a_reply_has_the_fields_of_the_contract(name: str) -> None:
    assert REFERENCE_REPLIES[name] | {"success"} <= fields(OPERATIONS[name].reply)


def test_free_keys_read_and_only_builder_keys_write() -> None:
    for operation in OPERATIONS.values():
        if operation.public:
            continue
        assert operation.minimum_tier is (Tier.FREE if operation.read_only else Tier.BUILDER), operation.name
        if operation.group is not Group.MILO:
            assert operation.read_only == (operation.group in (Group.MARKET_DATA, Group.ACCOUNT)), operation.name


def test_only_signing_up_is_public_and_only_sending_has_to_be_named() -> None:
    assert [o.name for o in OPERATIONS.values() if o.public] == ["miloRequestSiwxMessage", "miloSignup"]
    assert [o.name for o in OPERATIONS.values() if o.explicit_only] == ["miloSendTokens"]


def test_what_could_be_done_twice_says_how_to_find_out() -> None:
    for operation in OPERATIONS.values():
        if operation.only_at and not operation.read_only:
            assert bool(operation.when_unknown) != operation.idempotent, operation.name


def test_every_request_and_reply_struct_of_the_operations_package_is_in_the_table() -> None:
    in_table = {row.request for row in OPERATIONS.values()} | {row.reply for row in OPERATIONS.values()}
    ours = (market_data, account, placement, batches, management)
    milos = (arena, autotrade, conversations, orders, positions, quests, signup, wallets)
    for module in (*ours, *milos):
        for value in vars(module).values():
            if not isinstance(value, type) or not issubclass(value, Request | Reply):
                continue
            is_base = any(other is not value and issubclass(other, value) for other in in_table)
            assert value in in_table or is_base or value.__module__.endswith(("wire", "common")), value


def test_every_request_can_be_carried_out() -> None:
    for operation in OPERATIONS.values():
        bases: dict[type[Request], str] = {
            AccountRequest: "answer",
            PublicRequest: "join",
            CredentialRequest: "perform",
        }
        base, method = next((b, m) for b, m in bases.items() if issubclass(operation.request, b))
        assert getattr(operation.request, method) is not getattr(base, method), operation.name


def test_every_capability_is_needed_by_an_operation() -> None:
    needed = {operation.capability for operation in OPERATIONS.values() if operation.capability}
    assert needed == set(Capability)


def test_every_operation_says_in_a_sentence_what_it_does() -> None:
    for operation in OPERATIONS.values():
        assert operation.description.endswith("."), operation.name
        assert 20 < len(operation.description) < 260, operation.name


def _sources() -> list[Path]:
    packages = ("gateway", "adapters", "normalization", "storage", "sandbox")
    return [path for package in packages for path in (ROOT / package).rglob("*.py")]


def test_nothing_but_the_table_lists_operations() -> None:
    """A module may mention an operation or two in an example; a list of them belongs in the table."""
    for path in _sources():
        if path.name == "table.py":
            continue
        named = {name for name in OPERATIONS if re.search(rf"[\"']{name}[\"']", path.read_text())}
        assert len(named) <= 2, f"{path.relative_to(ROOT)} names {sorted(named)}"


def test_the_session_protocol_and_the_paper_session_agree() -> None:
    from adapters.paper import PaperSession

    for name in vars(VenueSession):
        if not name.startswith("_"):
            assert callable(getattr(PaperSession, name)), name


def test_an_operation_row_is_frozen() -> None:
    row: Operation = next(iter(OPERATIONS.values()))
    with pytest.raises(AttributeError):
        row.name = "other"  # type: ignore[misc]


def test_the_readme_lists_every_operation_with_its_sentence_and_nothing_else() -> None:
    readme = (ROOT / "README.md").read_text()
    listed = re.findall(r"^\| `([a-z]+[A-Z]\w+)` \| (Free|Builder) \| .* \| (.+) \|$", readme, re.MULTILINE)
    assert {name: sentence for name, _, sentence in listed} == {o.name: o.description for o in OPERATIONS.values()}


def test_the_readme_lists_every_error_code_with_its_status() -> None:
    readme = (ROOT / "README.md").read_text()
    listed = dict(re.findall(r"^\| `([A-Z_]+)` \| (\d{3}) \|", readme, re.MULTILINE))
    assert listed == {error.code: str(error.status) for error in error_classes()}
