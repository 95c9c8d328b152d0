from __future__ import annotations

import os
import re
import sqlite3
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from adapters.base import CredentialField
from gateway.accounts import Refused
from gateway.cli.root import hoisted
from gateway.cli.secrets_input import read_secrets
from gateway.cli.values import moment_ahead, names
from gateway.keyring import generate_master_key
from gateway.operations.table import OPERATIONS
from tests.support.command_line import Said, venuegate
from tests.support.empty_database import put_empty_database

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000


class Cli:
    """The command line over a data directory of its own. ``run`` expects exit code 0, ``refused`` expects 1."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.master_key = data_dir.parent / "master.key"
        self.env = {"VENUEGATE_DATA_DIR": str(data_dir), "VENUEGATE_MASTER_KEY_FILE": str(self.master_key)}
        self.said = ""

    def invoke(self, *args: str, text: str | None = None) -> Said:
        result = venuegate(*args, env=self.env, text=text)
        self.said += result.stdout + result.stderr
        return result

    def run(self, *args: str, text: str | None = None) -> str:
        result = self.invoke(*args, text=text)
        assert result.exit_code == 0, result.stderr
        return result.stdout

    def json(self, *args: str, text: str | None = None) -> Any:
        return msgspec.json.decode(self.run(*args, "--json", text=text))

    def refused(self, *args: str, text: str | None = None) -> str:
        result = self.invoke(*args, text=text)
        assert result.exit_code == 1, result
        assert "Traceback" not in result.stderr
        assert result.stdout == ""
        return result.stderr

    def database(self) -> bytes:
        """Every byte that is stored, the write-ahead log too."""
        return b"".join(path.read_bytes() for path in self.data_dir.glob("venuegate.db*"))


@pytest.fixture
def bare(tmp_path: Path) -> Cli:
    return Cli(tmp_path / "var")


@pytest.fixture
def cli(bare: Cli) -> Cli:
    """With a master key and an account ``desk``."""
    put_empty_database(bare.data_dir / "venuegate.db")
    bare.run("master-key", "generate", "--out", str(bare.master_key))
    bare.run("accounts", "create", "desk", "--tier", "builder")
    return bare


@pytest.mark.parametrize(
    "group", [[], ["accounts"], ["keys"], ["credentials"], ["orders"], ["master-key"], ["db"]], ids=" ".join
)
def test_every_command_explains_itself_with_an_example(bare: Cli, group: list[str]) -> None:
    listing = bare.run(*group, "--help")
    commands = {
        "": ["serve", "usage", "doctor", "version"],
        "accounts": ["create", "list", "show", "set-tier"],
        "keys": ["create", "list", "show", "narrow", "rotate", "revoke"],
        "credentials": ["add", "list", "show", "rotate", "revoke", "test"],
        "orders": ["list", "show", "decide"],
        "master-key": ["generate", "rotate"],
        "db": ["upgrade", "copy"],
    }[" ".join(group)]
    for command in commands:
        assert command in listing
        assert f"Example: venuegate {' '.join([*group, command])}" in bare.run(*group, command, "--help")


def test_an_account_is_created_shown_listed_and_moved_to_another_tier(bare: Cli) -> None:
    created = bare.json("accounts", "create", "desk", "--tier", "free")
    assert (created["tier"], created["mostKeys"], created["liveKeys"]) == ("free", 3, 0)
    assert bare.json("accounts", "show", "desk") == created
    assert bare.json("accounts", "list") == [created]
    assert bare.json("accounts", "set-tier", created["accountId"], "pro")["requestsPerMinute"] == 600
    assert "600/min, 500,000/day" in bare.run("accounts", "show", "desk")
    assert "desk" in bare.run("accounts", "list")


def test_reading_never_makes_a_database(bare: Cli) -> None:
    said = bare.refused("accounts", "list")
    assert "There is no database" in said
    assert "venuegate accounts create" in said
    assert not bare.data_dir.exists()


def test_a_data_dir_may_be_named_before_or_after_the_command(cli: Cli, tmp_path: Path) -> None:
    elsewhere = str(tmp_path / "elsewhere")
    assert "no database in " + elsewhere in cli.refused("--data-dir", elsewhere, "accounts", "list")
    assert "no database in " + elsewhere in cli.refused("accounts", "list", "--data-dir", elsewhere)
    assert "no database in " + elsewhere in cli.refused("accounts", "list", f"--data-dir={elsewhere}")


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("a b", "a b"),
        ("a --data-dir x b", "--data-dir x a b"),
        ("a --data-dir=x b", "--data-dir=x a b"),
        ("a --data-dir", "--data-dir a"),
        ("a -- --data-dir x", "a -- --data-dir x"),
    ],
)
def test_an_option_moves_to_the_front_unless_a_double_dash_comes_before_it(typed: str, read: str) -> None:
    assert hoisted(typed.split(), "--data-dir") == read.split()


def test_a_key_is_shown_once_and_is_nowhere_in_the_database(cli: Cli) -> None:
    made = cli.run("keys", "create", "desk", "--env", "test", "--label", "bot")
    key = next(line for line in made.splitlines() if line.startswith("mt_test_"))
    assert len(key) == 51
    assert "only time the key is shown" in made
    cli.said = ""

    listed = cli.json("keys", "list", "desk")
    cli.run("keys", "list")
    cli.run("keys", "show", key[:12])
    cli.run("keys", "show", listed[0]["keyId"])
    cli.refused("keys", "show", key)

    assert key not in cli.said
    assert key.encode() not in cli.database()
    assert key[12:].encode() not in cli.database()


def test_programs_get_the_key_as_json_and_the_warning_elsewhere(cli: Cli) -> None:
    result = cli.invoke("keys", "create", "desk", "--env", "live", "--json")
    made = msgspec.json.decode(result.stdout)
    assert made["key"].startswith("mt_live_")
    assert made["prefix"] == made["key"][:12]
    assert "only time the key is shown" in result.stderr


def test_a_key_is_scoped_narrowed_rotated_and_revoked(cli: Cli) -> None:
    credential = cli.json("credentials", "add", "desk", "--exchange", "paper")["credentialId"]
    scope = ["--operations", "getBalance,getFills", "--credentials", credential, "--exchanges", "paper"]
    key = cli.json("keys", "create", "desk", "--env", "test", *scope, "--expires", "90d")
    assert key["allowedOperations"] == ["getBalance", "getFills"]
    assert key["allowedCredentials"] == [credential]
    assert key["expiresAtMs"] - key["createdAtMs"] == pytest.approx(90 * DAY_MS, abs=60_000)

    narrower = cli.json("keys", "narrow", key["prefix"], "--operations", "getBalance")
    assert narrower["allowedOperations"] == ["getBalance"]
    assert narrower["allowedCredentials"] == [credential]
    said = cli.refused("keys", "narrow", key["keyId"], "--operations", "getBalance,getFills")
    assert "would widen the key" in said
    assert "create another key" in said

    assert narrower["confirmAbove"] is None
    asking = cli.json("keys", "narrow", key["prefix"], "--confirm-above", "1e3")
    assert asking["confirmAbove"] == "1000"
    assert "a lower amount" in cli.refused("keys", "narrow", key["keyId"], "--confirm-above", "2000")
    assert "confirm above 1000" in cli.run("keys", "list", "desk")
    assert re.search(r"Confirm above +1000", cli.run("keys", "show", key["keyId"]))

    rotated = cli.json("keys", "rotate", key["keyId"])
    assert rotated["key"] != key["key"]
    assert rotated["confirmAbove"] == "1000"
    assert rotated["allowedOperations"] == ["getBalance"]
    assert rotated["expiresAtMs"] == key["expiresAtMs"]
    assert cli.json("keys", "show", key["keyId"])["state"] == "revoked"

    assert "within two seconds" in cli.run("keys", "revoke", rotated["prefix"])
    assert {one["state"] for one in cli.json("keys", "list", "desk")} == {"revoked"}
    assert "revoked before" in cli.refused("keys", "revoke", rotated["keyId"])


def test_a_mistyped_operation_is_answered_with_the_nearest(cli: Cli) -> None:
    said = cli.refused("keys", "create", "desk", "--env", "test", "--operations", "getBalanse")
    assert "Did you mean getBalance?" in said


def test_a_scope_can_name_every_operation_there_is(cli: Cli) -> None:
    everything = cli.json("keys", "create", "desk", "--env", "test", "--operations", ",".join(OPERATIONS))
    assert everything["allowedOperations"] == sorted(OPERATIONS)


def test_a_key_needs_a_master_key_and_the_message_says_how_to_make_one(bare: Cli) -> None:
    bare.run("accounts", "create", "desk", "--tier", "free")
    for args in (("keys", "create", "desk", "--env", "test"), ("credentials", "add", "desk", "--exchange", "paper")):
        assert "venuegate master-key generate --out" in bare.refused(*args)


def test_a_leaked_key_can_be_revoked_without_the_master_key(cli: Cli) -> None:
    key = cli.json("keys", "create", "desk", "--env", "test")
    cli.master_key.unlink()
    cli.run("keys", "revoke", key["prefix"])


def test_another_master_key_is_told_from_a_broken_database(cli: Cli) -> None:
    cli.run("keys", "create", "desk", "--env", "test")
    cli.master_key.write_text(generate_master_key())
    assert "does not match this database" in cli.refused("keys", "create", "desk", "--env", "test")


def test_a_master_key_that_others_can_read_is_refused_with_the_cure(cli: Cli) -> None:
    cli.master_key.chmod(0o644)
    assert f"chmod 600 {cli.master_key}" in cli.refused("keys", "create", "desk", "--env", "test")


def test_the_demos_own_master_key_is_used_where_no_other_is_named(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    del cli.env["VENUEGATE_MASTER_KEY_FILE"]
    cli.run("master-key", "generate", "--out", str(tmp_path / "master.key"))
    cli.run("accounts", "create", "desk", "--tier", "free")
    cli.run("keys", "create", "desk", "--env", "test")


def test_a_credential_is_added_tested_listed_rotated_and_revoked(cli: Cli) -> None:
    added = cli.json("credentials", "add", "desk", "--exchange", "paper", "--label", "play")
    credential = added["credentialId"]
    assert (added["exchange"], added["network"], added["label"]) == ("paper", "paper", "play")
    assert cli.json("credentials", "list", "desk") == [added]
    assert cli.json("credentials", "show", credential) == added
    assert cli.json("credentials", "test", credential)["valid"] is True
    assert "paper takes it" in cli.run("credentials", "test", credential)
    assert cli.json("credentials", "rotate", credential)["version"] == added["version"] + 1
    assert credential in cli.run("credentials", "list")
    assert added["fingerprint"] in cli.run("credentials", "show", credential)

    assert cli.json("credentials", "revoke", credential) == {"credentialId": credential, "revoked": True}
    assert cli.json("credentials", "list") == []
    assert "its secrets are gone" in cli.refused("credentials", "show", credential)


def test_an_exchange_that_is_almost_right_is_answered_with_the_right_one(cli: Cli) -> None:
    assert "Did you mean paper?" in cli.refused("credentials", "add", "desk", "--exchange", "papr")
    assert "paper has paper" in cli.refused("credentials", "add", "desk", "--exchange", "paper", "--network", "mainnet")


def test_secrets_that_do_not_fit_are_refused_without_being_repeated(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "secrets.json"
    for text in ('{"CANARY": "CANARY"}', '"CANARY"', '{"CANARY": 1}', "CANARY", "{'CANARY'}"):
        file.write_text(text)
        cli.refused("credentials", "add", "desk", "--exchange", "paper", "--from-file", str(file))
        cli.refused("credentials", "add", "desk", "--exchange", "paper", "--stdin", text=text)
    assert "CANARY" not in cli.said
    assert "cannot be read" in cli.refused(
        "credentials", "add", "desk", "--exchange", "paper", "--from-file", str(tmp_path / "absent")
    )


def test_secrets_are_read_from_a_file_by_name(tmp_path: Path) -> None:
    file = tmp_path / "secrets.json"
    file.write_text('{"privateKey": "0x1"}')
    field = CredentialField(name="privateKey", description="the signing key")
    assert read_secrets([field], file, stdin=False) == {"privateKey": "0x1"}


def test_a_person_is_asked_for_each_field_and_a_secret_is_not_echoed(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = [
        CredentialField(name="privateKey", description="the signing key"),
        CredentialField(name="address", description="the account's address.", secret=False, required=False),
    ]
    with CliRunner().isolation(input="0xCANARY\n\n") as (out, _, _):
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
        assert read_secrets(fields, None, stdin=False) == {"privateKey": "0xCANARY", "address": ""}
        asked = out.getvalue().decode()
    assert "privateKey (the signing key)" in asked
    assert "address (the account's address; may be empty)" in asked
    assert "CANARY" not in asked


def test_nobody_is_asked_for_secrets_where_nobody_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    field = CredentialField(name="privateKey", description="the signing key")
    with Path(os.devnull).open() as nobody:
        monkeypatch.setattr("sys.stdin", nobody)
        with pytest.raises(Refused, match="--stdin or --from-file"):
            read_secrets([field], None, stdin=False)


def test_a_master_key_file_is_private_and_never_overwritten(bare: Cli) -> None:
    bare.run("master-key", "generate", "--out", str(bare.master_key))
    before = bare.master_key.read_text()
    assert bare.master_key.stat().st_mode & 0o777 == 0o600
    assert "left as it is" in bare.refused("master-key", "generate", "--out", str(bare.master_key))
    assert bare.master_key.read_text() == before
    assert before.strip() not in bare.said


def test_a_master_key_goes_to_standard_output_when_no_file_is_named(bare: Cli) -> None:
    assert len(bare.run("master-key", "generate").strip()) == 44


def test_rotating_the_master_key_rewraps_everything_once(cli: Cli) -> None:
    key = cli.json("keys", "create", "desk", "--env", "test")
    credential = cli.json("credentials", "add", "desk", "--exchange", "paper")["credentialId"]
    old = cli.master_key.read_text()
    cli.master_key.write_text(f"{generate_master_key()}\n{old}")

    assert cli.json("master-key", "rotate") == {"rewrapped": 4}
    assert "Nothing to do" in cli.run("master-key", "rotate")

    cli.master_key.write_text(cli.master_key.read_text().splitlines()[0])
    cli.run("credentials", "test", credential)
    cli.run("keys", "rotate", key["keyId"])


def test_usage_of_an_account_without_any_is_told(cli: Cli) -> None:
    assert "made no request" in cli.run("usage", "desk")
    assert cli.json("usage", "desk", "--days", "7") == []


def test_the_journal_without_orders_is_told(cli: Cli) -> None:
    assert cli.json("orders", "list") == []
    assert "No order is UNKNOWN" in cli.run("orders", "list", "--state", "unknown")
    assert "There is no order 'mine'" in cli.refused("orders", "show", "mine")


def test_a_database_can_be_made_and_brought_up_to_date_again(bare: Cli) -> None:
    assert "this version's tables" in bare.run("db", "upgrade")
    assert bare.json("db", "upgrade")["schema"]
    assert bare.json("accounts", "list") == []


def test_a_locked_database_is_told_and_not_waited_for_for_ever(cli: Cli) -> None:
    holder = sqlite3.connect(cli.data_dir / "venuegate.db", isolation_level=None)
    try:
        holder.execute("BEGIN EXCLUSIVE")
        assert "locked by another process" in cli.refused("accounts", "create", "other", "--tier", "free")
    finally:
        holder.close()


def test_a_file_that_is_no_database_is_told(cli: Cli) -> None:
    for path in cli.data_dir.glob("venuegate.db*"):
        path.unlink()
    (cli.data_dir / "venuegate.db").write_text("not a database" * 100)
    assert "is not a database" in cli.refused("accounts", "list")


def test_a_data_dir_that_cannot_be_made_is_told(bare: Cli) -> None:
    bare.data_dir.write_text("in the way")
    said = bare.refused("accounts", "create", "desk", "--tier", "free")
    assert "cannot be written: File exists" in said
    assert "--data-dir" in said


def test_production_refuses_to_start_without_a_master_key(bare: Cli) -> None:
    del bare.env["VENUEGATE_MASTER_KEY_FILE"]
    assert "venuegate master-key generate" in bare.refused("serve")
    assert not bare.data_dir.exists()


def test_settings_that_cannot_be_used_are_told_all_at_once(bare: Cli) -> None:
    said = bare.refused("serve", "--demo", "--workers", "0", "--log-format", "xml")
    assert "--workers" in said
    assert "--log-format: expected one of json, text" in said


@pytest.mark.parametrize(
    "args",
    [
        ["frobnicate"],
        ["accounts", "create", "desk"],
        ["accounts", "create", "desk", "--tier", "gold"],
        ["keys", "create", "desk", "--env", "test", "--expires", "soon"],
        ["keys", "create", "desk", "--env", "test", "--operations", " , "],
        ["keys", "narrow", "mt_test_A7Kx"],
        ["keys", "create", "desk", "--env", "test", "--confirm-above", "lots"],
        ["orders", "list", "--limit", "0"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2(cli: Cli, args: list[str]) -> None:
    assert cli.invoke(*args).exit_code == 2


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("90d", NOW_MS + 90 * DAY_MS),
        ("12h", NOW_MS + DAY_MS // 2),
        ("2w", NOW_MS + 14 * DAY_MS),
        ("2027-01-15", NOW_MS - 28_800_000),
        ("2027-01-15T09:00:00+01:00", NOW_MS),
        ("2027-01-15T08:00:00Z", NOW_MS),
        (None, None),
    ],
)
def test_an_expiry_is_a_span_or_a_date_in_utc(text: str | None, at_ms: int | None) -> None:
    assert moment_ahead(text, NOW_MS) == at_ms


def test_names_are_parted_by_commas() -> None:
    assert names(" a, b,,a ") == frozenset({"a", "b"})
    assert names(None) is None


def test_something_unexpected_is_told_without_its_text(bare: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "mkdir", _broken)
    said = bare.refused("accounts", "create", "desk", "--tier", "free")
    assert "RuntimeError" in said
    assert "CANARY" not in said


def _broken(*args: object, **kwargs: object) -> None:
    raise RuntimeError("CANARY")
