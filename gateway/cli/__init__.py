"""``venuegate …``: run the gateway, and manage accounts, keys and credentials beside it.

Nothing heavy is imported before a command needs it, so that ``--help`` answers at once.
"""

from __future__ import annotations


def main() -> None:
    """Exit code 0: done; 1: refused or failed, with a message that says what to do; 2: wrong usage."""
    from gateway.cli.root import app

    app(prog_name="venuegate")
