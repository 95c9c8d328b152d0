"""``venuegate …`` inside this process, on the command tree that is built once."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import NamedTuple

from typer.main import get_command
from typer.testing import CliRunner

from gateway.cli.root import app

_COMMAND = get_command(app)


class Said(NamedTuple):
    exit_code: int
    stdout: str
    stderr: str


def venuegate(*args: str, env: Mapping[str, str], text: str | None = None) -> Said:
    """Run it to its end; ``text`` is its standard input."""
    code = 0
    # None takes a variable away: what the developer's own shell has set must not matter.
    inherited = dict.fromkeys(name for name in os.environ if name.startswith("VENUEGATE_"))
    with CliRunner().isolation(input=text, env={**inherited, **env}) as (out, err, _):
        try:
            _COMMAND.main(args=list(args), prog_name="venuegate")
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0
        sys.stdout.flush()
        sys.stderr.flush()
        stdout, stderr = out.getvalue().decode(), err.getvalue().decode()
    return Said(code, stdout, stderr)
