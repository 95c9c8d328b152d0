"""How many requests may be under way, and who goes first when there is little room left.

What is under way mostly waits for venues. When more comes than they take, the last of the room is kept for what matters
most: a cancel has to get through after placements are turned away, and a placement after reads are.
"""

from __future__ import annotations

from enum import Enum

from gateway.operations.table import Operation
from normalization.errors import ServiceUnavailable

RETRY_AFTER_S = 1


class Share(Enum):
    """How much of the room may be taken before an operation of that kind is turned away."""

    READS = 0.8
    PLACEMENTS = 0.9
    CANCELS = 1.0


class Admission:
    """``under_way`` is counted by whoever handles requests."""

    def __init__(self, room: int) -> None:
        self.under_way = 0
        self._room = {share: max(1, round(room * share.value)) for share in Share}
        self.is_easy_below = self._room[Share.READS]
        """Nobody is turned away while fewer than this are under way."""

    def require(self, operation: Operation | None) -> None:
        """``operation`` is None where it is not even known what is asked for.

        :raises ServiceUnavailable: there is no room for it now.
        """
        if self.under_way >= self._room[_share_of(operation)]:
            raise ServiceUnavailable("The gateway is busy: nothing was sent", retry_after_s=RETRY_AFTER_S)


def _share_of(operation: Operation | None) -> Share:
    if operation is None or operation.read_only:
        return Share.READS
    return Share.CANCELS if operation.destructive else Share.PLACEMENTS
