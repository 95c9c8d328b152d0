"""The steps, each naming the one before it in ``down_revision``. The last one is ``storage.sql.upgrades.HEAD``."""
