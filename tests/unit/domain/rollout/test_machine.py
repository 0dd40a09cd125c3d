import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_operator.api.v1alpha1 import AgentDeploymentStatus
from agent_operator.domain.conditions import Situation
from agent_operator.domain.observation import NotMeasured, Problem, TrackObservation
from agent_operator.domain.rollout.codec import state_of
from agent_operator.domain.rollout.machine import decide
from agent_operator.domain.rollout.state import LIVE, Action, Decision, RolloutState, State
from agent_operator.domain.rollout.traffic import serving_plan
from agent_operator.domain.serving import Snapshot
from agent_operator.domain.status import StatusInput, status_of
from tests.rollout_world import World, counted, rules

OUTAGE = NotMeasured(Problem("MetricsUnavailable", "connection refused"))


def stable_world(**options: object) -> World:
    world = World(**options)  # type: ignore[arg-type]
    world.settle()
    assert world.state.state is State.STABLE
    return world


def canary_world(*weights: int, **options: object) -> World:
    world = stable_world(rules=rules(*weights, **options))  # type: ignore[arg-type]
    world.roll_out("two")
    return world


def pass_step(world: World) -> None:
    step = world.state.step
    for _ in range(6):
        world.measure(counted(20), counted(180))
        world.turn()
        if world.state.step != step or world.state.state is not State.STEPPING:
            return
    raise AssertionError("the step was not passed")


def test_the_first_revision_becomes_stable_without_analysis() -> None:
    world = World()
    world.settle()
    assert (world.state.state, world.state.stable) == (State.STABLE, "one")


def test_a_first_revision_that_never_gets_available_stalls_and_heals() -> None:
    world = World(starts_pods=False)
    world.turn()
    world.turn()
    world.now += 600
    assert world.turn().reason == "ProgressDeadlineExceeded"
    world.pods["one"] = TrackObservation(2, 2, 2, is_observed=True)
    assert world.turn().state.state is State.STABLE


def test_a_missing_prompt_holds_and_names_the_reason() -> None:
    world = stable_world()
    world.wanted = None
    decision = world.turn()
    assert (decision.action, decision.reason) == (Action.HOLD, "PromptNotFound")
    assert decision.state.stable == "one"


def test_a_good_candidate_goes_through_all_steps_and_is_promoted() -> None:
    world = canary_world(5, 50)
    assert world.weights == {"one": 95, "two": 5}
    pass_step(world)
    assert world.settle().state.weight == 50
    pass_step(world)
    assert world.state.state is State.PROMOTING
    world.settle()
    assert (world.state.state, world.state.stable) == (State.STABLE, "two")
    assert [entry.revision for entry in world.state.draining] == ["one"]


def test_promotion_needs_three_passes_in_a_row() -> None:
    world = canary_world(50)
    reasons = [world.measure(counted(20), counted(20)).reason for _ in range(3)]
    assert reasons == ["ConfirmingPass", "ConfirmingPass", "Promoting"]


def test_a_candidate_that_falls_back_is_rolled_back_with_its_numbers() -> None:
    world = canary_world(5, 50)
    world.measure(counted(100), counted(1900))
    decision = world.measure(counted(20, bad=18), counted(380, bad=2))
    assert (decision.action, decision.reason) == (Action.ROLL_BACK, "FallbackRateRegression")
    assert "fallbackRate 18/120 sessions on two against 2/2280 on one" in decision.message
    assert world.weights == {"one": 100, "two": 0}
    world.settle()
    assert (world.state.state, world.state.stable) == (State.STABLE, "one")
    assert world.state.rejected is not None


def test_a_rejected_revision_is_not_tried_again_until_the_spec_asks_for_another_one() -> None:
    world = canary_world(5)
    world.measure(counted(50, bad=50), counted(950))
    world.settle()
    assert world.turn().reason == "FallbackRateRegression"
    assert world.state.candidate is None
    world.wanted = "one"
    world.settle()
    assert world.state.rejected is None
    world.roll_out("two")


def test_a_fix_pushed_after_a_rollback_starts_at_once() -> None:
    world = canary_world(5)
    world.measure(counted(50, bad=50), counted(950))
    world.roll_out("three")
    assert world.state.candidate == "three"


def test_missing_metrics_hold_and_never_promote_or_roll_back() -> None:
    world = canary_world(5)
    world.evaluation = OUTAGE
    for _ in range(40):
        world.now += 15
        decision = world.turn()
        assert (decision.action, decision.reason) == (Action.HOLD, "MetricsUnavailable")
        assert (decision.state.state, decision.state.weight) == (State.STEPPING, 5)
    world.evaluation = None
    pass_step(world)
    assert world.state.state is State.PROMOTING


