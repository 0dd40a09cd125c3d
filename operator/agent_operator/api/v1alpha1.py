"""The AgentDeployment resource, version v1alpha1: the one source of CRD, docs and operator.

The docstring of a field is its description in `kubectl explain`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import Field, ValidationError

from agent_operator.api.conditions import Condition
from agent_operator.api.model import ApiModel, Rule, Timestamp
from agent_operator.api.v1alpha1_model import ConfigMapRef, ModelSpec, PromptSpec
from agent_operator.api.v1alpha1_pod import (
    EnvVar,
    EnvVarSource,
    LocalObjectReference,
    PodSpec,
    ResourceRequirements,
    SecretKeyRef,
)
from agent_operator.api.v1alpha1_rollout import (
    AnalysisSpec,
    DrainSpec,
    RolloutSpec,
    SignalSpec,
    SignalsSpec,
    Step,
)
from agent_operator.api.v1alpha1_status import (
    AgentDeploymentStatus,
    DecisionStatus,
    DrainingStatus,
    HistoryEntry,
    Phase,
    RejectedStatus,
    ReplicasStatus,
    RolloutState,
    RolloutStatus,
    SessionCounts,
    SignalStatus,
    Verdict,
)
from agent_operator.api.v1alpha1_traffic import ParentRef, TrafficSpec
from agent_operator.errors import InvalidSpec

__all__ = [
    "API_VERSION",
    "GROUP",
    "KIND",
    "PLURAL",
    "VERSION",
    "AgentDeployment",
    "AgentDeploymentSpec",
    "AgentDeploymentStatus",
    "AnalysisSpec",
    "Condition",
    "ConfigMapRef",
    "DecisionStatus",
    "DrainSpec",
    "DrainingStatus",
    "EnvVar",
    "EnvVarSource",
    "HistoryEntry",
    "LocalObjectReference",
    "ModelSpec",
    "ObjectMeta",
    "ParentRef",
    "Phase",
    "PodSpec",
    "PromptSpec",
    "RejectedStatus",
    "ReplicasStatus",
    "ResourceRequirements",
    "RolloutSpec",
    "RolloutState",
    "RolloutStatus",
    "ScalingSpec",
    "SecretKeyRef",
    "SessionCounts",
    "SessionStoreSpec",
    "SignalSpec",
    "SignalStatus",
    "SignalsSpec",
    "Step",
    "TrafficSpec",
    "Verdict",
]

GROUP = "agentdeploy.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "AgentDeployment"
PLURAL = "agentdeployments"

_DIGEST = "@sha256:[0-9a-f]{64}$"
_TAGGED = "^[^@]+:[A-Za-z0-9_][A-Za-z0-9_.-]*$"
# Services take the name, and revisions and their children add up to 23 characters to it.
_AGENT_NAME = "^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$"


class ScalingSpec(ApiModel):
    """How many pods serve. Changes apply at once, without a new revision."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.minReplicas) || !has(self.maxReplicas) || "
            "self.minReplicas <= self.maxReplicas",
            message="minReplicas (default 2) must not be above maxReplicas (default 20)",
            holds=lambda scaling: scaling.min_replicas <= scaling.max_replicas,
            field=".minReplicas",
        ),
    )

    min_replicas: int = Field(default=2, ge=1, le=1000)
    """Fewest pods of the stable revision."""
    max_replicas: int = Field(default=20, ge=1, le=1000)
    """Most pods of each revision."""
    sessions_per_pod: int = Field(default=8, ge=1, le=10_000)
    """Sessions in flight per pod that autoscaling aims at."""
    cpu_utilization: int = Field(default=60, ge=1, le=100)
    """Percent of the requested CPU that autoscaling aims at."""
    max_session_seconds: int = Field(default=600, ge=1, le=86_400)
    """Longest time one request may take; pods get this long to finish before they are stopped."""


class SessionStoreSpec(ApiModel):
    """Where conversations are kept. Without it each pod remembers only its own."""

    redis_secret_ref: SecretKeyRef
    """Key of the Secret that holds the Redis URL."""


class AgentDeploymentSpec(ApiModel):
    """The agent that should run, and how a change of it is rolled out."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel=f"self.image.matches('{_DIGEST}') || "
            f"(self.image.matches('{_TAGGED}') && !self.image.endsWith(':latest'))",
            message="image must be fixed: give a digest (name@sha256:...) or a tag, not latest",
            holds=lambda spec: (
                re.search(_DIGEST, spec.image) is not None
                or (
                    re.search(_TAGGED, spec.image) is not None
                    and not spec.image.endswith(":latest")
                )
            ),
            field=".image",
        ),
    )

    image: str = Field(min_length=1, max_length=512, pattern=r"^[^\s]+$")
    """Container image of the agent, with a digest or a tag other than latest.

    A change is a new revision.
    """
    model: ModelSpec
    """The language model behind the agent."""
    prompt: PromptSpec
    """The agent's prompt."""
    scaling: ScalingSpec = ScalingSpec()
    """How many pods serve."""
    rollout: RolloutSpec = RolloutSpec()
    """How a new revision takes over; without canaryWeight and steps in one step of 5 percent."""
    traffic: TrafficSpec | None = None
    """How a Gateway splits sessions; absent: the number of pods of each revision does."""
    pod: PodSpec = PodSpec()
    """What may be set on the agent's pods."""
    session_store: SessionStoreSpec | None = None
    """Where conversations are kept; absent: in each pod."""
    paused: bool = False
    """true freezes the weight of a rollout; it is still judged, and still rolled back."""


class ObjectMeta(ApiModel):
    """The parts of an object's metadata that the operator uses."""

    name: str
    namespace: str
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    deletion_timestamp: Timestamp | None = None


class AgentDeployment(ApiModel):
    """A versioned LLM agent that is rolled out step by step and rolled back when it gets worse."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel=f"self.metadata.name.matches('{_AGENT_NAME}')",
            message="metadata.name must be a DNS label of at most 40 characters that starts with a "
            "letter: Services and revisions are named after it",
            holds=lambda agent: re.search(_AGENT_NAME, agent.metadata.name) is not None,
        ),
    )

    metadata: ObjectMeta
    spec: AgentDeploymentSpec
    status: AgentDeploymentStatus | None = None
    status_problems: tuple[str, ...] = ()
    """Parts of the stored status that could not be read and were left out."""

    @classmethod
    def parse(cls, obj: Mapping[str, Any]) -> Self:
        """Read an object as the API server returns it.

        Raises InvalidSpec, naming every bad field of metadata and spec, for an object that passed
        an older CRD. A status that is partly unreadable is no error, see `status_problems`.
        """
        try:
            status, problems = AgentDeploymentStatus.parse(obj.get("status") or {})
            return cls.model_validate(
                {
                    "metadata": obj.get("metadata"),
                    "spec": obj.get("spec"),
                    "status": status if obj.get("status") else None,
                    "status_problems": problems,
                }
            )
        except ValidationError as error:
            raise InvalidSpec([_problem_line(problem) for problem in error.errors()]) from None


def _problem_line(problem: Mapping[str, Any]) -> str:
    path = ""
    for part in problem["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return f"{path.lstrip('.')}: {problem['msg'].removeprefix('Value error, ')}"
