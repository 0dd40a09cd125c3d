"""A clock that stands still until a test moves it: `ports.Clock`."""


class ManualClock:
    """Both clocks move together by `advance`; `jump` moves the wall clock alone."""

    def __init__(self, now: float = 1_790_000_000.0) -> None:
        self._now = now
        self._monotonic = 1000.0

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        self._now += seconds
        self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        self._now += seconds