def test_an_outage_of_metrics_is_no_step_time() -> None:
    world = canary_world(5, 50, min_step_seconds=120.0)
    world.measure(counted(20), counted(180))
    decision = world.measure(counted(20), counted(180), seconds=3600)
    assert decision.state.step == 0
    assert decision.state.analysis is not None
    assert decision.state.analysis.step_seconds == 45


def test_a_candidate_without_ready_pods_has_no_weight_in_the_same_pass() -> None:
    world = canary_world(50)
    world.lose_pods("two")
    decision = world.turn()
    assert decision.reason == "CandidateNotReady"
    assert world.weights == {"one": 100, "two": 0}


def test_a_candidate_that_never_gets_ready_is_given_up_at_the_deadline() -> None:
    world = stable_world()
    world.wanted, world.starts_pods = "two", False
    world.turn()
    world.turn()
    world.now += 600
    assert world.turn().reason == "ProgressDeadlineExceeded"
    world.settle()
    assert world.state.stable == "one"
    assert world.state.rejected is not None


def test_an_unaccepted_route_never_rejects_a_candidate() -> None:
    world = stable_world()
    world.wanted = "two"
    world.turn()
    world.route_problem = Problem("RouteNotAccepted", "no matching listener")
    for _ in range(5):
        world.now += 600
        assert world.turn().reason == "RouteNotAccepted"
    world.route_problem = None
    world.settle()
    assert world.state.state is State.STEPPING


def test_the_weight_waits_until_it_is_read_back() -> None:
    world = canary_world(5)
    for _ in range(3):
        world.weights = {"one": 100, "two": 0}
        assert world.measure(counted(20), counted(180)).reason == "WeightNotInForce"


def test_a_step_waits_for_the_pods_of_its_weight() -> None:
    world = canary_world(5, 50)
    world.pods["two"] = TrackObservation(1, 1, 1, is_observed=True)
    pass_step(world)
    assert world.turn().reason == "ScalingCandidate"
    assert world.state.weight == 5
    world.pods["two"] = TrackObservation(2, 2, 2, is_observed=True)
    assert world.turn().state.weight == 50


def test_promotion_waits_for_stable_size_and_reports_when_it_is_blocked() -> None:
    world = canary_world(50)
    world.pods["two"] = TrackObservation(2, 2, 2, is_observed=True)
    for _ in range(3):
        world.measure(counted(20), counted(20))
    assert world.turn().reason == "Promoting"
    world.now += 600
    assert world.turn().reason == "PromotionBlocked"
    assert world.weights == {"one": 50, "two": 50}


def test_going_back_to_stable_in_the_spec_takes_the_candidate_away_unrejected() -> None:
    world = canary_world(5)
    world.wanted = "one"
    assert world.turn().reason == "SpecReverted"
    world.settle()
    assert (world.state.state, world.state.rejected) == (State.STABLE, None)


def test_another_revision_in_mid_rollout_starts_against_the_same_stable() -> None:
    world = canary_world(5)
    world.wanted = "three"
    assert world.turn().reason == "SpecChanged"
    world.settle()
    assert (world.state.stable, world.state.candidate) == ("one", "three")


def test_a_paused_rollout_keeps_its_weight_and_still_rolls_back() -> None:
    world = canary_world(5, 50)
    world.rules = rules(5, 50, is_paused=True)
    for _ in range(5):
        assert world.measure(counted(20), counted(180)).reason == "Paused"
    assert world.state.weight == 5
    assert world.measure(counted(50, bad=50), counted(950)).action is Action.ROLL_BACK


def test_lowered_steps_lower_the_weight_at_once() -> None:
    world = canary_world(50)
    world.rules = rules(10, 20)
    world.turn()
    assert world.weights == {"one": 80, "two": 20}


def test_inserted_steps_continue_from_the_present_weight() -> None:
    world = canary_world(5, 50)
    pass_step(world)
    world.settle()
    world.rules = rules(5, 25, 50, 75)
    world.turn()
    assert (world.state.step, world.state.weight) == (2, 50)


def test_drained_revisions_are_forgotten_at_their_deadline() -> None:
    world = canary_world(50)
    for _ in range(3):
        world.measure(counted(20), counted(20))
    decision = world.settle()
    assert decision.again_in == 60
    world.now += 60
    world.turn()
    assert world.state.draining == ()


def test_a_lost_status_finds_the_last_stable_revision_again() -> None:
    world = World(wanted="three", known={"one": 1, "two": 2, "three": 0})
    assert world.turn().reason == "StatusRebuilt"
    assert world.state.stable == "two"
    world.settle()
    assert (world.state.candidate, world.state.state) == ("three", State.STEPPING)


def test_a_settled_pass_changes_nothing() -> None:
    world = stable_world()
    before = world.turn()
    assert world.turn() == before


