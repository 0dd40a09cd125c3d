"""The AgentDeployment resource, version v1alpha1: the one source of CRD, docs and operator.

The docstring of a field is its description in `kubectl explain`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationError

from agent_operator.api.conditions import Condition
from agent_operator.api.model import (
    DNS_LABEL,
    ApiModel,
    ObjectName,
    Rule,
    Timestamp,
)
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

_PINNED = (
    r"(-|@|:)([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}|[0-9]{3}"
    r"|v[0-9]+([.][0-9]+)*|sha256:[0-9a-f]{8,})$"
)
_TAGGED = r"^[^@]+:[A-Za-z0-9_][A-Za-z0-9_.-]*$"


class ModelSpec(ApiModel):
    """The language model behind the agent. A change here is a new revision."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel=f"(has(self.revision) && self.revision != '') || self.name.matches('{_PINNED}')",
            message="name is an alias that can change its meaning: pin it, as in "
            "gpt-4o-2024-08-06, or set model.revision",
            holds=lambda model: model.revision != "" or re.search(_PINNED, model.name) is not None,
            field=".name",
        ),
        Rule(
            cel=f"!has(self.fallback) || self.fallback.matches('{_PINNED}')",
            message="fallback is an alias that can change its meaning: pin it, as in "
            "gpt-4o-mini-2024-07-18",
            holds=lambda model: (
                model.fallback is None or re.search(_PINNED, model.fallback) is not None
            ),
            field=".fallback",
        ),
        Rule(
            cel="!has(self.fallback) || self.fallback != self.name",
            message="fallback must be another model than name: it would fail together with it",
            holds=lambda model: model.fallback != model.name,
            field=".fallback",
        ),
    )

    name: str = Field(min_length=1, max_length=256, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$")
    """Pinned model name, ending in a date, a number or a digest, as in gpt-4o-2024-08-06.

    An alias, which can change its meaning, is refused unless revision is set.
    """
    revision: str = Field(default="", max_length=256)
    """Digest or commit of a self-hosted model that has no dated name; then any name is accepted."""
    fallback: str | None = Field(
        default=None, min_length=1, max_length=256, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$"
    )
    """Pinned model that answers when the first one fails."""
    temperature: float = Field(default=0.1, ge=0, le=2)
    """Sampling temperature, 0 to 2."""
    max_tokens: int = Field(default=4096, ge=1, le=1_000_000)
    """Most tokens of one answer."""
    base_url: str | None = Field(
        default=None, max_length=1024, pattern=r"^https?://[^/?#@\s]+(/[^?#@\s]*)?$"
    )
    """Base URL of an OpenAI-compatible API, without credentials; default is the provider's own."""
    credentials_secret_ref: SecretKeyRef | None = None
    """Key of the Secret that holds the provider's API key."""


class ConfigMapRef(ApiModel):
    """A ConfigMap in the same namespace."""

    name: ObjectName
    """Name of the ConfigMap."""


class PromptSpec(ApiModel):
    """The agent's prompt. A new version is a new revision; a version never changes its meaning."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="(has(self.configMapRef) ? 1 : 0) + (has(self.files) ? 1 : 0)"
            " + (has(self.fromImage) && self.fromImage ? 1 : 0) == 1",
            message="prompt needs exactly one source: configMapRef, files, or fromImage: true",
            holds=lambda prompt: (
                (prompt.config_map_ref is not None) + (prompt.files is not None) + prompt.from_image
                == 1
            ),
        ),
    )

    version: str = Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")
    """Version of the prompt, as in v2.3. Raise it with every change of the text."""
    config_map_ref: ConfigMapRef | None = None
    """ConfigMap whose keys are the prompt files. It is read once per version."""
    files: dict[str, Annotated[str, Field(max_length=262_144)]] | None = Field(
        default=None, min_length=1, max_length=32
    )
    """Prompt files by name, written here directly."""
    from_image: bool = False
    """true if the image holds the prompt; then the image is its content."""


class ScalingSpec(ApiModel):
    """How many pods serve. Changes apply at once, without a new revision."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.minReplicas <= self.maxReplicas",
            message="minReplicas must not be above maxReplicas",
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


class ParentRef(ApiModel):
    """A Gateway the agent is reached through."""

    name: ObjectName
    """Name of the Gateway."""
    namespace: str | None = Field(default=None, min_length=1, max_length=63, pattern=DNS_LABEL)
    """Namespace of the Gateway; default is the own one."""
    section_name: ObjectName | None = None
    """Listener of the Gateway; default is all."""
    port: int | None = Field(default=None, ge=1, le=65_535)
    """Port of the listener; default is all."""


class TrafficSpec(ApiModel):
    """How a Gateway splits sessions between revisions."""

    parent_refs: tuple[ParentRef, ...] = Field(min_length=1, max_length=8)
    """Gateways the agent is reached through."""
    hostnames: tuple[
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=253,
                pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
            ),
        ],
        ...,
    ] = Field(default=(), max_length=16)
    """Host names the agent answers to; empty means those of the listener."""
    paths: tuple[
        Annotated[str, Field(min_length=1, max_length=256, pattern=r"^/[A-Za-z0-9/._~%-]*$")], ...
    ] = Field(default=("/v1",), min_length=1, max_length=8)
    """Path prefixes the agent answers to."""
    timeout_seconds: int = Field(default=120, ge=1, le=3600)
    """Seconds a request may take at the Gateway."""
    stickiness: Literal["Header", "None"] = "Header"
    """Header keeps a conversation on its revision by the x-agent-revision header; None does not."""


class SessionStoreSpec(ApiModel):
    """Where conversations are kept. Without it each pod remembers only its own."""

    redis_secret_ref: SecretKeyRef
    """Key of the Secret that holds the Redis URL."""


class AgentDeploymentSpec(ApiModel):
    """The agent that should run, and how a change of it is rolled out."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel=f"self.image.contains('@sha256:') || "
            f"(self.image.matches('{_TAGGED}') && !self.image.endsWith(':latest'))",
            message="image must be fixed: give a digest (name@sha256:...) or a tag, not latest",
            holds=lambda spec: (
                "@sha256:" in spec.image
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
    """How a new revision takes over."""
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

    name: str = Field(min_length=1, max_length=40, pattern=DNS_LABEL)
    namespace: str
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    deletion_timestamp: Timestamp | None = None


class AgentDeployment(ApiModel):
    """A versioned LLM agent that is rolled out step by step and rolled back when it gets worse."""

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
