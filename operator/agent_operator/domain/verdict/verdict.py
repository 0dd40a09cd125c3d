"""From evidence to a verdict: a table per signal, first matching row, then the worst signal."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from agent_operator.domain.verdict.counts import Block, TrackCounts
from agent_operator.domain.verdict.evidence import SignalEvidence
from agent_operator.domain.verdict.rules import AnalysisRules
from agent_operator.domain.verdict.signals import DEFINITIONS, Signal
from agent_operator.domain.verdict.state import FULL_WEIGHT, AnalysisState, aligned

EVIDENCE_SHOWN: Final = 1_000_000.0  # more than this says nothing more to people


class Outcome(StrEnum):
    """What a verdict says."""

    FAIL = "Fail"
    NO_DATA = "NoData"
    INCONCLUSIVE = "Inconclusive"
    NOT_JUDGED = "NotJudged"
    PASS = "Pass"  # noqa: S105 (no password)


class Reason(StrEnum):
    """Why, as a condition reason. A Fail has the signal's own, like `ErrorRateRegression`."""

    BOTH_TRACKS_DEGRADED = "BothTracksDegraded"
    ABOVE_MAX_UNCONFIRMED = "AboveMaxUnconfirmed"
    COLLECTING_SESSIONS = "CollectingSessions"
    STABLE_IDLE = "StableIdle"
    WITHIN_LIMITS = "WithinLimits"
    METRICS_UNAVAILABLE = "MetricsUnavailable"
    CONTRACT_NOT_MET = "ContractNotMet"
    STABLE_UNMEASURED = "StableUnmeasured"
    METRICS_STALE = "MetricsStale"


UNMEASURED: Final = frozenset(
    {
        Reason.METRICS_UNAVAILABLE,
        Reason.CONTRACT_NOT_MET,
        Reason.STABLE_UNMEASURED,
        Reason.METRICS_STALE,
    }
)
_BREACHED: Final = (Reason.ABOVE_MAX_UNCONFIRMED, Reason.BOTH_TRACKS_DEGRADED)  # from bad to worse


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalVerdict:
    """One signal's verdict with the numbers it rests on.

    The counts are those that explain it best: of a Fail the stretch (rollout, step or last 100
    sessions) in which the canary stands out most, else those of this step.
    """

    signal: Signal
    outcome: Outcome
    reason: str
    canary: TrackCounts
    stable: TrackCounts
    limit: float | None  # share of requests
    evidence: float  # capped for display, see EVIDENCE_SHOWN
    fail_at: float
    sessions_needed: int
    seconds_needed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutVerdict:
    """The worst of the signals; `decisive` is the signal to talk about."""

    outcome: Outcome
    decisive: SignalVerdict
    signals: tuple[SignalVerdict, ...]
    detail: str = ""  # of NoData: what the reader of the metrics said

    @property
    def reason(self) -> str:
        """CamelCase reason for conditions, events and lastDecision."""
        return self.decisive.reason


@dataclass(frozen=True, slots=True)
class _Situation:
    """One signal's evidence beside the rules and the step it is judged in."""

    signal: Signal
    evidence: SignalEvidence
    state: AnalysisState
    rules: AnalysisRules

    @property
    def is_compared(self) -> bool:
        """Whether stable had sessions beside the canary's last 100; at full weight it gets none."""
        return self.state.weight < FULL_WEIGHT and self.evidence.last_canary.stable.sessions > 0

    @property
    def may_fail(self) -> bool:
        return self.evidence.rollout.canary.sessions >= self.rules.min_sessions_to_fail

    @property
    def is_breached(self) -> bool:
        return self.may_fail and self.evidence.breach.log_evidence >= math.log(self.rules.bar)

    @property
    def sessions_needed(self) -> int:
        return max(0, self.rules.min_sessions - self.evidence.step.canary.sessions)

    @property
    def seconds_needed(self) -> float:
        return max(0.0, self.rules.min_step_seconds - self.state.step_seconds)

    @property
    def stretches(self) -> tuple[Block, ...]:
        return (self.evidence.rollout, self.evidence.step, self.evidence.last_canary)


Finding = tuple[Outcome, str]
Row = Callable[[_Situation], Finding | None]


def _regression(case: _Situation) -> Finding | None:
    log_evidence = case.evidence.regression.log_evidence
    if not case.may_fail or log_evidence < math.log(case.rules.bar):
        return None
    if _most_worse(case).increase < case.rules.min_increase:
        return None
    return Outcome.FAIL, f"{DEFINITIONS[case.signal].reason_prefix}Regression"


def _above_max(case: _Situation) -> Finding | None:
    if not case.is_breached:
        return None
    confirmed = case.evidence.regression.log_evidence >= math.log(case.rules.confirmation)
    if case.is_compared and not confirmed:
        return None
    return Outcome.FAIL, f"{DEFINITIONS[case.signal].reason_prefix}AboveMax"


def _unconfirmed_breach(case: _Situation) -> Finding | None:
    if not case.is_breached:
        return None
    if case.evidence.is_stable_above_limit:
        return Outcome.INCONCLUSIVE, Reason.BOTH_TRACKS_DEGRADED
    return Outcome.INCONCLUSIVE, Reason.ABOVE_MAX_UNCONFIRMED


