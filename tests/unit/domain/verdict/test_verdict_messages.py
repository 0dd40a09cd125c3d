"""The sentence about a verdict, word for word."""

from dataclasses import replace

import pytest

from agent_operator.domain.verdict.counts import TrackCounts
from agent_operator.domain.verdict.messages import sentence, signal_sentence
from agent_operator.domain.verdict.signals import Signal
from agent_operator.domain.verdict.verdict import Outcome, Reason, RolloutVerdict, SignalVerdict

FAILED = SignalVerdict(
    signal=Signal.FALLBACK_RATE,
    outcome=Outcome.FAIL,
    reason="FallbackRateRegression",
    canary=TrackCounts(31, 12, 60, 12),
    stable=TrackCounts(588, 14, 1200, 20),
    limit=0.2,
    evidence=540.4,
    fail_at=280.0,
    sessions_needed=19,
    seconds_needed=0.0,
)
PASSED = replace(
    FAILED,
    outcome=Outcome.PASS,
    reason=Reason.WITHIN_LIMITS,
    canary=TrackCounts(83, 2, 160, 2),
    evidence=0.42,
    sessions_needed=0,
)
COLLECTING = replace(PASSED, outcome=Outcome.INCONCLUSIVE, reason=Reason.COLLECTING_SESSIONS)


def said(verdict: SignalVerdict) -> str:
    return signal_sentence(verdict, candidate="9ab2", stable="1f0c")


def test_a_regression_is_said_with_counts_evidence_and_bar() -> None:
    assert said(FAILED) == (
        "fallbackRate 12/31 sessions on 9ab2 against 14/588 on 1f0c, evidence 540 (fails at 280)"
    )


def test_a_broken_limit_is_said_in_requests() -> None:
    verdict = replace(FAILED, reason="FallbackRateAboveMax", canary=TrackCounts(31, 12, 60, 17))
    assert said(verdict) == (
        "fallbackRate 12/31 sessions on 9ab2 against 14/588 on 1f0c, 28.3 % of its requests "
        "(limit 20 %), evidence 540 (fails at 280)"
    )


def test_an_idle_stable_is_said() -> None:
    verdict = replace(PASSED, stable=TrackCounts())
    assert said(verdict) == (
        "fallbackRate 2/83 sessions on 9ab2, no sessions on 1f0c to compare with, "
        "evidence 0.4 (fails at 280)"
    )


def test_a_signal_without_limit_speaks_of_none() -> None:
    verdict = replace(FAILED, limit=None, canary=TrackCounts(31, 31, 60, 60))
    assert "limit" not in said(verdict)


def test_evidence_beyond_imagination_is_cut() -> None:
    assert "evidence over 1000000 (fails at 280)" in said(replace(FAILED, evidence=1e6))


@pytest.mark.parametrize(
    ("verdict", "ending"),
    [
        (PASSED, "(fails at 280)"),
        (replace(COLLECTING, sessions_needed=17, seconds_needed=9), ", 17 more sessions needed"),
        (replace(COLLECTING, seconds_needed=75.4), ", 75 more seconds of measured time needed"),
        (COLLECTING, ", too many bad to go on, too few to go back"),
        (
            replace(COLLECTING, reason=Reason.BOTH_TRACKS_DEGRADED),
            "(limit 20 %), evidence 0.4 (fails at 280), "
            "both revisions are above the limit, going back can't help",
        ),
        (
            replace(COLLECTING, reason=Reason.ABOVE_MAX_UNCONFIRMED),
            ", above the limit but not shown to be worse than the other revision",
        ),
    ],
)
def test_what_is_missing_ends_the_sentence(verdict: SignalVerdict, ending: str) -> None:
    assert said(verdict).endswith(ending)


def test_the_rollout_speaks_of_its_decisive_signal() -> None:
    other = replace(PASSED, signal=Signal.ERROR_RATE)
    verdict = RolloutVerdict(outcome=Outcome.FAIL, decisive=FAILED, signals=(other, FAILED))
    assert sentence(verdict, candidate="9ab2", stable="1f0c") == said(FAILED)


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (Reason.METRICS_UNAVAILABLE, "the metrics source gave no usable answer: HTTP 503"),
        (Reason.CONTRACT_NOT_MET, "9ab2 exports no agent session counters: HTTP 503"),
        (
            Reason.STABLE_UNMEASURED,
            "1f0c has ready pods but its counters can't be read: HTTP 503",
        ),
        (Reason.METRICS_STALE, "the counters of 9ab2 are too old: HTTP 503"),
    ],
)
def test_missing_data_is_said_with_what_the_reader_knows(reason: Reason, text: str) -> None:
    decisive = replace(PASSED, outcome=Outcome.NO_DATA, reason=reason)
    verdict = RolloutVerdict(
        outcome=Outcome.NO_DATA, decisive=decisive, signals=(decisive,), detail="HTTP 503"
    )
    assert sentence(verdict, candidate="9ab2", stable="1f0c") == text
    silent = replace(verdict, detail="")
    assert sentence(silent, candidate="9ab2", stable="1f0c") == text.removesuffix(": HTTP 503")
