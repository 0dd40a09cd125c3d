"""From samples to readings: which pods are fresh and complete, and what each has counted."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

import structlog

from agent_operator.domain.manifest import ObjectKey
from agent_operator.domain.verdict.readings import PodReading, Reading
from agent_operator.domain.verdict.signals import SIGNAL_BY_COUNTER_LABEL, Signal

log = structlog.get_logger(__name__)

REQUIRED_SIGNALS = frozenset({Signal.ERROR_RATE, Signal.FALLBACK_RATE})
"""Signals a spec can name: a pod without their counters does not meet the contract."""

CLOCK_SKEW_SECONDS = 1.0
LARGEST_COUNT = 2**53  # beyond it a float has no ones


class Counter(Enum):
    """The counters of the contract with the pods."""

    SESSIONS_STARTED = "agent_sessions_started_total"
    SESSIONS_BAD = "agent_sessions_bad_total"
    REQUESTS = "agent_requests_total"
    REQUESTS_BAD = "agent_requests_bad_total"


class Sample(NamedTuple):
    """One series of an instant vector."""

    labels: Mapping[str, str]
    value: float


class Track(NamedTuple):
    """One revision of an agent: the key of a reading."""

    agent: ObjectKey
    revision: str


@dataclass(slots=True)
class _PodCounts:
    sessions_started: int | None = None
    requests: int | None = None
    sessions_bad: dict[Signal, int] = field(default_factory=lambda: defaultdict(int))
    requests_bad: dict[Signal, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, counter: Counter, labels: Mapping[str, str], count: int) -> None:
        """Add one series; those of other segments, outcomes and signals add up."""
        signal = SIGNAL_BY_COUNTER_LABEL.get(labels.get("signal", ""))
        match counter:
            case Counter.SESSIONS_STARTED:
                self.sessions_started = (self.sessions_started or 0) + count
            case Counter.REQUESTS if labels.get("outcome") != "rejected":
                self.requests = (self.requests or 0) + count
            case Counter.SESSIONS_BAD if signal is not None:
                self.sessions_bad[signal] += count
            case Counter.REQUESTS_BAD if signal is not None:
                self.requests_bad[signal] += count

    def reading(self) -> PodReading | None:
        """Return the pod's reading, None while a series of the contract is missing."""
        if self.sessions_started is None or self.requests is None:
            return None
        if not self.sessions_bad.keys() & self.requests_bad.keys() >= REQUIRED_SIGNALS:
            return None
        return PodReading(
            sessions_started=self.sessions_started,
            sessions_bad=dict(self.sessions_bad),
            requests=self.requests,
            requests_bad=dict(self.requests_bad),
        )


def readings_of(
    values: Mapping[Counter, Sequence[Sample]],
    times: Iterable[Sample],
    *,
    agents: frozenset[ObjectKey],
    at: float,
    window_seconds: float,
) -> dict[tuple[ObjectKey, str], Reading]:
    """Return a reading of every revision with at least one fresh and complete pod."""
    outdated = {
        _place(sample.labels)
        for sample in times
        if not at - window_seconds <= sample.value <= at + CLOCK_SKEW_SECONDS
    }
    pods: dict[Track, dict[str, _PodCounts]] = defaultdict(lambda: defaultdict(_PodCounts))
    distrusted: set[Track] = set()
    for counter, samples in values.items():
        for labels, value in samples:
            track, pod = place = _place(labels)
            if track.agent not in agents or not track.revision or not pod or place in outdated:
                continue
            count = whole(value)
            if count is None:
                distrusted.add(track)
            else:
                pods[track][pod].add(counter, labels, count)
    if distrusted:
        names = [
            f"{track.agent.namespace}/{track.agent.name} {track.revision}" for track in distrusted
        ]
        log.warning("counters.distrusted", revisions=sorted(names)[:10], count=len(names))
    return {
        track: Reading(at, complete)
        for track, counts in pods.items()
        if track not in distrusted and (complete := _complete(counts))
    }


def whole(value: float) -> int | None:
    """Return the count a value stands for, None if it can be none (NaN, negative, a fraction)."""
    if not 0 <= value <= LARGEST_COUNT:  # false for NaN, too
        return None
    count = round(value)
    return count if abs(value - count) <= 1e-6 else None


def _complete(counts: Mapping[str, _PodCounts]) -> dict[str, PodReading]:
    readings = {pod: one.reading() for pod, one in counts.items()}
    return {pod: reading for pod, reading in readings.items() if reading is not None}


def _place(labels: Mapping[str, str]) -> tuple[Track, str]:
    agent = ObjectKey(labels.get("namespace", ""), labels.get("agent", ""))
    return Track(agent, labels.get("revision", "")), labels.get("pod", "")
