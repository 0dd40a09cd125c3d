"""States without canary traffic: Initializing, Stable, CanaryStarting."""

from collections.abc import Mapping
from dataclasses import replace

from agent_operator.domain.observation import Problem
from agent_operator.domain.rollout.context import Pass, hold, roll_back
from agent_operator.domain.rollout.state import Action, Decision, RolloutState, State
from agent_operator.domain.verdict.state import fresh, start_step


def initializing(turn: Pass) -> Decision:
    """Bring up the first revision; nothing to compare it with, so no analysis."""
    lost = _last_stable(turn.seen.known)
    if turn.state.stable is None and lost is not None:
        state = RolloutState(state=State.STABLE, stable=lost)
        message = f"status was empty: {lost} was the last stable revision and is again"
        return Decision(state, Action.FINISH, "StatusRebuilt", message, again_in=0.0)
    wanted = turn.seen.wanted
    if wanted is None:
        return hold(turn.state, _missing(turn))
    if turn.state.stable != wanted:
        state = replace(turn.state, stable=wanted, started_at=turn.now, progress_since=turn.now)
        message = f"first revision {wanted} is starting"
        return Decision(state, Action.INITIALIZE, "Initializing", message, again_in=0.0)
    return _first_revision(turn, wanted)


def _first_revision(turn: Pass, wanted: str) -> Decision:
    needed, track = turn.rules.min_replicas, turn.stable_track
    if track.serves(needed) and turn.seen.traffic.gives(wanted, 100):
        state = replace(turn.state, state=State.STABLE, progress_since=None)
        message = f"first revision {wanted} serves all sessions with {track.available} pods"
        return Decision(state, Action.FINISH, "Initialized", message, again_in=0.0)
    progress = f"first revision {wanted}: {track.available} of {needed} pods available"
    traffic = turn.seen.traffic.problem
    if turn.is_late():
        seconds = turn.rules.progress_deadline_seconds
        problem = Problem(
            "ProgressDeadlineExceeded",
            f"{progress} after {seconds:.0f} s{_because(traffic)}; look at its pods with "
            f"`kubectl get pods -l agentdeploy.dev/revision={wanted}`, fix the cause or the spec",
        )
        return hold(turn.state, problem)
    if track.serves(needed) and traffic is not None:
        return hold(turn.state, traffic, again_in=turn.seconds_to_deadline())
    again = turn.seconds_to_deadline()
    return Decision(turn.state, Action.INITIALIZE, "Initializing", progress, again_in=again)


def stable(turn: Pass) -> Decision:
    """Stay, or start a canary when the spec asks for a revision that is not rejected."""
    state, wanted = turn.state, turn.seen.wanted
    if wanted is None:
        return hold(state, _missing(turn))
    if wanted == state.stable:
        settled = replace(state, rejected=None)
        message = f"{wanted} serves all sessions"
        return Decision(settled, Action.NONE, "Stable", message, again_in=_next_drain(turn))
    rejected = state.rejected
    if rejected is not None and rejected.revision == wanted:
        return Decision(
            state,
            Action.ROLL_BACK,
            rejected.reason,
            rejected.message,
            again_in=_next_drain(turn),
        )
    if turn.rules.is_paused:
        message = f"{wanted} waits: spec.paused is true; set it to false to start the canary"
        return hold(state, Problem("Paused", message), again_in=_next_drain(turn))
    return _start(turn, wanted)


def _start(turn: Pass, wanted: str) -> Decision:
    state = replace(
        turn.state,
        state=State.CANARY_STARTING,
        candidate=wanted,
        step=0,
        weight=0,
        attempt=1,
        started_at=turn.now,
        step_started_at=None,
        progress_since=turn.now,
        stable_size=turn.rules.clamp(turn.stable_track.replicas),
        analysis=None,
        measured_at=None,
        rejected=None,
        draining=tuple(d for d in turn.state.draining if d.revision != wanted),
    )
    message = f"{wanted} starts as candidate beside {turn.state.stable}"
    return Decision(state, Action.START, "CanaryStarting", message, again_in=0.0)


def canary_starting(turn: Pass) -> Decision:
    """Wait for the candidate's pods and the route, then give it the first step's weight."""
    state = turn.state
    problem = turn.seen.traffic.problem
    if problem is None and turn.seen.traffic.weights is None:
        message = f"candidate {turn.candidate} waits until the route can be read back"
        problem = Problem("RoutePending", message)
    if problem is not None:
        # Infrastructure never rejects a revision: the deadline does not run meanwhile.
        is_in_work = problem.reason == "RoutePending"
        return hold(state if is_in_work else replace(state, progress_since=None), problem)
    if state.progress_since is None:
        state = replace(state, progress_since=turn.now)
    step = turn.rules.steps[0]
    needed = turn.rules.candidate_replicas(step.weight, state.stable_size)
    track = turn.candidate_track
    if track.serves(needed) and not turn.rules.is_paused:
        return _first_step(replace(turn, state=state))
    progress = f"candidate {turn.candidate}: {track.available} of {needed} pods available"
    if turn.rules.is_paused:
        state = replace(state, progress_since=None)
        return hold(state, Problem("Paused", f"spec.paused is true; {progress}"))
    if turn.is_late():
        seconds = turn.rules.progress_deadline_seconds
        message = (
            f"{progress} after {seconds:.0f} s: stays on {state.stable}; why, say its pods "
            f"(kubectl get pods -l agentdeploy.dev/revision={turn.candidate}): fix the image, its "
            "settings or the cluster's capacity and change the spec"
        )
        return roll_back(turn, Problem("ProgressDeadlineExceeded", message))
    again = replace(turn, state=state).seconds_to_deadline()
    return Decision(state, Action.START, "CanaryStarting", progress, again_in=again)


def _first_step(turn: Pass) -> Decision:
    weight = turn.rules.steps[0].weight
    state = replace(
        turn.state,
        state=State.STEPPING,
        step=0,
        weight=weight,
        step_started_at=turn.now,
        progress_since=None,
        analysis=start_step(fresh(turn.rules.analysis), weight=weight),
        # Without a gateway Service <name> selects every pod of the agent while it is shared.
        draining=turn.state.draining if turn.rules.has_gateway else (),
    )
    message = (
        f"{turn.candidate} gets {weight} % of new sessions (step 1 of {len(turn.rules.steps)})"
    )
    return Decision(state, Action.STEP, "StepStarted", message, again_in=0.0)


def _last_stable(known: Mapping[str, int]) -> str | None:
    was_stable = {revision: number for revision, number in known.items() if number > 0}
    return max(was_stable, key=lambda revision: was_stable[revision]) if was_stable else None


def _missing(turn: Pass) -> Problem:
    if turn.seen.problem is None:
        raise AssertionError("no wanted revision and no reason for it")
    return turn.seen.problem


def _because(problem: Problem | None) -> str:
    return "" if problem is None else f" ({problem.message})"


def _next_drain(turn: Pass) -> float | None:
    deadlines = [entry.deadline for entry in turn.state.draining]
    return max(1.0, min(deadlines) - turn.now) if deadlines else None
