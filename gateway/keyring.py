"""The master key, and the gateway's own secrets that it wraps.

The master key is the one secret that is not in the database. It comes from a file that only its owner can read, or
from the environment, as text: one base64 key of 32 bytes per line. The first line is the current key; later ones only
unwrap. To rotate: put a new first line, restart every gateway, ``rewrap_all``, then take the old line away.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from storage.ports import Credential, Directory, SealedSecret

KEY_BYTES: Final = 32

_WRAP_FORMAT: Final = b"\x01"
_KEY_ID_BYTES: Final = 4
_NONCE_BYTES: Final = 12
_HEADER_BYTES: Final = len(_WRAP_FORMAT) + _KEY_ID_BYTES
_FILE_LIMIT: Final = 65_536

_API_KEY_PEPPER: Final = "api-key-pepper"
_ORDER_ID_KEY: Final = "order-id-key"
_FINGERPRINT_KEY: Final = "fingerprint-key"
_NEEDED: Final = (_API_KEY_PEPPER, _ORDER_ID_KEY, _FINGERPRINT_KEY)

MAKE_MASTER_KEY: Final = (
    "Make one: venuegate master-key generate --out master.key; name it in VENUEGATE_MASTER_KEY_FILE, and keep a copy: "
    "without it no stored secret opens"
)


class MasterKeyError(Exception):
    """The master key is missing, malformed, not private, or of another database. ``advice`` says what to do."""

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(f"{problem}. {advice}.")
        self.problem = problem
        self.advice = advice


class NotOpened(Exception):
    """A sealed value did not open under the context it was given: it was moved, edited or rolled back."""


class MasterKeyFile(msgspec.Struct, frozen=True):
    path: Path


class MasterKeyText(msgspec.Struct, frozen=True):
    """The keys themselves, from the variable ``source``."""

    text: str
    source: str

    def __repr__(self) -> str:
        return f"MasterKeyText(from {self.source})"


MasterKeySource = MasterKeyFile | MasterKeyText


def generate_master_key() -> str:
    """One line for a master key file."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def create_master_key_file(path: Path) -> bool:
    """Write a new master key that only its owner can read; False when the file is already there.

    Of several processes that start together exactly one creates it, and nobody sees it half written.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(generate_master_key() + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


class MasterKeyRing:
    """Wraps under the current key, unwraps under any of the ring.

    A wrapped value is format, key id, nonce, ciphertext and tag (AES-256-GCM). The key id tells which key of the ring
    made it; ``context`` is what it belongs to, and it opens only with the same one.
    """

    __slots__ = ("_ciphers", "_current_id")

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"a ring is made of keys of {KEY_BYTES} bytes")
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self._current_id = _key_id(keys[0])

    @classmethod
    def load(cls, source: MasterKeySource) -> MasterKeyRing:
        """:raises MasterKeyError: it cannot be read, is not private, or is not a list of keys."""
        if isinstance(source, MasterKeyFile):
            return cls(_parse_keys(_read_private(source.path), str(source.path)))
        return cls(_parse_keys(source.text, source.source))

    def __repr__(self) -> str:
        return f"MasterKeyRing({len(self._ciphers)} keys)"

    def wrap(self, value: bytes, context: bytes) -> bytes:
        header = _WRAP_FORMAT + self._current_id
        return header + seal_bytes(self._ciphers[self._current_id], value, header + context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """:raises MasterKeyError: no key of this ring made it.
        :raises NotOpened: one did, but not with this ``context``, or it was edited since.
        """
        header, sealed = wrapped[:_HEADER_BYTES], wrapped[_HEADER_BYTES:]
        if header[: len(_WRAP_FORMAT)] != _WRAP_FORMAT:
            raise NotOpened("it is not in a format that this version knows")
        cipher = self._ciphers.get(header[len(_WRAP_FORMAT) :])
        if cipher is None:
            raise MasterKeyError(
                "The master key does not match this database: what it holds was wrapped under another key",
                "Start with the master key that this database was made with, or, after a rotation, add the old key"
                " as a later line",
            )
        return open_bytes(cipher, sealed, header + context)

    def is_current(self, wrapped: bytes) -> bool:
        """Whether ``wrapped`` was made under the current key."""
        return wrapped[:_HEADER_BYTES] == _WRAP_FORMAT + self._current_id


class Keyring:
    """The gateway's own secrets, opened."""

    __slots__ = ("_peppers", "current_pepper_version", "fingerprint_key", "order_id_key")

    def __init__(self, opened: Mapping[tuple[str, int], bytes]) -> None:
        self._peppers = {version: value for (name, version), value in opened.items() if name == _API_KEY_PEPPER}
        self.current_pepper_version = max(self._peppers)
        self.order_id_key = opened[_ORDER_ID_KEY, 1]
        self.fingerprint_key = opened[_FINGERPRINT_KEY, 1]

    @classmethod
    async def open(cls, directory: Directory, ring: MasterKeyRing) -> Keyring:
        """Open the stored secrets; make those that are not there yet. Safe when several processes start together.

        :raises MasterKeyError: the ring does not match what is stored.
        :raises StorageUnavailable: the store did not answer.
        """
        opened = _open_all(await directory.secrets(), ring)
        present = {name for name, _ in opened}
        missing = [name for name in _NEEDED if name not in present]
        if missing:
            await directory.put_secrets(
                [seal_secret(ring, name, 1, secrets.token_bytes(KEY_BYTES)) for name in missing]
            )
            # Another process may have been first: what is stored counts, not what was made here.
            opened = _open_all(await directory.secrets(), ring)
        return cls(opened)

    def __repr__(self) -> str:
        return f"Keyring(pepper versions {list(self.pepper_versions)})"

    @property
    def pepper_versions(self) -> Sequence[int]:
        """Newest first."""
        return sorted(self._peppers, reverse=True)

    def pepper(self, version: int) -> bytes:
        return self._peppers[version]


