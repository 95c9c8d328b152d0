from __future__ import annotations

from typing import Any

import msgspec
import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from hyperliquid.utils import signing as sdk  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.hyperliquid.actions import Action, UserSignedAction, WireSignature
from sandbox.hyperliquid.signing import (
    Chain,
    UnrecoverableSignature,
    action_hash,
    l1_digest,
    recover,
    user_signed_digest,
)

KEY = "0x0123456789012345678901234567890123456789012345678901234567890123"
WALLET = Account.from_key(KEY)
ADDRESS = WALLET.address.lower()
VAULT = "0x1719884eb866cb12b2287399b15f7db5e7d775ea"


def read(action: dict[str, Any]) -> Any:
    return msgspec.convert(action, Action)


def order_action(**changes: Any) -> dict[str, Any]:
    order = {"a": 1, "b": True, "p": "100", "s": "100", "r": False, "t": {"limit": {"tif": "Gtc"}}}
    return {"type": "order", "orders": [{**order, **changes}], "grouping": "na"}


def test_an_order_hashes_as_the_venue_published() -> None:
    action = order_action(a=4, p="1670.1", s="0.0147", t={"limit": {"tif": "Ioc"}})
    published = "0fcbeda5ae3c4950a548021552a4fea2226858c4453571bf3f24ba017eac2908"
    assert action_hash(read(action), 1677777606040, None, None).hex() == published


@pytest.mark.parametrize(
    ("vault", "expires_after", "expected"),
    [
        (None, None, "c917ae6fbd84311285271dc0b8b58218b1e248c12c7efda5c37e3e4ed936e275"),
        (None, 1700000000000, "cf6a84f37056dc0f31ca52477ec213714a401268a46a834d0a4dfdc071eb300c"),
        (VAULT, None, "54662efe59169a16ebbbec38614a207d2fe543902944671e5daa0ff1d3142d00"),
        (VAULT, 1700000000000, "6f52301ae0db3131f9cf16f2359123d6f2f7fbcabe39f0da0148c1c29833356c"),
    ],
)
def test_the_hash_covers_the_vault_and_the_expiry(vault: str | None, expires_after: int | None, expected: str) -> None:
    assert action_hash(read(order_action()), 1699999999999, vault, expires_after).hex() == expected


# Signatures that the venue's SDK tests against, made with KEY and nonce 0.
PUBLISHED = [
    (
        order_action(),
        Chain.MAINNET,
        "0xd65369825a9df5d80099e513cce430311d7d26ddf477f5b3a33d2806b100d78e",
        "0x2b54116ff64054968aa237c20ca9ff68000f977c93289157748a3162b6ea940e",
        28,
    ),
    (
        order_action(),
        Chain.TESTNET,
        "0x82b2ba28e76b3d761093aaded1b1cdad4960b3af30212b343fb2e6cdfa4e3d54",
        "0x6b53878fc99d26047f4d7e8c90eb98955a109f44209163f52d8dc4278cbbd9f5",
        27,
    ),
    (
        order_action(c="0x00000000000000000000000000000001"),
        Chain.MAINNET,
        # 63 digits: the SDK drops leading zeros.
        "0x41ae18e8239a56cacbc5dad94d45d0b747e5da11ad564077fcac71277a946e3",
        "0x3c61f667e747404fe7eea8f90ab0e76cc12ce60270438b2058324681a00116da",
        27,
    ),
    (
        order_action(t={"trigger": {"isMarket": True, "triggerPx": "103", "tpsl": "sl"}}),
        Chain.MAINNET,
        "0x98343f2b5ae8e26bb2587daad3863bc70d8792b09af1841b6fdd530a2065a3f9",
        "0x6b5bb6bb0633b710aa22b721dd9dee6d083646a5f8e581a20b545be6c1feb405",
        27,
    ),
    (
        {"type": "scheduleCancel"},
        Chain.MAINNET,
        "0x6cdfb286702f5917e76cd9b3b8bf678fcc49aec194c02a73e6d4f16891195df9",
        "0x6557ac307fa05d25b8d61f21fb8a938e703b3d9bf575f6717ba21ec61261b2a0",
        27,
    ),
    (
        {"type": "scheduleCancel", "time": 123456789},
        Chain.MAINNET,
        "0x609cb20c737945d070716dcc696ba030e9976fcf5edad87afa7d877493109d55",
        "0x16c685d63b5c7a04512d73f183b3d7a00da5406ff1f8aad33f8ae2163bab758b",
        28,
    ),
]


@pytest.mark.parametrize(("action", "chain", "r", "s", "v"), PUBLISHED)
def test_published_signatures_are_recovered(action: dict[str, Any], chain: Chain, r: str, s: str, v: int) -> None:
    digest = l1_digest(action_hash(read(action), 0, None, None), chain)
    assert recover(digest, WireSignature(r, s, v)) == ADDRESS


