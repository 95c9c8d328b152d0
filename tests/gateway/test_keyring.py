from __future__ import annotations

import asyncio
import base64
import os
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.base import Network
from gateway.keyring import (
    Keyring,
    MasterKeyError,
    MasterKeyFile,
    MasterKeyRing,
    MasterKeyText,
    NotOpened,
    create_master_key_file,
    generate_master_key,
    open_bytes,
    rewrap_all,
    seal_bytes,
    seal_secret,
)
from gateway.vault import Vault
from storage.ports import Credential, SealedSecret
from tests.support.memory_directory import MemoryDirectory

OLD, NEW = b"o" * 32, b"n" * 32
SECRETS = {"privateKey": "0xCANARY"}


def line(key: bytes) -> str:
    return base64.b64encode(key).decode()


def from_text(text: str) -> MasterKeyRing:
    return MasterKeyRing.load(MasterKeyText(text, "VENUEGATE_MASTER_KEY"))


def write(path: Path, text: str, mode: int = 0o600) -> MasterKeyFile:
    path.write_text(text)
    path.chmod(mode)
    return MasterKeyFile(path)


def test_a_generated_key_is_a_ring() -> None:
    ring = from_text(generate_master_key())
    assert ring.unwrap(ring.wrap(b"value", b"context"), b"context") == b"value"


def test_later_keys_of_a_file_only_unwrap(tmp_path: Path) -> None:
    source = write(tmp_path / "key", f"# rotated in May\n{line(NEW)}\n\n{line(OLD)}  # the first\n")
    ring = MasterKeyRing.load(source)
    old = MasterKeyRing([OLD]).wrap(b"value", b"context")

    assert ring.unwrap(old, b"context") == b"value"
    assert not ring.is_current(old)
    fresh = ring.wrap(b"value", b"context")
    assert ring.is_current(fresh)
    assert MasterKeyRing([NEW]).unwrap(fresh, b"context") == b"value"


def test_keys_in_a_variable_may_be_parted_by_spaces() -> None:
    ring = from_text(f"{line(NEW)} {line(OLD)}")
    assert ring.unwrap(MasterKeyRing([OLD]).wrap(b"value", b""), b"") == b"value"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666, 0o610])
def test_a_file_that_others_can_reach_is_refused_with_the_cure(tmp_path: Path, mode: int) -> None:
    source = write(tmp_path / "key", line(OLD), mode)
    with pytest.raises(MasterKeyError, match=f"mode {mode:04o}.*chmod 600 .*key"):
        MasterKeyRing.load(source)


def test_a_file_its_owner_can_only_read_is_taken(tmp_path: Path) -> None:
    MasterKeyRing.load(write(tmp_path / "key", line(OLD), 0o400))


def test_a_file_that_is_not_there_is_told_with_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(MasterKeyError, match=r"cannot be read: No such file.*master-key generate"):
        MasterKeyRing.load(MasterKeyFile(tmp_path / "key"))


def test_a_folder_and_a_pipe_are_not_key_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(MasterKeyError, match="not a regular file"):
            MasterKeyRing.load(MasterKeyFile(path))


@pytest.mark.parametrize(
    "text", ["CANARY", line(b"CANARY")[:-2], line(b"CANARY" * 4), "CANARY" + line(OLD)[6:-1], "ÿ" * 44]
)
def test_a_malformed_key_is_refused_without_repeating_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(MasterKeyError, match=r"line 2, is not base64 of 32 bytes") as caught:
        MasterKeyRing.load(write(tmp_path / "key", f"{line(OLD)}\n{text}\n"))
    assert text not in str(caught.value)
    assert line(OLD) not in str(caught.value)


def test_an_empty_file_has_no_key(tmp_path: Path) -> None:
    with pytest.raises(MasterKeyError, match="There is no master key in"):
        MasterKeyRing.load(write(tmp_path / "key", "# nothing yet\n"))


def test_one_of_many_makes_the_file_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "master.key"

    assert [create_master_key_file(path) for _ in range(3)] == [True, False, False]
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
    MasterKeyRing.load(MasterKeyFile(path))


def test_what_another_key_wrapped_is_told_from_what_was_edited() -> None:
    ring, stranger = MasterKeyRing([OLD]), MasterKeyRing([NEW])
    wrapped = ring.wrap(b"value", b"context")

    with pytest.raises(MasterKeyError, match="does not match this database"):
        stranger.unwrap(wrapped, b"context")
    with pytest.raises(NotOpened):
        ring.unwrap(wrapped, b"another context")
    for cut in (b"", wrapped[:1], b"\x02" + wrapped[1:], wrapped[:10], wrapped[:-1]):
        with pytest.raises((NotOpened, MasterKeyError)):
            ring.unwrap(cut, b"context")


@given(place=st.integers(0, 59), bit=st.integers(0, 7))
@settings(max_examples=150, deadline=None)
def test_no_flipped_bit_goes_unnoticed(place: int, bit: int) -> None:
    ring = MasterKeyRing([OLD, NEW])
    wrapped = bytearray(ring.wrap(b"x" * 27, b"context"))
    wrapped[place] ^= 1 << bit

    with pytest.raises((NotOpened, MasterKeyError)):
        ring.unwrap(bytes(wrapped), b"context")


def test_the_same_value_never_looks_the_same_twice() -> None:
    cipher = AESGCM(OLD)
    sealed = {seal_bytes(cipher, b"value", b"") for _ in range(50)}
    assert len(sealed) == 50
    assert {open_bytes(cipher, one, b"") for one in sealed} == {b"value"}


