"""Every setting, read once. Nothing else in the gateway reads the environment.

A setting is a ``VENUEGATE_…`` variable or the flag of ``serve`` with the same name (``VENUEGATE_DATA_DIR``,
``--data-dir``); a flag wins. All that is wrong is told at once, and no message repeats a secret or an address.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from gateway.keyring import MAKE_MASTER_KEY, MasterKeyFile, MasterKeySource, MasterKeyText
from sandbox.milo.agents.model_config import ModelConfig
from storage.ports import Tier
from storage.redis_store import address
from storage.redis_store.address import RedisAddress

PREFIX: Final = "VENUEGATE_"
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
LOG_FORMATS: Final = ("json", "text")

_KNOWN: Final = (
    "host",
    "port",
    "workers",
    "data_dir",
    "demo",
    "public_url",
    "metrics_host",
    "metrics_port",
    "master_key",
    "master_key_file",
    "log_level",
    "log_format",
    "max_body_bytes",
    "max_in_flight",
    "max_connections",
    "redis_url",
    "database_url",
    "milo_model_url",
    "milo_model_name",
    "milo_model_key",
    "milo_model_timeout_s",
    "signup_tier",
    "journal_days",
    "tombstone_days",
)
NO_PUBLIC_CHAIN: Final = "nothing here speaks to a public chain: the local Milo has its own, inside the process"
_MAX_DIGITS: Final = 9
_MOST_DAYS: Final = 36_500
_SIGNUP_TIERS: Final = {**{tier.value: tier for tier in Tier}, "off": None}
_YES: Final = frozenset({"1", "true", "yes", "on"})
_NO: Final = frozenset({"0", "false", "no", "off"})


T = TypeVar("T")


class DatabaseUrl(msgspec.Struct, frozen=True):
    """Where a PostgreSQL database is, with user and password: it is not shown."""

    text: str

    def __repr__(self) -> str:
        return "DatabaseUrl(hidden)"


class SettingsError(Exception):
    """Settings that cannot be used: one line per problem, each with the variable and what was expected."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How this gateway runs.

    ``port`` 0 takes any free port; ``metrics_port`` None serves no metrics (the variable says 0). ``public_url`` is how
    clients reach the gateway, without a slash at its end, or None where that is the address it listens on.
    ``max_in_flight`` requests are served at once, on at most ``max_connections``; more are refused. ``database_url``
    None keeps everything in the data directory. ``redis`` is where limits are counted; None: in this process.
    ``milo_model`` answers in the local Milo's conversations, None for its built-in analyst. Orders that are over are
    kept whole for ``journal_days`` and by their ids for ``tombstone_days``. ``warnings`` are for the log.
    """

    host: str
    port: int
    workers: int
    data_dir: Path
    demo: bool
    public_url: str | None
    metrics_host: str
    metrics_port: int | None
    master_key: MasterKeySource | None
    log_level: str
    log_format: str
    max_body_bytes: int
    max_in_flight: int
    max_connections: int
    redis: RedisAddress | None
    database_url: DatabaseUrl | None
    milo_model: ModelConfig | None
    signup_tier: Tier | None
    journal_days: int
    tombstone_days: int
    warnings: tuple[str, ...]

    @classmethod
    def load(cls, environ: Mapping[str, str], **overrides: Any) -> Settings:
        """From the environment and the flags given; a flag that is None was not given.

        :raises SettingsError: at least one is malformed, unknown among the flags, or not possible in this build.
        """
        reader = _Reader(environ, overrides)
        host = reader.text("host", "127.0.0.1")
        port = reader.number("port", 8080, 0, 65_535)
        metrics_host = reader.text("metrics_host", "127.0.0.1")
        metrics_port = reader.number("metrics_port", 9464, 0, 65_535)
        demo = reader.flag("demo")
        redis = reader.redis("redis_url")
        journal_days = reader.number("journal_days", 90, 1, _MOST_DAYS)
        tombstone_days = reader.number("tombstone_days", 400, 1, _MOST_DAYS)
        loaded = cls(
            host=host,
            port=port,
            workers=reader.number("workers", 1, 1, 256),
            data_dir=Path(reader.text("data_dir", "var")).expanduser(),
            demo=demo,
            public_url=reader.url("public_url"),
            metrics_host=metrics_host,
            metrics_port=metrics_port or None,
            master_key=_master_key(reader),
            log_level=reader.choice("log_level", "info", LOG_LEVELS),
            log_format=reader.choice("log_format", "text" if demo else "json", LOG_FORMATS),
            max_body_bytes=reader.number("max_body_bytes", 65_536, 1_024, 1_048_576),
            max_in_flight=reader.number("max_in_flight", 1_024, 1, 100_000),
            max_connections=reader.number("max_connections", 10_000, 1, 1_000_000),
            redis=redis,
            database_url=reader.database_url("database_url"),
            milo_model=_milo_model(reader),
            signup_tier=_signup_tier(reader, demo),
            journal_days=journal_days,
            tombstone_days=tombstone_days,
            warnings=_unknown(environ),
        )
        _refuse_a_public_chain(reader, environ)
        if tombstone_days < journal_days:
            reader.complain("tombstone_days", f"expected at least the {journal_days} days of VENUEGATE_JOURNAL_DAYS")
        if metrics_port and port == metrics_port and host == metrics_host:
            reader.complain("metrics_port", "it is the gateway's own port; expected another, or 0 for no metrics")
        if reader.problems:
            raise SettingsError(reader.problems)
        return loaded

    def require_master_key(self) -> MasterKeySource:
        """:raises SettingsError: none was given."""
        if self.master_key is None:
            problem = "VENUEGATE_MASTER_KEY_FILE: there is no master key, and without one no secret can be kept."
            raise SettingsError([f"{problem} {MAKE_MASTER_KEY}."])
        return self.master_key


class _Reader:
    """One value per call: the flag, else the variable, else the default. Problems are collected, not raised."""

    def __init__(self, environ: Mapping[str, str], overrides: Mapping[str, object]) -> None:
        self._environ = environ
        self._overrides = overrides
        self.problems: list[str] = [
            f"{_flag(name)}: there is no such setting" for name in overrides if name not in _KNOWN
        ]

    def given(self, name: str) -> str | None:
        """What was given, as text; an empty variable is one that was not given."""
        override = self._overrides.get(name)
        if override is not None:
            return str(override)
        return self._environ.get(_variable(name), "").strip() or None

    def text(self, name: str, default: str) -> str:
        return self.given(name) or default

    def number(self, name: str, default: int, least: int, most: int) -> int:
        expected = f"a whole number from {least} to {most}"
        return self._parsed(name, default, expected, lambda text: _whole_number(text, least, most))

    def flag(self, name: str) -> bool:
        return self._parsed(name, False, "true or false", _truth)

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        expected = f"one of {', '.join(choices)}"
        return self._parsed(name, default, expected, lambda text: text.lower() if text.lower() in choices else None)

    def url(self, name: str) -> str | None:
        return self._parsed(name, None, "an address such as https://gateway.example.com", _base_url)

    def redis(self, name: str) -> RedisAddress | None:
        return self._parsed(name, None, address.EXPECTED, address.parse_address)

    def database_url(self, name: str) -> DatabaseUrl | None:
        return self._parsed(name, None, "an address such as postgresql://user:password@host:5432/venuegate", _database)

    def complain(self, name: str, problem: str) -> None:
        """Note what is wrong with a setting, under the name by which it was given."""
        flagged = self._overrides.get(name) is not None
        self.problems.append(f"{_flag(name) if flagged else _variable(name)}: {problem}")

    def _parsed(self, name: str, default: T, expected: str, parse: Callable[[str], T | None]) -> T:
        text = self.given(name)
        if text is None:
            return default
        value = parse(text)
        if value is None:
            self.complain(name, f"expected {expected}")
            return default
        return value


def _master_key(reader: _Reader) -> MasterKeySource | None:
    path, text = reader.given("master_key_file"), reader.given("master_key")
    if path is not None and text is not None:
        reader.problems.append("VENUEGATE_MASTER_KEY and VENUEGATE_MASTER_KEY_FILE: expected one of them, not both")
    if path is not None:
        return MasterKeyFile(Path(path).expanduser())
    return None if text is None else MasterKeyText(text, _variable("master_key"))


def _milo_model(reader: _Reader) -> ModelConfig | None:
    url, name, key = (reader.given(f"milo_model_{part}") for part in ("url", "name", "key"))
    timeout_s = reader.number("milo_model_timeout_s", 30, 1, 600)
    if url is None and name is None and key is None:
        return None
    if url is None or name is None:
        missing = "milo_model_url" if url is None else "milo_model_name"
        reader.complain(missing, "expected it too, as something else of the model was given")
        return None
    try:
        return ModelConfig(base_url=url, model=name, api_key=key, timeout_s=timeout_s)
    except ValueError:
        reader.complain("milo_model_url", "expected an address such as https://models.example.com/v1")
        return None


def _signup_tier(reader: _Reader, demo: bool) -> Tier | None:
    """Strangers who make themselves an account are the operator's to allow."""
    return _SIGNUP_TIERS[reader.choice("signup_tier", Tier.BUILDER if demo else "off", tuple(_SIGNUP_TIERS))]


