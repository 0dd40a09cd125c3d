"""A candidate that is as good as stable gets all sessions, step by step, and nothing restarts."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from agent_operator.api.v1alpha1 import AgentDeploymentStatus
from tests.agents import AGENT, prompt
from tests.factories import GATEWAY_TRAFFIC, merged
from tests.site import QUICK_ROLLOUT, Furnish, Site

pytestmark = pytest.mark.cluster

STEPS = merged(QUICK_ROLLOUT, {"steps": [{"weight": 20}, {"weight": 50}]})
MODES: Mapping[str, Mapping[str, Any]] = {"gateway": GATEWAY_TRAFFIC, "replica ratio": {}}


@dataclass(frozen=True)
class Promotion:
    """What was there before and after; `weights` are those that the candidate was seen with."""

    place: Site
    mode: str
    first: str
    second: str
    weights: list[int]
    deployment_before: dict[str, Any]
    pods_before: set[str]

    @property
    def deployment(self) -> dict[str, Any]:
        return self.place.objects.found("deployments", f"{AGENT}-{self.second}")


@pytest.fixture(scope="module")
def promotions(furnish: Furnish) -> Iterator[Mapping[str, Promotion]]:
    """Promote in both modes at the same time."""
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        places = [stack.enter_context(furnish()) for _ in MODES]
        yield dict(zip(MODES, pool.map(_promote, places, MODES), strict=True))


@pytest.fixture(params=MODES)
def promotion(request: pytest.FixtureRequest, promotions: Mapping[str, Promotion]) -> Promotion:
    return promotions[request.param]


def _promote(place: Site, mode: str) -> Promotion:
    spec = merged({"rollout": STEPS}, MODES[mode])
    first = place.settle(spec)
    second = place.roll_out(merged(spec, prompt("v2")))
    before = place.objects.found("deployments", f"{AGENT}-{second}")
    pods = place.objects.names("pods", _revision(second))
    weights: list[int] = []

    def is_promoted(status: AgentDeploymentStatus) -> bool:
        weight = status.rollout.weight if status.rollout else 0
        if weights[-1:] != [weight]:
            weights.append(weight)
        return status.stable_revision == second

    place.until(is_promoted, within_seconds=60)
    place.until_true(lambda: not place.objects.names("deployments", _revision(first)))
    return Promotion(place, mode, first, second, weights, before, pods)


def _revision(revision: str) -> str:
    return f"agentdeploy.dev/revision={revision}"


def test_the_candidate_gets_the_weights_of_the_steps_in_order(promotion: Promotion) -> None:
    assert [weight for weight in promotion.weights if 0 < weight < 100] == [20, 50]


def test_the_promoted_revision_is_stable(promotion: Promotion) -> None:
    status = promotion.place.until_phase("Stable")
    assert (status.stable_revision, status.candidate_revision) == (promotion.second, None)
    assert promotion.place.condition("Ready") == ("True", "Stable")


def test_history_and_event_tell_of_the_promotion(promotion: Promotion) -> None:
    (entry,) = promotion.place.status().history
    assert (entry.revision, entry.result, entry.prompt_version) == (
        *(promotion.second, "Promoted"),
        "v2",
    )
    promotion.place.until_true(lambda: "Promoted" in {e[1] for e in promotion.place.events()})


def test_promotion_changes_neither_the_deployment_nor_its_pods(promotion: Promotion) -> None:
    before, after = promotion.deployment_before, promotion.deployment
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["spec"]["template"] == before["spec"]["template"]
    pods = promotion.place.objects.names("pods", _revision(promotion.second))
    assert pods >= promotion.pods_before


def test_the_promoted_revision_has_the_size_that_stable_had(promotion: Promotion) -> None:
    assert promotion.deployment["spec"]["replicas"] == 2


def test_replicas_were_only_written_through_the_scale_subresource(promotion: Promotion) -> None:
    owners = [
        (entry["manager"], entry.get("subresource"))
        for entry in promotion.deployment["metadata"]["managedFields"]
        if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
    ]
    assert [owner for owner in owners if owner[1] != "scale"] == []
    written = {write for write in promotion.place.writes() if "deployments" in write}
    assert f"patch deployments/scale {AGENT}-{promotion.second}" in written
    assert {write.split()[1] for write in written} == {
        *("agentdeployments/status", "deployments", "deployments/scale"),
    }


def test_the_old_revision_leaves_its_controller_revision_only(promotion: Promotion) -> None:
    old = f"{AGENT}-{promotion.first}"
    assert {each for each in promotion.place.children() if each[1] == old} == {
        ("controllerrevisions", old)
    }


def test_all_sessions_go_to_the_promoted_revision(promotion: Promotion) -> None:
    service = promotion.place.objects.found("services", AGENT)
    assert service["spec"]["selector"]["agentdeploy.dev/revision"] == promotion.second
    if promotion.mode == "gateway":
        route = promotion.place.objects.found("httproutes", AGENT)
        backends = {b["name"]: b["weight"] for b in route["spec"]["rules"][-1]["backendRefs"]}
        assert backends == {f"{AGENT}-{promotion.second}": 100}
