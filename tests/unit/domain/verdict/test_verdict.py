"""Every row of the verdict table, and the worst of the signals."""

import math
from dataclasses import replace

import pytest

from agent_operator.domain.verdict.counts import Block, TrackCounts
from agent_operator.domain.verdict.evidence import Limit, SignalEvidence
from agent_operator.domain.verdict.readings import NOTHING, TrackDelta
from agent_operator.domain.verdict.rules import AnalysisRules
from agent_operator.domain.verdict.signals import Signal
from agent_operator.domain.verdict.state import AnalysisState, absorb, fresh, start_step
from agent_operator.domain.verdict.verdict import (
    EVIDENCE_SHOWN,
    UNMEASURED,
    Outcome,
    Reason,
    RolloutVerdict,
    judge,
    unmeasured,
    with_verdict,
)
from agent_operator.domain.verdict.wealth import LIFTS, Wealth
from tests.unit.domain.verdict.samples import ERRORS, FALLBACKS, analysed, delta, rules

GOOD = (delta(10), delta(90, errors=1))
BAD = (delta(10, errors=8), delta(90, errors=1))
BOTH_BAD = (delta(10, errors=6), delta(90, errors=54))
COMPARED_ONLY = rules(maxima={ERRORS: None})


def answer(verdict: RolloutVerdict) -> tuple[Outcome, str]:
    return verdict.outcome, verdict.reason


def judged(*blocks: tuple[TrackDelta, TrackDelta], weight: int = 10) -> RolloutVerdict:
    return judge(analysed(blocks, by=rules(), weight=weight), rules())


def worth(evidence: float) -> Wealth:
    """Wealth whose bets have grown to this much; half of the money is not bet yet."""
    each = math.log((evidence - 0.5) / len(LIFTS))
    return Wealth(logs=(each,) * len(LIFTS))


def with_evidence(
    *,
    regression: float = 1.0,
    breach: float = 1.0,
    canary: tuple[int, int] = (100, 10),
    stable: tuple[int, int] = (1000, 20),
    last_stable_bad: int = 0,
    weight: int = 10,
) -> AnalysisState:
    """A state whose processes stand exactly where a row of the table begins."""
    counts = Block(
        TrackCounts(*canary, requests=canary[0], bad_requests=canary[1]),
        TrackCounts(*stable, requests=stable[0], bad_requests=stable[1]),
    )
    last_stable = TrackCounts(50, last_stable_bad, requests=50, bad_requests=last_stable_bad)
    evidence = SignalEvidence(
        limit=Limit(0.05, 0.05),
        regression=worth(regression),
        breach=worth(breach),
        rollout=counts,
        step=counts,
        recent=(counts,),
        recent_stable=(last_stable,) if stable[0] else (),
    )
    return AnalysisState({ERRORS: evidence}, weight=weight, step_sessions=100, step_seconds=900.0)


def test_a_canary_worse_than_stable_fails() -> None:
    assert answer(judged(BAD)) == (Outcome.FAIL, "ErrorRateRegression")


def test_a_canary_as_good_as_stable_passes() -> None:
    assert answer(judged(*[GOOD] * 5)) == (Outcome.PASS, Reason.WITHIN_LIMITS)


@pytest.mark.parametrize(("regression", "fails"), [(40.001, True), (39.999, False)])
def test_regression_fails_at_the_bar(regression: float, fails: bool) -> None:
    verdict = judge(with_evidence(regression=regression), rules())
    assert (verdict.outcome is Outcome.FAIL) is fails


def test_the_bar_rises_with_the_number_of_signals() -> None:
    by = rules(maxima={ERRORS: 0.05, FALLBACKS: 0.2})
    assert judge(with_evidence(regression=79.0), by).outcome is Outcome.INCONCLUSIVE
    assert judge(with_evidence(regression=81.0), by).outcome is Outcome.FAIL


