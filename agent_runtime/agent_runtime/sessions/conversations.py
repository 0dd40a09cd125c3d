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
        idle_seconds: float,
    ) -> None:
        self._keys = keys
        self._store = store
        self._open = open_sessions
        # Only for tallies: a history that exists on one pod alone would confuse more than none.
        self._stand_in = stand_in
        self._idle_seconds = idle_seconds

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

        Around an outage or a loss of the store a session is counted at most once, and no signal of
        it unless its start was counted here too (docs/decisions/0007-counts-around-an-outage.md).
        """
        key = conversation.id.key
        try:
            begins = await self._may_begin(conversation)
            tally = await self._store.finish(key, replace(finished, begins=begins))
        except StoreUnavailableError as error:
            self._warn(conversation, error)
            alone = replace(finished, turn=None, begins=conversation.is_new)
            return await self._stand_in.finish(key, alone)
        # The store has a record now; in the next outage this one would be out of date.
        await self._stand_in.end(key)
        return tally

    async def _may_begin(self, conversation: Conversation) -> bool:
        """Tell whether a missing record means a session that is new or was idle for too long.

        A young id without a record is a session that was begun, and counted, in an outage, or that
        was ended or lost; so may be an old one while the store is not complete.
        """
        if conversation.is_new:
            return True
        is_old = self._keys.age_seconds(conversation.id) >= self._idle_seconds
        return is_old and await self._store.is_complete()

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