def _refuse_a_public_chain(reader: _Reader, environ: Mapping[str, str]) -> None:
    """Whoever gives an RPC address believes that something here would use it: better to stop than to be wrong."""
    for variable, value in environ.items():
        if variable.startswith(PREFIX) and "RPC" in variable.upper() and value.strip():
            reader.problems.append(f"{variable}: {NO_PUBLIC_CHAIN}; expected it to be left out")


def _unknown(environ: Mapping[str, str]) -> tuple[str, ...]:
    names = sorted(variable.removeprefix(PREFIX) for variable in environ if variable.startswith(PREFIX))
    warnings: list[str] = []
    for name in names:
        if name.lower() not in _KNOWN or not name.isupper():
            nearest = difflib.get_close_matches(name.lower(), _KNOWN, n=1)
            hint = f"; did you mean {_variable(nearest[0])}?" if nearest else ""
            warnings.append(f"{PREFIX}{name} is not a setting and was ignored{hint}")
    return tuple(warnings)


def _variable(name: str) -> str:
    return PREFIX + name.upper()


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _whole_number(text: str, least: int, most: int) -> int | None:
    # isdecimal alone would take other scripts' digits, and a long one would be slow to read.
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS):
        return None
    number = int(text)
    return number if least <= number <= most else None


def _truth(text: str) -> bool | None:
    word = text.lower()
    return True if word in _YES else False if word in _NO else None


def _database(text: str) -> DatabaseUrl | None:
    scheme, separator, rest = text.partition("://")
    return DatabaseUrl(text) if scheme in ("postgresql", "postgres") and separator and rest else None


def _base_url(text: str) -> str | None:
    try:
        parts = urlsplit(text)
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        return None
    if any(character.isspace() for character in text):
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_fits:
        return None
    if parts.username is not None or parts.query or parts.fragment or parts.path not in ("", "/"):
        return None
    return f"{parts.scheme}://{parts.netloc}"
