"""The status of an AgentDeployment from one decision: the only place that writes its fields."""

from collections.abc import Mapping
from dataclasses import dataclass

from agent_operator.api import v1alpha1 as api
from agent_operator.domain.conditions import Situation, conditions_of, is_stalled
from agent_operator.domain.revision import changed_axes
from agent_operator.domain.rollout.codec import evidence_of, maybe_timestamp, timestamp
from agent_operator.domain.rollout.rules import RolloutRules
from agent_operator.domain.rollout.state import LIVE, Action, RolloutState, State
from agent_operator.domain.rollout.traffic import effective_weight
from agent_operator.domain.serving import Snapshot
from agent_operator.domain.verdict.verdict import SignalVerdict

HISTORY_ENTRIES = 5

_PHASES: Mapping[State, api.Phase] = {
    State.INITIALIZING: api.Phase.PENDING,
    State.STABLE: api.Phase.STABLE,
    State.CANARY_STARTING: api.Phase.CANARY,
    State.STEPPING: api.Phase.CANARY,
    State.PROMOTING: api.Phase.PROMOTING,
    State.ROLLING_BACK: api.Phase.ROLLING_BACK,
}
# Part of every healthy rollout: no reason to call it held, and no news.
TRANSIENT = frozenset(
    {
        "CollectingSessions",
        "ConfirmingPass",
        "RoutePending",
        "ScalingCandidate",
        "StableIdle",
        "WaitingForMetrics",
        "WithinLimits",
        "WeightNotInForce",
    }
)


@dataclass(frozen=True, slots=True)
class StatusInput:
    """What a status is made from: situation, rules, frozen revisions and the status so far."""

    situation: Situation
    rules: RolloutRules
    snapshots: Mapping[str, Snapshot]
    previous: api.AgentDeploymentStatus


def status_of(given: StatusInput) -> api.AgentDeploymentStatus:
    """Return the status after a decision; equal inputs give an equal status."""
    situation = given.situation
    state = situation.decision.state
    return api.AgentDeploymentStatus(
        observed_generation=situation.seen.generation,
        phase=_phase(situation),
        stable_revision=state.stable,
        candidate_revision=state.candidate,
        changed_axes=_changed_axes(given),
        rollout=_rollout(given),
        analysis=_analysis(given),
        evidence=evidence_of(state),
        last_decision=_last_decision(given),
        rejected=_rejected(state),
        draining=tuple(
            api.DrainingStatus(
                revision=entry.revision,
                since=timestamp(entry.since),
                deadline=timestamp(entry.deadline),
            )
            for entry in state.draining
        ),
        replicas=_replicas(given),
        history=_history(given),
        conditions=conditions_of(situation),
    )


def _phase(situation: Situation) -> api.Phase:
    state, decision = situation.decision.state, situation.decision
    if state.state is State.STABLE and state.rejected is not None:
        return api.Phase.ROLLED_BACK
    if is_stalled(situation):
        return api.Phase.STALLED
    if decision.reason == "Paused":
        return api.Phase.PAUSED
    if decision.action is Action.HOLD and decision.reason not in TRANSIENT:
        return api.Phase.HELD
    return _PHASES[state.state]


def _changed_axes(given: StatusInput) -> tuple[str, ...]:
    state = given.situation.decision.state
    stable, candidate = (
        given.snapshots.get(revision or "") for revision in (state.stable, state.candidate)
    )
    return changed_axes(stable.axes, candidate.axes) if stable and candidate else ()


def _rollout(given: StatusInput) -> api.RolloutStatus:
    state, analysis = given.situation.decision.state, given.situation.decision.state.analysis
    in_steps = state.state in LIVE
    return api.RolloutStatus(
        state=api.RolloutState(state.state.value),
        step=state.step + 1 if in_steps else 0,
        steps=len(given.rules.steps) if state.candidate else 0,
        weight=state.weight,
        effective_weight=_effective_weight(given),
        attempt=state.attempt,
        started_at=maybe_timestamp(state.started_at),
        step_started_at=maybe_timestamp(state.step_started_at),
        progress_since=maybe_timestamp(state.progress_since),
        evaluated_seconds=analysis.step_seconds if analysis else 0,
        stable_size=state.stable_size,
        passes_in_row=analysis.passes_in_row if analysis else 0,
    )


