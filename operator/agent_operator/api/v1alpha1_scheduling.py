"""Where pods may run: the parts of the Kubernetes pod API that a user may set, field by field."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from agent_operator.api.model import ApiModel, Rule

QUALIFIED_NAME = (
    "^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
)
LABEL_VALUE = "^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"

LabelKey = Annotated[str, Field(min_length=1, max_length=317, pattern=QUALIFIED_NAME)]
LabelValue = Annotated[str, Field(max_length=63, pattern=LABEL_VALUE)]


def names_rule(field: str, attribute: str) -> Rule:
    """Return the rule that the keys of an optional map are names of labels or annotations."""
    return Rule(
        cel=f"!has(self.{field}) || self.{field}.all(key, key.matches('{QUALIFIED_NAME}'))",
        message=f"{field} must have keys as Kubernetes takes them: name or domain/name",
        holds=lambda model: all(
            re.search(QUALIFIED_NAME, key) for key in getattr(model, attribute) or ()
        ),
        field=f".{field}",
    )


def _values_fit(requirement: LabelRequirement | NodeRequirement) -> bool:
    if requirement.operator in {"Exists", "DoesNotExist"}:
        return not requirement.values
    if requirement.operator in {"Gt", "Lt"}:
        return len(requirement.values or ()) == 1
    return bool(requirement.values)


_VALUES_RULE = Rule(
    cel="self.operator in ['Exists', 'DoesNotExist'] ? "
    "(!has(self.values) || self.values.size() == 0) : has(self.values) && "
    "(self.operator in ['Gt', 'Lt'] ? self.values.size() == 1 : self.values.size() > 0)",
    message="values must be empty for Exists and DoesNotExist, one for Gt and Lt, "
    "and at least one for In and NotIn",
    holds=_values_fit,
    field=".values",
)


class LabelRequirement(ApiModel):
    """A condition on one label."""

    rules: ClassVar[tuple[Rule, ...]] = (_VALUES_RULE,)

    key: LabelKey
    """Label key."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How the label relates to the values."""
    values: tuple[LabelValue, ...] | None = Field(default=None, max_length=32)
    """Values; empty for Exists and DoesNotExist."""


class NodeRequirement(ApiModel):
    """A condition on one label or field of a node."""

    rules: ClassVar[tuple[Rule, ...]] = (_VALUES_RULE,)

    key: LabelKey
    """Label key or field name."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    """How the label relates to the values."""
    values: tuple[LabelValue, ...] | None = Field(default=None, max_length=32)
    """Values; empty for Exists and DoesNotExist, one number for Gt and Lt."""


class LabelSelector(ApiModel):
    """Chooses objects by their labels."""

    rules: ClassVar[tuple[Rule, ...]] = (names_rule("matchLabels", "match_labels"),)

    match_labels: dict[str, LabelValue] | None = Field(default=None, max_length=32)
    """Labels that must be equal."""
    match_expressions: tuple[LabelRequirement, ...] | None = Field(default=None, max_length=16)
    """Conditions that must all hold."""


class NodeSelectorTerm(ApiModel):
    """Conditions on one node that must all hold."""

    match_expressions: tuple[NodeRequirement, ...] | None = Field(default=None, max_length=16)
    """Conditions on the node's labels."""
    match_fields: tuple[NodeRequirement, ...] | None = Field(default=None, max_length=16)
    """Conditions on the node's fields."""


class NodeSelector(ApiModel):
    """Chooses nodes; one term that holds is enough."""

    node_selector_terms: tuple[NodeSelectorTerm, ...] = Field(min_length=1, max_length=16)
    """Terms of which one must hold."""


class PreferredNodes(ApiModel):
    """A preference for nodes."""

    weight: int = Field(ge=1, le=100)
    """How much this preference counts."""
    preference: NodeSelectorTerm
    """The preferred nodes."""


class NodeAffinity(ApiModel):
    """Which nodes a pod may use or should use."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None
    """Nodes that are allowed at all."""
    preferred_during_scheduling_ignored_during_execution: tuple[PreferredNodes, ...] | None = Field(
        default=None, max_length=16
    )
    """Nodes that are better."""


class PodAffinityTerm(ApiModel):
    """Pods to be near to, or far from."""

    label_selector: LabelSelector | None = None
    """The pods meant, by label."""
    topology_key: LabelKey
    """Node label whose equal value means near, as in kubernetes.io/hostname."""
    namespaces: tuple[Annotated[str, Field(max_length=63)], ...] | None = Field(
        default=None, max_length=16
    )
    """Namespaces of the pods meant; default is the own one."""
    namespace_selector: LabelSelector | None = None
    """Namespaces of the pods meant, by label."""


class PreferredPods(ApiModel):
    """A preference for being near to, or far from, pods."""

    weight: int = Field(ge=1, le=100)
    """How much this preference counts."""
    pod_affinity_term: PodAffinityTerm
    """The pods meant."""


class PodAffinity(ApiModel):
    """Which other pods to be near to, or far from."""

    required_during_scheduling_ignored_during_execution: tuple[PodAffinityTerm, ...] | None = Field(
        default=None, max_length=16
    )
    """Terms that must hold."""
    preferred_during_scheduling_ignored_during_execution: tuple[PreferredPods, ...] | None = Field(
        default=None, max_length=16
    )
    """Terms that should hold."""


class Affinity(ApiModel):
    """Which nodes and neighbours the agent's pods want."""

    node_affinity: NodeAffinity | None = None
    """Which nodes a pod may use or should use."""
    pod_affinity: PodAffinity | None = None
    """Which pods to be near to."""
    pod_anti_affinity: PodAffinity | None = None
    """Which pods to be far from."""


class Toleration(ApiModel):
    """A node taint that the agent's pods accept."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="has(self.key) || (has(self.operator) && self.operator == 'Exists')",
            message="a toleration without key needs operator Exists",
            holds=lambda toleration: toleration.key or toleration.operator == "Exists",
            field=".operator",
        ),
        Rule(
            cel="!has(self.operator) || self.operator != 'Exists' || !has(self.value) || "
            "self.value == ''",
            message="value must be left out with operator Exists",
            holds=lambda toleration: toleration.operator != "Exists" or not toleration.value,
            field=".value",
        ),
        Rule(
            cel="!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            message="tolerationSeconds needs effect NoExecute",
            holds=lambda toleration: (
                toleration.toleration_seconds is None or toleration.effect == "NoExecute"
            ),
            field=".tolerationSeconds",
        ),
    )

    key: LabelKey | None = None
    """Key of the taint; absent means all keys, with operator Exists."""
    operator: Literal["Exists", "Equal"] | None = None
    """Exists accepts any value; Equal, the default, only the one given."""
    value: LabelValue | None = None
    """Value of the taint."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect of the taint; absent means all effects."""
    toleration_seconds: int | None = Field(default=None, ge=0, le=31_536_000)
    """How long a NoExecute taint is accepted; absent means for ever."""


class TopologySpreadConstraint(ApiModel):
    """How evenly the agent's pods are spread."""

    topology_key: LabelKey
    """Node label over whose values the pods are spread, as in topology.kubernetes.io/zone."""
    max_skew: int = Field(ge=1, le=1000)
    """How many pods one domain may have more than another."""
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"]
    """What happens to a pod that would break the constraint."""
    label_selector: LabelSelector | None = None
    """The pods that are counted; default is the pods of the same revision."""
    min_domains: int | None = Field(default=None, ge=1, le=1000)
    """Smallest number of domains to spread over."""