@pytest.mark.parametrize(("sessions", "fails"), [(4, False), (5, True)])
def test_too_few_canary_sessions_never_fail(sessions: int, fails: bool) -> None:
    state = with_evidence(regression=1e9, breach=1e9, canary=(sessions, sessions))
    verdict = judge(state, rules())
    assert answer(verdict) == (
        (Outcome.FAIL, "ErrorRateRegression")
        if fails
        else (Outcome.INCONCLUSIVE, Reason.COLLECTING_SESSIONS)
    )


def test_an_increase_too_small_to_matter_is_not_acted_on() -> None:
    state = with_evidence(regression=1e9, canary=(10_000, 390), stable=(100_000, 2000))
    verdict = judge(state, rules())
    assert answer(verdict) == (Outcome.PASS, Reason.WITHIN_LIMITS)
    assert verdict.decisive.evidence == EVIDENCE_SHOWN


@pytest.mark.parametrize("where", ["rollout", "step", "recent"])
def test_an_increase_counts_wherever_it_is_largest(where: str) -> None:
    even = Block(TrackCounts(100, 2, 100, 2), TrackCounts(1000, 20, 1000, 20))
    worse = Block(TrackCounts(100, 12, 100, 12), TrackCounts(1000, 20, 1000, 20))
    state = with_evidence(regression=41.0)
    stretches = {"rollout": even, "step": even, "recent": (even,)}
    stretches[where] = (worse,) if where == "recent" else worse
    evidence = replace(state.signals[ERRORS], **stretches)  # type: ignore[arg-type]
    verdict = judge(replace(state, signals={ERRORS: evidence}), rules())
    assert answer(verdict) == (Outcome.FAIL, "ErrorRateRegression")
    assert (verdict.decisive.canary, verdict.decisive.stable) == (worse.canary, worse.stable)


def test_a_stretch_without_stable_sessions_shows_no_increase() -> None:
    state = with_evidence(regression=41.0, canary=(100, 3))
    alone = Block(TrackCounts(10, 9, 10, 9), TrackCounts())
    evidence = replace(state.signals[ERRORS], step=alone)
    verdict = judge(replace(state, signals={ERRORS: evidence}), rules())
    assert verdict.outcome is not Outcome.FAIL


def test_a_breach_confirmed_by_regression_fails() -> None:
    state = with_evidence(regression=20.001, breach=40.001)
    assert answer(judge(state, rules())) == (Outcome.FAIL, "ErrorRateAboveMax")


def test_a_breach_below_the_bar_fails_nobody() -> None:
    state = with_evidence(regression=20.001, breach=39.999)
    assert judge(state, rules()).outcome is Outcome.INCONCLUSIVE


def test_a_breach_without_regression_holds() -> None:
    state = with_evidence(regression=19.999, breach=1e9)
    verdict = judge(state, rules())
    assert answer(verdict) == (Outcome.INCONCLUSIVE, Reason.ABOVE_MAX_UNCONFIRMED)
    assert verdict.decisive.evidence == EVIDENCE_SHOWN


def test_a_breach_that_stable_shares_is_called_so() -> None:
    state = with_evidence(regression=19.999, breach=1e9, last_stable_bad=10)
    verdict = judge(state, rules())
    assert answer(verdict) == (Outcome.INCONCLUSIVE, Reason.BOTH_TRACKS_DEGRADED)


def test_a_breach_beside_an_idle_stable_fails() -> None:
    state = with_evidence(breach=40.001, stable=(0, 0))
    assert answer(judge(state, rules())) == (Outcome.FAIL, "ErrorRateAboveMax")


def test_a_breach_at_full_weight_fails_although_stable_had_sessions_before() -> None:
    state = with_evidence(breach=40.001, weight=100)
    assert answer(judge(state, rules())) == (Outcome.FAIL, "ErrorRateAboveMax")


