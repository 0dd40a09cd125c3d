"""All conditions of an AgentDeployment in one place: what each says in which situation."""

from dataclasses import dataclass

from agent_operator.api.conditions import (
    Condition,
    ConditionStatus,
    ConditionType,
    find_condition,
    set_condition,
)
from agent_operator.domain.observation import Measured, NotMeasured, Observation, Problem
from agent_operator.domain.rollout.codec import timestamp
from agent_operator.domain.rollout.state import LIVE, Action, Decision, State
from agent_operator.domain.verdict.verdict import Outcome

TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN
Said = tuple[ConditionStatus, str, str]  # status, reason, message

_ENDS_IN_STALL = frozenset({"NameConflict", "InvalidSpec", "ProgressDeadlineExceeded"})


@dataclass(frozen=True, slots=True)
class Situation:
    """What conditions are computed from.

    `trouble`: what kept the last writes from being carried out. `drift`: a prompt that changed
    under its version. `obstacle_since`: since when the obstacle is known, Unix seconds.
    `previous`: the conditions so far. `deadline_seconds`: after which a missing
    reference counts as stalled.
    """

    decision: Decision
    seen: Observation
    now: float
    has_gateway: bool
    deadline_seconds: float
    trouble: Problem | None = None
    obstacle_since: float | None = None
    drift: Problem | None = None
    previous: tuple[Condition, ...] = ()

    @property
    def obstacle(self) -> Problem | None:
        """A reference that is missing or a write that was refused."""
        return self.trouble or self.seen.problem


def conditions_of(situation: Situation) -> tuple[Condition, ...]:
    """Return every condition, each with the time of its last transition kept."""
    conditions = situation.previous
    said: tuple[tuple[ConditionType, Said], ...] = (
        (ConditionType.READY, _ready(situation)),
        (ConditionType.RECONCILING, _reconciling(situation)),
        (ConditionType.STALLED, _stalled(situation)),
        (ConditionType.AVAILABLE, _available(situation)),
        (ConditionType.CANARY_HEALTHY, _canary_healthy(situation)),
        (ConditionType.METRICS_AVAILABLE, _metrics_available(situation)),
        (ConditionType.ROUTE_PROGRAMMED, _route_programmed(situation)),
        (ConditionType.PROMPT_DRIFT, _prompt_drift(situation)),
    )
    for kind, (status, reason, message) in said:
        new = Condition(
            type=kind,
            status=status,
            reason=reason,
            message=message,
            last_transition_time=timestamp(situation.now),
            observed_generation=situation.seen.generation,
        )
        conditions = set_condition(conditions, new)
    return conditions


def is_stalled(situation: Situation) -> bool:
    """Whether nothing goes on until somebody acts."""
    state, decision = situation.decision.state, situation.decision
    if situation.obstacle is not None:
        return situation.obstacle.reason in _ENDS_IN_STALL or _waited_too_long(situation)
    if decision.action is Action.HOLD and decision.reason in _ENDS_IN_STALL:
        return True
    return state.state is State.STABLE and state.rejected is not None


def is_settled(situation: Situation) -> bool:
    """Whether the stable revision is what the spec asks for and nothing is under way."""
    state = situation.decision.state
    return (
        state.state is State.STABLE
        and state.stable == situation.seen.wanted
        and situation.obstacle is None
    )


def _ready(situation: Situation) -> Said:
    if is_settled(situation):
        return TRUE, "Stable", f"{situation.decision.state.stable} serves all sessions"
    return (FALSE, *_why(situation))


def _reconciling(situation: Situation) -> Said:
    if is_settled(situation) or is_stalled(situation):
        return FALSE, "Settled", "nothing is under way"
    return (TRUE, *_why(situation))


def _stalled(situation: Situation) -> Said:
    if not is_stalled(situation):
        return FALSE, "Progressing", "nothing stands still"
    return (TRUE, *_why(situation))


def _why(situation: Situation) -> tuple[str, str]:
    obstacle, state = situation.obstacle, situation.decision.state
    if obstacle is not None:
        return obstacle.reason, obstacle.message
    if state.state is State.STABLE and state.rejected is not None:
        return "CanaryRolledBack", state.rejected.message
    return situation.decision.reason, situation.decision.message


def _waited_too_long(situation: Situation) -> bool:
    """Whether the obstacle has lasted past the deadline, by our count or by what status says."""
    obstacle, since = situation.obstacle, situation.obstacle_since
    stalled = find_condition(situation.previous, ConditionType.STALLED)
    if obstacle is None:
        return False
    if stalled is not None and stalled.status is TRUE and stalled.reason == obstacle.reason:
        return True
    return since is not None and situation.now - since >= situation.deadline_seconds


def _available(situation: Situation) -> Said:
    stable = situation.decision.state.stable
    if stable is not None and situation.seen.track(stable).available:
        return TRUE, "StableServes", f"{stable} has available pods"
    return FALSE, "NoAvailablePods", f"no pod of {stable or 'any revision'} is available"


def _canary_healthy(situation: Situation) -> Said:
    state, verdict = situation.decision.state, situation.decision.verdict
    if state.rejected is not None:
        return FALSE, state.rejected.reason, state.rejected.message
    if state.state not in LIVE or verdict is None:
        return UNKNOWN, "NoCanary", "no candidate has traffic"
    if verdict.outcome is Outcome.FAIL:
        return FALSE, verdict.reason, situation.decision.message
    if verdict.outcome is Outcome.PASS:
        return TRUE, verdict.reason, f"{state.candidate} is within all limits"
    return UNKNOWN, verdict.reason, f"{state.candidate} is being judged"


def _metrics_available(situation: Situation) -> Said:
    state, evaluation = situation.decision.state, situation.seen.evaluation
    if state.state not in LIVE:
        return UNKNOWN, "NotNeeded", "metrics are read while a candidate has traffic"
    if isinstance(evaluation, NotMeasured):
        return FALSE, evaluation.problem.reason, evaluation.problem.message
    if isinstance(evaluation, Measured) or state.measured_at is not None:
        return TRUE, "Measured", "both revisions are measured"
    return UNKNOWN, "NotMeasuredYet", "the first measurement is under way"


def _route_programmed(situation: Situation) -> Said:
    traffic = situation.seen.traffic
    if not situation.has_gateway:
        return UNKNOWN, "ReplicaRatio", "spec.traffic is not set: replicas split the sessions"
    if traffic.problem is not None:
        return FALSE, traffic.problem.reason, traffic.problem.message
    if traffic.weights is None:
        return UNKNOWN, "NotRead", "the route was not read back yet"
    return TRUE, "Accepted", "every parent accepted the route"


def _prompt_drift(situation: Situation) -> Said:
    if situation.drift is None:
        return FALSE, "SameContent", "the prompt is what its version was first seen with"
    return TRUE, situation.drift.reason, situation.drift.message
