"""The venue as something to serve on this machine, and what must be said about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from sandbox.milo.agents.analyst import Analyst
from sandbox.milo.agents.model import ModelAgent
from sandbox.milo.agents.model_config import ModelConfig
from sandbox.milo.app import make_app
from sandbox.milo.demo import open_demo_user
from sandbox.milo.venue import MiloVenue, parts_with
from sandbox.wires.local import SEED, LocalVenue

NOTICE: Final = (
    "A venue to develop against, not a custodian: it keeps the keys of its wallets in a plain file, and its chain is"
    " inside this process. Send nothing real to its addresses."
)
FILE: Final = "milo.db"


def open_venue(directory: Path, now_ms: Callable[[], int], model: ModelConfig | None = None) -> MiloVenue:
    """Not started yet. Its state is in a file of its own in ``directory``. ``model`` answers in conversations."""
    parts = parts_with(Analyst() if model is None else ModelAgent(model))
    return MiloVenue(seed=SEED, path=directory / FILE, now_ms=now_ms, parts=parts)


def local_milo(venue: MiloVenue) -> LocalVenue:
    """Served alone: the venue is started and closed with the application. An account is a user who has traded."""

    async def enroll() -> dict[str, str]:
        return {"api_key": (await venue.run(open_demo_user)).api_key}

    return LocalVenue("milo", make_app(venue), enroll)


def open_milo(directory: Path, now_ms: Callable[[], int], model: ModelConfig | None = None) -> LocalVenue:
    return local_milo(open_venue(directory, now_ms, model))
