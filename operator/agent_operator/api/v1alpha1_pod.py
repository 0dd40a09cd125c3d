"""What a user may set on the agent's pods: a closed list, never a whole pod template."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from agent_operator.api.model import ApiModel, ObjectName, Rule
from agent_operator.api.v1alpha1_scheduling import (
    Affinity,
    LabelValue,
    Toleration,
    TopologySpreadConstraint,
)

# Set on every agent container by the operator; a value from the user would be lost or would lie.
RESERVED_ENV = (
    "AGENT_NAME",
    "AGENT_REVISION",
    "FALLBACK_MODEL",
    "MAX_SESSION_SECONDS",
    "METRICS_PORT",
    "MODEL_MAX_TOKENS",
    "MODEL_NAME",
    "MODEL_REVISION",
    "MODEL_TEMPERATURE",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "POD_NAME",
    "POLICY_FILE",
    "POD_NAMESPACE",
    "PORT",
    "PROMPT_DIR",
    "PROMPT_VERSION",
    "REDIS_URL",
    "SESSION_KEYS_FILE",
)
_RESERVED_KEY = re.compile(r"^([^/]*\.)?(agentdeploy\.dev|kubernetes\.io|k8s\.io)/")
_QUALIFIED_NAME = re.compile(
    r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
)
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
_QUANTITY = r"^[0-9]+([.][0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"


def _quantity_text(value: Any) -> Any:
    # YAML reads `cpu: 2` as a number; both spellings must give the same revision.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Quantity = Annotated[
    str,
    BeforeValidator(_quantity_text, json_schema_input_type=int | str),
    Field(max_length=32, pattern=_QUANTITY),
]


class SecretKeyRef(ApiModel):
    """One key of a Secret in the same namespace."""

    name: ObjectName
    """Name of the Secret."""
    key: str = Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")
    """Key within the Secret."""


class EnvVarSource(ApiModel):
    """Where the value of an environment variable comes from."""

    secret_key_ref: SecretKeyRef
    """Key of a Secret that holds the value."""


class EnvVar(ApiModel):
    """One environment variable of the agent container."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="has(self.value) != has(self.valueFrom)",
            message="set exactly one of value and valueFrom",
            holds=lambda env: (env.value is None) != (env.value_from is None),
        ),
        Rule(
            cel=f"!(self.name in {list(RESERVED_ENV)!r})",
            message="name is reserved: the operator sets this variable from other fields of spec",
            holds=lambda env: env.name not in RESERVED_ENV,
            field=".name",
        ),
    )

    name: str = Field(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Name of the variable; names that the operator sets are refused."""
    value: str | None = Field(default=None, max_length=4096)
    """Value in plain text; use valueFrom for secrets."""
    value_from: EnvVarSource | None = None
    """Where the value comes from instead."""


class LocalObjectReference(ApiModel):
    """An object in the same namespace."""

    name: ObjectName
    """Name of the object."""


class ResourceRequirements(ApiModel):
    """CPU and memory of one pod."""

    requests: dict[str, Quantity] = Field(default={"cpu": "500m", "memory": "512Mi"}, max_length=16)
    """What is reserved for each pod, as in cpu: 500m, memory: 512Mi."""
    limits: dict[str, Quantity] = Field(default={"cpu": "2", "memory": "2Gi"}, max_length=16)
    """What a pod may use at most, as in cpu: "2", memory: 2Gi."""


def _own_keys_are_free(keys: Mapping[str, str]) -> bool:
    return not any(_RESERVED_KEY.match(key) for key in keys)


class PodSpec(ApiModel):
    """What may be set on the agent's pods. A change here is a new revision."""

    resources: ResourceRequirements = ResourceRequirements()
    """CPU and memory of one pod."""
    env: tuple[EnvVar, ...] = Field(default=(), max_length=64)
    """More environment variables for the agent container."""
    node_selector: dict[str, LabelValue] = Field(default={}, max_length=16)
    """Labels a node must have."""
    tolerations: tuple[Toleration, ...] = Field(default=(), max_length=16)
    """Node taints that are accepted."""
    affinity: Affinity | None = None
    """Which nodes and neighbours the pods want."""
    topology_spread_constraints: tuple[TopologySpreadConstraint, ...] = Field(
        default=(), max_length=8
    )
    """How evenly the pods are spread over zones or nodes."""
    priority_class_name: str = Field(default="", max_length=253)
    """PriorityClass of the pods; empty means the cluster's default."""
    service_account_name: str = Field(default="", max_length=253)
    """ServiceAccount of the pods; empty means the namespace's default. Its token is not mounted."""
    image_pull_secrets: tuple[LocalObjectReference, ...] = Field(default=(), max_length=8)
    """Secrets for the image registry."""
    labels: dict[str, LabelValue] = Field(default={}, max_length=32)
    """More pod labels; agentdeploy.dev/* and app.kubernetes.io/* are refused."""
    annotations: dict[str, Annotated[str, Field(max_length=4096)]] = Field(
        default={}, max_length=32
    )
    """More pod annotations; agentdeploy.dev/* and app.kubernetes.io/* are refused."""
    port: int = Field(default=8000, ge=1024, le=65_535)
    """Port on which the agent serves its sessions. Metrics are served on 9090."""
