"""From counter values per pod to sessions per track: restarts, new pods, failed scrapes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from agent_operator.domain.verdict.signals import Signal

REMEMBERED_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Counters:
    """Sessions and requests, whole numbers; `requests` has every outcome but rejected."""

    sessions_started: int
    sessions_bad: Mapping[Signal, int]
    requests: int
    requests_bad: Mapping[Signal, int]

    def __post_init__(self) -> None:
        values = [self.sessions_started, self.requests]
        values += [*self.sessions_bad.values(), *self.requests_bad.values()]
        if any(value < 0 for value in values):
            raise ValueError(f"counters are never negative: {self}")


@dataclass(frozen=True, slots=True)
class PodReading(Counters):
    """One pod's counters since its process started; by contract every judged signal is there."""


@dataclass(frozen=True, slots=True)
class TrackDelta(Counters):
    """What the pods of one revision counted between two readings."""

    def __add__(self, other: "TrackDelta") -> "TrackDelta":
        return TrackDelta(
            sessions_started=self.sessions_started + other.sessions_started,
            sessions_bad=_summed(self.sessions_bad, other.sessions_bad),
            requests=self.requests + other.requests,
            requests_bad=_summed(self.requests_bad, other.requests_bad),
        )


NOTHING: Final = TrackDelta(0, {}, 0, {})


@dataclass(frozen=True, slots=True)
class Reading:
    """Counters of a revision at one instant (unix seconds); pods without fresh ones are absent."""

    time: float
    pods: Mapping[str, PodReading]


@dataclass(frozen=True, slots=True)
class SeenPod:
    """The last value of a pod and when it was read."""

    time: float
    reading: PodReading


def deltas(known_pods: Mapping[str, SeenPod] | None, current: Reading) -> TrackDelta:
    """Sum up what each pod counted since its last known value.

    A pod never seen counts whole; `None` means that evidence starts here, so that every pod starts
    from its current value. Raises ValueError for a reading that isn't later than a known one: no
    stretch of time counts twice.
    """
    if known_pods is None:
        return NOTHING
    total = NOTHING
    for name, now in current.pods.items():
        seen = known_pods.get(name)
        if seen is not None and seen.time >= current.time:
            raise ValueError(f"reading at {current.time} is not later than {seen.time} of {name}")
        total += _whole(now) if seen is None else _increase(seen.reading, now)
    return total


def remembered(known_pods: Mapping[str, SeenPod] | None, current: Reading) -> dict[str, SeenPod]:
    """Give the known pods after a reading; a pod that misses scrapes stays known for an hour.

    Else one failed scrape would count a pod's history twice.
    """
    oldest = current.time - REMEMBERED_SECONDS
    kept = {name: seen for name, seen in (known_pods or {}).items() if seen.time > oldest}
    return kept | {name: SeenPod(current.time, pod) for name, pod in current.pods.items()}


def _whole(now: PodReading) -> TrackDelta:
    return TrackDelta(now.sessions_started, now.sessions_bad, now.requests, now.requests_bad)


def _increase(before: PodReading, now: PodReading) -> TrackDelta:
    # The counters of a process start again together: one that fell tells about all of them, even
    # those that have already overtaken their old value.
    if _fell(before, now):
        return _whole(now)
    return TrackDelta(
        sessions_started=now.sessions_started - before.sessions_started,
        sessions_bad=_grown(before.sessions_bad, now.sessions_bad),
        requests=now.requests - before.requests,
        requests_bad=_grown(before.requests_bad, now.requests_bad),
    )


def _fell(before: PodReading, now: PodReading) -> bool:
    return (
        now.sessions_started < before.sessions_started
        or now.requests < before.requests
        or any(value < 0 for value in _grown(before.sessions_bad, now.sessions_bad).values())
        or any(value < 0 for value in _grown(before.requests_bad, now.requests_bad).values())
    )


def _grown(before: Mapping[Signal, int], now: Mapping[Signal, int]) -> dict[Signal, int]:
    # A signal first read now (switched on in the spec) starts here: its past was not judged.
    return {signal: value - before.get(signal, value) for signal, value in now.items()}


def _summed(left: Mapping[Signal, int], right: Mapping[Signal, int]) -> dict[Signal, int]:
    signals = left.keys() | right.keys()
    return {signal: left.get(signal, 0) + right.get(signal, 0) for signal in signals}
