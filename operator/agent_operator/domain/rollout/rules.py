"""What the spec says about a rollout, as plain values for the state machine."""

import math
from dataclasses import dataclass

from agent_operator.api.v1alpha1 import AgentDeploymentSpec
from agent_operator.domain.verdict.rules import AnalysisRules
from agent_operator.domain.verdict.signals import Signal


@dataclass(frozen=True, slots=True)
class StepRule:
    """One step: percent of new sessions, and what passing it takes."""

    weight: int
    min_sessions: int
    min_step_seconds: float


@dataclass(frozen=True, slots=True)
class RolloutRules:
    """The hot part of a spec, as the state machine reads it; seconds everywhere."""

    steps: tuple[StepRule, ...]
    analysis: AnalysisRules
    drain_seconds: float
    progress_deadline_seconds: float
    min_replicas: int
    max_replicas: int
    has_gateway: bool
    is_paused: bool

    def clamp(self, replicas: int) -> int:
        """Return a number of replicas within 1 and maxReplicas."""
        return max(1, min(self.max_replicas, replicas))

    def candidate_replicas(self, weight: int, stable_replicas: int) -> int:
        """Return the pods a candidate needs for a weight beside so many stable pods.

        Gateway: its share of stable's size. Replica ratio: pods are the weight, so it is
        floor(w s / (100 - w)); at weight 100 the selector alone moves traffic.
        """
        if self.has_gateway or weight >= 100:
            return self.clamp(math.ceil(weight * stable_replicas / 100))
        return self.clamp(weight * stable_replicas // (100 - weight))


def rollout_rules(
    spec: AgentDeploymentSpec, *, shortest_interval_seconds: float = 0.0
) -> RolloutRules:
    """Return the rules of a spec; nothing is evaluated more often than it is scraped."""
    analysis = spec.rollout.analysis
    maxima = {Signal(name): signal.max for name, signal in analysis.signals.judged.items()}
    return RolloutRules(
        steps=tuple(
            StepRule(
                step.weight,
                analysis.min_sessions if step.min_sessions is None else step.min_sessions,
                float(
                    analysis.min_step_seconds
                    if step.min_step_seconds is None
                    else step.min_step_seconds
                ),
            )
            for step in spec.rollout.effective_steps
        ),
        analysis=AnalysisRules(
            interval_seconds=max(analysis.interval_seconds, shortest_interval_seconds),
            min_sessions=analysis.min_sessions,
            min_sessions_to_fail=analysis.min_sessions_to_fail,
            min_step_seconds=float(analysis.min_step_seconds),
            alpha=analysis.alpha,
            min_increase=analysis.min_increase,
            maxima=maxima,
        ),
        drain_seconds=float(spec.rollout.drain.seconds),
        progress_deadline_seconds=float(spec.rollout.progress_deadline_seconds),
        min_replicas=spec.scaling.min_replicas,
        max_replicas=spec.scaling.max_replicas,
        has_gateway=spec.traffic is not None,
        is_paused=spec.paused,
    )
