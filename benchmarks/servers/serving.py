"""What a running server is to the process around it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from benchmarks.wire import Caller, Gaps


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """``commits`` counts the database commits since start, ``flushes`` those that waited for the disk; 0 where there is
    no database on the path.

    ``gaps`` are the event loop's worst since they were last asked for; none where nobody looks.
    """

    port: int
    callers: list[Caller]
    commits: Callable[[], int] = lambda: 0
    flushes: Callable[[], int] = lambda: 0
    gaps: Callable[[], Gaps] = Gaps
