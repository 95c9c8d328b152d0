from __future__ import annotations

import hashlib
import hmac
import string
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import keys
from normalization.errors import AuthenticationError, InvalidApiKey, InvalidKeyFormat
from storage.ports import KeyEnvironment

BASE62 = string.digits + string.ascii_letters
PEPPER = b"p" * 32
KNOWN_KEY = "mt_test_" + "A" * 37 + "0VIri9"


@pytest.mark.parametrize(
    ("environment", "prefix"), [(KeyEnvironment.LIVE, "mt_live_"), (KeyEnvironment.TEST, "mt_test_")]
)
def test_a_minted_key_has_51_characters_and_parses_as_its_environment(environment: KeyEnvironment, prefix: str) -> None:
    key = keys.mint(environment)

    assert len(key) == 51
    assert key.startswith(prefix)
    assert set(key[8:]) <= set(BASE62)
    assert keys.parse(key) is environment


def test_no_two_keys_are_the_same() -> None:
    assert len({keys.mint(KeyEnvironment.TEST) for _ in range(200)}) == 200


def test_the_checksum_is_crc32_in_base_62_digits_capitals_small_letters() -> None:
    # CRC32 of the 45 characters before it is 462,562,789.
    assert keys.parse(KNOWN_KEY) is KeyEnvironment.TEST


@pytest.mark.parametrize(
    "text", ["", "mt_", "mt_live", "sk_live_" + "a" * 43, "MT_LIVE_" + "a" * 43, " mt_live_" + "a" * 42]
)
def test_what_does_not_start_with_a_prefix_is_not_a_key(text: str) -> None:
    with pytest.raises(InvalidKeyFormat, match="mt_live_ or mt_test_"):
        keys.parse(text)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_one_wrong_character_is_noticed(data: st.DataObject) -> None:
    key = KNOWN_KEY
    place = data.draw(st.integers(8, 50))
    wrong = data.draw(st.sampled_from(BASE62).filter(lambda character: character != key[place]))

    with pytest.raises(InvalidApiKey, match="mistyped or cut"):
        keys.parse(key[:place] + wrong + key[place + 1 :])


@given(st.text(max_size=60) | st.text(BASE62, max_size=60))
@settings(max_examples=150, deadline=None)
def test_any_other_text_is_refused_without_repeating_it(body: str) -> None:
    text = "mt_live_" + body

    with pytest.raises(AuthenticationError) as caught:
        keys.parse(text)

    assert text not in str(caught.value)


@pytest.mark.parametrize("spoil", [lambda key: key[:-1], lambda key: key + "0", lambda key: key[:-1] + "\udcff"])
def test_a_cut_a_longer_and_an_undecodable_key_are_mistyped(spoil: Callable[[str], str]) -> None:
    with pytest.raises(InvalidApiKey, match="mistyped or cut"):
        keys.parse(spoil(keys.mint(KeyEnvironment.LIVE)))


def test_twelve_characters_may_be_shown() -> None:
    key = keys.mint(KeyEnvironment.LIVE)
    assert keys.display_prefix(key) == key[:12]


def test_the_digest_is_hmac_sha256_of_the_whole_key() -> None:
    key = keys.mint(KeyEnvironment.TEST)
    expected = hmac.new(PEPPER, key.encode(), hashlib.sha256).digest()

    assert keys.digest(PEPPER, key) == expected
    prepared = keys.KeyDigest(PEPPER)
    assert [prepared(key), prepared(key)] == [expected, expected]
