from dataclasses import replace

import pytest

from agent_operator.api.conditions import ConditionStatus, find_condition
from agent_operator.api.v1alpha1 import AgentDeploymentStatus, Phase
from agent_operator.controller.turn import Memory
from agent_operator.domain.conditions import Situation
from agent_operator.domain.observation import NotMeasured, Problem
from agent_operator.domain.rollout.codec import evidence_problem, state_of
from agent_operator.domain.rollout.state import Decision
from agent_operator.domain.serving import Snapshot
from agent_operator.domain.status import StatusInput, status_of
from tests.rollout_world import World, counted, rules

AXES = {"image": "r/x:1", "model": {"name": "m-2024-08-06"}, "prompt": {"version": "v1"}}
SNAPSHOTS = {
    name: Snapshot(name, AXES | {"prompt": {"version": name}}, {}, {}) for name in ("one", "two")
}


class Book:
    """Writes the status after each decision of a world, as the reconciler does."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.status = AgentDeploymentStatus()
        self.trouble: Problem | None = None
        self.drift: Problem | None = None
        self.memory = Memory("uid")

    def write(self, decision: Decision | None = None) -> AgentDeploymentStatus:
        decision = decision or self.world.turn()
        self.memory.meet(self.trouble or self.world.seen().problem, now=self.world.now)
        situation = Situation(
            decision=decision,
            obstacle_since=self.memory.obstacle_since,
            seen=self.world.seen(),
            now=self.world.now,
            has_gateway=self.world.rules.has_gateway,
            deadline_seconds=600,
            trouble=self.trouble,
            drift=self.drift,
            previous=self.status.conditions,
        )
        given = StatusInput(situation, self.world.rules, SNAPSHOTS, self.status)
        self.status = status_of(given)
        return self.status

    def settle(self) -> AgentDeploymentStatus:
        for _ in range(12):
            self.write()
        return self.status

    def condition(self, kind: str) -> tuple[str, str]:
        found = find_condition(self.status.conditions, kind)
        assert found is not None
        return found.status.value, found.reason


@pytest.fixture
def book() -> Book:
    book = Book(World(rules=rules(5)))
    book.settle()
    return book


def test_every_condition_is_there_from_the_first_pass() -> None:
    book = Book(World())
    book.write()
    assert {condition.type for condition in book.status.conditions} == {
        "Ready",
        "Reconciling",
        "Stalled",
        "Available",
        "CanaryHealthy",
        "MetricsAvailable",
        "RouteProgrammed",
        "PromptDrift",
    }
    assert book.status.phase is Phase.PENDING


def test_a_settled_agent_is_ready_and_its_status_stands_still(book: Book) -> None:
    assert book.status.phase is Phase.STABLE
    assert book.condition("Ready") == ("True", "Stable")
    assert book.condition("Reconciling")[0] == book.condition("Stalled")[0] == "False"
    before = book.status
    book.world.now += 3600
    assert book.write() == before


def test_a_running_canary_is_reconciling(book: Book) -> None:
    book.world.wanted = "two"
    book.settle()
    assert book.status.phase is Phase.CANARY
    assert book.status.changed_axes == ("prompt",)
    assert book.condition("Ready")[0] == "False"
    assert book.condition("Reconciling")[0] == "True"
    assert book.condition("Stalled")[0] == "False"


def test_a_rolled_back_agent_is_available_but_stalled_with_the_numbers(book: Book) -> None:
    book.world.wanted = "two"
    book.settle()
    going_back = book.write(book.world.measure(counted(50, bad=50), counted(950)))
    assert going_back.phase is Phase.ROLLING_BACK
    assert book.settle().phase is Phase.ROLLED_BACK
    assert book.condition("Ready") == ("False", "CanaryRolledBack")
    assert book.condition("Stalled") == ("True", "CanaryRolledBack")
    assert book.condition("Available")[0] == "True"
    assert book.condition("CanaryHealthy") == ("False", "FallbackRateRegression")
    assert book.status.last_decision is not None
    assert "fallbackRate 50/50" in book.status.last_decision.message
    rows = {row.signal: (row.canary.bad, row.canary.sessions) for row in book.status.analysis}
    assert rows["fallbackRate"] == (50, 50)
    assert [(entry.revision, entry.result) for entry in book.status.history] == [
        ("two", "RolledBack")
    ]


def test_a_promotion_stays_the_last_decision_and_enters_the_history(book: Book) -> None:
    book.world.wanted = "two"
    book.settle()
    for _ in range(4):
        book.write(book.world.measure(counted(20), counted(380)))
    book.settle()
    assert book.status.phase is Phase.STABLE
    assert book.status.last_decision is not None
    assert book.status.last_decision.reason == "Promoted"
    assert [(entry.revision, entry.result) for entry in book.status.history] == [
        ("two", "Promoted")
    ]
    assert book.status.evidence is None


def test_missing_metrics_are_a_condition_and_a_held_phase(book: Book) -> None:
    book.world.wanted = "two"
    book.settle()
    book.world.evaluation = NotMeasured(Problem("MetricsUnavailable", "connection refused"))
    book.write()
    assert book.status.phase is Phase.HELD
    assert book.condition("MetricsAvailable") == ("False", "MetricsUnavailable")


def test_a_missing_reference_stalls_after_the_deadline_and_heals(book: Book) -> None:
    book.world.wanted = None
    book.write()
    assert book.condition("Reconciling") == ("True", "PromptNotFound")
    assert book.condition("Stalled")[0] == "False"
    book.world.now += 600
    book.write()
    book.write()
    assert book.condition("Stalled") == ("True", "PromptNotFound")
    book.world.wanted = "one"
    book.write()
    assert book.condition("Ready") == ("True", "Stable")


def test_a_taken_name_is_stalled_at_once_while_stable_serves(book: Book) -> None:
    book.trouble = Problem("NameConflict", "Service support/refunds exists")
    book.write()
    assert book.status.phase is Phase.STALLED
    assert book.condition("Stalled") == ("True", "NameConflict")
    assert book.condition("Available")[0] == "True"


def test_a_prompt_that_drifted_is_a_condition_of_its_own(book: Book) -> None:
    book.drift = Problem("ContentChanged", "bump spec.prompt.version")
    book.write()
    assert book.condition("PromptDrift") == ("True", "ContentChanged")
    assert book.condition("Ready")[0] == "True"


def test_a_condition_keeps_its_time_until_its_status_changes(book: Book) -> None:
    ready = find_condition(book.status.conditions, "Ready")
    book.world.now += 100
    book.trouble = Problem("ChildRefused", "exceeded quota")
    book.write()
    changed = find_condition(book.status.conditions, "Ready")
    assert ready is not None
    assert changed is not None
    assert changed.status is ConditionStatus.FALSE
    assert changed.last_transition_time > ready.last_transition_time
    book.world.now += 100
    book.write()
    assert find_condition(book.status.conditions, "Ready") == changed


def test_a_status_with_all_there_is_to_say_stays_small(book: Book) -> None:
    book.world.wanted = "two"
    book.settle()
    for _ in range(200):
        book.world.rules = replace(book.world.rules, is_paused=True)
        book.write(book.world.measure(counted(20, bad=1), counted(380, bad=8)))
    assert len(str(book.status.to_manifest())) < 16 * 1024


def test_damaged_evidence_starts_afresh_and_says_so(book: Book) -> None:
    book.world.wanted = "two"
    book.settle()
    book.write(book.world.measure(counted(10), counted(190)))
    assert evidence_problem(book.status) is None
    assert state_of(book.status, book.world.rules) == book.world.state
    damaged = book.status.model_copy(update={"evidence": {"analysis": {"signals": "?"}}})
    assert "unreadable" in str(evidence_problem(damaged))
    analysis = state_of(damaged, book.world.rules).analysis
    assert analysis is not None
    assert analysis.step_sessions == 0
