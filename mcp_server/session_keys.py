"""The API key that was made over a session, for where other workers find it: sealed with the session's own id.

Whoever reads what is kept there knows neither: of the id it has a digest only.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES: Final = 12
_PURPOSE: Final = b"the API key of an MCP session"


def sealed(key: str, session_id: str) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + _cipher(session_id).encrypt(nonce, key.encode(), None)


def opened(data: bytes, session_id: str) -> str | None:
    """None where it was not sealed for this session."""
    try:
        return _cipher(session_id).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], None).decode()
    except (InvalidTag, ValueError):
        return None


def _cipher(session_id: str) -> AESGCM:
    return AESGCM(hmac.digest(session_id.encode(), _PURPOSE, hashlib.sha256))
