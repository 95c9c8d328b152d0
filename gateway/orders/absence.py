"""When may it be said that a venue does not have an order? Pure.

A failed query is not "not found". Absence is at least three successful negatives at least five seconds apart, the last
of them after the request's valid-until, two seconds and the venue's visibility lag, from a lookup that includes
finished orders. An order without request expiry is never decided automatically: at some venues that is every order, at
some every trigger order.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

import msgspec

from adapters.base import Capabilities
from normalization.orders import OrderIntent
from storage.ports import JournalRow

NEGATIVES: Final = 3
SPACING_MS: Final = 5_000
MARGIN_MS: Final = 2_000
GIVE_UP_MS: Final = 24 * 3_600_000
LATE_LOOK_MS: Final = 60_000
_FIRST_BACKOFF_MS: Final = 250
_LAST_BACKOFF_MS: Final = 30_000

_intents: Final = msgspec.json.Decoder(OrderIntent)


class Judgement(Enum):
    WAIT = auto()
    ABSENT = auto()
    NEEDS_OPERATOR = auto()


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """``negatives`` and ``last_negative_ms`` are what to keep; ``next_check_ms`` when to look again."""

    judgement: Judgement
    negatives: int
    last_negative_ms: int | None
    next_check_ms: int


def visible_by_ms(row: JournalRow, capabilities: Capabilities) -> int:
    """From when on a lookup must show the order if the venue ever accepted it."""
    return row.valid_until_ms + MARGIN_MS + capabilities.visibility_lag_ms


def final_by_ms(row: JournalRow, capabilities: Capabilities) -> int:
    """When it will be known what became of an order, at the latest; after that a person has to decide."""
    if not _can_prove(row, capabilities):
        return row.created_at_ms + GIVE_UP_MS
    return visible_by_ms(row, capabilities) + NEGATIVES * SPACING_MS


def rule_negative(row: JournalRow, capabilities: Capabilities, now_ms: int) -> Ruling:
    """What a successful lookup that found nothing means."""
    counts = row.last_negative_ms is None or now_ms - row.last_negative_ms >= SPACING_MS
    negatives = row.negatives + 1 if counts else row.negatives
    last = now_ms if counts else row.last_negative_ms
    late_enough = now_ms >= visible_by_ms(row, capabilities)
    if _can_prove(row, capabilities) and counts and negatives >= NEGATIVES and late_enough:
        judgement = Judgement.ABSENT
    elif now_ms - row.created_at_ms >= GIVE_UP_MS:
        judgement = Judgement.NEEDS_OPERATOR
    else:
        judgement = Judgement.WAIT
    pause = SPACING_MS if now_ms < final_by_ms(row, capabilities) else _LAST_BACKOFF_MS
    return Ruling(judgement=judgement, negatives=negatives, last_negative_ms=last, next_check_ms=now_ms + pause)


def rule_failure(row: JournalRow, now_ms: int) -> Ruling:
    """What a lookup that failed means: nothing, but that it is tried again later."""
    given_up = now_ms - row.created_at_ms >= GIVE_UP_MS
    return Ruling(
        judgement=Judgement.NEEDS_OPERATOR if given_up else Judgement.WAIT,
        negatives=row.negatives,
        last_negative_ms=row.last_negative_ms,
        next_check_ms=now_ms + min(_FIRST_BACKOFF_MS << min(row.checks, 10), _LAST_BACKOFF_MS),
    )


def _can_prove(row: JournalRow, capabilities: Capabilities) -> bool:
    if not capabilities.request_expiry or not capabilities.lookup_includes_finished:
        return False
    return capabilities.triggers_expire or _intents.decode(row.request).trigger_price is None
