"""What is kept of a conversation, and the port to wherever it is kept."""

from dataclasses import dataclass
from typing import Protocol

from agent_runtime.agent.history import Turn

MAX_TURNS = 40


@dataclass(frozen=True, slots=True)
class Finished:
    """One finished request: on which revision, what was bad about it, what was said (if it was).

    `begins`: if there is no record, the session begins now; else its record was lost.
    """

    revision: str
    signals: frozenset[str]
    turn: Turn | None = None
    begins: bool = True


@dataclass(frozen=True, slots=True)
class Tally:
    """What the request changed: is it the session's first on the revision, which signals are new,
    and the how-many-eth request of the session on the revision it was.

    A session whose record was lost is never first and has no new signals, on any revision, for as
    long as its new record lives: what was counted of it before cannot be known.
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

    async def is_complete(self) -> bool:
        """Tell whether every session used within the idle time must still have its record."""

    async def end(self, key: str) -> bool:
        """Forget the session; False if it was not known."""

    async def ping(self) -> None:
        """Reach the store once."""

    async def close(self) -> None:
        """Let go of connections."""
