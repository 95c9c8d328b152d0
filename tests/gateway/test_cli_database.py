"""``venuegate db …`` and the other commands, with a PostgreSQL server for a database."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from gateway.data_dir import claimed
from gateway.keyring import generate_master_key
from tests.support.command_line import venuegate
from tests.support.empty_database import put_empty_database
from tests.support.postgres_databases import PostgresDatabases, empty


class Cli:
    """``env`` may be changed; ``run`` expects exit code 0, ``refused`` expects 1 and nothing but words."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.env = {"VENUEGATE_DATA_DIR": str(data_dir), "VENUEGATE_MASTER_KEY": generate_master_key()}

    def run(self, *args: str) -> str:
        said = venuegate(*args, env=self.env)
        assert said.exit_code == 0, said.stderr
        return said.stdout

    def refused(self, *args: str) -> str:
        said = venuegate(*args, env=self.env)
        assert said.exit_code == 1, said
        assert "Traceback" not in said.stderr
        return said.stderr


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path / "var")


@pytest.fixture
def embedded(cli: Cli) -> Cli:
    """An installation in its data directory, with an account and a key."""
    put_empty_database(cli.data_dir / "venuegate.db")
    cli.run("accounts", "create", "desk", "--tier", "builder")
    cli.run("keys", "create", "desk", "--env", "test", "--label", "bot")
    return cli


@pytest.fixture
def bare(postgres: PostgresDatabases) -> str:
    """A database without any tables."""
    return asyncio.run(postgres.create(template="template0"))


def test_an_embedded_installation_moves_to_a_server_and_is_managed_there(embedded: Cli, bare: str) -> None:
    before = embedded.run("keys", "list", "--json")
    said = embedded.run("db", "copy", "--database-url", bare)
    assert "read back and is the same" in said
    assert not (embedded.data_dir / "venuegate.db").exists()
    assert (embedded.data_dir / "venuegate.db.copied").exists()
    embedded.env["VENUEGATE_DATABASE_URL"] = bare
    assert embedded.run("keys", "list", "--json") == before
    embedded.run("accounts", "create", "second", "--tier", "free")
    assert "second" in embedded.run("accounts", "list")
    findings = msgspec.json.decode(venuegate("doctor", "--json", env=embedded.env).stdout)
    (database,) = [finding for finding in findings if finding["check"] == "database"]
    # The tests' server does not flush, to be quick.
    assert (database["level"], "fsync = off" in database["message"]) == ("warning", True)
    (key,) = [finding for finding in findings if finding["check"] == "master key"]
    assert key["level"] == "ok"


def test_a_copy_is_refused_while_a_gateway_runs_or_the_target_is_in_use(embedded: Cli, bare: str) -> None:
    with claimed(embedded.data_dir):
        assert "Another gateway is running" in embedded.refused("db", "copy", "--database-url", bare)
    other = Cli(embedded.data_dir)
    other.env["VENUEGATE_DATABASE_URL"] = bare
    other.run("db", "upgrade")
    other.run("accounts", "create", "already", "--tier", "free")
    assert "is not empty" in embedded.refused("db", "copy", "--database-url", bare)
    assert (embedded.data_dir / "venuegate.db").exists(), "nothing was moved away"
    assert "no server to copy to" in embedded.refused("db", "copy")
    nothing = Cli(embedded.data_dir / "absent")
    assert "There is no database" in nothing.refused("db", "copy", "--database-url", bare)


def test_tables_are_made_by_the_command_that_a_refusal_names(cli: Cli, bare: str) -> None:
    cli.env["VENUEGATE_DATABASE_URL"] = bare
    assert "venuegate db upgrade" in cli.refused("accounts", "list")
    assert "venuegate db upgrade" in cli.refused("serve", "--port", "0", "--metrics-port", "0")
    said = cli.run("db", "upgrade")
    assert "has this version's tables" in said
    assert cli.run("accounts", "list")
    assert not (cli.data_dir / "venuegate.db").exists()


def test_two_nodes_with_different_master_keys_do_not_both_serve(cli: Cli, postgres_url: str) -> None:
    asyncio.run(empty(postgres_url))
    cli.env["VENUEGATE_DATABASE_URL"] = postgres_url
    cli.run("accounts", "create", "desk", "--tier", "builder")
    cli.run("keys", "create", "desk", "--env", "test")
    cli.env["VENUEGATE_MASTER_KEY"] = generate_master_key()
    said = cli.refused("serve", "--port", "0", "--metrics-port", "0")
    assert "The master key does not match this database" in said
    findings = msgspec.json.decode(venuegate("doctor", "--json", env=cli.env).stdout)
    assert [f["level"] for f in findings if f["check"] == "master key"] == ["failure"]


def test_a_secret_in_the_address_is_never_said(cli: Cli) -> None:
    for url in ("postgresql://u:CANARY@127.0.0.1:1/db", "mysql://u:CANARY@h/db", "postgresql://u:CAN/ARY@h/db"):
        cli.env["VENUEGATE_DATABASE_URL"] = url
        for command in (["serve"], ["db", "upgrade"], ["accounts", "list"]):
            said = cli.refused(*command)
            assert "CANARY" not in said
            assert "ARY@" not in said
            assert "VENUEGATE_DATABASE_URL" in said