def _too_early(case: _Situation) -> Finding | None:
    if case.sessions_needed or case.seconds_needed:
        return Outcome.INCONCLUSIVE, Reason.COLLECTING_SESSIONS
    return None


def _nothing_to_judge_by(case: _Situation) -> Finding | None:
    if case.evidence.limit is None and not case.evidence.step.stable.sessions:
        return Outcome.NOT_JUDGED, Reason.STABLE_IDLE
    return None


def _good(case: _Situation) -> Finding | None:
    limit, step = case.evidence.limit, case.evidence.step
    if limit is not None and step.canary.bad_request_share > limit.share:
        return None
    if step.stable.sessions and step.increase > case.rules.min_increase:
        return None
    return Outcome.PASS, Reason.WITHIN_LIMITS


_TABLE: Final[tuple[Row, ...]] = (
    _regression,
    _above_max,
    _unconfirmed_breach,
    _too_early,
    _nothing_to_judge_by,
    _good,
)


def judge(state: AnalysisState, rules: AnalysisRules) -> RolloutVerdict:
    """Judge the candidate at its present weight. A Fail goes back at once; only Pass may step."""
    state = aligned(state, rules)
    verdicts = tuple(
        _signal_verdict(_Situation(signal, evidence, state, rules))
        for signal, evidence in state.signals.items()
    )
    idle_is_fine = state.weight >= FULL_WEIGHT
    worst = max(verdicts, key=lambda verdict: _severity(verdict, idle_is_fine=idle_is_fine))
    outcome = worst.outcome
    if outcome is Outcome.NOT_JUDGED:
        outcome = Outcome.PASS if idle_is_fine else Outcome.INCONCLUSIVE
    return RolloutVerdict(outcome=outcome, decisive=worst, signals=verdicts)


def unmeasured(
    state: AnalysisState, rules: AnalysisRules, *, reason: Reason, detail: str
) -> RolloutVerdict:
    """Give the verdict of an evaluation without data: it holds, whatever the evidence so far.

    `reason` is one of UNMEASURED; `detail` is shown to people and must hold no secret.
    """
    if reason not in UNMEASURED:
        raise ValueError(f"{reason} is no reason for missing data")
    judged = judge(state, rules)
    signals = tuple(
        replace(verdict, outcome=Outcome.NO_DATA, reason=reason) for verdict in judged.signals
    )
    decisive = replace(judged.decisive, outcome=Outcome.NO_DATA, reason=reason)
    return RolloutVerdict(
        outcome=Outcome.NO_DATA, decisive=decisive, signals=signals, detail=detail
    )


def with_verdict(state: AnalysisState, verdict: RolloutVerdict) -> AnalysisState:
    """Keep what later evaluations need of this one: passes in a row, outages of both tracks."""
    degraded = {v.signal for v in verdict.signals if v.reason == Reason.BOTH_TRACKS_DEGRADED}
    signals = {
        signal: replace(evidence, shared_outage=evidence.shared_outage or signal in degraded)
        for signal, evidence in state.signals.items()
    }
    passes = state.passes_in_row + 1 if verdict.outcome is Outcome.PASS else 0
    return replace(state, signals=signals, passes_in_row=passes)


def _signal_verdict(case: _Situation) -> SignalVerdict:
    findings = (row(case) for row in _TABLE)
    otherwise = (Outcome.INCONCLUSIVE, Reason.COLLECTING_SESSIONS)
    outcome, reason = next((finding for finding in findings if finding), otherwise)
    is_breach = reason in _BREACHED or reason.endswith("AboveMax") or not case.is_compared
    wealth = case.evidence.breach if is_breach else case.evidence.regression
    shown = _shown(case, outcome, is_breach=is_breach)
    limit = case.evidence.limit
    return SignalVerdict(
        signal=case.signal,
        outcome=outcome,
        reason=reason,
        canary=shown.canary,
        stable=shown.stable,
        limit=limit.share if limit else None,
        evidence=_plain(wealth.log_evidence),
        fail_at=case.rules.bar,
        sessions_needed=case.sessions_needed,
        seconds_needed=case.seconds_needed,
    )


def _plain(log_evidence: float) -> float:
    if log_evidence >= math.log(EVIDENCE_SHOWN):
        return EVIDENCE_SHOWN
    return math.exp(log_evidence)


def _shown(case: _Situation, outcome: Outcome, *, is_breach: bool) -> Block:
    if outcome is not Outcome.FAIL:
        return case.evidence.step
    if is_breach:
        return max(case.stretches, key=lambda stretch: stretch.canary.bad_request_share)
    return _most_worse(case)


def _most_worse(case: _Situation) -> Block:
    """Give the stretch in which the canary was worst beside stable, of those that had both."""
    compared = [stretch for stretch in case.stretches if stretch.both_started]
    return max(compared, key=lambda stretch: stretch.increase, default=case.evidence.rollout)


def _severity(verdict: SignalVerdict, *, idle_is_fine: bool) -> tuple[int, int, float, int]:
    order = [Outcome.PASS, Outcome.NOT_JUDGED, Outcome.INCONCLUSIVE, Outcome.FAIL]
    rank = order.index(verdict.outcome)
    if verdict.outcome is Outcome.NOT_JUDGED and idle_is_fine:
        rank = -1
    breached = _BREACHED.index(Reason(verdict.reason)) + 1 if verdict.reason in _BREACHED else 0
    return rank, breached, verdict.evidence, verdict.sessions_needed
