"""State of one candidate's analysis: limits, evaluated time, steps, rules that change meanwhile."""

import pytest

from agent_operator.domain.verdict.evidence import Limit, StablePrior
from agent_operator.domain.verdict.readings import NOTHING, TrackDelta
from agent_operator.domain.verdict.rules import AnalysisRules
from agent_operator.domain.verdict.signals import DEFINITIONS, SIGNAL_BY_COUNTER_LABEL, Signal
from agent_operator.domain.verdict.state import AnalysisState, absorb, fresh, start_step
from agent_operator.domain.verdict.wealth import UNTOUCHED
from tests.unit.domain.verdict.samples import ERRORS, FALLBACKS, analysed, delta, rules


def day(sessions: int, bad: int, *, requests: int, bad_requests: int) -> TrackDelta:
    return TrackDelta(sessions, {ERRORS: bad}, requests, {ERRORS: bad_requests})


def limit_after(baseline: TrackDelta | None, **changes: object) -> Limit | None:
    return fresh(rules(**changes), baseline).signals[ERRORS].limit


def pause(state: AnalysisState, by: AnalysisRules, seconds: float) -> AnalysisState:
    return absorb(state, by, canary=NOTHING, stable=NOTHING, seconds=seconds)


def test_every_signal_is_defined_with_a_label_of_its_own() -> None:
    assert set(DEFINITIONS) == set(Signal)
    assert SIGNAL_BY_COUNTER_LABEL["error"] is Signal.ERROR_RATE
    assert set(SIGNAL_BY_COUNTER_LABEL.values()) == set(Signal)


def test_the_bar_is_shared_by_all_signals() -> None:
    assert rules(maxima={ERRORS: 0.05}).bar == pytest.approx(40)
    assert rules(maxima={ERRORS: 0.05, FALLBACKS: None}).bar == pytest.approx(80)
    assert rules().confirmation == pytest.approx(20)


@pytest.mark.parametrize(
    "changes",
    [{"maxima": {}}, {"maxima": {ERRORS: 0.0}}, {"maxima": {ERRORS: 1.0}}, {"alpha": 0.0}],
)
def test_rules_that_judge_nothing_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        rules(**changes)


def test_the_limit_is_the_maximum_if_stable_is_below_it() -> None:
    assert limit_after(None) == Limit(0.05, 0.05)
    assert limit_after(day(500, 20, requests=500, bad_requests=20)) == Limit(0.05, 0.05)


def test_the_limit_is_above_a_stable_that_breaks_the_maximum() -> None:
    state = fresh(rules(), day(500, 60, requests=1000, bad_requests=80))
    assert state.signals[ERRORS].limit == Limit(0.05, 0.1)
    assert state.raised_limits == {ERRORS: Limit(0.05, 0.1)}


def test_a_short_past_of_stable_raises_no_limit() -> None:
    state = fresh(rules(), day(199, 60, requests=199, bad_requests=60))
    assert state.raised_limits == {}


def test_a_limit_never_reaches_one() -> None:
    assert limit_after(day(500, 500, requests=500, bad_requests=500)) == Limit(0.05, 0.999)
    limit = limit_after(day(500, 500, requests=500, bad_requests=500), maxima={ERRORS: 0.9995})
    assert limit == Limit(0.9995, 0.9995)


def test_a_signal_without_maximum_has_no_limit() -> None:
    state = fresh(rules(maxima={ERRORS: None}))
    assert state.signals[ERRORS].limit is None
    assert state.raised_limits == {}


@pytest.mark.parametrize(
    ("sessions", "bad", "prior"),
    [
        (0, 0, StablePrior(0.5, 10)),
        (50, 2, StablePrior(2.5, 75)),
        (1000, 80, StablePrior(8.5, 125)),
        (2, 3, StablePrior(2.5, 27)),
    ],
)
def test_stables_past_weighs_at_most_a_hundred_sessions(
    sessions: int, bad: int, prior: StablePrior
) -> None:
    baseline = day(sessions, bad, requests=sessions, bad_requests=bad)
    assert fresh(rules(), baseline).signals[ERRORS].prior == prior


@pytest.mark.parametrize(("gap", "evaluated"), [(15, 15), (30, 30), (31, 30), (9999, 30), (-5, 0)])
def test_of_a_gap_only_two_intervals_are_evaluated_time(gap: float, evaluated: float) -> None:
    state = pause(fresh(rules()), rules(), gap)
    assert (state.step_seconds, state.rollout_seconds) == (evaluated, evaluated)


def test_a_new_step_restarts_sessions_clock_and_passes_but_keeps_evidence() -> None:
    before = analysed([(delta(10, errors=2), delta(90))], by=rules())
    after = start_step(before, weight=50)
    assert (after.weight, after.step_sessions, after.step_seconds) == (50, 0, 0.0)
    assert after.passes_in_row == 0
    assert after.rollout_seconds == before.rollout_seconds
    assert after.signals[ERRORS].regression == before.signals[ERRORS].regression
    assert after.signals[ERRORS].rollout == before.signals[ERRORS].rollout
    assert after.signals[ERRORS].step.canary.sessions == 0


def test_a_lower_weight_drops_the_carry() -> None:
    before = analysed([(TrackDelta(1, {ERRORS: 3}, 3, {ERRORS: 3}), NOTHING)], by=rules())
    assert start_step(before, weight=5).signals[ERRORS].carry.canary.bad == 0
    assert start_step(before, weight=10).signals[ERRORS].carry.canary.bad == 2


def test_signals_are_counted_apart() -> None:
    by = rules(maxima={ERRORS: 0.05, FALLBACKS: 0.2})
    state = analysed([(delta(10, errors=1, fallbacks=4), delta(90, fallbacks=3))], by=by)
    assert state.step_sessions == 10
    assert state.signals[ERRORS].rollout.canary.bad == 1
    assert state.signals[FALLBACKS].rollout.canary.bad == 4
    assert state.signals[FALLBACKS].rollout.stable.bad == 3


def test_signals_follow_the_rules_of_now() -> None:
    state = analysed([(delta(10, errors=1), delta(90))], by=rules())
    state = pause(state, rules(maxima={FALLBACKS: 0.2}), 15)
    assert set(state.signals) == {FALLBACKS}
    assert state.signals[FALLBACKS].limit == Limit(0.2, 0.2)


def test_a_changed_maximum_sets_the_limit_anew() -> None:
    baseline = day(500, 40, requests=500, bad_requests=40)
    state = analysed([(delta(10, errors=5), delta(90))], by=rules(), baseline=baseline)
    changed = pause(state, rules(maxima={ERRORS: 0.06}), 15).signals[ERRORS]
    assert changed.limit == Limit(0.06, 0.1)
    assert changed.breach == UNTOUCHED
    assert changed.regression == state.signals[ERRORS].regression
    assert pause(state, rules(maxima={ERRORS: None}), 15).signals[ERRORS].limit is None


def test_an_unchanged_maximum_keeps_the_evidence() -> None:
    state = analysed([(delta(10, errors=5), delta(90))], by=rules())
    assert pause(state, rules(min_increase=0.1), 15).signals == state.signals
