"""Signatures against the venue's own vectors and three other implementations."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import ccxt  # type: ignore[import-untyped]
import msgspec
import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from hyperliquid.utils.signing import sign_l1_action  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.ccxt_venues.hyperliquid import wire as w
from adapters.ccxt_venues.hyperliquid.signing import Signer, action_hash, keccak256
from tests.adapters.ccxt.hyperliquid_rig import AGENT, KEY, VAULT

CLOID = "0x00000000000000000000000000000001"
LIMIT = w.LimitKind(w.Tif("Gtc"))


class UnidentifiedOrder(msgspec.Struct, frozen=True):
    """An order without a client order id: the venue's vectors have some, we never send one."""

    a: int
    b: bool
    p: str
    s: str
    r: bool
    t: w.LimitKind | w.TriggerKind


def action(*orders: Any) -> w.PlaceAction:
    return w.PlaceAction(orders=orders, grouping="na")


def as_dict(value: w.Action) -> dict[str, Any]:
    """The action as the dictionary that other implementations take, in the same order."""
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(value))
    return found


def test_the_signer_is_known_by_its_address() -> None:
    assert Signer(KEY, mainnet=True).address == AGENT == Account.from_key(KEY).address.lower()


def test_the_hash_of_an_action_is_the_one_in_the_venues_tests() -> None:
    order = UnidentifiedOrder(4, True, "1670.1", "0.0147", False, w.LimitKind(w.Tif("Ioc")))
    found = action_hash(action(order), 1677777606040, None, None)
    assert found.hex() == "0fcbeda5ae3c4950a548021552a4fea2226858c4453571bf3f24ba017eac2908"


@pytest.mark.parametrize(
    ("vault", "expires_at_ms", "expected"),
    [
        (None, None, "c917ae6fbd84311285271dc0b8b58218b1e248c12c7efda5c37e3e4ed936e275"),
        (None, 1700000000000, "cf6a84f37056dc0f31ca52477ec213714a401268a46a834d0a4dfdc071eb300c"),
        (VAULT, None, "54662efe59169a16ebbbec38614a207d2fe543902944671e5daa0ff1d3142d00"),
        (VAULT, 1700000000000, "6f52301ae0db3131f9cf16f2359123d6f2f7fbcabe39f0da0148c1c29833356c"),
    ],
)
def test_vault_and_expiry_are_part_of_the_hash(vault: str | None, expires_at_ms: int | None, expected: str) -> None:
    order = UnidentifiedOrder(1, True, "100", "100", False, LIMIT)
    assert action_hash(action(order), 1699999999999, vault, expires_at_ms).hex() == expected


@pytest.mark.parametrize(
    ("order", "mainnet", "r", "s", "v"),
    [
        (
            UnidentifiedOrder(1, True, "100", "100", False, LIMIT),
            True,
            "d65369825a9df5d80099e513cce430311d7d26ddf477f5b3a33d2806b100d78e",
            "2b54116ff64054968aa237c20ca9ff68000f977c93289157748a3162b6ea940e",
            28,
        ),
        (
            UnidentifiedOrder(1, True, "100", "100", False, LIMIT),
            False,
            "82b2ba28e76b3d761093aaded1b1cdad4960b3af30212b343fb2e6cdfa4e3d54",
            "6b53878fc99d26047f4d7e8c90eb98955a109f44209163f52d8dc4278cbbd9f5",
            27,
        ),
        (
            w.OrderWire(1, True, "100", "100", False, LIMIT, CLOID),
            True,
            "041ae18e8239a56cacbc5dad94d45d0b747e5da11ad564077fcac71277a946e3",
            "3c61f667e747404fe7eea8f90ab0e76cc12ce60270438b2058324681a00116da",
            27,
        ),
        (
            UnidentifiedOrder(1, True, "100", "100", False, w.TriggerKind(w.TriggerTerms(True, "103", "sl"))),
            True,
            "98343f2b5ae8e26bb2587daad3863bc70d8792b09af1841b6fdd530a2065a3f9",
            "6b5bb6bb0633b710aa22b721dd9dee6d083646a5f8e581a20b545be6c1feb405",
            27,
        ),
    ],
)
def test_signatures_are_those_of_the_venues_tests(order: Any, mainnet: bool, r: str, s: str, v: int) -> None:
    signed = Signer(KEY, mainnet=mainnet).sign(action(order), 0)
    assert signed.signature == w.Signature(f"0x{r}", f"0x{s}", v)


