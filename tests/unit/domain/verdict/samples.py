"""Counts, rules and states that the tests of the verdict are made of."""

from collections.abc import Iterable
from typing import Any

from agent_operator.domain.verdict.counts import Block, TrackCounts
from agent_operator.domain.verdict.readings import TrackDelta
from agent_operator.domain.verdict.rules import AnalysisRules
from agent_operator.domain.verdict.signals import Signal
from agent_operator.domain.verdict.state import AnalysisState, absorb, fresh, start_step

ERRORS = Signal.ERROR_RATE
FALLBACKS = Signal.FALLBACK_RATE


def rules(**changes: Any) -> AnalysisRules:
    values: dict[str, Any] = {
        "interval_seconds": 15.0,
        "min_sessions": 50,
        "min_sessions_to_fail": 5,
        "min_step_seconds": 120.0,
        "alpha": 0.05,
        "min_increase": 0.02,
        "maxima": {ERRORS: 0.05},
    }
    return AnalysisRules(**values | changes)


def block(canary: tuple[int, int], stable: tuple[int, int]) -> Block:
    """(sessions, bad) of both tracks; each session has one request."""
    return Block(_counts(*canary), _counts(*stable))


def _counts(sessions: int, bad: int) -> TrackCounts:
    return TrackCounts(sessions, bad, requests=sessions, bad_requests=bad)


def delta(sessions: int, *, errors: int = 0, fallbacks: int = 0) -> TrackDelta:
    """Sessions of one request each, some of them bad."""
    bad = {ERRORS: errors, FALLBACKS: fallbacks}
    return TrackDelta(sessions, bad, sessions, bad)


def analysed(
    blocks: Iterable[tuple[TrackDelta, TrackDelta]],
    *,
    by: AnalysisRules,
    weight: int = 10,
    baseline: TrackDelta | None = None,
    seconds: float = 30.0,
) -> AnalysisState:
    """The state after a step in which these (canary, stable) deltas were read."""
    state = start_step(fresh(by, baseline), weight=weight)
    for canary, stable in blocks:
        state = absorb(state, by, canary=canary, stable=stable, seconds=seconds)
    return state
