"""What a user may set on the agent's pods: a closed list, never a whole pod template."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, WithJsonSchema

from agent_operator.api.model import DNS_SUBDOMAIN, ApiModel, ObjectName, Rule, map_list
from agent_operator.api.v1alpha1_scheduling import (
    Affinity,
    LabelValue,
    Toleration,
    TopologySpreadConstraint,
    names_rule,
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
_RESERVED_KEYS = ("agentdeploy.dev/", "app.kubernetes.io/")
_QUANTITY = r"^[0-9]+([.][0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"
_SUFFIXES = {"": Decimal(1), "m": Decimal("0.001"), "k": Decimal(1000)}
_SUFFIXES |= {letter: Decimal(1000) ** power for power, letter in enumerate("MGTPE", start=2)}
_SUFFIXES |= {f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)}
_OPTIONAL_NAME = f"^$|{DNS_SUBDOMAIN}"


def _quantity_text(value: Any) -> Any:
    # YAML reads `cpu: 2` as a number; both spellings must give the same revision.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _amount(quantity: str) -> Decimal:
    number = quantity.rstrip("mkKMGTPEi")
    return Decimal(number) * _SUFFIXES[quantity[len(number) :]]


Quantity = Annotated[
    str,
    BeforeValidator(_quantity_text),
    Field(max_length=32, pattern=_QUANTITY),
    WithJsonSchema(
        {"x-kubernetes-int-or-string": True, "maxLength": 32, "pattern": _QUANTITY},
        mode="validation",
    ),
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


def _requests_fit(resources: ResourceRequirements) -> bool:
    limits = resources.limits
    return all(
        _amount(amount) <= _amount(limits[name])
        for name, amount in resources.requests.items()
        if name in limits
    )


def _is_resource(name: str) -> bool:
    return (
        name in {"cpu", "memory", "ephemeral-storage"}
        or "/" in name
        or name.startswith("hugepages-")
    )


_IS_RESOURCE = (
    "name in ['cpu', 'memory', 'ephemeral-storage'] || name.contains('/') || "
    "name.startsWith('hugepages-')"
)


class ResourceRequirements(ApiModel):
    """CPU and memory of one pod."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel=f"(!has(self.requests) || self.requests.all(name, {_IS_RESOURCE})) && "
            f"(!has(self.limits) || self.limits.all(name, {_IS_RESOURCE}))",
            message="requests and limits take cpu, memory, ephemeral-storage, hugepages-<size> and "
            "names with a domain, as in nvidia.com/gpu",
            holds=lambda resources: all(
                map(_is_resource, (*resources.requests, *resources.limits))
            ),
        ),
        Rule(
            cel="!has(self.requests) || !has(self.limits) || "
            "self.requests.all(name, !(name in self.limits) || "
            "quantity(string(self.requests[name]))"
            ".compareTo(quantity(string(self.limits[name]))) <= 0)",
            message="requests (default cpu 500m, memory 512Mi) must not be above limits (default "
            "cpu 2, memory 2Gi)",
            holds=_requests_fit,
            field=".requests",
        ),
    )

    requests: dict[str, Quantity] = Field(default={"cpu": "500m", "memory": "512Mi"}, max_length=16)
    """What is reserved for each pod. Default: cpu 500m, memory 512Mi."""
    limits: dict[str, Quantity] = Field(default={"cpu": "2", "memory": "2Gi"}, max_length=16)
    """What a pod may use at most. Default: cpu 2, memory 2Gi."""


def _unreserved_rule(field: str) -> Rule:
    taken = " || ".join(f"key.startsWith('{prefix}')" for prefix in _RESERVED_KEYS)
    return Rule(
        cel=f"!has(self.{field}) || !self.{field}.exists(key, {taken})",
        message=f"{field} must not have keys of agentdeploy.dev/ or app.kubernetes.io/: the "
        "operator sets these itself",
        holds=lambda pod: not any(key.startswith(_RESERVED_KEYS) for key in getattr(pod, field)),
        field=f".{field}",
    )


class PodSpec(ApiModel):
    """What may be set on the agent's pods. A change here is a new revision."""

    rules: ClassVar[tuple[Rule, ...]] = (
        _unreserved_rule("labels"),
        _unreserved_rule("annotations"),
        names_rule("labels", "labels"),
        names_rule("annotations", "annotations"),
        names_rule("nodeSelector", "node_selector"),
        Rule(
            cel="!has(self.port) || self.port != 9090",
            message="port must not be 9090: metrics are served there",
            holds=lambda pod: pod.port != 9090,
            field=".port",
        ),
    )

    resources: ResourceRequirements = ResourceRequirements()
    """CPU and memory of one pod."""
    env: tuple[EnvVar, ...] = Field(default=(), max_length=64, json_schema_extra=map_list("name"))
    """More environment variables for the agent container."""
    node_selector: dict[str, LabelValue] = Field(default={}, max_length=16)
    """Labels a node must have."""
    tolerations: tuple[Toleration, ...] = Field(default=(), max_length=16)
    """Node taints that are accepted."""
    affinity: Affinity | None = None
    """Which nodes and neighbours the pods want."""
    topology_spread_constraints: tuple[TopologySpreadConstraint, ...] = Field(
        default=(),
        max_length=8,
        json_schema_extra=map_list("topologyKey", "whenUnsatisfiable"),
    )
    """How evenly the pods are spread over zones or nodes."""
    priority_class_name: str = Field(default="", max_length=253, pattern=_OPTIONAL_NAME)
    """PriorityClass of the pods; empty means the cluster's default."""
    service_account_name: str = Field(default="", max_length=253, pattern=_OPTIONAL_NAME)
    """ServiceAccount of the pods; empty means the namespace's default. Its token is not mounted."""
    image_pull_secrets: tuple[LocalObjectReference, ...] = Field(
        default=(), max_length=8, json_schema_extra=map_list("name")
    )
    """Secrets for the image registry."""
    labels: dict[str, LabelValue] = Field(default={}, max_length=32)
    """More pod labels; agentdeploy.dev/* and app.kubernetes.io/* are refused."""
    annotations: dict[str, Annotated[str, Field(max_length=4096)]] = Field(
        default={}, max_length=32
    )
    """More pod annotations; agentdeploy.dev/* and app.kubernetes.io/* are refused."""
    port: int = Field(default=8000, ge=1024, le=65_535)
    """Port on which the agent serves its sessions. Metrics are served on 9090."""
