from __future__ import annotations

from pathlib import Path

import pytest

from gateway.keyring import MasterKeyFile, MasterKeyText
from gateway.settings import Settings, SettingsError

CANARY = "CANARY"


def problems(environ: dict[str, str], **flags: object) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        Settings.load(environ, **flags)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def test_with_nothing_set_it_serves_on_this_machine_only() -> None:
    loaded = Settings.load({})
    assert (loaded.host, loaded.port, loaded.workers, loaded.data_dir) == ("127.0.0.1", 8080, 1, Path("var"))
    assert (loaded.metrics_host, loaded.metrics_port) == ("127.0.0.1", 9464)
    assert (loaded.max_body_bytes, loaded.demo, loaded.master_key) == (65_536, False, None)
    assert (loaded.log_level, loaded.log_format, loaded.public_url, loaded.warnings) == ("info", "json", None, ())
    assert (loaded.journal_days, loaded.tombstone_days) == (90, 400)


def test_every_variable_is_read() -> None:
    loaded = Settings.load(
        {
            "VENUEGATE_HOST": "::1",
            "VENUEGATE_PORT": "0",
            "VENUEGATE_WORKERS": "1",
            "VENUEGATE_DATA_DIR": "/srv/venuegate",
            "VENUEGATE_DEMO": "yes",
            "VENUEGATE_PUBLIC_URL": "https://gate.example.com/",
            "VENUEGATE_METRICS_HOST": "10.0.0.1",
            "VENUEGATE_METRICS_PORT": "0",
            "VENUEGATE_MASTER_KEY_FILE": "/run/key",
            "VENUEGATE_LOG_LEVEL": "DEBUG",
            "VENUEGATE_LOG_FORMAT": "text",
            "VENUEGATE_MAX_BODY_BYTES": "2048",
            "VENUEGATE_MAX_IN_FLIGHT": "7",
            "VENUEGATE_JOURNAL_DAYS": "30",
            "VENUEGATE_TOMBSTONE_DAYS": "30",
        }
    )
    assert (loaded.host, loaded.port, loaded.data_dir, loaded.demo) == ("::1", 0, Path("/srv/venuegate"), True)
    assert (loaded.public_url, loaded.metrics_host, loaded.metrics_port) == (
        "https://gate.example.com",
        "10.0.0.1",
        None,
    )
    assert loaded.master_key == MasterKeyFile(Path("/run/key"))
    assert (loaded.log_level, loaded.log_format) == ("debug", "text")
    assert (loaded.max_body_bytes, loaded.max_in_flight, loaded.warnings) == (2048, 7, ())
    assert (loaded.journal_days, loaded.tombstone_days) == (30, 30)


def test_a_flag_wins_over_a_variable_and_none_is_no_flag() -> None:
    environ = {"VENUEGATE_PORT": "9000", "VENUEGATE_HOST": "0.0.0.0", "VENUEGATE_DEMO": "true"}  # noqa: S104
    loaded = Settings.load(environ, port=9001, host=None, demo=False, data_dir=Path("/data"))
    assert (loaded.port, loaded.host, loaded.demo, loaded.data_dir) == (9001, "0.0.0.0", False, Path("/data"))  # noqa: S104


def test_an_empty_variable_is_not_set() -> None:
    assert Settings.load({"VENUEGATE_PORT": "", "VENUEGATE_REDIS_URL": " "}) == Settings.load({})


def test_a_demo_logs_for_people() -> None:
    assert Settings.load({}, demo=True).log_format == "text"
    assert Settings.load({"VENUEGATE_LOG_FORMAT": "json"}, demo=True).log_format == "json"


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("PORT", "http", "a whole number from 0 to 65535"),
        ("PORT", "65536", "a whole number from 0 to 65535"),
        ("PORT", "-1", "a whole number from 0 to 65535"),
        ("PORT", "٣", "a whole number from 0 to 65535"),
        ("PORT", "9" * 5000, "a whole number from 0 to 65535"),
        ("WORKERS", "0", "a whole number from 1 to 256"),
        ("METRICS_PORT", "9.5", "a whole number from 0 to 65535"),
        ("DEMO", "maybe", "true or false"),
        ("LOG_LEVEL", "loud", "one of debug, info, warning, error"),
        ("LOG_FORMAT", "xml", "one of json, text"),
        ("MAX_BODY_BYTES", "12", "a whole number from 1024 to 1048576"),
        ("MAX_IN_FLIGHT", "0", "a whole number from 1 to 100000"),
        ("JOURNAL_DAYS", "0", "a whole number from 1 to 36500"),
        ("TOMBSTONE_DAYS", "89", "at least the 90 days of VENUEGATE_JOURNAL_DAYS"),
        ("PUBLIC_URL", "gate.example.com", "an address such as https://gateway.example.com"),
        ("PUBLIC_URL", "ftp://gate.example.com", "an address such as https://gateway.example.com"),
        ("PUBLIC_URL", "https://user:CANARY@gate.example.com", "an address such as https://gateway.example.com"),
        ("PUBLIC_URL", "https://gate.example.com/path", "an address such as https://gateway.example.com"),
        ("PUBLIC_URL", "https://[", "an address such as https://gateway.example.com"),
        ("PUBLIC_URL", "https://a b", "an address such as https://gateway.example.com"),
        ("PUBLIC_URL", "https://a:99999", "an address such as https://gateway.example.com"),
    ],
)
def test_a_malformed_setting_is_named_with_what_was_expected(variable: str, value: str, expected: str) -> None:
    assert problems({f"VENUEGATE_{variable}": value}) == [f"VENUEGATE_{variable}: expected {expected}"]


