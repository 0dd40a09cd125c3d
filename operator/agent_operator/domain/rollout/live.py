"""States with canary traffic: Stepping and Promoting. A failing candidate goes back from both."""

from dataclasses import replace

from agent_operator.domain.observation import Measured, NotMeasured, Problem
from agent_operator.domain.rollout.context import Pass, hold, roll_back
from agent_operator.domain.rollout.state import Action, Decision, Draining, RolloutState, State
from agent_operator.domain.verdict.messages import sentence, summary
from agent_operator.domain.verdict.rules import AnalysisRules
from agent_operator.domain.verdict.state import AnalysisState, absorb, start_step
from agent_operator.domain.verdict.verdict import Outcome, RolloutVerdict, judge, with_verdict

PASSES_TO_PROMOTE = 3
MAX_DRAINING = 4  # revisions kept warm for their open sessions; the oldest goes first


def stepping(turn: Pass) -> Decision:
    """Judge the candidate at its weight; go on, stay or go back."""
    before = turn.state
    turn, verdict = _judged(turn)
    if verdict.outcome is Outcome.FAIL:
        return _fail(turn, verdict)
    problem = _obstacle(turn) or _paused(turn)
    if problem is not None:
        is_in_work = problem.reason in ("RoutePending", "WeightNotInForce")
        state = turn.state if is_in_work else _without_passes(turn.state)
        return hold(state, problem, verdict=verdict)
    return _go_on(turn, verdict, is_new=turn.state.measured_at != before.measured_at)


def _go_on(turn: Pass, verdict: RolloutVerdict, *, is_new: bool) -> Decision:
    """Raise the weight, step or promote, if the verdict allows it and new counts say so."""
    if turn.state.weight < turn.rules.steps[turn.state.step].weight:
        return _raise_weight(turn, verdict)
    if verdict.outcome is not Outcome.PASS:
        return hold(turn.state, Problem(verdict.reason, _sentence(turn, verdict)), verdict=verdict)
    if turn.state.step + 1 == len(turn.rules.steps):
        return _promotion(turn, verdict, is_new=is_new)
    if is_new:
        return _next_step(turn, verdict)
    return hold(turn.state, Problem(verdict.reason, _sentence(turn, verdict)), verdict=verdict)


def promoting(turn: Pass) -> Decision:
    """Scale the candidate to stable's size, then give it everything, then make it stable."""
    turn, verdict = _judged(turn)
    if verdict.outcome is Outcome.FAIL:
        return _fail(turn, verdict)
    size, track = turn.state.stable_size, turn.candidate_track
    if turn.state.weight == 100 and turn.seen.traffic.gives(turn.candidate, 100):
        return _finish(turn, verdict)
    problem = _obstacle(turn)
    if problem is not None:
        return hold(turn.state, problem, verdict=verdict)
    if turn.state.weight < 100 and track.serves(size):
        state = _at_weight(turn.state, 100, now=turn.now)
        message = f"{turn.candidate} gets all new sessions, {track.available} pods available"
        return Decision(state, Action.PROMOTE, "Promoting", message, verdict, 0.0)
    progress = f"{turn.candidate}: {track.available} of {size} pods available"
    if turn.is_late():
        message = f"{progress}: it stays at {turn.state.weight} % until they are"
        return hold(turn.state, Problem("PromotionBlocked", message), verdict=verdict)
    again = turn.seconds_to_deadline()
    return Decision(turn.state, Action.PROMOTE, "Promoting", progress, verdict, again)


def _judged(turn: Pass) -> tuple[Pass, RolloutVerdict]:
    """Take a new block into the evidence and judge all of it."""
    state, measured, rules = turn.state, turn.seen.evaluation, _step_rules(turn)
    if state.analysis is None:
        raise AssertionError(f"{state.state} without evidence")
    if not isinstance(measured, Measured) or not _belongs(measured, turn):
        return turn, judge(state.analysis, rules)
    analysis = absorb(
        state.analysis,
        rules,
        canary=measured.canary,
        stable=measured.stable,
        seconds=measured.seconds,
    )
    verdict = judge(analysis, rules)
    analysis = with_verdict(analysis, verdict)
    state = replace(state, analysis=analysis, measured_at=measured.at)
    return replace(turn, state=state), verdict


def _belongs(measured: Measured, turn: Pass) -> bool:
    """Whether a block was counted at the present weight, while that was in force, and is new."""
    is_in_force = turn.candidate_track.ready > 0 and turn.seen.traffic.gives(
        turn.candidate, turn.state.weight
    )
    is_new = measured.at > (turn.state.measured_at or 0.0)
    return is_in_force and is_new and measured.epoch == turn.state.epoch


def _step_rules(turn: Pass) -> AnalysisRules:
    step = turn.rules.steps[min(turn.state.step, len(turn.rules.steps) - 1)]
    return replace(
        turn.rules.analysis,
        min_sessions=step.min_sessions,
        min_step_seconds=step.min_step_seconds,
    )


