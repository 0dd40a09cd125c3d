"""Status of an AgentDeployment: everything the operator remembers and everything people read."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, JsonValue, ValidationError

from agent_operator.api.conditions import Condition
from agent_operator.api.model import ApiModel, Message, Reason, Revision, Timestamp, map_list


class Phase(StrEnum):
    """Summary for people; nothing decides by it."""

    PENDING = "Pending"
    STABLE = "Stable"
    CANARY = "Canary"
    HELD = "Held"
    PROMOTING = "Promoting"
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"
    PAUSED = "Paused"
    STALLED = "Stalled"


class RolloutState(StrEnum):
    """States of the rollout's state machine."""

    INITIALIZING = "Initializing"
    STABLE = "Stable"
    CANARY_STARTING = "CanaryStarting"
    STEPPING = "Stepping"
    PROMOTING = "Promoting"
    ROLLING_BACK = "RollingBack"


class Verdict(StrEnum):
    """Answers of one signal."""

    PASS = "Pass"  # noqa: S105 - a verdict, no password
    FAIL = "Fail"
    INCONCLUSIVE = "Inconclusive"
    NO_DATA = "NoData"
    NOT_JUDGED = "NotJudged"


class RolloutStatus(ApiModel):
    """Where the rollout stands."""

    state: RolloutState
    """Initializing, Stable, CanaryStarting, Stepping, Promoting or RollingBack."""
    step: int = Field(default=0, ge=0, le=20)
    """Number of the step that is under way, from 1; 0 outside the steps."""
    steps: int = Field(default=0, ge=0, le=20)
    """How many steps the rollout has."""
    weight: int = Field(default=0, ge=0, le=100)
    """Percent of new sessions asked for the candidate."""
    effective_weight: int = Field(default=0, ge=0, le=100)
    """Percent of new sessions that the candidate really gets; replicas may round it."""
    attempt: int = Field(default=1, ge=1, le=1_000_000)
    """How often this candidate was tried."""
    started_at: Timestamp | None = None
    """When the rollout began."""
    step_started_at: Timestamp | None = None
    """When the step began."""
    progress_since: Timestamp | None = None
    """Since when the progress deadline runs."""
    evaluated_seconds: float = Field(default=0, ge=0, le=1e9)
    """Seconds of this step that were really judged; outages of metrics or operator do not count."""
    stable_size: int = Field(default=0, ge=0, le=10_000)
    """Replicas of stable when the canary began; it never has fewer until the rollout is over."""
    passes_in_row: int = Field(default=0, ge=0, le=1_000_000)
    """How many evaluations in a row passed every signal."""


class SessionCounts(ApiModel):
    """Sessions of one revision as counted by its pods."""

    sessions: int = Field(default=0, ge=0, le=10**15)
    """Sessions started."""
    bad: int = Field(default=0, ge=0, le=10**15)
    """Sessions that went bad."""


class SignalStatus(ApiModel):
    """What is known about one signal."""

    signal: str = Field(max_length=64)
    """Name of the signal, as in errorRate."""
    verdict: Verdict
    """Pass, Fail, Inconclusive, NoData or NotJudged."""
    reason: Reason = ""
    """Why, as one CamelCase word."""
    canary: SessionCounts = SessionCounts()
    """Sessions on the candidate at this weight; after a failure those that showed it."""
    stable: SessionCounts = SessionCounts()
    """Sessions on stable in the same time."""
    limit: float | None = Field(default=None, ge=0, le=1)
    """Share of bad requests allowed."""
    evidence: float | None = Field(default=None, ge=0)
    """Evidence that the candidate is worse; 1 says nothing."""
    fail_at: float | None = Field(default=None, ge=0)
    """Evidence at which the candidate is rolled back."""
    sessions_needed: int | None = Field(default=None, ge=0)
    """Sessions still missing before this step can be passed."""


class DecisionStatus(ApiModel):
    """The last decision and its grounds."""

    action: str = Field(max_length=64)
    """What was done: Initialize, Start, Step, Promote, Hold, RollBack, Finish or None."""
    reason: Reason
    """Why, as one CamelCase word."""
    message: Message = ""
    """Why, with signal, numbers and next step."""
    time: Timestamp
    """When it was decided."""