def test_all_problems_are_told_at_once_under_the_names_by_which_they_were_given() -> None:
    assert problems({"VENUEGATE_PORT": "x"}, log_level="loud", colour="red") == [
        "--colour: there is no such setting",
        "VENUEGATE_PORT: expected a whole number from 0 to 65535",
        "--log-level: expected one of debug, info, warning, error",
    ]


def test_there_may_be_several_workers() -> None:
    assert Settings.load({"VENUEGATE_WORKERS": "4"}).workers == 4
    assert Settings.load({"VENUEGATE_WORKERS": "4"}, workers=2).workers == 2


def test_redis_is_named_by_its_url_whose_password_is_never_shown() -> None:
    loaded = Settings.load({"VENUEGATE_REDIS_URL": f"redis://:{CANARY}@cache:7000/1"})
    assert str(loaded.redis) == "redis://cache:7000/1"
    assert CANARY not in repr(loaded)
    cluster = Settings.load({}, redis_url="redis+cluster://a,b:7001").redis
    assert cluster is not None
    assert cluster.hosts == (("a", 6379), ("b", 7001))


def test_a_malformed_address_of_redis_is_refused_without_repeating_it() -> None:
    (problem,) = problems({"VENUEGATE_REDIS_URL": "http://user:CANARY@cache"})
    assert problem.startswith("VENUEGATE_REDIS_URL: expected redis://")
    assert CANARY not in problem


def test_a_database_server_is_named_by_its_url_which_is_never_shown() -> None:
    url = f"postgresql://user:{CANARY}@db.internal/venuegate"
    loaded = Settings.load({"VENUEGATE_DATABASE_URL": url})
    assert loaded.database_url is not None
    assert loaded.database_url.text == url
    assert CANARY not in f"{loaded!r} {loaded}"
    assert Settings.load({}).database_url is None
    assert Settings.load({}, database_url=url) == loaded


@pytest.mark.parametrize("url", [f"mysql://user:{CANARY}@db/venuegate", CANARY, "postgresql://", "postgresql:db"])
def test_what_is_no_address_of_a_postgresql_database_is_refused(url: str) -> None:
    (problem,) = problems({"VENUEGATE_DATABASE_URL": url})
    assert problem == (
        "VENUEGATE_DATABASE_URL: expected an address such as postgresql://user:password@host:5432/venuegate"
    )


def test_metrics_cannot_share_the_gateways_port() -> None:
    (problem,) = problems({"VENUEGATE_PORT": "9464"})
    assert problem.startswith("VENUEGATE_METRICS_PORT: it is the gateway's own port")
    assert Settings.load({"VENUEGATE_PORT": "9464", "VENUEGATE_METRICS_HOST": "10.0.0.1"}).port == 9464


def test_a_variable_nobody_knows_is_warned_about_with_the_nearest_name() -> None:
    loaded = Settings.load(
        {
            "VENUEGATE_PROT": CANARY,
            "VENUEGATE_ZZZ": CANARY,
            "VENUEGATE_port": "1",
            "HOME": "/root",
            "venuegate_port": "1",
        }
    )
    assert loaded.warnings == (
        "VENUEGATE_PROT is not a setting and was ignored; did you mean VENUEGATE_PORT?",
        "VENUEGATE_ZZZ is not a setting and was ignored",
        "VENUEGATE_port is not a setting and was ignored; did you mean VENUEGATE_PORT?",
    )


def test_the_master_key_comes_from_a_file_or_a_variable_but_not_both() -> None:
    environ = {"VENUEGATE_MASTER_KEY": CANARY}
    assert Settings.load(environ).require_master_key() == MasterKeyText(CANARY, "VENUEGATE_MASTER_KEY")
    (problem,) = problems({**environ, "VENUEGATE_MASTER_KEY_FILE": "/run/key"})
    assert problem == "VENUEGATE_MASTER_KEY and VENUEGATE_MASTER_KEY_FILE: expected one of them, not both"


def test_without_a_master_key_it_is_told_how_to_make_one() -> None:
    with pytest.raises(SettingsError, match=r"VENUEGATE_MASTER_KEY_FILE: there is no master key.*master-key generate"):
        Settings.load({}).require_master_key()


def test_the_master_key_is_never_shown() -> None:
    loaded = Settings.load({"VENUEGATE_MASTER_KEY": CANARY})
    assert CANARY not in f"{loaded!r} {loaded}"
    assert "MasterKeyText(from VENUEGATE_MASTER_KEY)" in repr(loaded)
    assert CANARY not in str(problems({"VENUEGATE_MASTER_KEY": CANARY, "VENUEGATE_PORT": "x"}))
