"""The one list of owned objects."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from agent_operator.api.v1alpha1 import AgentDeployment
from agent_operator.domain.canonical import canonical_json
from agent_operator.domain.desired import desired_objects
from agent_operator.domain.manifest import Kind, Manifest
from agent_operator.domain.naming import owner_reference
from agent_operator.domain.serving import ServingPlan
from tests.factories import GATEWAY_TRAFFIC, agent, frozen, serving, settled_plan
from tests.unit.domain.golden_cases import EVERY_POD_FIELD

STABLE = frozen(agent({"prompt": {"version": "v1"}}))
CANDIDATE = frozen(agent({"prompt": {"version": "v2"}}))
RETIRED = frozen(agent({"prompt": {"version": "v0"}}))
BOTH = ServingPlan((serving(STABLE, 95), serving(CANDIDATE, 5)), STABLE.revision, (RETIRED,))


def listed(agent: AgentDeployment, plan: ServingPlan) -> list[str]:
    return [f"{each['kind']} {each['metadata']['name']}" for each in desired_objects(agent, plan)]


def of_kind(kind: str, plan: ServingPlan) -> list[Manifest]:
    manifests = desired_objects(agent(GATEWAY_TRAFFIC), plan)
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def everything() -> list[Manifest]:
    """Return the objects of a gateway canary of an agent with every pod field set."""
    refunds = agent({**EVERY_POD_FIELD, **GATEWAY_TRAFFIC})
    stable, candidate = frozen(refunds), CANDIDATE
    plan = ServingPlan((serving(stable, 95, pinned=True), serving(candidate, 5)), stable.revision)
    return list(desired_objects(refunds, plan))


def test_objects_come_before_those_that_refer_to_them() -> None:
    stable, candidate, retired = STABLE.revision, CANDIDATE.revision, RETIRED.revision
    assert listed(agent(GATEWAY_TRAFFIC), BOTH) == [
        f"ControllerRevision refunds-{stable}",
        f"ControllerRevision refunds-{candidate}",
        f"ControllerRevision refunds-{retired}",
        f"ConfigMap refunds-{stable}",
        f"ConfigMap refunds-{candidate}",
        "ConfigMap refunds-policy",
        f"Service refunds-{stable}",
        f"Service refunds-{candidate}",
        f"Deployment refunds-{stable}",
        f"Deployment refunds-{candidate}",
        f"HorizontalPodAutoscaler refunds-{stable}",
        f"HorizontalPodAutoscaler refunds-{candidate}",
        f"PodDisruptionBudget refunds-{stable}",
        f"PodDisruptionBudget refunds-{candidate}",
        "Service refunds",
        "HTTPRoute refunds",
    ]


def test_without_traffic_there_is_no_route() -> None:
    assert "HTTPRoute refunds" not in listed(agent(), BOTH)


def test_a_revision_with_fixed_replicas_has_no_autoscaler() -> None:
    plan = ServingPlan((serving(STABLE), serving(CANDIDATE, fixed_replicas=1)), None)
    names = [each["metadata"]["name"] for each in of_kind("HorizontalPodAutoscaler", plan)]
    assert names == [f"refunds-{STABLE.revision}"]


def test_a_prompt_in_the_image_needs_no_configmap() -> None:
    refunds = agent({"prompt": {"files": None, "fromImage": True}})
    names = [each for each in listed(refunds, settled_plan(refunds)) if "ConfigMap" in each]
    assert names == ["ConfigMap refunds-policy"]


def test_a_revision_that_serves_and_is_retained_is_listed_once() -> None:
    plan = ServingPlan((serving(STABLE),), STABLE.revision, retained=(STABLE, RETIRED))
    names = [each["metadata"]["name"] for each in of_kind("ControllerRevision", plan)]
    assert names == [f"refunds-{STABLE.revision}", f"refunds-{RETIRED.revision}"]


def test_the_number_of_a_revision_is_kept() -> None:
    plan = ServingPlan((serving(replace(STABLE, number=3)),), STABLE.revision)
    assert [each["revision"] for each in of_kind("ControllerRevision", plan)] == [3]


def test_the_agents_service_chooses_one_revision_or_all() -> None:
    selectors = [
        of_kind("Service", ServingPlan(BOTH.revisions, chosen))[-1]["spec"]["selector"]
        for chosen in (CANDIDATE.revision, None)
    ]
    name = {"agentdeploy.dev/name": "refunds"}
    assert selectors == [name | {"agentdeploy.dev/revision": CANDIDATE.revision}, name]


def test_each_deployment_chooses_its_own_pods_and_no_others() -> None:
    deployments = of_kind("Deployment", BOTH)
    for one in deployments:
        for other in deployments:
            chosen = one["spec"]["selector"]["matchLabels"].items()
            pods = other["spec"]["template"]["metadata"]["labels"].items()
            assert (chosen <= pods) == (one is other)


@pytest.mark.parametrize("kind", ["Service", "PodDisruptionBudget"])
def test_what_chooses_pods_of_a_revision_chooses_those_of_its_deployment(kind: str) -> None:
    pods = {
        each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"]
        for each in of_kind("Deployment", BOTH)
    }
    chosen = {
        each["metadata"]["name"]: each["spec"]["selector"].get("matchLabels")
        or each["spec"]["selector"]
        for each in of_kind(kind, BOTH)
    }
    assert all(chosen[name].items() <= pods[name].items() for name in pods)
    assert all(chosen[name]["agentdeploy.dev/revision"] in name for name in pods)


def test_an_autoscaler_scales_the_deployment_of_its_revision() -> None:
    for scaler in of_kind("HorizontalPodAutoscaler", BOTH):
        assert scaler["spec"]["scaleTargetRef"] == {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": scaler["metadata"]["name"],
        }


def test_replicas_are_never_applied() -> None:
    assert all("replicas" not in each["spec"] for each in of_kind("Deployment", BOTH))


def test_every_object_is_of_a_kind_that_may_be_written_and_owned_by_the_agent() -> None:
    refunds = agent({**EVERY_POD_FIELD, **GATEWAY_TRAFFIC})
    for manifest in everything():
        assert Kind.of(manifest) in Kind
        assert manifest["metadata"]["namespace"] == "support"
        assert manifest["metadata"]["ownerReferences"] == [owner_reference(refunds)]
        assert manifest["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "agent-operator"


def test_the_same_plan_gives_the_same_bytes_and_is_not_changed() -> None:
    refunds = agent(GATEWAY_TRAFFIC)
    plan = copy.deepcopy(BOTH)
    first = canonical_json(desired_objects(refunds, plan))
    assert canonical_json(desired_objects(refunds, plan)) == first
    assert plan == BOTH


def empty_values(data: Any, path: str = "") -> Iterator[str]:
    if data in (None, {}, [], ""):
        yield path
    elif isinstance(data, Mapping):
        for key, value in data.items():
            yield from empty_values(value, f"{path}.{key}")
    elif isinstance(data, list):
        for item in data:
            yield from empty_values(item, path)


def test_nothing_is_applied_that_the_api_server_would_drop() -> None:
    # The core API group is the empty string, and an emptyDir is an object without fields.
    kept = ("backendRefs.group", "volumes.emptyDir")
    empty = {path for manifest in everything() for path in empty_values(manifest)}
    assert {path for path in empty if not path.endswith(kept)} == set()
