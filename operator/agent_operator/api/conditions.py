"""Conditions of the status: the value, and how a list of them is updated."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from pydantic import Field

from agent_operator.api.model import ApiModel, Message, Reason, Timestamp


class ConditionType(StrEnum):
    """Every condition that the operator keeps, from the first pass on."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    AVAILABLE = "Available"
    CANARY_HEALTHY = "CanaryHealthy"
    METRICS_AVAILABLE = "MetricsAvailable"
    ROUTE_PROGRAMMED = "RouteProgrammed"
    PROMPT_DRIFT = "PromptDrift"


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(ApiModel):
    """One observation about the object."""

    type: str = Field(max_length=64)
    """What is observed, as in Ready."""
    status: ConditionStatus
    """Whether it holds: True, False or Unknown."""
    reason: Reason = Field(min_length=1)
    """Why, as one CamelCase word for programs."""
    message: Message = ""
    """Why, with numbers and the next step, for people."""
    last_transition_time: Timestamp
    """When the status last changed from one value to another."""
    observed_generation: int = Field(default=0, ge=0)
    """The metadata.generation that this condition speaks about."""


def find_condition(conditions: Sequence[Condition], kind: str) -> Condition | None:
    """Return the condition of that type, None if there is none."""
    return next((condition for condition in conditions if condition.type == kind), None)


def set_condition(conditions: Sequence[Condition], new: Condition) -> tuple[Condition, ...]:
    """Return the conditions with `new` in place of its predecessor, in unchanged order.

    The time of the last transition is kept unless the status differs, so equal observations
    give equal lists.
    """
    old = find_condition(conditions, new.type)
    if old is None:
        return (*conditions, new)
    if old.status == new.status:
        new = new.model_copy(update={"last_transition_time": old.last_transition_time})
    return tuple(new if condition.type == new.type else condition for condition in conditions)
