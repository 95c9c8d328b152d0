from __future__ import annotations

import msgspec
import numpy as np
import pytest

from benchmarks import scaling
from benchmarks.scaling import MEASURED, Demand

SMALL = Demand(accounts=2_000, requests_per_s=500)


def test_a_slot_is_the_one_that_redis_cluster_computes() -> None:
    # The check value of its specification.
    assert scaling.slot("123456789") == 0x31C3


def test_no_account_is_admitted_more_than_its_limit() -> None:
    random = np.random.default_rng(1)
    shares = scaling.wanted_by_account(SMALL, random)
    limits = scaling.limits_by_account(SMALL, shares)
    told, admitted = scaling.minute(SMALL, shares, limits, random)
    assert (admitted <= limits).all()
    assert told.admitted == admitted.sum() < told.wanted
    assert told.accounts_refused > 0
    assert sorted(set(limits.tolist())) == [30, 120, 600]


@pytest.mark.parametrize(("flush_ms", "row_ms"), [(0.5, 0.1), (5.0, 0.1)])
def test_orders_share_flushes_and_wait_at_least_for_one(flush_ms: float, row_ms: float) -> None:
    costs = msgspec.structs.replace(MEASURED, flush_ms=flush_ms, row_ms=row_ms)
    queue = scaling.group_commit(costs, 2, 2_000, np.random.default_rng(1), orders=5_000)
    assert queue.p99_ms >= queue.p50_ms >= flush_ms
    assert queue.orders_per_flush > 2_000 * flush_ms / 1000


def test_a_plan_grows_with_what_is_asked_of_it() -> None:
    small = scaling.plan(MEASURED, SMALL)
    large = scaling.plan(MEASURED, Demand(accounts=50_000, requests_per_s=20_000, skew=0))
    assert large.workers > small.workers
    assert large.partitions >= small.partitions
    assert large.limited.admitted > small.limited.admitted
    assert len(scaling.rows(large)) == len(scaling.rows(small))