prices = st.decimals(min_value=Decimal("0.0001"), max_value=Decimal(99999), places=4).map(lambda d: f"{d:f}")
kinds: st.SearchStrategy[w.LimitKind | w.TriggerKind] = st.one_of(
    st.sampled_from(["Gtc", "Ioc", "Alo"]).map(lambda tif: w.LimitKind(w.Tif(tif))),
    st.builds(w.TriggerTerms, st.booleans(), prices, st.sampled_from(["tp", "sl"])).map(w.TriggerKind),
)
order_wires = st.builds(
    w.OrderWire,
    st.integers(0, 200_000),
    st.booleans(),
    prices,
    prices,
    st.booleans(),
    kinds,
    st.binary(min_size=16, max_size=16).map(lambda b: "0x" + b.hex()),
)
actions: st.SearchStrategy[w.Action] = st.one_of(
    st.lists(order_wires, min_size=1, max_size=3).map(lambda orders: action(*orders)),
    st.builds(w.CancelWire, st.integers(0, 300), st.integers(0, 2**53)).map(lambda c: w.CancelAction((c,))),
    st.builds(w.CloidWire, st.integers(0, 300), st.just(CLOID)).map(lambda c: w.CancelByCloidAction((c,))),
    st.builds(w.LeverageAction, st.integers(0, 300), st.booleans(), st.integers(1, 50)),
)
nonces = st.integers(1_600_000_000_000, 2_000_000_000_000)


@given(
    value=actions,
    nonce=nonces,
    vault=st.sampled_from([None, VAULT]),
    expires_at_ms=st.sampled_from([None, 1_800_000_000_000]),
    mainnet=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_the_venues_own_library_signs_the_same(
    value: w.Action, nonce: int, vault: str | None, expires_at_ms: int | None, mainnet: bool
) -> None:
    signed = Signer(KEY, mainnet=mainnet).sign(value, nonce, vault=vault, expires_at_ms=expires_at_ms)
    theirs = sign_l1_action(Account.from_key(KEY), as_dict(value), vault, nonce, expires_at_ms, mainnet)
    assert (int(signed.signature.r, 16), int(signed.signature.s, 16)) == (int(theirs["r"], 16), int(theirs["s"], 16))
    assert signed.signature.v == theirs["v"]


@given(value=actions, nonce=nonces)
@settings(max_examples=10, deadline=None)
def test_plain_ccxt_signs_the_same(value: w.Action, nonce: int) -> None:
    plain: Any = ccxt.hyperliquid({"privateKey": KEY, "walletAddress": AGENT})
    theirs = plain.sign_l1_action(as_dict(value), nonce)
    assert msgspec.to_builtins(Signer(KEY, mainnet=True).sign(value, nonce).signature) == theirs


@given(value=actions, nonce=nonces)
@settings(max_examples=20, deadline=None)
def test_an_independent_verifier_recovers_the_signer(value: w.Action, nonce: int) -> None:
    signed = Signer(KEY, mainnet=False).sign(value, nonce)
    message = encode_typed_data(
        domain_data={"name": "Exchange", "version": "1", "chainId": 1337, "verifyingContract": "0x" + "0" * 40},
        message_types={"Agent": [{"name": "source", "type": "string"}, {"name": "connectionId", "type": "bytes32"}]},
        message_data={"source": "b", "connectionId": action_hash(value, nonce, None, None)},
    )
    signature = signed.signature
    recovered = Account.recover_message(message, vrs=(signature.v, int(signature.r, 16), int(signature.s, 16)))
    assert recovered.lower() == AGENT


def test_what_is_signed_for_another_network_is_worthless_on_mainnet() -> None:
    order = action(w.OrderWire(1, True, "100", "100", False, LIMIT, CLOID))
    assert Signer(KEY, mainnet=True).sign(order, 1).signature != Signer(KEY, mainnet=False).sign(order, 1).signature


def test_the_keccak_is_the_one_before_it_became_a_standard() -> None:
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
