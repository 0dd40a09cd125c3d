"""Counter values per pod become whole sessions: nothing twice, nothing from before the evidence."""

from collections.abc import Mapping

import pytest

from agent_operator.domain.verdict.readings import (
    NOTHING,
    PodReading,
    Reading,
    TrackDelta,
    deltas,
    remembered,
)
from agent_operator.domain.verdict.signals import Signal

ERRORS = Signal.ERROR_RATE
FALLBACKS = Signal.FALLBACK_RATE

Values = tuple[int, int, int, int]  # sessions started, bad, requests, bad requests


def pod(values: Values) -> PodReading:
    started, bad, requests, requests_bad = values
    return PodReading(started, {ERRORS: bad}, requests, {ERRORS: requests_bad})


def reading(time: float, pods: Mapping[str, Values]) -> Reading:
    return Reading(time, {name: pod(values) for name, values in pods.items()})


def counted(*pods_over_time: Mapping[str, Values]) -> Values:
    """What the last of several readings added."""
    known = None
    for index, pods in enumerate(pods_over_time):
        now = reading(15.0 * (index + 1), pods)
        delta = deltas(known, now)
        known = remembered(known, now)
    started, requests = delta.sessions_started, delta.requests
    return started, delta.sessions_bad.get(ERRORS, 0), requests, delta.requests_bad.get(ERRORS, 0)


CASES: dict[str, tuple[list[dict[str, Values]], Values]] = {
    "evidence starts at the current values": ([{"a": (90, 9, 200, 20)}], (0, 0, 0, 0)),
    "a pod counts what it added": (
        [{"a": (90, 9, 200, 20)}, {"a": (95, 10, 212, 23)}],
        (5, 1, 12, 3),
    ),
    "an idle pod adds nothing": ([{"a": (9, 1, 9, 1)}, {"a": (9, 1, 9, 1)}], (0, 0, 0, 0)),
    "pods of a track are summed": (
        [{"a": (5, 1, 5, 1), "b": (7, 0, 7, 0)}, {"a": (6, 2, 6, 2), "b": (9, 0, 9, 0)}],
        (3, 1, 3, 1),
    ),
    "a new pod counts whole": (
        [{"a": (5, 1, 5, 1)}, {"a": (5, 1, 5, 1), "b": (3, 1, 4, 2)}],
        (3, 1, 4, 2),
    ),
    "the first pod of a track counts whole": ([{}, {"a": (3, 1, 4, 2)}], (3, 1, 4, 2)),
    "a restarted pod counts whole": ([{"a": (50, 5, 90, 9)}, {"a": (4, 1, 6, 1)}], (4, 1, 6, 1)),
    "a counter that fell tells about those that overtook": (
        [{"a": (3, 2, 9, 4)}, {"a": (4, 0, 10, 0)}],
        (4, 0, 10, 0),
    ),
    "fallen requests alone tell of a restart": (
        [{"a": (2, 0, 9, 0)}, {"a": (3, 0, 4, 0)}],
        (3, 0, 4, 0),
    ),
    "fallen bad requests alone tell of a restart": (
        [{"a": (2, 0, 9, 3)}, {"a": (9, 0, 20, 1)}],
        (9, 0, 20, 1),
    ),
    "a failed scrape loses nothing and counts nothing twice": (
        [{"a": (50, 5, 90, 9)}, {}, {"a": (54, 6, 95, 10)}],
        (4, 1, 5, 1),
    ),
    "a pod that went adds nothing": (
        [{"a": (50, 5, 90, 9), "b": (1, 0, 1, 0)}, {"b": (2, 0, 2, 0)}],
        (1, 0, 1, 0),
    ),
    "a pod that restarted during a failed scrape counts whole": (
        [{"a": (50, 5, 90, 9)}, {}, {"a": (2, 0, 3, 0)}],
        (2, 0, 3, 0),
    ),
}


@pytest.mark.parametrize(("readings", "added"), CASES.values(), ids=CASES.keys())
def test_pods_come_go_and_restart(readings: list[dict[str, Values]], added: Values) -> None:
    assert counted(*readings) == added


def test_after_a_restart_of_the_operator_the_last_block_goes_on() -> None:
    read_again = reading(60.0, {"a": (50, 5, 90, 9)})
    delta = deltas(remembered(None, read_again), reading(75.0, {"a": (51, 5, 91, 9)}))
    assert delta.sessions_started == 1


def test_a_signal_switched_on_later_starts_from_its_current_value() -> None:
    known = remembered(None, reading(15.0, {"a": (5, 1, 5, 1)}))
    both = PodReading(6, {ERRORS: 1, FALLBACKS: 4}, 6, {ERRORS: 1, FALLBACKS: 8})
    delta = deltas(known, Reading(30.0, {"a": both}))
    assert delta.sessions_bad == {ERRORS: 0, FALLBACKS: 0}
    assert delta.requests_bad == {ERRORS: 0, FALLBACKS: 0}


def test_a_pod_is_forgotten_an_hour_after_its_last_value() -> None:
    known = remembered(None, reading(0.0, {"a": (5, 1, 5, 1)}))
    assert "a" in remembered(known, reading(3599.0, {}))
    assert "a" not in remembered(known, reading(3600.0, {}))


@pytest.mark.parametrize("time", [14.9, 15.0])
def test_a_reading_that_is_not_later_is_refused(time: float) -> None:
    known = remembered(None, reading(15.0, {"a": (5, 1, 5, 1)}))
    with pytest.raises(ValueError, match="not later"):
        deltas(known, reading(time, {"a": (6, 1, 6, 1)}))


def test_signals_that_one_part_lacks_are_kept_in_a_sum() -> None:
    left = TrackDelta(1, {ERRORS: 1}, 2, {ERRORS: 2})
    right = TrackDelta(3, {FALLBACKS: 1}, 4, {FALLBACKS: 3})
    bad = {ERRORS: 1, FALLBACKS: 1}
    assert left + right == TrackDelta(4, bad, 6, {ERRORS: 2, FALLBACKS: 3})
    assert left + NOTHING == left


@pytest.mark.parametrize("values", [(-1, 0, 0, 0), (0, -1, 0, 0), (0, 0, -1, 0), (0, 0, 0, -1)])
def test_negative_counters_are_refused(values: Values) -> None:
    with pytest.raises(ValueError, match="never negative"):
        pod(values)