class RejectedStatus(ApiModel):
    """The revision that was rolled back; it is not tried again until the spec changes."""

    revision: Revision
    """The rejected revision."""
    reason: Reason
    """Why, as one CamelCase word."""
    message: Message = ""
    """Why, with numbers and the next step."""
    time: Timestamp
    """When it was rejected."""
    generation: int = Field(default=0, ge=0)
    """The metadata.generation that asked for it."""


class DrainingStatus(ApiModel):
    """A revision without new sessions; removed when its conversations end or at the deadline."""

    revision: Revision
    """The draining revision."""
    since: Timestamp
    """When it stopped getting new sessions."""
    deadline: Timestamp
    """When it is removed at the latest."""


class ReplicasStatus(ApiModel):
    """Replicas when the rollout last changed; not followed while autoscaling moves them."""

    stable: int = Field(default=0, ge=0, le=10_000)
    """Replicas of the stable revision."""
    candidate: int = Field(default=0, ge=0, le=10_000)
    """Replicas of the candidate."""


class HistoryEntry(ApiModel):
    """How one revision ended."""

    revision: Revision
    """The revision."""
    image: str = Field(default="", max_length=512)
    """Its image."""
    model: str = Field(default="", max_length=256)
    """Its model."""
    prompt_version: str = Field(default="", max_length=128)
    """Its prompt version."""
    result: str = Field(max_length=64)
    """How it ended, as in Promoted, RolledBack or Superseded."""
    reason: Reason = ""
    """Why, as one CamelCase word."""
    time: Timestamp
    """When it ended."""


class AgentDeploymentStatus(ApiModel):
    """What the operator observed and decided; written only by the operator."""

    observed_generation: int = Field(default=0, ge=0)
    """The metadata.generation that this status speaks about."""
    phase: Phase | None = None
    """Summary for people: Pending, Stable, Canary, Held, Promoting, RollingBack, RolledBack,
    Paused or Stalled.
    """
    stable_revision: Revision | None = None
    """The revision that is trusted with all traffic."""
    candidate_revision: Revision | None = None
    """The revision that is being judged."""
    changed_axes: tuple[Annotated[str, Field(max_length=32)], ...] = Field(default=(), max_length=8)
    """What differs between candidate and stable: image, model, prompt, pod."""
    rollout: RolloutStatus | None = None
    """Where the rollout stands."""
    analysis: tuple[SignalStatus, ...] = Field(
        default=(), max_length=24, json_schema_extra=map_list("signal")
    )
    """What each signal says about the candidate, one row per signal."""
    evidence: dict[str, JsonValue] | None = Field(
        default=None,
        max_length=64,
        json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
    )
    """The operator's notebook of the sequential test; opaque, do not edit."""
    last_decision: DecisionStatus | None = None
    """The last decision and its grounds."""
    rejected: RejectedStatus | None = None
    """The revision that was rolled back and is not tried again."""
    draining: tuple[DrainingStatus, ...] = Field(default=(), max_length=4)
    """Revisions whose conversations are coming to their end."""
    replicas: ReplicasStatus | None = None
    """Replicas when the rollout last changed."""
    history: tuple[HistoryEntry, ...] = Field(default=(), max_length=5)
    """How the last revisions ended, newest last."""
    conditions: tuple[Condition, ...] = Field(
        default=(), max_length=16, json_schema_extra=map_list("type")
    )
    """Ready, Reconciling, Stalled, Available, CanaryHealthy, MetricsAvailable, RouteProgrammed and
    PromptDrift.
    """

    @classmethod
    def parse(cls, status: Mapping[str, Any]) -> tuple[Self, tuple[str, ...]]:
        """Read a status without its unreadable top-level fields; second come their problems."""
        try:
            return cls.model_validate(status), ()
        except ValidationError as error:
            unreadable = {str(problem["loc"][0]) for problem in error.errors()}
        readable = {name: value for name, value in status.items() if name not in unreadable}
        problems = tuple(f"status.{name}: unreadable, left out" for name in sorted(unreadable))
        return cls.model_validate(readable), problems
