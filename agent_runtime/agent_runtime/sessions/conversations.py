"""Between a request and the store: who speaks, what was said, what if the store is away."""

from dataclasses import dataclass, field, replace

import structlog

from agent_runtime.agent.history import Turn
from agent_runtime.errors import StoreUnavailableError
from agent_runtime.sessions.ids import SessionId, SessionKeys
from agent_runtime.sessions.memory import InProcessStore
from agent_runtime.sessions.open import OpenSessions
from agent_runtime.sessions.store import Finished, SessionStore, Tally

STORE_WARNING = "session_store_unavailable"

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Conversation:
    """One request's view of its session; `warnings` go into the answer."""

    id: SessionId
    is_new: bool
    warnings: list[str] = field(default_factory=list)


class Conversations:
    """Sessions that degrade to single turns, never to an error, while the store is away."""

    def __init__(
        self,
        keys: SessionKeys,
        store: SessionStore,
        *,
        open_sessions: OpenSessions,
        stand_in: InProcessStore,
    ) -> None:
        self._keys = keys
        self._store = store
        self._open = open_sessions
        # Only for tallies: a history that exists on one pod alone would confuse more than none.
        self._stand_in = stand_in

    def identify(self, session_id: str | None, *, has_pin: bool) -> Conversation:
        """Continue the session whose id we signed; anything else starts a new one.

        The conversation is pinned if this, its very first request, already carries a pin.
        """
        known = self._keys.verified(session_id) if session_id else None
        conversation = Conversation(known or self._keys.issue(pinned=has_pin), is_new=known is None)
        self._open.touch(conversation.id.key)
        return conversation

    async def history(self, conversation: Conversation) -> list[Turn]:
        """Return the turns so far; none, with a warning, while the store is away."""
        if conversation.is_new:
            return []
        try:
            return await self._store.history(conversation.id.key)
        except StoreUnavailableError as error:
            self._warn(conversation, error)
            return []

    async def finish(self, conversation: Conversation, finished: Finished) -> Tally:
        """Write down a finished request; without the store, tally it on this pod alone.

        A session that came with an id counts as begun then: it most likely was, elsewhere.
        """
        key = conversation.id.key
        try:
            return await self._store.finish(key, finished)
        except StoreUnavailableError as error:
            self._warn(conversation, error)
        tally = await self._stand_in.finish(key, replace(finished, turn=None))
        return replace(tally, first=tally.first and conversation.is_new)

    def abandon(self, conversation: Conversation) -> None:
        """Close a session that nobody can continue: the client left before it learned the id."""
        if conversation.is_new:
            self._open.close(conversation.id.key)

    async def end(self, session_id: str) -> bool:
        """Forget a session; False if we never issued this id. Raises StoreUnavailableError."""
        known = self._keys.verified(session_id)
        if known is None:
            return False
        await self._store.end(known.key)
        self._open.close(known.key)
        return True

    def _warn(self, conversation: Conversation, error: StoreUnavailableError) -> None:
        if STORE_WARNING not in conversation.warnings:
            conversation.warnings.append(STORE_WARNING)
            log.warning(STORE_WARNING, error=str(error))
