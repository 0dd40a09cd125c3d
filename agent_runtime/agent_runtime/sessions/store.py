"""What is kept of a conversation, and the port to wherever it is kept."""

from dataclasses import dataclass
from typing import Protocol

from agent_runtime.agent.history import Turn

MAX_TURNS = 40


@dataclass(frozen=True, slots=True)
class Finished:
    """One finished request: on which revision, what was bad about it, what was said (if it was)."""

    revision: str
    signals: frozenset[str]
    turn: Turn | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """What the request changed: is it the session's first on the revision, which signals are new,
    and the how-many-eth request of the session on the revision it was.
    """

    first: bool
    new_signals: frozenset[str]
    requests: int


class SessionStore(Protocol):
    """Sessions by key, forgotten when idle for too long; raises StoreUnavailableError only."""

    async def history(self, key: str) -> list[Turn]:
        """Return the turns so far, oldest first; none for a session that is not known."""

    async def finish(self, key: str, finished: Finished) -> Tally:
        """Write down a finished request, in one step however many pods do so at once."""

    async def end(self, key: str) -> bool:
        """Forget the session; False if it was not known."""

    async def ping(self) -> None:
        """Reach the store once."""

    async def close(self) -> None:
        """Let go of connections."""