def test_the_other_network_signs_differently() -> None:
    signature = msgspec.convert(sdk.sign_l1_action(WALLET, order_action(), None, 1, None, True), WireSignature)
    digest = l1_digest(action_hash(read(order_action()), 1, None, None), Chain.TESTNET)
    assert recover(digest, signature) != ADDRESS


numbers = st.decimals(min_value="0.00001", max_value="999999", places=5).map(lambda d: format(d.normalize(), "f"))
terms = st.sampled_from(
    [
        {"limit": {"tif": "Alo"}},
        {"limit": {"tif": "Ioc"}},
        {"trigger": {"isMarket": False, "triggerPx": "1.5", "tpsl": "tp"}},
    ]
)
cloids = st.none() | st.binary(min_size=16, max_size=16).map(lambda raw: "0x" + raw.hex())


@st.composite
def wire_orders(draw: st.DrawFn) -> dict[str, Any]:
    """In the order in which the fields are signed."""
    wire = {"a": draw(st.integers(0, 200_000)), "b": draw(st.booleans()), "p": draw(numbers), "s": draw(numbers)}
    wire |= {"r": draw(st.booleans()), "t": draw(terms)}
    cloid = draw(cloids)
    return wire if cloid is None else {**wire, "c": cloid}


@settings(max_examples=30, deadline=None)
@given(
    st.lists(wire_orders(), min_size=1, max_size=3),
    st.sampled_from(["na", "normalTpsl", "positionTpsl"]),
    st.integers(0, 2**48),
    st.none() | st.integers(0, 2**48),
)
def test_what_the_sdk_signs_is_hashed_as_eth_account_hashes_it(
    wires: list[dict[str, Any]], grouping: str, nonce: int, expires_after: int | None
) -> None:
    action = {"type": "order", "orders": wires, "grouping": grouping}
    hashed = sdk.action_hash(action, None, nonce, expires_after)
    assert action_hash(read(action), nonce, None, expires_after) == hashed
    signable = encode_typed_data(full_message=sdk.l1_payload(sdk.construct_phantom_agent(hashed, False)))
    signed = WALLET.sign_message(signable)
    signature = WireSignature(hex(signed.r), hex(signed.s), signed.v)
    assert recover(l1_digest(hashed, Chain.TESTNET), signature) == ADDRESS
    assert Account.recover_message(signable, vrs=(signed.v, signed.r, signed.s)).lower() == ADDRESS


def test_a_number_with_trailing_zeros_was_not_what_the_venue_hashes() -> None:
    given_, canonical = order_action(p="100.0"), order_action(p="100")
    assert action_hash(read(given_), 1, None, None) == action_hash(read(canonical), 1, None, None)
    assert action_hash(read(given_), 1, None, None) != sdk.action_hash(given_, None, 1, None)


def user_signed(kind: str) -> dict[str, Any]:
    action: dict[str, Any] = {
        "approveAgent": {"agentAddress": "0x5e9ee1089755c3435139848e47e6635505d5a13a", "agentName": "bot", "nonce": 7},
        "approveBuilderFee": {
            "maxFeeRate": "0.01%",
            "builder": "0x5e9ee1089755c3435139848e47e6635505d5a13a",
            "nonce": 7,
        },
        "usdSend": {"destination": "0x5e9ee1089755c3435139848e47e6635505d5a13a", "amount": "1", "time": 7},
        "withdraw3": {"destination": "0x5e9ee1089755c3435139848e47e6635505d5a13a", "amount": "1", "time": 7},
        "usdClassTransfer": {"amount": "1", "toPerp": True, "nonce": 7},
    }[kind]
    return {"type": kind, **action}


@pytest.mark.parametrize(
    ("kind", "sign"),
    [
        ("approveAgent", sdk.sign_agent),
        ("approveBuilderFee", sdk.sign_approve_builder_fee),
        ("usdSend", sdk.sign_usd_transfer_action),
        ("withdraw3", sdk.sign_withdraw_from_bridge_action),
        ("usdClassTransfer", sdk.sign_usd_class_transfer_action),
    ],
)
def test_what_only_the_owner_may_do_is_recovered_as_the_sdk_signs_it(kind: str, sign: Any) -> None:
    action = user_signed(kind)
    signature = msgspec.convert(sign(WALLET, action, False), WireSignature)
    digest = user_signed_digest(msgspec.convert(action, UserSignedAction))
    assert recover(digest, signature) == ADDRESS


@pytest.mark.parametrize(
    ("r", "s", "v"),
    [("0x0", "0x0", 27), ("0x1", "0x1", 29), ("0x" + "f" * 64, "0x1", 27), ("0x1", "0x" + "f" * 64, 28)],
)
def test_numbers_that_are_no_signature_recover_nobody(r: str, s: str, v: int) -> None:
    with pytest.raises(UnrecoverableSignature):
        recover(b"\x01" * 32, WireSignature(r, s, v))