def _effective_weight(given: StatusInput) -> int:
    """Return what the candidate really gets: pods round it in replica-ratio mode."""
    seen, state = given.situation.seen, given.situation.decision.state
    weight = effective_weight(state, seen)
    if given.rules.has_gateway or weight in (0, 100):
        return weight
    candidate, stable = seen.track(state.candidate).ready, seen.track(state.stable).ready
    return round(100 * candidate / (candidate + stable))


def _analysis(given: StatusInput) -> tuple[api.SignalStatus, ...]:
    """Return one row per signal; after a rollout the last rows stay as its explanation."""
    decision = given.situation.decision
    if decision.action is Action.START:
        return ()
    is_promoted = decision.state.state is State.PROMOTING or decision.action is Action.FINISH
    if decision.verdict is None or is_promoted:
        return given.previous.analysis
    return tuple(_signal_row(row) for row in decision.verdict.signals)


def _signal_row(row: SignalVerdict) -> api.SignalStatus:
    return api.SignalStatus(
        signal=row.signal,
        verdict=api.Verdict(row.outcome.value),
        reason=row.reason,
        canary=api.SessionCounts(sessions=row.canary.sessions, bad=row.canary.bad),
        stable=api.SessionCounts(sessions=row.stable.sessions, bad=row.stable.bad),
        limit=row.limit,
        evidence=round(row.evidence, 2),
        fail_at=row.fail_at,
        sessions_needed=row.sessions_needed,
    )


def _last_decision(given: StatusInput) -> api.DecisionStatus:
    """Return the decision; a finished rollout's sentence stays until something new happens."""
    decision, last = given.situation.decision, given.previous.last_decision
    if last is not None and decision.action is Action.NONE and last.action == Action.FINISH:
        return last
    is_same = last is not None and (last.action, last.reason) == (decision.action, decision.reason)
    return api.DecisionStatus(
        action=decision.action,
        reason=decision.reason,
        message=decision.message,
        time=last.time if last is not None and is_same else timestamp(given.situation.now),
    )


def _rejected(state: RolloutState) -> api.RejectedStatus | None:
    rejected = state.rejected
    if rejected is None:
        return None
    return api.RejectedStatus(
        revision=rejected.revision,
        reason=rejected.reason,
        message=rejected.message,
        time=timestamp(rejected.time),
        generation=rejected.generation,
    )


def _replicas(given: StatusInput) -> api.ReplicasStatus:
    """Return replicas as of the last rollout event: autoscaling alone writes no status."""
    state, before = given.situation.decision.state, given.previous.rollout
    previous = given.previous.replicas
    is_same = before is not None and (before.state, before.weight) == (
        state.state.value,
        state.weight,
    )
    if is_same and previous is not None:
        return previous
    seen = given.situation.seen
    return api.ReplicasStatus(
        stable=seen.track(state.stable).replicas, candidate=seen.track(state.candidate).replicas
    )


def _history(given: StatusInput) -> tuple[api.HistoryEntry, ...]:
    decision, before = given.situation.decision, given.previous.rollout
    was = None if before is None else before.state.value
    if was == decision.state.state.value:
        return given.previous.history
    if decision.action is Action.FINISH and decision.reason == "Promoted":
        entry = _entry(given, decision.state.stable, "Promoted")
    elif decision.state.state is State.ROLLING_BACK:
        entry = _entry(given, decision.state.candidate, "RolledBack")
    else:
        return given.previous.history
    return (*given.previous.history, entry)[-HISTORY_ENTRIES:]


def _entry(given: StatusInput, revision: str | None, result: str) -> api.HistoryEntry:
    axes = given.snapshots[revision or ""].axes
    return api.HistoryEntry(
        revision=revision or "",
        image=axes["image"],
        model=axes["model"]["name"],
        prompt_version=axes["prompt"]["version"],
        result=result,
        reason=given.situation.decision.reason,
        time=timestamp(given.situation.now),
    )
