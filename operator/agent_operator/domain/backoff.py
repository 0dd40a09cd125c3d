"""Growing pauses after failures, used by the work queue and by the watches."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that double from `base_seconds` up to `cap_seconds`."""

    base_seconds: float
    cap_seconds: float

    def seconds(self, failures: int, jitter: float) -> float:
        """Return the pause after so many failures in a row (1 or more).

        `jitter` in [0, 1) takes up to half of the pause away, so that many never wake together.
        """
        doublings = min(max(failures, 1) - 1, 32)  # 2**32 is beyond every cap; no overflow
        pause = min(self.base_seconds * 2.0**doublings, self.cap_seconds)
        return pause * (1.0 - jitter / 2.0)
