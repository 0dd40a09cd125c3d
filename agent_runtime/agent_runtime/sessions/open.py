"""How many conversations are open here: begun and neither ended nor idle for too long."""

import time
from collections import OrderedDict
from collections.abc import Callable


class OpenSessions:
    """Seen from this process alone; a drain waits for the sum over pods to reach 0."""

    def __init__(self, *, idle_seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._idle_seconds = idle_seconds
        self._now = now
        self._expiry: OrderedDict[str, float] = OrderedDict()

    def touch(self, key: str) -> None:
        """Open the session, or keep it open for another idle time."""
        self._expiry[key] = self._now() + self._idle_seconds
        self._expiry.move_to_end(key)
        self._close_idle()

    def close(self, key: str) -> None:
        """Take the session out, whether it is known here or not."""
        self._expiry.pop(key, None)

    def __len__(self) -> int:
        """Count what is open now."""
        self._close_idle()
        return len(self._expiry)

    def _close_idle(self) -> None:
        now = self._now()
        while self._expiry:
            key, expires = next(iter(self._expiry.items()))
            if expires > now:
                return
            del self._expiry[key]
