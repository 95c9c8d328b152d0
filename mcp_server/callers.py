"""Who sends a message: whose key it bears, and which session it names."""

from __future__ import annotations

from gateway.auth import Authenticator, Principal
from gateway.pipeline import Credentials
from mcp_server.catalog import MINIMUM_TIER, tier_refusal
from mcp_server.protocol import INVALID_REQUEST, RpcError
from mcp_server.sessions import Session, Sessions, SessionsFull
from normalization.errors import MissingApiKey


def shows_key(credentials: Credentials) -> bool:
    return bool(credentials.api_key or credentials.authorization)


class Callers:
    """A key says who calls, on every request; a session is only what a client may hold on to."""

    def __init__(self, authenticator: Authenticator, sessions: Sessions) -> None:
        self._authenticator = authenticator
        self._sessions = sessions

    def credentials(self, shown: Credentials, session_id: str | None) -> Credentials:
        """What a request bears: the key it shows, else the one that was made over its session."""
        if session_id is None or shows_key(shown):
            return shown
        session = self._sessions.find(session_id)
        return shown if session is None or session.key is None else shown._replace(api_key=session.key)

    async def principal(self, credentials: Credentials) -> Principal | None:
        """Whose key it is; None where none is shown.

        :raises GatewayError: the key is not good, or the directory does not answer.
        """
        return await self._authenticator.authenticate(*credentials) if shows_key(credentials) else None

    async def user(self, credentials: Credentials) -> Principal | None:
        """The same, of a tier that may use MCP.

        :raises TierInsufficient: it may not.
        """
        principal = await self.principal(credentials)
        if principal is not None and principal.tier.rank < MINIMUM_TIER.rank:
            raise tier_refusal(principal)
        return principal

    def new_session(self, principal: Principal | None, *, can_be_asked: bool) -> Session | None:
        """None where there is no room and none is needed.

        :raises SessionsFull: there is no room for one who has no key.
        """
        try:
            return self._sessions.open(None if principal is None else principal.account_id, can_be_asked=can_be_asked)
        except SessionsFull:
            if principal is None:
                raise
            return None

    def session(self, session_id: str | None, principal: Principal | None, id: bytes = b"") -> Session | None:
        """The session that is named. One that has left may be done without by who bears a key: then, too, None.

        :raises RpcError: 400, neither a session nor a key; 404, there is no such session, for this caller at least.
        :raises MissingApiKey: it is an account's, and no key is shown.
        """
        if session_id is None:
            if principal is None:
                raise _refused(400, "no session and no key: call initialize, or send an API key", id)
            return None
        found = self._sessions.find(session_id)
        if found is None:
            if principal is None or not self._sessions.may_have_left(session_id):
                raise _refused(404, "there is no such session: call initialize again", id)
            return None
        if found.account_id is not None and principal is None:
            raise MissingApiKey("This session belongs to an account: send its API key with every request.")
        if found.account_id is not None and principal is not None and found.account_id != principal.account_id:
            raise _refused(404, "there is no such session: call initialize again", id)
        return found


def _refused(status: int, problem: str, id: bytes) -> RpcError:
    return RpcError(INVALID_REQUEST, f"Invalid request: {problem}", status=status, id=id or b"null")
