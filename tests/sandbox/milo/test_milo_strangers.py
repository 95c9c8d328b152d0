from __future__ import annotations

import re

from sandbox.milo.routes import ROUTES
from tests.support.milo_user import MiloServer


async def test_nothing_of_another_user_is_found_whatever_is_asked_of_it(milo: MiloServer) -> None:
    user, other = await milo.user(SOL=2), await milo.user(SOL=2)
    for route in ROUTES:
        if "{" not in route.path:
            continue
        path = route.path.replace("{userId}", other.user_id).replace("{walletId}", other.wallet.wallet_id)
        milo.clock.advance(61)
        refused = await milo.call(route.method, re.sub(r"\{\w+\}", "x", path), {}, key=user.key)
        assert refused.refusal == (404, "not_found"), route.path
    assert await other.units() == 2 * 10**9
