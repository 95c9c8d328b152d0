"""What a process holds."""

from __future__ import annotations

import os
import resource
from pathlib import Path


def resident_bytes(pid: int) -> int:
    """Now; where the system does not tell, the most that this process ever held."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return pages * os.sysconf("SC_PAGE_SIZE")


def open_files() -> int:
    """How many this process has; 0 where the system does not tell."""
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return 0
