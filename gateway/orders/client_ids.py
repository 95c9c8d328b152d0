"""The client order id that a venue sees, derived so that a lost row yields the same id again.

``HMAC(key, account ‖ credential ‖ clientOrderId ‖ attempt)``: 12 bytes of it and a 4-byte tag over the credential and
those 12, by which an order found on a venue can be told to be ours, and that credential's, without any row. Each venue
spells the 16 bytes in its own way.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterator
from typing import Final

_ID_BYTES: Final = 12
_TAG_BYTES: Final = 4


def new_client_order_id() -> str:
    """For an order whose caller gave none."""
    return f"vg-{secrets.token_hex(12)}"


class ClientIds:
    def __init__(self, key: bytes) -> None:
        # The one-call form lets go of the interpreter, and under load has to wait for it longer than it works.
        self._keyed = hmac.new(key, digestmod="sha256")

    def token(self, account_id: str, credential_id: str, client_order_id: str, attempt: int) -> bytes:
        """16 bytes, the same for the same order every time."""
        parts = (account_id, credential_id, client_order_id, str(attempt))
        message = b"".join(len(part).to_bytes(2, "big") + part.encode() for part in parts)
        identity = self._digest(message)[:_ID_BYTES]
        return identity + self._tag(credential_id, identity)

    def token_behind(self, venue_client_id: str, credential_id: str) -> bytes | None:
        """The token that a venue's client order id spells, where that was placed with the credential.

        None too where that cannot be told: a venue whose ids are numbers keeps the first bytes, not the tag.
        """
        for token in _spelled(venue_client_id):
            identity, tag = token[:_ID_BYTES], token[_ID_BYTES:]
            if hmac.compare_digest(self._tag(credential_id, identity), tag):
                return token
        return None

    def _tag(self, credential_id: str, identity: bytes) -> bytes:
        return self._digest(b"tag" + credential_id.encode() + identity)[:_TAG_BYTES]

    def _digest(self, message: bytes) -> bytes:
        mac = self._keyed.copy()
        mac.update(message)
        return mac.digest()


def _spelled(venue_client_id: str) -> Iterator[bytes]:
    """The tokens of which this may be a venue's spelling: 32 hex digits, with 0x in front, or as a UUID."""
    digits = venue_client_id.removeprefix("0x").replace("-", "")
    try:
        token = bytes.fromhex(digits)
    except ValueError:
        return
    if len(token) != _ID_BYTES + _TAG_BYTES:
        return
    yield token
    if "-" in venue_client_id:
        # Six bits of a UUID are its version's and its variant's: what they were before is found by the tag.
        for version in range(16):
            for variant in range(4):
                spelled = bytearray(token)
                spelled[6] = spelled[6] & 0x0F | version << 4
                spelled[8] = spelled[8] & 0x3F | variant << 6
                yield bytes(spelled)
