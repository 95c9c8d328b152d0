"""A node with the ledger venue among its venues: ``serve --workers N``, as its environment says.

``LEDGER_VENUE`` is where the venue listens; everything else is the gateway's own settings.
"""

from __future__ import annotations

import os
import sys

from adapters.registry import VENUES
from gateway import logs
from gateway.cli.failures import told
from gateway.cli.serve_many import serve_many
from gateway.settings import Settings
from tests.support.end_with_parent import end_with_parent
from tests.support.ledger_venue import EXCHANGE, venue_at

if __name__ == "__main__":
    end_with_parent()
    settings = Settings.load(os.environ)
    logs.configure(settings.log_level, as_json=False)
    with told():
        sys.exit(serve_many(settings, {"paper": VENUES["paper"], EXCHANGE: venue_at(os.environ["LEDGER_VENUE"])}))
