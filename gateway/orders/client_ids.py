"""The client order id that a venue sees, derived so that a lost row yields the same id again.

``HMAC(key, account ‖ credential ‖ clientOrderId ‖ attempt)``: 12 bytes of it and a 4-byte tag over those 12, by which
an order found on a venue can be told to be ours without any row. Each venue spells the 16 bytes in its own way.
"""

from __future__ import annotations

import hmac
from typing import Final

_ID_BYTES: Final = 12
_TAG_BYTES: Final = 4


class ClientIds:
    def __init__(self, key: bytes) -> None:
        # The one-call form lets go of the interpreter, and under load has to wait for it longer than it works.
        self._keyed = hmac.new(key, digestmod="sha256")

    def token(self, account_id: str, credential_id: str, client_order_id: str, attempt: int) -> bytes:
        """16 bytes, the same for the same order every time."""
        parts = (account_id, credential_id, client_order_id, str(attempt))
        message = b"".join(len(part).to_bytes(2, "big") + part.encode() for part in parts)
        identity = self._digest(message)[:_ID_BYTES]
        return identity + self._tag(identity)

    def is_ours(self, token: bytes) -> bool:
        return len(token) == _ID_BYTES + _TAG_BYTES and hmac.compare_digest(
            self._tag(token[:_ID_BYTES]), token[_ID_BYTES:]
        )

    def _tag(self, identity: bytes) -> bytes:
        return self._digest(b"tag" + identity)[:_TAG_BYTES]

    def _digest(self, message: bytes) -> bytes:
        mac = self._keyed.copy()
        mac.update(message)
        return mac.digest()
