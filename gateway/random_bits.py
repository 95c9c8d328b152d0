"""Random numbers for what must differ and is no secret.

The system's own cost a call each, in which another thread may take the interpreter's lock.
"""

from __future__ import annotations

import os
import random
from typing import Final

_numbers: Final = random.Random()  # noqa: S311
# Two workers of one supervisor must not go on with the same.
os.register_at_fork(after_in_child=_numbers.seed)

random_bits: Final = _numbers.getrandbits
"""``random_bits(n)``: an integer of that many bits. This process's own, and nobody sets its seed."""
