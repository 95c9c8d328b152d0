"""Structured logs: JSON for machines, colours for people, secrets for nobody."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final

import orjson
import structlog

_REDACTED: Final = "[redacted]"
_SECRET_NAMES: Final = re.compile(r"secret|password|private|api_?key|authorization|token|mnemonic|seed", re.IGNORECASE)
_SECRET_TEXT: Final = re.compile(r"mt_(?:live|test)_[0-9A-Za-z]{4,}|0x[0-9a-fA-F]{64}")


def configure(level: str, *, as_json: bool) -> None:
    """Set up structlog and the standard library's logging, both through the same redaction, to standard error."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(serializer=lambda event, **_: orjson.dumps(event, default=str).decode())
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # At DEBUG these print request bodies and statements with their parameters.
    for noisy in ("aiohttp.access", "asyncio", "sqlalchemy", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def redact(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: values whose name says secret, and keys wherever they stand in a text."""
    for name, value in event.items():
        if _SECRET_NAMES.search(name) and not isinstance(value, bool | int | float):
            event[name] = _REDACTED
        elif isinstance(value, str):
            event[name] = _SECRET_TEXT.sub(_REDACTED, value)
    return event