def seal_secret(ring: MasterKeyRing, name: str, version: int, value: bytes) -> SealedSecret:
    """A secret of the gateway as it is stored."""
    return SealedSecret(name=name, version=version, wrapped=ring.wrap(value, _secret_context(name, version)))


def credential_context(credential: Credential) -> bytes:
    """What a credential's data key and its secrets are bound to: a row that was moved or rolled back does not open."""
    return msgspec.json.encode(
        (
            "credential",
            credential.account_id,
            credential.credential_id,
            credential.exchange,
            credential.network,
            credential.row_version,
        )
    )


async def rewrap_all(directory: Directory, ring: MasterKeyRing) -> int:
    """Bring everything that an older key of the ring wrapped under the current one; how many values that were.

    Safe while gateways that have both keys run: values and row versions stay, only their wrapping changes, and a row
    that somebody changed meanwhile is read again. Repeating it is harmless.

    :raises MasterKeyError: something was wrapped under a key that the ring does not have.
    """
    old = [secret for secret in await directory.secrets() if not ring.is_current(secret.wrapped)]
    if old:
        opened = _open_all(old, ring)
        await directory.put_secrets([seal_secret(ring, *key, value) for key, value in opened.items()], replace=True)
    rewrapped = len(old)
    for credential in await directory.credentials():
        rewrapped += await _rewrap_credential(directory, ring, credential)
    return rewrapped


async def _rewrap_credential(directory: Directory, ring: MasterKeyRing, credential: Credential | None) -> bool:
    while credential is not None and credential.revoked_at_ms is None and not ring.is_current(credential.wrapped_key):
        context = credential_context(credential)
        try:
            wrapped_key = ring.wrap(ring.unwrap(credential.wrapped_key, context), context)
        except NotOpened:
            raise MasterKeyError(
                f"Credential {credential.credential_id} does not open: its row was edited, moved or rolled back",
                "Revoke it or restore its row, then run this again; what was done so far stays",
            ) from None
        fresh = msgspec.structs.replace(credential, wrapped_key=wrapped_key)
        if await directory.update_credential(fresh, credential.row_version):
            return True
        credential = await directory.credential(credential.credential_id)
    return False


def seal_bytes(cipher: AESGCM, value: bytes, context: bytes) -> bytes:
    """Nonce, ciphertext and tag."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, value, context)


def open_bytes(cipher: AESGCM, sealed: bytes, context: bytes) -> bytes:
    """:raises NotOpened: another key or context made it, or it was edited since."""
    if len(sealed) <= _NONCE_BYTES:
        raise NotOpened("it is cut")
    try:
        return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context)
    except InvalidTag:
        raise NotOpened("it was edited, moved or rolled back") from None


def _open_all(sealed: Sequence[SealedSecret], ring: MasterKeyRing) -> dict[tuple[str, int], bytes]:
    opened: dict[tuple[str, int], bytes] = {}
    for secret in sealed:
        try:
            value = ring.unwrap(secret.wrapped, _secret_context(secret.name, secret.version))
        except NotOpened:
            raise MasterKeyError(
                f"The stored secret {secret.name} (version {secret.version}) does not open: its row was edited",
                "Restore the database from a backup that is whole",
            ) from None
        opened[secret.name, secret.version] = value
    return opened


def _secret_context(name: str, version: int) -> bytes:
    return msgspec.json.encode(("secret", name, version))


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"venuegate master key id\x00" + key).digest()[:_KEY_ID_BYTES]


def _read_private(path: Path) -> str:
    try:
        # Not blocking, so that a pipe in the file's place is refused rather than waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        advice = MAKE_MASTER_KEY if isinstance(error, FileNotFoundError) else "Check its path, owner and mode"
        raise MasterKeyError(f"The master key file {path} cannot be read: {error.strerror}", advice) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise MasterKeyError(f"The master key file {path} is not a regular file", MAKE_MASTER_KEY)
        if status.st_mode & 0o077:
            raise MasterKeyError(
                f"The master key file {path} can be reached by others than its owner"
                f" (mode {stat.S_IMODE(status.st_mode):04o})",
                f"Run: chmod 600 {path}",
            )
        content = os.read(descriptor, _FILE_LIMIT)
    finally:
        os.close(descriptor)
    return content.decode("ascii", "replace")


def _parse_keys(text: str, source: str) -> list[bytes]:
    keys: list[bytes] = []
    for number, line in enumerate(text.splitlines(), start=1):
        # A variable cannot always hold line breaks, so spaces part keys as well.
        for word in line.partition("#")[0].split():
            key = _decode_key(word)
            if key is None:
                raise MasterKeyError(
                    f"The master key in {source}, line {number}, is not base64 of 32 bytes", MAKE_MASTER_KEY
                )
            keys.append(key)
    if not keys:
        raise MasterKeyError(f"There is no master key in {source}", MAKE_MASTER_KEY)
    return keys


def _decode_key(word: str) -> bytes | None:
    try:
        key = base64.b64decode(word, validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == KEY_BYTES else None
