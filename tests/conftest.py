from __future__ import annotations

from hypothesis import settings

# The same examples on every machine and in every run; a property that needs luck to fail is not proved by it.
settings.register_profile("deterministic", derandomize=True, database=None, deadline=None, print_blob=False)
settings.load_profile("deterministic")
