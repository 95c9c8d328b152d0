"""How the gateways of the benchmark run."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Final

from gateway.settings import Settings

DATABASE: Final = "venuegate.db"
MASTER_KEY: Final = bytes(32)
"""No secret: what it protects is thrown away with the run."""


def settings_for(directory: Path, **others: str) -> Settings:
    """Any free port, no metrics listener, ``others`` as given, everything else as it comes."""
    return Settings.load(
        {},
        port=0,
        metrics_port=0,
        data_dir=directory,
        master_key=base64.b64encode(MASTER_KEY).decode(),
        log_level="error",
        **others,
    )
