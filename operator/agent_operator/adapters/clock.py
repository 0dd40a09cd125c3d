"""The machine's clocks: `ports.Clock`."""

import time


class SystemClock:
    """Wall clock and monotonic clock of this machine."""

    def now(self) -> float:
        """Return Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()