def _obstacle(turn: Pass) -> Problem | None:
    """Why the weight must not move up now, whatever the evidence says."""
    if turn.seen.problem is not None:
        return turn.seen.problem  # nobody can say whether the spec still asks for this candidate
    if isinstance(turn.seen.evaluation, NotMeasured):
        return turn.seen.evaluation.problem
    if turn.seen.traffic.problem is not None:
        return turn.seen.traffic.problem
    if turn.candidate_track.ready == 0:
        message = f"no pod of {turn.candidate} is ready: {turn.state.stable} takes its sessions"
        return Problem("CandidateNotReady", message)
    if not turn.seen.traffic.gives(turn.candidate, turn.state.weight):
        message = f"waiting for {turn.state.weight} % of new sessions to be in force"
        return Problem("WeightNotInForce", message)
    return None


def _paused(turn: Pass) -> Problem | None:
    if not turn.rules.is_paused:
        return None
    message = (
        f"{turn.candidate} stays at {turn.state.weight} %: spec.paused is true; set it to false "
        "to go on"
    )
    return Problem("Paused", message)


def _raise_weight(turn: Pass, verdict: RolloutVerdict) -> Decision:
    """Scale first, then traffic: the weight follows once its pods are available."""
    step, steps = turn.state.step, turn.rules.steps
    weight, track = steps[step].weight, turn.candidate_track
    needed = turn.rules.candidate_replicas(weight, turn.state.stable_size)
    if not track.serves(needed):
        message = f"{turn.candidate}: {track.available} of {needed} pods for {weight} % available"
        reason = "StepBlocked" if turn.is_late() else "ScalingCandidate"
        again = None if turn.is_late() else turn.seconds_to_deadline()
        return hold(turn.state, Problem(reason, message), verdict=verdict, again_in=again)
    message = f"{turn.candidate} gets {weight} % of new sessions (step {step + 1} of {len(steps)})"
    state = _at_weight(turn.state, weight, now=turn.now)
    return Decision(state, Action.STEP, "StepStarted", message, verdict, 0.0)


def _next_step(turn: Pass, verdict: RolloutVerdict) -> Decision:
    state = replace(
        turn.state,
        step=turn.state.step + 1,
        progress_since=turn.now,
        stable_size=_stable_size(turn),
    )
    state = _without_passes(state)
    message = f"passed at {turn.state.weight} %: {_sentence(turn, verdict)}"
    return Decision(state, Action.STEP, "StepPassed", message, verdict, 0.0)


def _stable_size(turn: Pass) -> int:
    """Return stable's size as it is now, never less than when the canary began."""
    return turn.rules.clamp(max(turn.state.stable_size, turn.stable_track.replicas))


def _promotion(turn: Pass, verdict: RolloutVerdict, *, is_new: bool) -> Decision:
    """Promote after enough passes in a row, on a pass that took in new counts."""
    passes = _analysis(turn.state).passes_in_row
    sentence = _sentence(turn, verdict)
    if passes < PASSES_TO_PROMOTE or not is_new:
        message = f"{passes} of {PASSES_TO_PROMOTE} passes in a row to promote: {sentence}"
        return hold(turn.state, Problem("ConfirmingPass", message), verdict=verdict)
    size = _stable_size(turn)
    state = replace(turn.state, state=State.PROMOTING, stable_size=size, progress_since=turn.now)
    message = f"passed at {turn.state.weight} %, scaling {turn.candidate} to {size}: {sentence}"
    return Decision(state, Action.PROMOTE, "Promoting", message, verdict, 0.0)


def _finish(turn: Pass, verdict: RolloutVerdict) -> Decision:
    old = turn.state.stable
    draining = turn.state.draining
    if old is not None:
        draining = (*draining, Draining(old, turn.now, turn.now + turn.rules.drain_seconds))
    state = RolloutState(
        state=State.STABLE, stable=turn.candidate, draining=draining[-MAX_DRAINING:]
    )
    counted = summary(_analysis(turn.state), candidate=turn.candidate, stable=old or "")
    message = f"promoted {turn.candidate} over {old}: {counted}"
    return Decision(state, Action.FINISH, "Promoted", message, verdict, 0.0)


def _fail(turn: Pass, verdict: RolloutVerdict) -> Decision:
    message = (
        f"{_sentence(turn, verdict)}: rolled back to {turn.state.stable}; "
        "find the cause and change the spec"
    )
    return roll_back(turn, Problem(verdict.reason, message), verdict=verdict)


def _sentence(turn: Pass, verdict: RolloutVerdict) -> str:
    return sentence(verdict, candidate=turn.candidate, stable=turn.state.stable or "")


def _at_weight(state: RolloutState, weight: int, *, now: float) -> RolloutState:
    analysis = start_step(_analysis(state), weight=weight)
    return replace(
        state, weight=weight, step_started_at=now, progress_since=None, analysis=analysis
    )


def _without_passes(state: RolloutState) -> RolloutState:
    return replace(state, analysis=replace(_analysis(state), passes_in_row=0))


def _analysis(state: RolloutState) -> AnalysisState:
    if state.analysis is None:
        raise AssertionError(f"{state.state} without evidence")
    return state.analysis
