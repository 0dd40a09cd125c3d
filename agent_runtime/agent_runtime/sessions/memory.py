"""Sessions in this process: the default without Redis, and the stand-in while Redis is away."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from agent_runtime.agent.history import Turn
from agent_runtime.sessions.store import MAX_TURNS, Finished, Tally

MAX_SESSIONS = 100_000


@dataclass(slots=True)
class _Session:
    is_judged: bool
    expires: float = 0.0
    turns: deque[Turn] = field(default_factory=lambda: deque(maxlen=MAX_TURNS))
    requests: dict[str, int] = field(default_factory=dict)
    signals: dict[str, set[str]] = field(default_factory=dict)


class InProcessStore:
    """Bounded: beyond `max_sessions` the one idle for longest is forgotten."""

    def __init__(
        self,
        *,
        idle_seconds: float,
        max_sessions: int = MAX_SESSIONS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._idle_seconds = idle_seconds
        self._max_sessions = max_sessions
        self._now = now
        self._complete_since = now()
        # Ordered by last use, so expired sessions are always at the front.
        self._sessions: OrderedDict[str, _Session] = OrderedDict()

    async def history(self, key: str) -> list[Turn]:
        """Return the turns so far, oldest first."""
        self._forget_idle()
        session = self._sessions.get(key)
        return list(session.turns) if session else []

    async def finish(self, key: str, finished: Finished) -> Tally:
        """Write down a finished request; atomic, because nothing here awaits."""
        self._forget_idle()
        session = self._sessions.setdefault(key, _Session(is_judged=finished.begins))
        session.expires = self._now() + self._idle_seconds
        self._sessions.move_to_end(key)
        if len(self._sessions) > self._max_sessions:
            self._sessions.popitem(last=False)
            self._complete_since = self._now()
        if finished.turn:
            session.turns.append(finished.turn)
        requests = session.requests.get(finished.revision, 0) + 1
        session.requests[finished.revision] = requests
        if not session.is_judged:
            return Tally(first=False, new_signals=frozenset(), requests=requests)
        known = session.signals.setdefault(finished.revision, set())
        new = finished.signals - known
        known |= new
        return Tally(requests == 1, new, requests)

    async def is_complete(self) -> bool:
        """Tell whether nothing within the idle time was lost to a start or to lack of room."""
        return self._now() - self._complete_since >= self._idle_seconds

    async def end(self, key: str) -> bool:
        """Forget the session; False if it was not known."""
        self._forget_idle()
        return self._sessions.pop(key, None) is not None

    async def ping(self) -> None:
        """Return at once: this process reaches itself."""

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    def _forget_idle(self) -> None:
        now = self._now()
        while self._sessions:
            key, session = next(iter(self._sessions.items()))
            if session.expires > now:
                return
            del self._sessions[key]
