"""Simulated rollouts, fixed seeds, production code: false alarms and speed of detection."""

import random
import statistics
from collections.abc import Iterator

import pytest

from agent_operator.domain.verdict.readings import TrackDelta
from agent_operator.domain.verdict.state import absorb, fresh, start_step
from agent_operator.domain.verdict.verdict import Outcome, judge, with_verdict
from tests.unit.domain.verdict.samples import ERRORS, delta, rules

BY = rules()  # one signal: the bar is 40
STABLE_RATE = 0.02


def track(rng: random.Random, *, sessions: int, rate: float) -> TrackDelta:
    return delta(sessions, errors=sum(rng.random() < rate for _ in range(sessions)))


def sessions_until_failed(rng: random.Random, *, rate: float, most: int, block: int) -> int | None:
    """Canary sessions of a rollout at weight 10 until it fails; None if it never does."""
    state = start_step(fresh(BY), weight=10)
    while state.step_sessions < most:
        on_canary = sum(rng.random() < 0.1 for _ in range(block))
        canary = track(rng, sessions=on_canary, rate=rate)
        stable = track(rng, sessions=block - on_canary, rate=STABLE_RATE)
        state = absorb(state, BY, canary=canary, stable=stable, seconds=15)
        verdict = judge(state, BY)
        if verdict.outcome is Outcome.FAIL:
            return state.step_sessions
        state = with_verdict(state, verdict)
    return None


def detections(*, rate: float, trials: int, most: int, block: int = 6) -> Iterator[int | None]:
    rng = random.Random(20_240_501)
    for _ in range(trials):
        yield sessions_until_failed(rng, rate=rate, most=most, block=block)


def test_a_canary_like_stable_is_rolled_back_in_at_most_one_of_twenty_rollouts() -> None:
    failed = [n for n in detections(rate=STABLE_RATE, trials=300, most=300, block=30) if n]
    assert len(failed) <= 15


@pytest.mark.parametrize(("rate", "median"), [(0.5, 10), (0.2, 30)])
def test_a_worse_canary_is_found_fast(rate: float, median: int) -> None:
    found = [n if n else 500 for n in detections(rate=rate, trials=60, most=500)]
    assert statistics.median(found) <= median


def test_simulated_sessions_have_the_asked_rate() -> None:
    counted = track(random.Random(1), sessions=10_000, rate=0.2)
    assert counted.sessions_bad[ERRORS] == pytest.approx(2000, rel=0.1)
