"""Counts of one signal: never more bad than started, and windows that forget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_operator.domain.verdict.counts import Block, TrackCounts, slid, track_counts
from agent_operator.domain.verdict.readings import NOTHING, TrackDelta
from agent_operator.domain.verdict.signals import Signal

small = st.integers(0, 30)
any_counts = st.builds(TrackCounts, small, small, small, small)


def sessions(counts: TrackCounts) -> int:
    return counts.sessions


@pytest.mark.parametrize("field", ["sessions", "bad", "requests", "bad_requests"])
def test_negative_counts_are_refused(field: str) -> None:
    with pytest.raises(ValueError, match="never negative"):
        TrackCounts(**{field: -1})


def test_rates_without_sessions_or_requests_are_zero() -> None:
    assert TrackCounts(bad=2, bad_requests=2).bad_session_rate == 0
    assert TrackCounts(bad=2, bad_requests=2).bad_request_share == 0


def test_increase_is_the_difference_of_bad_session_rates() -> None:
    block = Block(TrackCounts(10, 3, 100, 0), TrackCounts(100, 10, 1000, 999))
    assert block.increase == pytest.approx(0.2)


def test_tracks_are_compared_only_if_both_have_a_session() -> None:
    one = TrackCounts(sessions=1)
    assert Block(one, one).both_started
    assert not Block(one, TrackCounts()).both_started
    assert not Block(TrackCounts(), one).both_started


def test_a_late_bad_turn_waits_for_the_next_started_session() -> None:
    judged, carry = TrackCounts(0, 2, 3, 2).with_carry(TrackCounts())
    assert judged == TrackCounts(0, 0, 3, 2)
    judged, carry = TrackCounts(1, 0, 1, 0).with_carry(carry)
    assert judged == TrackCounts(1, 1, 1, 0)
    assert carry == TrackCounts(bad=1)


def test_a_bad_request_scraped_before_its_request_waits() -> None:
    judged, carry = TrackCounts(1, 1, 0, 1).with_carry(TrackCounts())
    assert (judged.bad_requests, carry.bad_requests) == (0, 1)
    judged, carry = TrackCounts(0, 0, 1, 0).with_carry(carry)
    assert (judged.bad_requests, carry.bad_requests) == (1, 0)


@given(st.lists(any_counts))
def test_carry_loses_no_bad_and_never_exceeds_what_started(blocks: list[TrackCounts]) -> None:
    carry, judged_sum = TrackCounts(), TrackCounts()
    for counts in blocks:
        judged, carry = counts.with_carry(carry)
        assert judged.bad <= judged.sessions == counts.sessions
        assert judged.bad_requests <= judged.requests == counts.requests
        judged_sum += judged
    assert judged_sum.bad + carry.bad == sum(counts.bad for counts in blocks)
    assert judged_sum.bad_requests + carry.bad_requests == sum(c.bad_requests for c in blocks)


def test_one_signal_is_taken_out_of_a_delta() -> None:
    bad = {Signal.ERROR_RATE: 1, Signal.FALLBACK_RATE: 2}
    requests_bad = {Signal.ERROR_RATE: 3, Signal.FALLBACK_RATE: 4}
    delta = TrackDelta(10, bad, 20, requests_bad)
    assert track_counts(delta, Signal.FALLBACK_RATE) == TrackCounts(10, 2, 20, 4)
    assert track_counts(NOTHING, Signal.FALLBACK_RATE) == TrackCounts()


@given(st.lists(any_counts, min_size=1))
def test_a_window_is_the_end_of_what_was_counted_and_small(blocks: list[TrackCounts]) -> None:
    window: tuple[TrackCounts, ...] = ()
    for counts in blocks:
        window = slid(window, counts, keep=50, sessions=sessions)
    assert sum(map(sessions, window)) >= min(50, sum(map(sessions, blocks)))
    assert sum(map(sessions, window[1:])) < 50
    assert len(window) <= 7
    tails = [sum(blocks[i:], TrackCounts()) for i in range(len(blocks) + 1)]
    assert sum(window, TrackCounts()) in tails


def test_a_window_of_single_sessions_spans_at_most_a_fifth_more() -> None:
    window: tuple[TrackCounts, ...] = ()
    for _ in range(500):
        window = slid(window, TrackCounts(sessions=1), keep=100, sessions=sessions)
        assert sum(map(sessions, window)) <= 120


def test_idle_time_leaves_a_window_as_it_is() -> None:
    window = (TrackCounts(sessions=20),)
    assert slid(window, TrackCounts(), keep=100, sessions=sessions) is window
