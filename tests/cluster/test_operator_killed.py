"""An operator killed in the middle of a rollout and started again ends in the same place."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from tests.agents import AGENT, Counted, prompt
from tests.factories import GATEWAY_TRAFFIC, merged
from tests.site import Furnish, Site

pytestmark = pytest.mark.cluster

GOOD = merged(GATEWAY_TRAFFIC, prompt("v2"))


@dataclass(frozen=True)
class Outcome:
    """A finished rollout; `before` and `after` a kill are what was counted."""

    place: Site
    before: Counted
    after: Counted


@pytest.fixture(scope="module")
def outcomes(furnish: Furnish) -> Iterator[tuple[Outcome, Outcome]]:
    """Roll out twice at the same time: undisturbed, and with three kills."""
    with furnish() as calm, furnish() as disturbed, ThreadPoolExecutor() as pool:
        runs = (pool.submit(_undisturbed, calm), pool.submit(_killed_three_times, disturbed))
        yield runs[0].result(), runs[1].result()


def _undisturbed(place: Site) -> Outcome:
    place.settle(GATEWAY_TRAFFIC)
    place.roll_out(GOOD)
    before = place.until_counted()
    after = place.until_counted(after=before.at)
    _until_promoted(place)
    return Outcome(place, before, after)


def _killed_three_times(place: Site) -> Outcome:
    place.settle(GATEWAY_TRAFFIC)
    place.node.failing_prompts.add("v2")
    place.apply(GOOD)
    place.until(lambda status: status.candidate_revision)
    _kill_and_start(place)  # while the candidate's pods start
    place.node.failing_prompts.clear()
    before = place.until_counted()
    _kill_and_start(place)  # with evidence, in the middle of a step
    after = place.until_counted(after=before.at)
    place.node.failing_prompts.add("v2")
    place.until(lambda status: status.phase == "Promoting")
    _kill_and_start(place)  # while the candidate is scaled to stable's size
    place.node.failing_prompts.clear()
    _until_promoted(place)
    return Outcome(place, before, after)


def _kill_and_start(place: Site) -> None:
    place.operator.kill()
    place.start_operator()


def _until_promoted(place: Site) -> None:
    place.until_phase("Stable", within_seconds=60)
    place.until_true(lambda: len(place.objects.every("deployments")) == 1)
    place.until_true(lambda: place.condition("RouteProgrammed") == ("True", "Accepted"))


def _final_status(place: Site) -> dict[str, Any]:
    status = place.status()
    return {
        "phase": status.phase,
        "stable": status.stable_revision,
        "candidate": status.candidate_revision,
        "rollout": (status.rollout.state, status.rollout.weight) if status.rollout else None,
        "rejected": status.rejected,
        "draining": status.draining,
        "replicas": status.replicas,
        "decision": status.last_decision and status.last_decision.reason,
        "history": [(each.revision, each.result, each.reason) for each in status.history],
    } | {str(each.type): (str(each.status), each.reason) for each in status.conditions}


def test_the_final_status_is_that_of_an_undisturbed_rollout(
    outcomes: tuple[Outcome, Outcome],
) -> None:
    calm, disturbed = outcomes
    assert _final_status(disturbed.place) == _final_status(calm.place)


def test_the_children_are_those_of_an_undisturbed_rollout(
    outcomes: tuple[Outcome, Outcome],
) -> None:
    calm, disturbed = outcomes
    assert disturbed.place.children() == calm.place.children()


def test_nothing_more_was_deleted(outcomes: tuple[Outcome, Outcome]) -> None:
    calm, disturbed = (Counter(_deletions(outcome.place)) for outcome in outcomes)
    assert disturbed == calm


def _deletions(place: Site) -> list[str]:
    writes = place.writes()
    return [w for w in writes if w.startswith("delete") and not w.endswith("refused")]


def test_traffic_moved_as_without_kills(outcomes: tuple[Outcome, Outcome]) -> None:
    calm, disturbed = (outcome.place.node.splits[AGENT] for outcome in outcomes)
    assert disturbed == calm


def test_the_candidate_was_promoted_once(outcomes: tuple[Outcome, Outcome]) -> None:
    _, disturbed = outcomes
    decisions = [each for one in disturbed.place.operators for each in one.decisions()]
    assert decisions.count(("Finish", "Promoted")) == 1


@pytest.mark.parametrize("which", [0, 1], ids=["undisturbed", "killed"])
def test_every_session_is_counted_once(outcomes: tuple[Outcome, Outcome], which: int) -> None:
    place, before, after = (outcomes[which].place, outcomes[which].before, outcomes[which].after)
    assert after.since(before) == place.served(after.sessions, before.at, after.at)


def test_a_candidate_that_got_worse_while_the_operator_was_down_is_rolled_back(
    place: Site,
) -> None:
    place.settle(GATEWAY_TRAFFIC)
    candidate = place.roll_out(GOOD)
    place.until_counted()
    place.operator.kill()
    place.counters.bad_shares["v2"] = {"error": 0.9}
    place.start_operator()
    status = place.until_phase("RolledBack")
    assert status.rejected is not None
    assert status.rejected.revision == candidate
    assert place.objects.found("services", AGENT)["spec"]["selector"][
        "agentdeploy.dev/revision"
    ] == (status.stable_revision)
