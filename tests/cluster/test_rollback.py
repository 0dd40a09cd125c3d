"""A candidate that is worse than stable loses its sessions by itself and is not tried again."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.agents import AGENT, prompt
from tests.factories import GATEWAY_TRAFFIC, merged
from tests.site import Furnish, Site

pytestmark = pytest.mark.cluster

BAD = merged(GATEWAY_TRAFFIC, prompt("bad"))


@dataclass(frozen=True)
class Rollback:
    place: Site
    stable: str
    candidate: str


@pytest.fixture(scope="module")
def rollback(furnish: Furnish) -> Iterator[Rollback]:
    with furnish() as place:
        place.counters.bad_shares["bad"] = {"fallback": 0.6}
        stable = place.settle(GATEWAY_TRAFFIC)
        candidate = place.roll_out(BAD)
        place.until_phase("RolledBack")
        place.until_true(lambda: place.objects.names("deployments") == {f"{AGENT}-{stable}"})
        yield Rollback(place, stable, candidate)


def test_stable_has_all_sessions_again(rollback: Rollback) -> None:
    route = rollback.place.objects.found("httproutes", AGENT)
    backends = {each["name"] for rule in route["spec"]["rules"] for each in rule["backendRefs"]}
    assert backends == {f"{AGENT}-{rollback.stable}"}


def test_the_status_says_which_revision_was_rejected_and_why(rollback: Rollback) -> None:
    status = rollback.place.status()
    assert status.rejected is not None
    assert (status.rejected.revision, status.rejected.reason) == (
        rollback.candidate,
        "FallbackRateRegression",
    )
    assert status.stable_revision == rollback.stable
    assert rollback.place.condition("Ready") == ("False", "CanaryRolledBack")
    assert rollback.place.condition("Stalled") == ("True", "CanaryRolledBack")
    assert rollback.place.condition("Available") == ("True", "StableServes")


def test_status_event_and_log_say_the_same_sentence(rollback: Rollback) -> None:
    status = rollback.place.status()
    assert status.rejected is not None
    sentence = status.rejected.message
    assert f"on {rollback.candidate} against 0/" in sentence
    assert f"rolled back to {rollback.stable}" in sentence
    event = ("Warning", "FallbackRateRegression", sentence)
    rollback.place.until_true(lambda: event in rollback.place.events())
    logged = [e["message"] for e in rollback.place.operator.events if e.get("action") == "RollBack"]
    assert logged == [sentence]


def test_the_candidate_leaves_its_controller_revision_only(rollback: Rollback) -> None:
    child = f"{AGENT}-{rollback.candidate}"
    rollback.place.until_true(
        lambda: (
            {each for each in rollback.place.children() if each[1] == child}
            == {("controllerrevisions", child)}
        )
    )


def test_history_keeps_the_rollback(rollback: Rollback) -> None:
    (entry,) = rollback.place.status().history
    assert (entry.revision, entry.result) == (rollback.candidate, "RolledBack")


def test_applying_the_same_manifest_again_changes_nothing(rollback: Rollback) -> None:
    place = rollback.place
    since, before = place.until_quiet(), place.status()
    place.apply(BAD)
    time.sleep(3)  # nothing is to happen, so there is nothing to wait for
    assert place.writes(since) == []
    assert place.status() == before


def test_a_hot_change_does_not_try_the_rejected_revision_again(rollback: Rollback) -> None:
    place = rollback.place
    place.apply(merged(BAD, {"scaling": {"maxReplicas": 7}}))
    generation = place.agent()["metadata"]["generation"]
    status = place.until(lambda status: status.observed_generation == generation)
    assert status.phase == "RolledBack"
    assert status.candidate_revision is None
    place.apply(BAD)
    place.until_phase("RolledBack")
