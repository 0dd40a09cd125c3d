"""One pass of the state machine as a value, and the few ways a pass can end."""

from dataclasses import dataclass, replace

from agent_operator.domain.observation import Observation, Problem, TrackObservation
from agent_operator.domain.rollout.rules import RolloutRules
from agent_operator.domain.rollout.state import (
    Action,
    Decision,
    Rejection,
    RolloutState,
    State,
)
from agent_operator.domain.verdict.verdict import RolloutVerdict


@dataclass(frozen=True, slots=True)
class Pass:
    """Everything one pass decides from; `now` in Unix seconds."""

    rules: RolloutRules
    state: RolloutState
    seen: Observation
    now: float

    @property
    def candidate(self) -> str:
        """The candidate's revision; only for states that have one."""
        if self.state.candidate is None:
            raise AssertionError(f"{self.state.state} without a candidate")
        return self.state.candidate

    @property
    def stable_track(self) -> TrackObservation:
        """Pods of the stable revision."""
        return self.seen.track(self.state.stable)

    @property
    def candidate_track(self) -> TrackObservation:
        """Pods of the candidate."""
        return self.seen.track(self.state.candidate)

    @property
    def deadline(self) -> float | None:
        """When the candidate or first revision should have made progress, if that runs."""
        since = self.state.progress_since
        return None if since is None else since + self.rules.progress_deadline_seconds

    def is_late(self) -> bool:
        """Whether the progress deadline has passed."""
        return self.deadline is not None and self.now >= self.deadline

    def seconds_to_deadline(self) -> float | None:
        """Seconds until the progress deadline, at least a little; None when it does not run."""
        return None if self.deadline is None else max(1.0, self.deadline - self.now)


def hold(
    state: RolloutState,
    problem: Problem,
    *,
    verdict: RolloutVerdict | None = None,
    again_in: float | None = None,
) -> Decision:
    """Nothing moves up; the problem says why."""
    return Decision(state, Action.HOLD, problem.reason, problem.message, verdict, again_in)


def roll_back(
    turn: Pass,
    problem: Problem,
    *,
    rejects: bool = True,
    verdict: RolloutVerdict | None = None,
) -> Decision:
    """Take all traffic from the candidate; with `rejects`, do not try that revision again."""
    rejected = turn.state.rejected
    if rejects:
        rejected = Rejection(
            turn.candidate, problem.reason, problem.message, turn.now, turn.seen.generation
        )
    state = replace(
        turn.state,
        state=State.ROLLING_BACK,
        weight=0,
        progress_since=None,
        rejected=rejected,
    )
    return Decision(state, Action.ROLL_BACK, problem.reason, problem.message, verdict, 0.0)
