"""The sentence about a verdict; status, events and log all use these words."""

from agent_operator.domain.verdict.counts import TrackCounts
from agent_operator.domain.verdict.state import AnalysisState
from agent_operator.domain.verdict.verdict import (
    EVIDENCE_SHOWN,
    Outcome,
    Reason,
    RolloutVerdict,
    SignalVerdict,
)

_UNMEASURED_TEXTS = {
    Reason.METRICS_UNAVAILABLE: "the metrics source gave no usable answer",
    Reason.CONTRACT_NOT_MET: "{candidate} exports no agent session counters",
    Reason.STABLE_UNMEASURED: "{stable} has ready pods but its counters can't be read",
    Reason.METRICS_STALE: "the counters of {candidate} are too old",
}


def sentence(verdict: RolloutVerdict, *, candidate: str, stable: str) -> str:
    """Say in one sentence why the rollout goes on, holds or goes back; names are revisions.

    The caller appends what is done about it and what to do next.
    """
    if verdict.outcome is Outcome.NO_DATA:
        text = _UNMEASURED_TEXTS[Reason(verdict.reason)].format(candidate=candidate, stable=stable)
        return f"{text}: {verdict.detail}" if verdict.detail else text
    return signal_sentence(verdict.decisive, candidate=candidate, stable=stable)


def summary(analysis: AnalysisState, *, candidate: str, stable: str) -> str:
    """Say what each signal counted over the whole rollout; names are revisions."""
    parts = []
    for signal, evidence in analysis.signals.items():
        rollout = evidence.rollout
        against = f"{rollout.stable.bad}/{rollout.stable.sessions} on {stable}"
        parts.append(f"{signal} {_sessions(rollout.canary)} on {candidate} against {against}")
    return ", ".join(parts)


def signal_sentence(verdict: SignalVerdict, *, candidate: str, stable: str) -> str:
    """Say what one measured signal shows: counts of both revisions, evidence, what is missing."""
    parts = [f"{verdict.signal} {_sessions(verdict.canary)} on {candidate}"]
    if verdict.stable.sessions:
        parts[0] += f" against {verdict.stable.bad}/{verdict.stable.sessions} on {stable}"
    else:
        parts[0] += f", no sessions on {stable} to compare with"
    if verdict.limit is not None and _is_about_limit(verdict):
        share = _percent(verdict.canary.bad_request_share)
        parts.append(f"{share} of its requests (limit {_percent(verdict.limit)})")
    parts.append(f"evidence {_plain(verdict.evidence)} (fails at {_plain(verdict.fail_at)})")
    return ", ".join([*parts, *_remarks(verdict)])


def _is_about_limit(verdict: SignalVerdict) -> bool:
    return verdict.limit is not None and (
        verdict.reason.endswith("AboveMax")
        or verdict.reason in (Reason.BOTH_TRACKS_DEGRADED, Reason.ABOVE_MAX_UNCONFIRMED)
        or verdict.canary.bad_request_share > verdict.limit
    )


def _remarks(verdict: SignalVerdict) -> list[str]:
    match verdict.reason:
        case Reason.BOTH_TRACKS_DEGRADED:
            return ["both revisions are above the limit, going back can't help"]
        case Reason.ABOVE_MAX_UNCONFIRMED:
            return ["above the limit but not shown to be worse than the other revision"]
        case Reason.COLLECTING_SESSIONS:
            return [_missing(verdict)]
        case _:
            return []


def _missing(verdict: SignalVerdict) -> str:
    if verdict.sessions_needed:
        return f"{verdict.sessions_needed} more sessions needed"
    if verdict.seconds_needed:
        return f"{verdict.seconds_needed:.0f} more seconds of measured time needed"
    return "too many bad to go on, too few to go back"


def _sessions(counts: TrackCounts) -> str:
    return f"{counts.bad}/{counts.sessions} sessions"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _plain(evidence: float) -> str:
    if evidence >= EVIDENCE_SHOWN:
        return f"over {EVIDENCE_SHOWN:.0f}"
    return f"{evidence:.0f}" if evidence >= 10 else f"{evidence:.1f}"
