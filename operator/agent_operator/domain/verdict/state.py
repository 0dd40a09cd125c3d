"""Everything the analysis keeps about one candidate between evaluations.

Life: fresh at CanaryStarting, start_step at every weight that was read back, absorb at every good
reading, then judge and with_verdict (verdict.py); dropped when candidate or stable changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from agent_operator.domain.verdict.counts import Block, TrackCounts, track_counts
from agent_operator.domain.verdict.evidence import Limit, SignalEvidence, StablePrior
from agent_operator.domain.verdict.readings import TrackDelta
from agent_operator.domain.verdict.rules import AnalysisRules
from agent_operator.domain.verdict.signals import Signal

FULL_WEIGHT: Final = 100
_PRIOR_SESSIONS: Final = 100  # stable's past weighs at most so much
_SHARE_SESSIONS: Final = 200  # below this stable's past share is no reason to raise a limit
_HIGHEST_LIMIT: Final = 0.999


@dataclass(frozen=True, slots=True)
class AnalysisState:
    """Evidence per signal, evaluated time and sessions of one candidate at its present weight."""

    signals: Mapping[Signal, SignalEvidence]
    weight: int = 0  # asked for the candidate; at 100 nothing concurrent is left to compare
    step_sessions: int = 0  # started by the candidate at this weight
    step_seconds: float = 0.0  # evaluated at this weight
    rollout_seconds: float = 0.0
    passes_in_row: int = 0

    @property
    def raised_limits(self) -> Mapping[Signal, Limit]:
        """Limits set above the spec's max because stable itself is above it (`MaxBelowStable`)."""
        limits = {signal: evidence.limit for signal, evidence in self.signals.items()}
        return {signal: limit for signal, limit in limits.items() if limit and limit.is_raised}


def fresh(rules: AnalysisRules, stable_baseline: TrackDelta | None = None) -> AnalysisState:
    """Begin without evidence; the baseline is what stable counted in the last 24 hours."""
    return AnalysisState(
        {signal: _fresh_signal(signal, rules, stable_baseline) for signal in rules.maxima}
    )


def start_step(state: AnalysisState, *, weight: int) -> AnalysisState:
    """Start sums, clock and passes of a new weight; evidence is kept."""
    fell = weight < state.weight
    signals = {s: e.at_new_weight(weight_fell=fell) for s, e in state.signals.items()}
    return replace(
        state, signals=signals, weight=weight, step_sessions=0, step_seconds=0.0, passes_in_row=0
    )


def absorb(
    state: AnalysisState,
    rules: AnalysisRules,
    *,
    canary: TrackDelta,
    stable: TrackDelta,
    seconds: float,
) -> AnalysisState:
    """Take in what both tracks counted in the `seconds` since the last good evaluation.

    Of a longer gap only two intervals are evaluated time: an outage of the operator or of the
    metrics is no time in which the candidate proved itself.
    """
    evaluated = min(max(seconds, 0.0), 2 * rules.interval_seconds)
    signals = {}
    for signal, evidence in aligned(state, rules).signals.items():
        block = Block(track_counts(canary, signal), track_counts(stable, signal))
        signals[signal] = evidence.absorb(block)
    return replace(
        state,
        signals=signals,
        step_sessions=state.step_sessions + canary.sessions_started,
        step_seconds=round(state.step_seconds + evaluated, 3),
        rollout_seconds=round(state.rollout_seconds + evaluated, 3),
    )


def aligned(state: AnalysisState, rules: AnalysisRules) -> AnalysisState:
    """Follow the rules of now: new signals begin, others end, a changed max sets its limit anew."""
    signals = {}
    for signal, maximum in rules.maxima.items():
        evidence = state.signals.get(signal)
        if evidence is None:
            evidence = _fresh_signal(signal, rules, None)
        elif maximum != (evidence.limit.maximum if evidence.limit else None):
            limit = _limit(maximum, evidence.stable_share, rules.min_increase)
            evidence = evidence.with_limit(limit)
        signals[signal] = evidence
    return replace(state, signals=signals)


def _fresh_signal(
    signal: Signal, rules: AnalysisRules, stable_baseline: TrackDelta | None
) -> SignalEvidence:
    past = track_counts(stable_baseline, signal) if stable_baseline else TrackCounts()
    share = past.bad_request_share if past.sessions >= _SHARE_SESSIONS else None
    return SignalEvidence(
        limit=_limit(rules.maxima[signal], share, rules.min_increase),
        stable_share=share,
        prior=_prior(past),
    )


def _prior(past: TrackCounts) -> StablePrior:
    if not past.sessions:
        return StablePrior()
    scale = min(1.0, _PRIOR_SESSIONS / past.sessions)
    bad = min(past.bad, past.sessions) * scale
    return StablePrior(bad=round(0.5 + bad, 6), sessions=round(25 + past.sessions * scale, 6))


def _limit(maximum: float | None, stable_share: float | None, min_increase: float) -> Limit | None:
    if maximum is None:
        return None
    if stable_share is None or stable_share <= maximum:
        return Limit(maximum, maximum)
    raised = min(stable_share + min_increase, _HIGHEST_LIMIT)
    return Limit(maximum, max(maximum, round(raised, 6)))
