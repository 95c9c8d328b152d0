"""``python -m gateway.cli``: the same as ``venuegate``."""

from __future__ import annotations

from gateway.cli import main

main()
