from __future__ import annotations

import fast_stark_crypto
import pytest
from ccxt.static_dependencies.starknet.hash.utils import (  # type: ignore[import-untyped]
    message_signature,
    pedersen_hash,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.paradex.felts import (
    FIELD,
    ORDER,
    Unsignable,
    account_address,
    auth_hash,
    message_hash,
    onboarding_hash,
    pedersen,
    scaled,
    selector,
    short_string,
)
from sandbox.paradex.signatures import CURVE_ORDER, MalformedSignature, Signature, is_valid, parsed
from sandbox.paradex.system import ACCOUNT_HASH, CHAIN_ID, PROXY_HASH

# An account of the testnet, and what its key signed with other software.
KEY = 0x30AA092002D2810AD48C006709502638B83F7552F0A6BA69968D05D2C19D0CF
PUBLIC_KEY = 0x6E13C200559930B97D8760119B5F63647DC8A32B0DCB0129A76CD577C44E1FF
ADDRESS = 0x61E1D93F26056F9248DE87CE19C93D49C44111AF9D099B7BBCD9BE82EA28E81
ORDER_VALUES = [
    1700000000000,
    short_string("BTC-USD-PERP"),
    1,
    short_string("LIMIT"),
    scaled("0.1"),
    scaled("60000"),
]
ORDER_HASH = 0xD33F3A849407663746700A9FD82E268070976C19D84B105E2B59B13EB6E1A9
BY_CCXT = Signature(
    0x4900A430B77725BB29A9DACA5AFC615E661E84104D2C1034620B07CE0970D9D,
    0x70F9874E592105E436A393075AF8F220E2ABADC9225B7A557FB26F5828F6C35,
)

# The curve, for a verifier from the textbook that shares nothing with the one under test.
P = FIELD
B = 0x6F21413EFBE40DE150E596D72F7A8C5609AD26C15C915C1F4CDFCB99CEE9E89
G = (
    0x1EF15C18599971B7BECED415A40F0C7DEACFD9B0D1819E03D723D8BC943CFCA,
    0x5668060AA49730B7BE4801DF46EC62DE53ECD11ABE43A32873000C36E8DC1F,
)
Point = tuple[int, int] | None


def add(a: Point, b: Point) -> Point:
    if a is None or b is None:
        return b if a is None else a
    if a[0] == b[0] and (a[1] + b[1]) % P == 0:
        return None
    if a == b:
        slope = (3 * a[0] * a[0] + 1) * pow(2 * a[1], -1, P) % P
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P) % P
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def multiply(point: Point, times: int) -> Point:
    result: Point = None
    while times:
        if times & 1:
            result = add(result, point)
        point, times = add(point, point), times >> 1
    return result


def verifies_by_the_book(public_x: int, message: int, signature: Signature) -> bool:
    square = (pow(public_x, 3, P) + public_x + B) % P
    y = square_root(square)
    w = pow(signature.s, -1, CURVE_ORDER)
    for sign in (y, P - y):
        point = add(multiply(G, message * w % CURVE_ORDER), multiply((public_x, sign), signature.r * w % CURVE_ORDER))
        if point is not None and point[0] == signature.r:
            return True
    return False


def square_root(square: int) -> int:
    """Modulo P, by Tonelli and Shanks."""
    q, twos = P - 1, 0
    while q % 2 == 0:
        q, twos = q // 2, twos + 1
    c, root, t = pow(3, q, P), pow(square, (q + 1) // 2, P), pow(square, q, P)
    while t != 1:
        i, u = 0, t
        while u != 1:
            u, i = u * u % P, i + 1
        b = pow(c, 1 << (twos - i - 1), P)
        c, root, t, twos = b * b % P, root * b % P, t * b * b % P, i
    return root


def test_the_account_of_a_key_lies_where_the_venue_puts_it() -> None:
    assert fast_stark_crypto.get_public_key(KEY) == PUBLIC_KEY
    assert account_address(PUBLIC_KEY, ACCOUNT_HASH, PROXY_HASH) == ADDRESS


def test_messages_hash_as_other_software_hashes_them() -> None:
    assert message_hash(CHAIN_ID, ADDRESS, ORDER, ORDER_VALUES) == ORDER_HASH
    assert auth_hash(CHAIN_ID, ADDRESS, 1700000000, 1700000180) == (
        0x5A03B79838728DCDC43D9F0B66EF71AD16D98EDD3C5D20D806D55FAF8538CC4
    )
    assert selector("Constant(action:felt)") == 0xE84BBCB68E0F7C73A9058BA82B6DA9C1FFDC502EFCF034E78B0C003C22ECC9
    assert onboarding_hash(CHAIN_ID, ADDRESS) != onboarding_hash(CHAIN_ID, ADDRESS + 1)


def test_a_signature_of_other_software_is_valid_and_nothing_near_it_is() -> None:
    assert is_valid(PUBLIC_KEY, ORDER_HASH, BY_CCXT)
    assert not is_valid(PUBLIC_KEY, ORDER_HASH + 1, BY_CCXT)
    assert not is_valid(PUBLIC_KEY + 1, ORDER_HASH, BY_CCXT)
    assert not is_valid(PUBLIC_KEY, ORDER_HASH, Signature(BY_CCXT.s, BY_CCXT.r))


@pytest.mark.parametrize(
    ("key", "message", "r", "s"),
    [
        (0, 1, 1, 1),
        (FIELD, 1, 1, 1),
        (PUBLIC_KEY, 2**251, 1, 1),
        (PUBLIC_KEY, -1, 1, 1),
        (PUBLIC_KEY, 1, 0, 1),
        (PUBLIC_KEY, 1, 2**251, 1),
        (PUBLIC_KEY, 1, 1, 0),
        (PUBLIC_KEY, 1, 1, CURVE_ORDER),
        (PUBLIC_KEY, 1, 2**300, 2**300),
    ],
)
def test_numbers_out_of_range_are_invalid_rather_than_fatal(key: int, message: int, r: int, s: int) -> None:
    assert not is_valid(key, message, Signature(r, s))


@settings(max_examples=4, deadline=None)
@given(st.integers(1, CURVE_ORDER - 1), st.integers(1, 2**250))
def test_verifying_agrees_with_the_textbook(key: int, message: int) -> None:
    public_key = fast_stark_crypto.get_public_key(key)
    for r, s in (fast_stark_crypto.sign(key, message), message_signature(message, key)):
        for tried in (message, message ^ 1):
            expected = verifies_by_the_book(public_key, tried, Signature(r, s))
            assert is_valid(public_key, tried, Signature(r, s)) is expected is (tried == message)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, FIELD - 1), st.integers(0, FIELD - 1))
def test_pedersen_is_what_ccxt_computes_in_python(left: int, right: int) -> None:
    assert pedersen(left, right) == pedersen_hash(left, right)


def test_signatures_are_read_in_hex_and_in_decimal() -> None:
    assert parsed('["0x1f","31"]') == Signature(31, 31)
    for text in ("", "[]", '["1"]', '["1","2","3"]', "[1,2]", '["-1","2"]', '["0x","2"]', "{", '["1","x"]', "9" * 999):
        with pytest.raises(MalformedSignature):
            parsed(text)


@pytest.mark.parametrize("value", ["0.000000001", "NaN", "-1", "1e400"])
def test_what_is_finer_than_is_signed_is_unsignable(value: str) -> None:
    with pytest.raises(Unsignable):
        scaled(value)


def test_sizes_are_scaled_exactly() -> None:
    assert scaled("500.0") == scaled("500") == 50_000_000_000
    assert scaled("0.00000001") == 1
