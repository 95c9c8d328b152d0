"""Bringing a database's tables to where this version of the code needs them.

An upgrade is one transaction: interrupted, it leaves the database as it was.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, inspect, text

from storage.ports import StorageUnavailable

HEAD: Final = "0003"
"""The last step in ``migrations/versions``. A constant, so that starting does not have to load Alembic."""


def upgrade_within(connection: Connection) -> None:
    """Bring the tables up to date, in the transaction that ``connection`` is in; make them in an empty database.

    :raises StorageUnavailable: the database is not ours, or a newer version made it.
    """
    version = _version(connection)
    if version == HEAD:
        return
    if version is not None and version > HEAD:
        raise _made_by_newer(version)
    # Here, because it takes longer to load than everything else that starts.
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "storage.sql:migrations")
    command.upgrade(config, "head")


def make_or_check(connection: Connection) -> None:
    """Make the tables in an empty database.

    :raises StorageUnavailable: there are some that are not this version's.
    """
    (upgrade_within if _version(connection) is None else check_current)(connection)


def check_current(connection: Connection) -> None:
    """:raises StorageUnavailable: the tables are not those that this version of the code needs."""
    version = _version(connection)
    if version == HEAD:
        return
    if version is not None and version > HEAD:
        raise _made_by_newer(version)
    raise StorageUnavailable(
        f"The database has no tables yet, or an older version's ({version or 'none'}; this one needs {HEAD})",
        "Stop the gateway, make a backup and run `venuegate db upgrade`.",
    )


def _version(connection: Connection) -> str | None:
    """Which step the database is at; None when it is empty."""
    tables = inspect(connection).get_table_names()
    if "alembic_version" in tables:
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
        return None if found is None else str(found)
    if tables:
        raise StorageUnavailable(
            f"The database belongs to another program: it has tables such as {sorted(tables)[0]!a}",
            "Give the gateway a database of its own.",
        )
    return None


def _made_by_newer(version: str) -> StorageUnavailable:
    return StorageUnavailable(
        f"A newer version of Venuegate made the database (its tables are at {version}, this version knows {HEAD})",
        "Install that version or a later one; `venuegate db upgrade` cannot go back. Or restore the backup"
        " from before the upgrade.",
    )