@pytest.mark.parametrize(
    ("weight", "stable", "gateway", "ratio"),
    [(5, 4, 1, 1), (50, 4, 2, 4), (25, 8, 2, 2), (100, 4, 4, 4), (90, 10, 9, 20)],
)
def test_candidate_size_follows_the_weight(
    weight: int, stable: int, gateway: int, ratio: int
) -> None:
    assert rules(has_gateway=True).candidate_replicas(weight, stable) == gateway
    assert rules(has_gateway=False).candidate_replicas(weight, stable) == ratio


def frozen(*revisions: str) -> dict[str, Snapshot]:
    return {revision: Snapshot(revision, {}, {}, {}) for revision in revisions}


def test_stable_keeps_its_size_and_does_not_scale_down_during_a_canary() -> None:
    world = canary_world(5)
    plan = serving_plan(
        world.rules, world.state, world.seen(), snapshots=frozen("one", "two"), history=5
    )
    stable, candidate = plan.revisions
    assert (stable.min_replicas, stable.scale_down, stable.weight) == (4, False, 95)
    assert (candidate.min_replicas, candidate.weight, candidate.pinned) == (1, 5, True)


def test_a_rolled_back_candidate_loses_its_pin_at_once() -> None:
    world = canary_world(5)
    world.measure(counted(50, bad=50), counted(950))
    plan = serving_plan(
        world.rules, world.state, world.seen(), snapshots=frozen("one", "two"), history=5
    )
    assert [revision.pinned for revision in plan.revisions] == [True, False]


@pytest.mark.parametrize(("weight", "selected"), [(0, "one"), (30, None), (100, "two")])
def test_without_a_gateway_the_service_selects_by_weight(weight: int, selected: str | None) -> None:
    world = canary_world(30, has_gateway=False)
    world.state = RolloutState(
        state=State.STEPPING, stable="one", candidate="two", weight=weight, stable_size=4
    )
    plan = serving_plan(
        world.rules, world.state, world.seen(), snapshots=frozen("one", "two"), history=5
    )
    assert plan.service_revision == selected
    assert plan.revisions[1].fixed_replicas is not None


EVENTS = st.lists(
    st.sampled_from(
        ["good", "bad", "outage", "crash", "recover", "wait", "revert", "change", "restart"]
    ),
    max_size=40,
)


@given(EVENTS)
def test_whatever_happens_weights_stay_within_the_step_and_promotion_needs_passes(
    events: list[str],
) -> None:
    world = canary_world(5, 50)
    for event in events:
        before = world.state
        decision = happen(world, event)
        state = world.state
        assert world.weights is not None
        assert sum(world.weights.values()) == 100
        given_weight = world.weights.get(state.candidate or "", 0)
        if state.state is State.STEPPING:
            assert given_weight <= world.rules.steps[state.step].weight
        if given_weight:
            assert world.pods[state.candidate or ""].ready
        if event == "outage" and before.state in LIVE and before.candidate == world.wanted:
            assert state.weight <= before.weight
            assert decision.action is not Action.ROLL_BACK
        if state.state is State.PROMOTING and before.state is State.STEPPING:
            assert before.analysis is not None
            assert before.analysis.passes_in_row >= 2


def happen(world: World, event: str) -> Decision:
    if event in ("good", "bad"):
        world.evaluation = None
        return world.measure(counted(10, bad=9 if event == "bad" else 0), counted(90))
    if event == "outage":
        world.evaluation = OUTAGE
    if event == "crash" and world.state.candidate:
        world.lose_pods(world.state.candidate)
    if event == "recover" and world.state.candidate:
        world.pods[world.state.candidate] = TrackObservation(4, 4, 4, is_observed=True)
    if event == "wait":
        world.now += 300
    if event in ("revert", "change"):
        world.wanted = "one" if event == "revert" else "three"
    if event == "restart":
        restart(world)
    return world.turn()


def restart(world: World) -> None:
    """Forget everything but what status keeps, and check that nothing was lost by it."""
    snapshots = {
        name: Snapshot(
            name, {"image": "i", "model": {"name": "m"}, "prompt": {"version": "v"}}, {}, {}
        )
        for name in ("one", "two", "three")
    }
    decision = decide(world.rules, world.state, world.seen(), world.now)
    situation = Situation(decision, world.seen(), world.now, has_gateway=True, deadline_seconds=600)
    given = StatusInput(situation, world.rules, snapshots, AgentDeploymentStatus())
    wire = json.loads(json.dumps(status_of(given).to_manifest()))
    status, problems = AgentDeploymentStatus.parse(wire)
    assert problems == ()
    assert state_of(status, world.rules) == decision.state
    world.state = decision.state
    world.follow()