def test_a_breach_at_the_start_of_a_step_is_still_compared_with_stable() -> None:
    state = start_step(with_evidence(breach=40.001), weight=75)
    state = absorb(state, rules(), canary=delta(2, errors=2), stable=NOTHING, seconds=15)
    assert answer(judge(state, rules())) == (Outcome.INCONCLUSIVE, Reason.ABOVE_MAX_UNCONFIRMED)


def test_a_breach_shows_the_stretch_with_most_bad_requests() -> None:
    state = with_evidence(breach=40.001, weight=100)
    worst = Block(TrackCounts(20, 10, 20, 10), TrackCounts())
    evidence = replace(state.signals[ERRORS], recent=(worst,))
    verdict = judge(replace(state, signals={ERRORS: evidence}), rules())
    assert verdict.decisive.canary == worst.canary


def test_an_outage_of_both_tracks_holds_and_ends_in_a_pass() -> None:
    by = rules()
    state = analysed([GOOD] * 5, by=by)
    seen = set()
    for canary, stable in [*[BOTH_BAD] * 20, *[GOOD] * 20]:
        state = absorb(state, by, canary=canary, stable=stable, seconds=15)
        verdict = judge(state, by)
        state = with_verdict(state, verdict)
        seen.add(answer(verdict))
    assert (Outcome.INCONCLUSIVE, Reason.BOTH_TRACKS_DEGRADED) in seen
    assert Outcome.FAIL not in {outcome for outcome, _ in seen}
    assert answer(verdict) == (Outcome.PASS, Reason.WITHIN_LIMITS)


def test_too_few_sessions_at_this_weight_are_waited_for() -> None:
    verdict = judged(*[GOOD] * 4)
    assert answer(verdict) == (Outcome.INCONCLUSIVE, Reason.COLLECTING_SESSIONS)
    assert verdict.decisive.sessions_needed == 10


def test_sessions_of_an_earlier_weight_do_not_count() -> None:
    state = start_step(analysed([GOOD] * 10, by=rules()), weight=50)
    verdict = judge(state, rules())
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.decisive.sessions_needed == 50
    assert verdict.decisive.seconds_needed == 120


def test_too_little_evaluated_time_is_waited_for() -> None:
    state = analysed([GOOD] * 5, by=rules(), seconds=20.0)
    verdict = judge(state, rules())
    assert answer(verdict) == (Outcome.INCONCLUSIVE, Reason.COLLECTING_SESSIONS)
    assert (verdict.decisive.sessions_needed, verdict.decisive.seconds_needed) == (0, 20.0)


@pytest.mark.parametrize(
    ("canary", "stable"),
    [((100, 6), (1000, 50)), ((100, 5), (1000, 20))],
    ids=["above the limit", "above stable"],
)
def test_a_canary_that_is_a_little_too_bad_does_not_pass(
    canary: tuple[int, int], stable: tuple[int, int]
) -> None:
    verdict = judge(with_evidence(canary=canary, stable=stable), rules())
    assert answer(verdict) == (Outcome.INCONCLUSIVE, Reason.COLLECTING_SESSIONS)
    assert verdict.decisive.sessions_needed == 0


def test_beside_an_idle_stable_the_limit_alone_decides_to_pass() -> None:
    assert judge(with_evidence(canary=(100, 5), stable=(0, 0)), rules()).outcome is Outcome.PASS
    above = judge(with_evidence(canary=(100, 6), stable=(0, 0)), rules())
    assert above.outcome is Outcome.INCONCLUSIVE


def test_without_limit_the_comparison_alone_decides_to_pass() -> None:
    state = analysed([(delta(10, errors=5), delta(90, errors=45))] * 5, by=COMPARED_ONLY)
    assert judge(state, COMPARED_ONLY).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("weight", "outcome"),
    [(50, Outcome.INCONCLUSIVE), (99, Outcome.INCONCLUSIVE), (100, Outcome.PASS)],
)
def test_without_limit_and_stable_nothing_is_judged_which_only_full_weight_allows(
    weight: int, outcome: Outcome
) -> None:
    state = analysed([(delta(10), NOTHING)] * 5, by=COMPARED_ONLY, weight=weight)
    verdict = judge(state, COMPARED_ONLY)
    assert answer(verdict) == (outcome, Reason.STABLE_IDLE)
    assert verdict.decisive.outcome is Outcome.NOT_JUDGED
    assert verdict.decisive.limit is None


