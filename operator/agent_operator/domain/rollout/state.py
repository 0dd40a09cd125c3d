"""The state of a rollout: exactly what `.status` keeps and the state machine needs, no more."""

from dataclasses import dataclass
from enum import StrEnum

from agent_operator.domain.verdict.state import AnalysisState
from agent_operator.domain.verdict.verdict import RolloutVerdict


class State(StrEnum):
    """States of a rollout (`status.rollout.state`); for logic, unlike `status.phase`."""

    INITIALIZING = "Initializing"
    STABLE = "Stable"
    CANARY_STARTING = "CanaryStarting"
    STEPPING = "Stepping"
    PROMOTING = "Promoting"
    ROLLING_BACK = "RollingBack"


LIVE = frozenset({State.STEPPING, State.PROMOTING})  # the candidate may have traffic


@dataclass(frozen=True, slots=True)
class Rejection:
    """A revision that was rolled back; not tried again until the spec asks for another one."""

    revision: str
    reason: str
    message: str
    time: float
    generation: int


@dataclass(frozen=True, slots=True)
class Draining:
    """A revision without new sessions that keeps its open ones until `deadline` (Unix seconds)."""

    revision: str
    since: float
    deadline: float


@dataclass(frozen=True, slots=True)
class RolloutState:
    """Everything remembered between passes; times are Unix seconds.

    `weight`: percent the candidate was given, at most that of `step`. `analysis`: evidence about
    the candidate, None before it has had traffic. `progress_since`: start of the progress
    deadline, None while it does not run. `stable_size`: stable's replicas when the canary began.
    `measured_at`: end of the last block that went into the evidence.
    """

    state: State = State.INITIALIZING
    stable: str | None = None
    candidate: str | None = None
    step: int = 0
    weight: int = 0
    attempt: int = 1
    started_at: float | None = None
    step_started_at: float | None = None
    progress_since: float | None = None
    stable_size: int = 0
    measured_at: float | None = None
    analysis: AnalysisState | None = None
    rejected: Rejection | None = None
    draining: tuple[Draining, ...] = ()

    @property
    def epoch(self) -> str:
        """Name of this stretch of constant weight: only what was counted in it belongs to it."""
        return f"{self.candidate}/{self.stable}/{self.step_started_at}/{self.weight}"


class Action(StrEnum):
    """What a decision does, for people (`status.lastDecision.action`)."""

    INITIALIZE = "Initialize"
    NONE = "None"
    START = "Start"
    STEP = "Step"
    PROMOTE = "Promote"
    HOLD = "Hold"
    ROLL_BACK = "RollBack"
    FINISH = "Finish"


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of one pass: the next state, and why, in words that go everywhere.

    `verdict`: the judgement behind it, None when nothing was judged. `again_in`: seconds until
    time alone may change the decision, None when only events can.
    """

    state: RolloutState
    action: Action
    reason: str
    message: str
    verdict: RolloutVerdict | None = None
    again_in: float | None = None
