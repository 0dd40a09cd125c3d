"""State to status and back: what the state machine remembers survives a restart unchanged.

Times are whole seconds in status, so passes decide with whole seconds too.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from agent_operator.api import v1alpha1 as api
from agent_operator.domain.rollout.rules import RolloutRules
from agent_operator.domain.rollout.state import (
    LIVE,
    Draining,
    Rejection,
    RolloutState,
    State,
)
from agent_operator.domain.verdict import codec
from agent_operator.domain.verdict.state import AnalysisState, fresh, start_step


def timestamp(seconds: float) -> datetime:
    """Return Unix seconds as a UTC time."""
    return datetime.fromtimestamp(seconds, tz=UTC)


def maybe_timestamp(seconds: float | None) -> datetime | None:
    """Return Unix seconds as a UTC time, None for None."""
    return None if seconds is None else timestamp(seconds)


def evidence_of(state: RolloutState) -> dict[str, Any] | None:
    """Return what `status.evidence` keeps; None without evidence."""
    if state.analysis is None:
        return None
    evidence: dict[str, Any] = {"analysis": codec.to_dict(state.analysis)}
    if state.measured_at is not None:
        evidence["measuredAt"] = state.measured_at
    return evidence


def state_of(status: api.AgentDeploymentStatus | None, rules: RolloutRules) -> RolloutState:
    """Return the state that a status remembers; an empty status is a new beginning.

    Evidence that cannot be read starts afresh: the candidate then collects sessions again.
    """
    if status is None or status.rollout is None:
        return RolloutState()
    rollout = status.rollout
    state = State(rollout.state.value)
    evidence = status.evidence or {}
    measured_at = evidence.get("measuredAt")
    return RolloutState(
        state=state,
        stable=status.stable_revision,
        candidate=status.candidate_revision,
        step=max(0, rollout.step - 1),
        weight=rollout.weight,
        attempt=rollout.attempt,
        started_at=_seconds(rollout.started_at),
        step_started_at=_seconds(rollout.step_started_at),
        progress_since=_seconds(rollout.progress_since),
        stable_size=rollout.stable_size,
        measured_at=float(measured_at) if isinstance(measured_at, int | float) else None,
        analysis=_analysis(evidence, rollout, rules) if state in LIVE else None,
        rejected=_rejection(status.rejected),
        draining=tuple(
            Draining(entry.revision, entry.since.timestamp(), entry.deadline.timestamp())
            for entry in status.draining
        ),
    )


def evidence_problem(status: api.AgentDeploymentStatus | None) -> str | None:
    """Say why the evidence of a live candidate cannot be read; None when it can."""
    if status is None or status.rollout is None or State(status.rollout.state.value) not in LIVE:
        return None
    try:
        _stored_analysis(status.evidence or {})
    except ValueError as error:
        return f"{error}; the candidate collects its sessions again"
    return None


def _analysis(
    evidence: Mapping[str, Any], rollout: api.RolloutStatus, rules: RolloutRules
) -> AnalysisState:
    try:
        return _stored_analysis(evidence)
    except ValueError:
        # No evidence is safe, it can only delay a promotion; `evidence_problem` says so.
        return start_step(fresh(rules.analysis), weight=rollout.weight)


def _stored_analysis(evidence: Mapping[str, Any]) -> AnalysisState:
    analysis = evidence.get("analysis")
    if not isinstance(analysis, Mapping):
        raise ValueError("status.evidence is missing")
    return codec.from_dict(analysis)


def _rejection(rejected: api.RejectedStatus | None) -> Rejection | None:
    if rejected is None:
        return None
    return Rejection(
        rejected.revision,
        rejected.reason,
        rejected.message,
        rejected.time.timestamp(),
        rejected.generation,
    )


def _seconds(time: datetime | None) -> float | None:
    return None if time is None else time.timestamp()
