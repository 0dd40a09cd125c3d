"""How a new revision is rolled out: steps, what is judged, how the old one leaves."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from agent_operator.api.model import ApiModel, Rule, parse_duration

DEFAULT_CANARY_WEIGHT = 5


class Step(ApiModel):
    """One step of a rollout."""

    weight: int = Field(ge=1, le=100)
    """Percent of new sessions that go to the candidate during this step."""
    min_sessions: int | None = Field(default=None, ge=1, le=1_000_000)
    """Sessions the candidate must have had at this weight; default is analysis.minSessions."""
    min_step_seconds: int | None = Field(default=None, ge=0, le=604_800)
    """Seconds that must have been judged at this weight; default is analysis.minStepSeconds."""


class SignalSpec(ApiModel):
    """What one signal allows."""

    enabled: bool = True
    """false switches the signal off."""
    max: float = Field(gt=0, lt=1)
    """Share of requests that may be bad, as in 0.05 for five percent."""


class ErrorRateSpec(SignalSpec):
    """Share of requests that fail."""

    max: float = Field(default=0.05, gt=0, lt=1)
    """Share of requests that may fail, as in 0.05 for five percent."""


class FallbackRateSpec(SignalSpec):
    """Share of requests answered by a fallback layer."""

    max: float = Field(default=0.2, gt=0, lt=1)
    """Share of requests that a fallback may answer, as in 0.2 for twenty percent."""


class SignalsSpec(ApiModel):
    """The signals a revision is judged by."""

    # Not null for "off": a merge patch, as kubectl and Helm send it, takes null for "delete", and
    # the API server would put the default back.
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="[has(self.errorRate) && has(self.errorRate.enabled) && !self.errorRate.enabled, "
            "has(self.fallbackRate) && has(self.fallbackRate.enabled) && "
            "!self.fallbackRate.enabled].exists(off, !off)",
            message="signals must leave at least one enabled, else a rollout cannot be judged",
            holds=lambda signals: bool(signals.judged),
        ),
    )

    error_rate: ErrorRateSpec = ErrorRateSpec()
    """Requests that failed: no answer, a static answer, or an exception."""
    fallback_rate: FallbackRateSpec = FallbackRateSpec()
    """Requests answered by a fallback instead of the primary model."""

    @property
    def judged(self) -> dict[str, SignalSpec]:
        """The signals that are on, by their API name."""
        signals: dict[str, SignalSpec] = {
            "errorRate": self.error_rate,
            "fallbackRate": self.fallback_rate,
        }
        return {name: signal for name, signal in signals.items() if signal.enabled}


def _interval_text(text: str) -> str:
    parse_duration(text)
    return text


class AnalysisSpec(ApiModel):
    """When a candidate is good enough to go on, and when it is bad enough to go back."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.interval) || (duration(self.interval) >= duration('5s') && "
            "duration(self.interval) <= duration('10m'))",
            message="interval must be between 5s and 10m",
            holds=lambda analysis: 5 <= analysis.interval_seconds <= 600,
            field=".interval",
        ),
    )

    interval: Annotated[
        str,
        Field(min_length=2, max_length=8, pattern=r"^([0-9]{1,3}m)?([0-9]{1,3}s)?$"),
        AfterValidator(_interval_text),
    ] = "15s"
    """How often the counters are read and judged, between 5s and 10m, as in 15s or 1m30s."""
    min_sessions: int = Field(default=50, ge=1, le=1_000_000)
    """Sessions the candidate must have had at a weight before it may pass the step."""
    min_sessions_to_fail: int = Field(default=5, ge=1, le=1_000_000)
    """Sessions the candidate must have had before it may be rolled back by a signal."""
    min_step_seconds: int = Field(default=120, ge=0, le=604_800)
    """Seconds that must have been judged at a weight before the step may be passed.

    This is the time that later turns of a conversation have to go wrong.
    """
    alpha: float = Field(default=0.05, gt=0, le=0.5)
    """Chance of a false rollback per rollout, over all signals and evaluations together."""
    min_increase: float = Field(default=0.02, ge=0, lt=1)
    """Smallest increase of the share of bad sessions over stable that leads to a rollback."""
    signals: SignalsSpec = SignalsSpec()
    """The signals the candidate is judged by; at least one is enabled."""

    @property
    def interval_seconds(self) -> float:
        """The interval as a number of seconds."""
        return parse_duration(self.interval).total_seconds()


class DrainSpec(ApiModel):
    """How a revision that lost its traffic leaves."""

    seconds: int = Field(default=600, ge=0, le=86_400)
    """Seconds that conversations on the old revision may go on before its pods are removed."""


class RolloutSpec(ApiModel):
    """How a new revision takes over."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.canaryWeight) || !has(self.steps)",
            message="canaryWeight and steps exclude each other: keep canaryWeight for a single "
            "step, or steps for several",
            holds=lambda rollout: rollout.canary_weight is None or rollout.steps is None,
            field=".steps",
        ),
        Rule(
            cel="!has(self.steps) || (self.steps.map(step, step.weight).isSorted() && "
            "self.steps.all(step, self.steps.exists_one(other, other.weight == step.weight)))",
            message="steps must have strictly rising weights, as in 5, 25, 50",
            holds=lambda rollout: all(
                a.weight < b.weight for a, b in pairwise(rollout.steps or ())
            ),
            field=".steps",
        ),
    )

    canary_weight: int | None = Field(default=None, ge=1, le=100)
    """Percent of new sessions for the candidate in a rollout of one step. Excludes steps."""
    steps: tuple[Step, ...] | None = Field(default=None, min_length=1, max_length=20)
    """Steps with strictly rising weights. Excludes canaryWeight."""
    analysis: AnalysisSpec = AnalysisSpec()
    """When a candidate is good enough to go on, and when it is bad enough to go back."""
    drain: DrainSpec = DrainSpec()
    """How the old revision leaves after a promotion."""
    progress_deadline_seconds: int = Field(default=600, ge=30, le=86_400)
    """Seconds a revision may take to become available before it is given up."""
    history_limit: int = Field(default=5, ge=1, le=20)
    """How many retired revisions are kept; going back to one of them needs only the spec."""

    @property
    def effective_steps(self) -> tuple[Step, ...]:
        """The steps to take; a canary weight, given or by default, is one step."""
        return self.steps or (Step(weight=self.canary_weight or DEFAULT_CANARY_WEIGHT),)
