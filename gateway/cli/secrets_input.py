"""Secrets come from a file, from standard input or from a prompt that does not show them. Never from an argument."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import typer

from adapters.base import CredentialField
from gateway.accounts import Refused

_MOST_BYTES: Final = 65_536


def read_secrets(fields: Sequence[CredentialField], from_file: Path | None, stdin: bool) -> dict[str, str]:
    """By field name; not checked yet.

    :raises Refused: it is not a JSON object of strings, or nobody is there to be asked.
    """
    if from_file is not None and stdin:
        raise typer.BadParameter("take one of --from-file and --stdin, not both")
    shape = "Expected is a JSON object of strings: {" + ", ".join(f'"{field.name}": "…"' for field in fields) + "}"
    if from_file is not None:
        try:
            with from_file.open("rb") as file:
                return _decoded(file.read(_MOST_BYTES), f"What is in {from_file} cannot be read", shape)
        except OSError as error:
            raise Refused(f"{from_file} cannot be read: {error.strerror}", shape) from None
    if stdin:
        return _decoded(sys.stdin.buffer.read(_MOST_BYTES), "Standard input cannot be read", shape)
    if any(field.required for field in fields) and not sys.stdin.isatty():
        raise Refused("There is nobody to ask for the secrets", f"Use --stdin or --from-file. {shape}")
    return _prompted(fields) if sys.stdin.isatty() else {}


def _decoded(text: bytes, problem: str, shape: str) -> dict[str, str]:
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Its own text could repeat a part of a secret.
        raise Refused(problem, shape) from None


def _prompted(fields: Sequence[CredentialField]) -> dict[str, str]:
    secrets: dict[str, str] = {}
    for field in fields:
        question = f"{field.name} ({field.description.rstrip('.')}{'' if field.required else '; may be empty'})"
        secrets[field.name] = typer.prompt(
            question, hide_input=field.secret, default=None if field.required else "", show_default=False
        )
    return secrets
