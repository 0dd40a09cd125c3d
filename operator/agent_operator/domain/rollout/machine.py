"""The rollout as a pure function: `(rules, state, observation, now) -> Decision`.

Initializing -> Stable -> CanaryStarting -> Stepping(i) -> Promoting -> Stable (roles swapped)
                                 \\______________|____________/
                                            RollingBack -> Stable
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from agent_operator.domain.observation import Observation, Problem
from agent_operator.domain.rollout.context import Pass, roll_back
from agent_operator.domain.rollout.live import promoting, stepping
from agent_operator.domain.rollout.rules import RolloutRules
from agent_operator.domain.rollout.starting import canary_starting, initializing, stable
from agent_operator.domain.rollout.state import Action, Decision, RolloutState, State
from agent_operator.domain.verdict.state import start_step


def decide(rules: RolloutRules, state: RolloutState, seen: Observation, now: float) -> Decision:
    """Return the next state and why; deterministic, remembers nothing beside the state."""
    turn = Pass(rules, _anchored(rules, _drained(state, now), now), seen, now)
    return _changed_spec(turn) or _STATES[turn.state.state](turn)


def rolling_back(turn: Pass) -> Decision:
    """Wait until weight 0 is read back; gateway conditions and drain are not waited for."""
    weights, candidate = turn.seen.traffic.weights, turn.candidate
    rejected = turn.state.rejected
    if weights is None or weights.get(candidate, 0) > 0:
        message = f"taking all sessions from {candidate} back to {turn.state.stable}"
        if rejected is not None:
            return Decision(turn.state, Action.ROLL_BACK, rejected.reason, rejected.message)
        return Decision(turn.state, Action.ROLL_BACK, "RollingBack", message)
    state = RolloutState(
        state=State.STABLE,
        stable=turn.state.stable,
        rejected=rejected,
        draining=turn.state.draining,
    )
    if rejected is not None:
        return Decision(state, Action.ROLL_BACK, rejected.reason, rejected.message, again_in=0.0)
    message = f"{turn.state.stable} serves all sessions again"
    return Decision(state, Action.FINISH, "RolledBack", message, again_in=0.0)


_STATES: Mapping[State, Callable[[Pass], Decision]] = {
    State.INITIALIZING: initializing,
    State.STABLE: stable,
    State.CANARY_STARTING: canary_starting,
    State.STEPPING: stepping,
    State.PROMOTING: promoting,
    State.ROLLING_BACK: rolling_back,
}
_WITH_CANDIDATE = frozenset({State.CANARY_STARTING, State.STEPPING, State.PROMOTING})


def _changed_spec(turn: Pass) -> Decision | None:
    """A candidate nobody asks for any more goes back, unrejected."""
    wanted, state = turn.seen.wanted, turn.state
    if state.state not in _WITH_CANDIDATE or wanted in (None, state.candidate):
        return None
    if wanted == state.stable:
        message = f"the spec is back at {state.stable}: {state.candidate} goes"
        return roll_back(turn, Problem("SpecReverted", message), rejects=False)
    message = f"the spec asks for {wanted} now: {state.candidate} goes first"
    return roll_back(turn, Problem("SpecChanged", message), rejects=False)


def _drained(state: RolloutState, now: float) -> RolloutState:
    """Forget draining revisions whose deadline has passed; their objects go with this."""
    left = tuple(entry for entry in state.draining if entry.deadline > now)
    return state if left == state.draining else replace(state, draining=left)


def _anchored(rules: RolloutRules, state: RolloutState, now: float) -> RolloutState:
    """Find the step again after the spec's steps changed under a live rollout.

    The step becomes the last one whose weight is not above the candidate's, else the first; the
    candidate never keeps more than its step gives.
    """
    if state.state is not State.STEPPING or state.analysis is None:
        return state
    weights = [step.weight for step in rules.steps]
    if state.step < len(weights):
        before = weights[state.step - 1] if state.step else 0
        if before <= state.weight <= weights[state.step]:
            return state
    below = [index for index, weight in enumerate(weights) if weight <= state.weight]
    step = below[-1] if below else 0
    weight = min(state.weight, weights[step])
    analysis = start_step(state.analysis, weight=weight)
    return replace(state, step=step, weight=weight, step_started_at=now, analysis=analysis)