def test_no_representation_shows_a_key() -> None:
    text = line(OLD)
    ring = from_text(text)
    shown = f"{ring!r} {ring!s} {MasterKeyText(text, 'VENUEGATE_MASTER_KEY')!r}"
    assert shown == "MasterKeyRing(1 keys) MasterKeyRing(1 keys) MasterKeyText(from VENUEGATE_MASTER_KEY)"


async def test_the_first_start_makes_the_secrets_and_later_ones_find_them() -> None:
    directory, ring = MemoryDirectory(), MasterKeyRing([OLD])

    first = await Keyring.open(directory, ring)
    second = await Keyring.open(directory, ring)

    assert first.current_pepper_version == 1
    assert first.pepper(1) == second.pepper(1)
    assert first.order_id_key == second.order_id_key
    assert first.fingerprint_key == second.fingerprint_key
    assert len({first.pepper(1), first.order_id_key, first.fingerprint_key}) == 3
    assert all(len(secret) == 32 for secret in (first.pepper(1), first.order_id_key, first.fingerprint_key))
    assert first.pepper(1) not in b"".join(secret.wrapped for secret in await directory.secrets())
    assert first.pepper(1).hex() not in repr(first)


async def test_processes_that_start_together_agree_on_the_secrets() -> None:
    directory, ring = MemoryDirectory(), MasterKeyRing([OLD])
    keyrings = await asyncio.gather(*(Keyring.open(directory, ring) for _ in range(5)))
    assert len({(keyring.pepper(1), keyring.order_id_key, keyring.fingerprint_key) for keyring in keyrings}) == 1


async def test_another_master_key_is_refused_and_writes_nothing() -> None:
    directory = MemoryDirectory()
    await Keyring.open(directory, MasterKeyRing([OLD]))
    before = await directory.secrets()

    with pytest.raises(MasterKeyError, match="does not match this database"):
        await Keyring.open(directory, MasterKeyRing([NEW]))
    assert await directory.secrets() == before


async def test_a_secret_moved_to_anothers_place_does_not_open() -> None:
    directory, ring = MemoryDirectory(), MasterKeyRing([OLD])
    await Keyring.open(directory, ring)
    by_name = {secret.name: secret for secret in await directory.secrets()}
    moved = SealedSecret(name="order-id-key", version=1, wrapped=by_name["api-key-pepper"].wrapped)
    await directory.put_secrets([moved], replace=True)

    with pytest.raises(MasterKeyError, match=r"order-id-key \(version 1\) does not open"):
        await Keyring.open(directory, ring)


async def test_the_newest_pepper_is_current_and_older_ones_stay() -> None:
    directory, ring = MemoryDirectory(), MasterKeyRing([OLD])
    await Keyring.open(directory, ring)
    await directory.put_secrets([seal_secret(ring, "api-key-pepper", 2, b"2" * 32)])

    keyring = await Keyring.open(directory, ring)

    assert keyring.current_pepper_version == 2
    assert keyring.pepper_versions == [2, 1]
    assert keyring.pepper(2) == b"2" * 32


def sealed_credential(ring: MasterKeyRing, credential_id: str = "c1") -> Credential:
    return Vault(ring, b"f" * 32).seal(
        credential_id=credential_id,
        account_id="a1",
        exchange="hyperliquid",
        network=Network.MAINNET,
        label="main",
        address="0xabc",
        secrets=SECRETS,
        created_at_ms=1,
    )


async def test_rotation_rewraps_everything_and_then_the_old_key_can_go() -> None:
    directory, old, both, new = MemoryDirectory(), MasterKeyRing([OLD]), MasterKeyRing([NEW, OLD]), MasterKeyRing([NEW])
    before = await Keyring.open(directory, old)
    for credential_id in ("c1", "c2"):
        await directory.create_credential(sealed_credential(old, credential_id))

    assert await rewrap_all(directory, both) == 5
    assert await rewrap_all(directory, both) == 0

    after = await Keyring.open(directory, new)
    assert after.pepper(1) == before.pepper(1)
    for credential in await directory.credentials():
        assert credential.row_version == 1
        assert Vault(new, after.fingerprint_key).open(credential).secrets == SECRETS
        assert Vault(both, after.fingerprint_key).open(credential).secrets == SECRETS


async def test_rotation_without_the_old_key_changes_nothing() -> None:
    directory = MemoryDirectory()
    await Keyring.open(directory, MasterKeyRing([OLD]))
    before = await directory.secrets()

    with pytest.raises(MasterKeyError, match="does not match this database"):
        await rewrap_all(directory, MasterKeyRing([NEW]))
    assert await directory.secrets() == before


async def test_rotation_names_the_credential_that_does_not_open() -> None:
    directory, old = MemoryDirectory(), MasterKeyRing([OLD])
    await directory.create_credential(msgspec.structs.replace(sealed_credential(old), row_version=2))

    with pytest.raises(MasterKeyError, match="Credential c1 does not open"):
        await rewrap_all(directory, MasterKeyRing([NEW, OLD]))


async def test_a_credential_changed_during_rotation_keeps_the_change() -> None:
    old, both = MasterKeyRing([OLD]), MasterKeyRing([NEW, OLD])
    changed = {"privateKey": "0xOTHER"}

    class Racing(MemoryDirectory):
        async def update_credential(self, credential: Credential, expected_version: int) -> bool:
            if not self.calls.get("update_credential"):
                newer = Vault(old, b"f" * 32).reseal(credential, address="0xdef", secrets=changed)
                assert await super().update_credential(newer, 1)
            return await super().update_credential(credential, expected_version)

    directory = Racing()
    await directory.create_credential(sealed_credential(old))

    assert await rewrap_all(directory, both) == 1

    (credential,) = await directory.credentials()
    assert credential.row_version == 2
    assert both.is_current(credential.wrapped_key)
    assert Vault(both, b"f" * 32).open(credential).secrets == changed
