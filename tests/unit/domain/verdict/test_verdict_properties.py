"""What holds for every course of a rollout, however strange."""

import json
import math

from hypothesis import given, settings
from hypothesis import strategies as st

from agent_operator.domain.verdict.codec import from_dict, to_dict
from agent_operator.domain.verdict.counts import Block, TrackCounts
from agent_operator.domain.verdict.evidence import Limit, SignalEvidence
from agent_operator.domain.verdict.readings import TrackDelta
from agent_operator.domain.verdict.state import AnalysisState, absorb, fresh, start_step
from agent_operator.domain.verdict.verdict import EVIDENCE_SHOWN, Outcome, judge, with_verdict
from tests.unit.domain.verdict.samples import ERRORS, FALLBACKS, block, rules

BY = rules(maxima={ERRORS: 0.05, FALLBACKS: None})
START = SignalEvidence(limit=Limit(0.05, 0.05))

amount = st.one_of(st.integers(0, 5), st.integers(0, 50), st.integers(0, 10**7))
bad_counts = st.fixed_dictionaries({ERRORS: amount, FALLBACKS: amount})
track_deltas = st.builds(TrackDelta, amount, bad_counts, amount, bad_counts)
ticks = st.lists(
    st.tuples(track_deltas, track_deltas, st.sampled_from([None, None, None, 5, 50, 100])),
    max_size=25,
)
Ticks = list[tuple[TrackDelta, TrackDelta, int | None]]
tracks = st.integers(1, 200).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))
pasts = st.lists(st.tuples(tracks, tracks), max_size=5)
Pasts = list[tuple[tuple[int, int], tuple[int, int]]]


def went_on(state: AnalysisState, course: Ticks, *, restarts: bool = False) -> AnalysisState:
    for canary, stable, weight in course:
        if weight is not None:
            state = start_step(state, weight=weight)
        state = absorb(state, BY, canary=canary, stable=stable, seconds=15.0)
        state = with_verdict(state, judge(state, BY))
        if restarts:
            state = from_dict(json.loads(json.dumps(to_dict(state), allow_nan=False)))
    return state


def after(past: Pasts, start: SignalEvidence = START) -> SignalEvidence:
    for canary, stable in past:
        start = start.absorb(block(canary, stable))
    return start


@given(ticks)
@settings(deadline=None)
def test_evidence_is_always_a_number_and_bad_never_exceeds_started(course: Ticks) -> None:
    for evidence in went_on(start_step(fresh(BY), weight=5), course).signals.values():
        assert math.isfinite(evidence.regression.log_evidence)
        assert math.isfinite(evidence.breach.log_evidence)
        for stretch in (evidence.rollout, evidence.step, evidence.last_canary, evidence.joined):
            for track in (stretch.canary, stretch.stable):
                assert track.bad <= track.sessions
                assert track.bad_requests <= track.requests


@given(ticks)
@settings(deadline=None)
def test_restarts_after_every_evaluation_change_nothing(course: Ticks) -> None:
    start = start_step(fresh(BY), weight=5)
    assert went_on(start, course, restarts=True) == went_on(start, course)


@given(ticks)
@settings(deadline=None)
def test_a_verdict_is_always_given_in_plain_numbers(course: Ticks) -> None:
    verdict = judge(went_on(start_step(fresh(BY), weight=5), course), BY)
    assert verdict.outcome is not Outcome.NOT_JUDGED
    for row in verdict.signals:
        assert 0 <= row.evidence <= EVIDENCE_SHOWN
        assert row.sessions_needed >= 0


@given(pasts, tracks, tracks)
def test_one_more_bad_canary_session_is_never_less_evidence(
    past: Pasts, canary: tuple[int, int], stable: tuple[int, int]
) -> None:
    sessions, bad = canary[0], min(canary[1], canary[0] - 1)
    before = after(past)
    less = before.absorb(block((sessions, bad), stable))
    more = before.absorb(block((sessions, bad + 1), stable))
    assert more.regression.log_evidence >= less.regression.log_evidence
    assert more.breach.log_evidence >= less.breach.log_evidence


@given(pasts, tracks, tracks)
def test_one_more_bad_stable_session_is_never_more_evidence(
    past: Pasts, canary: tuple[int, int], stable: tuple[int, int]
) -> None:
    sessions, bad = stable[0], min(stable[1], stable[0] - 1)
    before = after(past)
    less = before.absorb(block(canary, (sessions, bad)))
    more = before.absorb(block(canary, (sessions, bad + 1)))
    assert more.regression.log_evidence <= less.regression.log_evidence
    assert more.breach == less.breach


@given(st.lists(st.tuples(st.integers(0, 10), st.integers(1, 8), st.integers(1, 40)), max_size=30))
def test_whatever_befalls_both_tracks_alike_is_no_evidence(
    tenths: list[tuple[int, int, int]],
) -> None:
    evidence = after(
        [
            ((10 * canary, bad * canary), (10 * stable, bad * stable))
            for bad, canary, stable in tenths
        ]
    )
    assert evidence.regression.log_evidence <= 1e-6


@given(st.lists(tracks, min_size=1, max_size=20))
def test_blocks_apart_or_joined_count_the_same_sessions(canaries: list[tuple[int, int]]) -> None:
    evidence = START
    for sessions, bad in canaries:
        evidence = evidence.absorb(Block(TrackCounts(sessions, bad, sessions, bad), TrackCounts()))
    assert evidence.joined.canary == evidence.rollout.canary
    joined = evidence.absorb(block((0, 0), (1, 0)))
    sums = evidence.rollout.canary
    assert joined.regression == START.absorb(block((sums.sessions, sums.bad), (1, 0))).regression
