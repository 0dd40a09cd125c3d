"""The sequential test against reference values calculated independently."""

import math

import pytest

from agent_operator.domain.verdict.wealth import (
    LIFTS,
    UNTOUCHED,
    Wealth,
    breach_gains,
    regression_gains,
)

NO_GAINS = (0.0,) * len(LIFTS)


def log_mean(wealth: Wealth) -> float:
    """The x of the reference values; evidence is (e^x + 1) / 2 until the first fresh stake."""
    return math.log(2 * math.exp(wealth.log_evidence) - 1)


def test_two_samples_give_the_reference_values() -> None:
    wealth, bad, sessions = UNTOUCHED, 0.5, 10
    blocks = [(5, 0, 20, 1), (5, 2, 20, 0), (5, 2, 20, 1), (10, 4, 40, 1)]
    values = []
    for n_canary, b_canary, n_stable, b_stable in blocks:
        canary, stable = (n_canary, b_canary), (n_stable, b_stable)
        gains = regression_gains(canary, stable, stable_rate=bad / sessions)
        wealth = wealth.after(gains, sessions=n_canary)
        values.append(log_mean(wealth))
        bad, sessions = bad + b_stable, sessions + n_stable
    assert values == pytest.approx([-0.757310, 1.053014, 2.543279, 6.623068], abs=1e-6)


def test_one_sample_gives_the_reference_values() -> None:
    wealth = UNTOUCHED
    values = []
    for sessions, bad in [(10, 1), (10, 2), (10, 3)]:
        wealth = wealth.after(breach_gains(sessions, bad, limit=0.05), sessions=sessions)
        values.append(log_mean(wealth))
    assert values == pytest.approx([-0.462668, 0.646529, 3.201154], abs=1e-6)


def test_evidence_starts_at_one() -> None:
    assert math.exp(UNTOUCHED.log_evidence) == pytest.approx(1)


@pytest.mark.parametrize("stretches", [[300], [299, 1], [1, 299, 300], [900], [400, 400, 400]])
def test_fresh_stakes_neither_make_nor_lose_money(stretches: list[int]) -> None:
    wealth = UNTOUCHED
    for sessions in stretches:
        wealth = wealth.after(NO_GAINS, sessions=sessions)
    assert math.exp(wealth.log_evidence) == pytest.approx(1)


@pytest.mark.parametrize(("sessions", "bet"), [(299, 1 / 2), (300, 3 / 4), (600, 5 / 6)])
def test_stake_number_j_is_half_of_one_over_j_less_one_over_j_plus_one(
    sessions: int, bet: float
) -> None:
    wealth = UNTOUCHED.after(NO_GAINS, sessions=sessions)
    assert sum(math.exp(log) for log in wealth.logs) == pytest.approx(bet)


def test_one_block_may_complete_several_stakes() -> None:
    at_once = UNTOUCHED.after(NO_GAINS, sessions=900)
    one_by_one = UNTOUCHED
    for _ in range(3):
        one_by_one = one_by_one.after(NO_GAINS, sessions=300)
    assert at_once.logs == pytest.approx(one_by_one.logs, abs=1e-7)


def test_a_long_good_canary_builds_up_no_debt() -> None:
    wealth = UNTOUCHED
    for _ in range(100):
        wealth = wealth.after(breach_gains(100, 0, limit=0.05), sessions=100)
    for _ in range(40):
        wealth = wealth.after(breach_gains(1, 1, limit=0.05), sessions=1)
    assert wealth.log_evidence > math.log(280)


def test_evidence_of_a_very_bad_canary_stays_a_number() -> None:
    wealth = UNTOUCHED.after(breach_gains(1_000_000, 1_000_000, limit=0.001), sessions=1_000_000)
    assert wealth.log_evidence > 1_000_000
    assert math.isfinite(wealth.log_evidence)
