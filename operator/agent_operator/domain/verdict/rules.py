"""What the spec asks of the analysis, in plain numbers; built by the caller for each step."""

from collections.abc import Mapping
from dataclasses import dataclass

from agent_operator.domain.verdict.signals import Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisRules:
    """Rules of one evaluation; `maxima` has the judged signals, None: compared with stable only."""

    interval_seconds: float
    min_sessions: int  # to pass a step
    min_sessions_to_fail: int
    min_step_seconds: float
    alpha: float  # chance of a false rollback per rollout, all signals and looks together
    min_increase: float
    maxima: Mapping[Signal, float | None]

    def __post_init__(self) -> None:
        if not self.maxima:
            raise ValueError("at least one signal must be judged")
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha must be between 0 and 1, not {self.alpha}")
        for signal, maximum in self.maxima.items():
            if maximum is not None and not 0 < maximum < 1:
                raise ValueError(f"max of {signal} must be between 0 and 1, not {maximum}")

    @property
    def bar(self) -> float:
        """Evidence at which a process fails the canary: two processes per signal share alpha."""
        return 2 * len(self.maxima) / self.alpha

    @property
    def confirmation(self) -> float:
        """Regression evidence that confirms a breach of the limit while stable can be compared."""
        return 1 / self.alpha
