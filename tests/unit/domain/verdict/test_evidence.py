"""Evidence about one signal over blocks: joining, carry, waiting requests, windows, outages."""

import math
from dataclasses import replace

import pytest

from agent_operator.domain.verdict.counts import EMPTY_BLOCK, Block, TrackCounts
from agent_operator.domain.verdict.evidence import Limit, SignalEvidence, StablePrior
from agent_operator.domain.verdict.wealth import UNTOUCHED, Wealth, breach_gains, regression_gains
from tests.unit.domain.verdict.samples import block

START = SignalEvidence(limit=Limit(0.05, 0.05))
Pair = tuple[int, int]


def after(*blocks: tuple[Pair, Pair], start: SignalEvidence = START) -> SignalEvidence:
    for canary, stable in blocks:
        start = start.absorb(block(canary, stable))
    return start


def log_mean(wealth: Wealth) -> float:
    return math.log(2 * math.exp(wealth.log_evidence) - 1)


def test_blocks_of_both_tracks_give_the_reference_values() -> None:
    blocks = [((5, 0), (20, 1)), ((5, 2), (20, 0)), ((5, 2), (20, 1)), ((10, 4), (40, 1))]
    values = [log_mean(after(*blocks[: i + 1]).regression) for i in range(4)]
    assert values == pytest.approx([-0.757310, 1.053014, 2.543279, 6.623068], abs=1e-6)


def test_blocks_of_the_canary_alone_give_the_reference_values() -> None:
    blocks = [((10, 1), (0, 0)), ((10, 2), (0, 0)), ((10, 3), (0, 0))]
    values = [log_mean(after(*blocks[: i + 1]).breach) for i in range(3)]
    assert values == pytest.approx([-0.462668, 0.646529, 3.201154], abs=1e-6)


def test_blocks_are_joined_until_both_tracks_have_a_session() -> None:
    apart = after(((1, 1), (0, 0)), ((0, 0), (0, 0)), ((2, 0), (0, 0)), ((0, 0), (9, 1)))
    assert apart.regression == after(((3, 1), (9, 1))).regression
    assert apart.joined == EMPTY_BLOCK


def test_a_canary_without_stable_sessions_is_not_compared() -> None:
    evidence = after(((10, 10), (0, 0)))
    assert evidence.regression == UNTOUCHED
    assert evidence.joined.canary.sessions == 10


def test_the_estimate_of_stable_knows_only_earlier_blocks() -> None:
    first = after(((1, 0), (20, 10)))
    gains = regression_gains((1, 0), (20, 10), stable_rate=0.05)
    assert first.regression == UNTOUCHED.after(gains, sessions=1)
    assert first.stable_rate == pytest.approx(10.5 / 30)


def test_blocks_that_wait_are_not_in_the_estimate() -> None:
    assert after(((0, 0), (20, 10))).stable_rate == pytest.approx(0.05)


def test_the_estimate_of_stable_starts_from_its_past() -> None:
    evidence = SignalEvidence(prior=StablePrior(bad=8.5, sessions=125))
    assert evidence.stable_rate == pytest.approx(0.068)


@pytest.mark.parametrize(("bad", "rate"), [(0, 0.001), (10_000, 0.95)])
def test_the_estimate_of_stable_stays_away_from_zero_and_one(bad: int, rate: float) -> None:
    assert after(((1, 0), (10_000, bad))).stable_rate == rate


def test_a_late_bad_turn_is_evidence_with_the_next_session() -> None:
    late = START.absorb(Block(TrackCounts(0, 1, 1, 1), TrackCounts()))
    assert late.rollout.canary.bad == 0
    late = late.absorb(Block(TrackCounts(1, 0, 1, 0), TrackCounts(5, 0, 5, 0)))
    assert late.regression == after(((1, 1), (5, 0))).regression
    assert late.carry == EMPTY_BLOCK


def test_breach_weighs_sessions_by_the_share_of_bad_requests() -> None:
    evidence = START.absorb(Block(TrackCounts(4, 1, 40, 10), TrackCounts()))
    assert evidence.breach == UNTOUCHED.after(breach_gains(4, 1.0, limit=0.05), sessions=4)


def test_requests_without_a_started_session_wait() -> None:
    later_turns = START.absorb(Block(TrackCounts(0, 0, 30, 10), TrackCounts()))
    assert later_turns.breach == UNTOUCHED
    evidence = later_turns.absorb(Block(TrackCounts(4, 0, 10, 0), TrackCounts()))
    assert evidence.breach == UNTOUCHED.after(breach_gains(4, 1.0, limit=0.05), sessions=4)
    assert evidence.waiting == TrackCounts()


def test_sessions_without_a_request_wait() -> None:
    evidence = START.absorb(Block(TrackCounts(2, 0, 0, 0), TrackCounts()))
    assert evidence.breach == UNTOUCHED
    assert evidence.waiting.sessions == 2


def test_a_signal_without_limit_has_no_breach_and_nothing_waits_for_it() -> None:
    evidence = after(((10, 10), (5, 0)), start=SignalEvidence())
    assert evidence.breach == UNTOUCHED
    assert evidence.waiting == TrackCounts()
    assert not evidence.is_stable_above_limit


def test_another_limit_resets_breach_and_keeps_regression() -> None:
    evidence = after(((10, 5), (50, 1)))
    changed = evidence.with_limit(Limit(0.1, 0.1))
    assert changed.breach == UNTOUCHED
    assert changed.regression == evidence.regression
    assert changed.limit == Limit(0.1, 0.1)


def test_a_new_weight_restarts_the_sums_of_the_step_only() -> None:
    before = after(((10, 5), (0, 0)))
    risen = before.at_new_weight(weight_fell=False)
    assert risen == replace(before, step=EMPTY_BLOCK)
    assert risen.joined.canary.sessions == 10


def test_a_fallen_weight_drops_what_is_carried_and_joined() -> None:
    before = START.absorb(Block(TrackCounts(1, 3, 3, 3), TrackCounts()))
    fallen = before.at_new_weight(weight_fell=True)
    assert (fallen.joined, fallen.carry, fallen.step) == (EMPTY_BLOCK,) * 3
    assert fallen.rollout == before.rollout


def test_windows_hold_the_last_hundred_and_fifty_sessions() -> None:
    evidence = after(*[((20, 20), (10, 10))] * 10, *[((20, 0), (10, 0))] * 5)
    assert evidence.last_canary.canary == TrackCounts(100, 0, 100, 0)
    assert evidence.last_canary.stable == TrackCounts(50, 0, 50, 0)
    assert evidence.last_stable == TrackCounts(50, 0, 50, 0)
    assert evidence.rollout.canary == TrackCounts(300, 200, 300, 200)


def test_an_outage_of_both_tracks_is_forgotten_once_stable_is_well_again() -> None:
    during = replace(after(((30, 15), (60, 30))), shared_outage=True)
    still = after(((5, 2), (10, 5)), start=during)
    assert still.shared_outage
    assert still.breach != UNTOUCHED
    over = after(((5, 0), (60, 0)), start=still)
    assert (over.breach, over.step, over.shared_outage) == (UNTOUCHED, EMPTY_BLOCK, False)
    assert over.regression != UNTOUCHED
    assert over.rollout.canary.sessions == 40


def test_a_limit_above_the_maximum_is_called_raised() -> None:
    assert Limit(0.05, 0.1).is_raised
    assert not Limit(0.05, 0.05).is_raised
