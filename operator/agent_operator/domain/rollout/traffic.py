"""Which revisions serve, at which weight and size: the state machine's decision made concrete."""

from collections.abc import Mapping

from agent_operator.domain.observation import Observation
from agent_operator.domain.rollout.rules import RolloutRules
from agent_operator.domain.rollout.state import RolloutState, State
from agent_operator.domain.serving import ServingPlan, ServingRevision, Snapshot

_IN_CANARY = frozenset({State.CANARY_STARTING, State.STEPPING, State.PROMOTING, State.ROLLING_BACK})


def effective_weight(state: RolloutState, seen: Observation) -> int:
    """Return the candidate's weight now: none while it has no Ready pod, stable takes the rest."""
    return state.weight if seen.track(state.candidate).ready else 0


def serving_plan(
    rules: RolloutRules,
    state: RolloutState,
    seen: Observation,
    *,
    snapshots: Mapping[str, Snapshot],
    history: int,
) -> ServingPlan:
    """Return everything that must exist for a state.

    `snapshots` holds at least every revision that the state names; `history` is how many retired
    ones keep their ControllerRevision.
    """
    revisions = [
        revision
        for revision in (
            _stable(rules, state, seen, snapshots=snapshots),
            _candidate(rules, state, seen, snapshots=snapshots),
        )
        if revision is not None
    ]
    revisions += [
        ServingRevision(
            snapshots[entry.revision],
            weight=0,
            min_replicas=1,
            pinned=seen.track(entry.revision).ready > 0,
        )
        for entry in reversed(state.draining)  # pins of the oldest are the first to be left out
        if entry.revision in snapshots
    ]
    named = {revision.snapshot.revision for revision in revisions}
    retired = sorted(
        (snapshot for snapshot in snapshots.values() if snapshot.revision not in named),
        key=lambda snapshot: (_is_rejected(state, snapshot), snapshot.number),
        reverse=True,
    )
    return ServingPlan(
        revisions=tuple(revisions),
        service_revision=_service_revision(rules, state, seen),
        retained=tuple(retired[:history]),
    )


def _stable(
    rules: RolloutRules,
    state: RolloutState,
    seen: Observation,
    *,
    snapshots: Mapping[str, Snapshot],
) -> ServingRevision | None:
    if state.stable is None:
        return None
    in_canary = state.state in _IN_CANARY
    floor = max(rules.min_replicas, state.stable_size if in_canary else 0)
    return ServingRevision(
        snapshots[state.stable],
        weight=100 - effective_weight(state, seen),
        min_replicas=rules.clamp(floor),
        scale_down=not in_canary,
        pinned=bool(state.candidate or state.draining) and seen.track(state.stable).ready > 0,
    )


def _candidate(
    rules: RolloutRules,
    state: RolloutState,
    seen: Observation,
    *,
    snapshots: Mapping[str, Snapshot],
) -> ServingRevision | None:
    if state.candidate is None:
        return None
    replicas = _candidate_size(rules, state)
    return ServingRevision(
        snapshots[state.candidate],
        weight=effective_weight(state, seen),
        min_replicas=replicas,
        fixed_replicas=None if rules.has_gateway else replicas,
        # Evicted on rollback: its conversations go on with stable, from the session store.
        pinned=state.state is not State.ROLLING_BACK and seen.track(state.candidate).ready > 0,
    )


def _candidate_size(rules: RolloutRules, state: RolloutState) -> int:
    if state.state is State.PROMOTING:
        return rules.clamp(state.stable_size)
    if state.state is State.ROLLING_BACK:
        return rules.candidate_replicas(rules.steps[0].weight, state.stable_size)
    step = rules.steps[min(state.step, len(rules.steps) - 1)]
    return rules.candidate_replicas(step.weight, state.stable_size)


def _service_revision(rules: RolloutRules, state: RolloutState, seen: Observation) -> str | None:
    """Return whom Service <name> selects; None: stable and candidate together (replica ratio)."""
    if rules.has_gateway:
        return state.stable
    weight = effective_weight(state, seen)
    if weight == 100:
        return state.candidate
    return None if weight else state.stable


def _is_rejected(state: RolloutState, snapshot: Snapshot) -> bool:
    return state.rejected is not None and state.rejected.revision == snapshot.revision
