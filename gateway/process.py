"""How the interpreter is set for a process that serves: no pauses that nobody asked for."""

from __future__ import annotations

import gc
import sys
from typing import Final

SWITCH_INTERVAL_S: Final = 0.0005
_YOUNG: Final = 2_000


def settle_down() -> None:
    """Once, when all is loaded and open.

    What is there by then stays: the collector need not go through it again and again. What comes later is collected
    less often, as requests hold many objects that are about to go. And a thread that waits for its turn, as the
    journal's does, gets it sooner.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 10, 10)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
