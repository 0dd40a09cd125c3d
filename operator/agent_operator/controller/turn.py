"""One pass over one key as a value, and the little that passes remember besides status."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agent_operator.api.v1alpha1 import AgentDeployment
from agent_operator.controller.sources import Sources
from agent_operator.domain.manifest import Manifest, ObjectKey
from agent_operator.domain.observation import Observation, Problem
from agent_operator.domain.rollout.rules import RolloutRules
from agent_operator.domain.rollout.state import Decision, RolloutState
from agent_operator.domain.serving import Snapshot
from agent_operator.ports import AgentApi, Clock, ClusterApi, EventRecorder


@dataclass(frozen=True, slots=True)
class Outside:
    """What passes reach outside this process, as ports; the callables count for metrics."""

    cluster: ClusterApi
    agents: AgentApi
    events: EventRecorder
    clock: Clock
    observe_decision: Callable[[str, str], None] = lambda action, reason: None
    observe_rollback: Callable[[float], None] = lambda seconds: None


@dataclass(slots=True)
class Memory:
    """What passes over one AgentDeployment remember; losing it costs time, never correctness.

    `trouble`: what kept the last writes from being carried out. `obstacle_since`: since when the
    obstacle of that reason is known, Unix seconds. `frozen`: snapshots of revisions in use, for
    the case that somebody deletes their ControllerRevisions.
    """

    uid: str
    trouble: Problem | None = None
    obstacle_reason: str = ""
    obstacle_since: float | None = None
    frozen: dict[str, Snapshot] = field(default_factory=dict)

    def meet(self, obstacle: Problem | None, *, now: float) -> None:
        """Take what is in the way now; its time runs from its first appearance."""
        reason = "" if obstacle is None else obstacle.reason
        if reason != self.obstacle_reason:
            self.obstacle_reason = reason
            self.obstacle_since = now if reason else None


@dataclass(frozen=True, slots=True)
class Turn:
    """What one pass works with, once observed; `state` is the one before the decision."""

    manifest: Manifest
    agent: AgentDeployment
    rules: RolloutRules
    sources: Sources
    snapshots: Mapping[str, Snapshot]
    seen: Observation
    state: RolloutState
    decision: Decision
    memory: Memory
    now: float

    @property
    def key(self) -> ObjectKey:
        """The AgentDeployment's key."""
        return ObjectKey(self.agent.metadata.namespace, self.agent.metadata.name)

    @property
    def changes_state(self) -> bool:
        """Whether the status must be written before anything is done."""
        return self.decision.state != self.state