def test_full_weight_needs_its_sessions_even_if_nothing_is_judged() -> None:
    state = analysed([(delta(10), NOTHING)] * 4, by=COMPARED_ONLY, weight=100)
    assert judge(state, COMPARED_ONLY).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    ("canary", "decisive"),
    [
        (delta(10), FALLBACKS),
        (delta(10, errors=8), ERRORS),
        (delta(10, errors=1, fallbacks=9), FALLBACKS),
    ],
    ids=["an idle stable is no reason against the other", "errors", "fallbacks"],
)
def test_the_worst_signal_decides(canary: TrackDelta, decisive: Signal) -> None:
    by = rules(maxima={ERRORS: None, FALLBACKS: 0.2})
    is_good = canary == delta(10)
    stable = NOTHING if is_good else delta(90)
    weight = 100 if is_good else 10
    verdict = judge(analysed([(canary, stable)] * 5, by=by, weight=weight), by)
    assert verdict.outcome is (Outcome.PASS if is_good else Outcome.FAIL)
    assert verdict.decisive.signal is decisive
    assert [row.signal for row in verdict.signals] == [ERRORS, FALLBACKS]


def test_a_held_breach_is_worse_than_collecting_sessions() -> None:
    by = rules(maxima={ERRORS: 0.05, FALLBACKS: 0.2}, min_sessions=1000)
    verdict = judge(analysed([BOTH_BAD] * 10, by=by), by)
    assert verdict.reason == Reason.BOTH_TRACKS_DEGRADED


def test_a_signal_that_has_no_evidence_yet_passes_nothing() -> None:
    state = analysed([GOOD] * 5, by=rules())
    verdict = judge(state, rules(maxima={ERRORS: 0.05, FALLBACKS: 0.2}))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.decisive.signal is FALLBACKS


@pytest.mark.parametrize("reason", sorted(UNMEASURED))
def test_missing_data_holds_whatever_the_evidence(reason: Reason) -> None:
    for state in (fresh(rules()), with_evidence(regression=1e9), with_evidence(canary=(100, 0))):
        verdict = unmeasured(state, rules(), reason=reason, detail="no answer in 10 s")
        assert answer(verdict) == (Outcome.NO_DATA, reason)
        assert {row.outcome for row in verdict.signals} == {Outcome.NO_DATA}


def test_missing_data_has_reasons_of_its_own() -> None:
    with pytest.raises(ValueError, match="no reason for missing data"):
        unmeasured(fresh(rules()), rules(), reason=Reason.WITHIN_LIMITS, detail="")


def passes(by: AnalysisRules, *verdicts: RolloutVerdict) -> int:
    state = fresh(by)
    for verdict in verdicts:
        state = with_verdict(state, verdict)
    return state.passes_in_row


def test_passes_in_a_row_are_counted_and_interrupted_by_missing_data() -> None:
    good = judged(*[GOOD] * 5)
    lost = unmeasured(fresh(rules()), rules(), reason=Reason.METRICS_UNAVAILABLE, detail="")
    assert passes(rules(), good, good, good) == 3
    assert passes(rules(), good, good, lost) == 0
    assert passes(rules(), good, judged(GOOD), good) == 1


def test_an_outage_is_remembered_until_stable_is_well() -> None:
    state = with_evidence(regression=1.0, breach=1e9, last_stable_bad=10)
    state = with_verdict(state, judge(state, rules()))
    assert state.signals[ERRORS].shared_outage
    lost = unmeasured(state, rules(), reason=Reason.METRICS_STALE, detail="")
    assert with_verdict(state, lost).signals[ERRORS].shared_outage
