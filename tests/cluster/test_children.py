"""Whatever happens to an owned object, it is soon as it was: deleted, edited, stripped."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.agents import AGENT
from tests.factories import GATEWAY_TRAFFIC
from tests.site import Furnish, Site

pytestmark = pytest.mark.cluster

_FOREIGN_BACKEND = {"backendRefs": [{"name": "elsewhere", "port": 80, "weight": 1}]}
# An edit of a field that the operator owns, by child; contents of revisions are immutable.
EDITS: Mapping[str, Mapping[str, Any]] = {
    "deployments": {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 10}}}},
    "services": {"spec": {"selector": {"agentdeploy.dev/revision": "another"}}},
    "horizontalpodautoscalers": {"spec": {"maxReplicas": 99}},
    "poddisruptionbudgets": {"spec": {"maxUnavailable": 2}},
    "agent's service": {"spec": {"selector": {"agentdeploy.dev/revision": "another"}}},
    "policy": {"data": {"policy.json": "{}"}},
    "route": {"spec": {"rules": [_FOREIGN_BACKEND]}},
    "route without parents": {"spec": {"parentRefs": None}},
}
REVISION_KINDS = (
    *("controllerrevisions", "configmaps", "services", "deployments"),
    *("horizontalpodautoscalers", "poddisruptionbudgets"),
)


@pytest.fixture(scope="module")
def agent(furnish: Furnish) -> Iterator[Site]:
    with furnish() as place:
        # Secrets are not watched: that one is missing is seen when everything is looked at again.
        place.operator.stop()
        place.start_operator(resync_seconds=10)
        place.settle(GATEWAY_TRAFFIC)
        yield place


def _children(stable: str) -> Mapping[str, tuple[str, str]]:
    return {
        **{kind: (kind, f"{AGENT}-{stable}") for kind in REVISION_KINDS},
        "agent's service": ("services", AGENT),
        "policy": ("configmaps", f"{AGENT}-policy"),
        "route": ("httproutes", AGENT),
        "keys": ("secrets", f"{AGENT}-keys"),
    }


ALL = tuple(_children(""))
# The Secret is created once and never written again: the operator may not change Secrets.
WRITTEN = tuple(name for name in ALL if name != "keys")


@pytest.fixture
def child(request: pytest.FixtureRequest, agent: Site) -> tuple[str, str]:
    stable = agent.status().stable_revision
    assert stable is not None
    return _children(stable)[request.param.removesuffix(" without parents")]


def _content(obj: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the operator wrote: no bookkeeping, no random key, no replicas."""
    metadata = {key: obj["metadata"].get(key) for key in ("name", "labels", "ownerReferences")}
    rest = {key: value for key, value in obj.items() if key not in ("metadata", "status")}
    if obj["kind"] == "Secret":
        rest["data"] = set(rest["data"])
    if obj["kind"] == "Service":
        rest["spec"] = {k: v for k, v in rest["spec"].items() if "lusterIP" not in k}
    return {"metadata": metadata, **rest}


def _expect_as_before(agent: Site, kind: str, before: Mapping[str, Any]) -> None:
    name = before["metadata"]["name"]

    def is_as_before() -> bool:
        found = agent.objects.read(kind, name)
        return found is not None and _content(found) == _content(before)

    agent.until_true(is_as_before)


@pytest.mark.parametrize("child", ALL, indirect=True)
def test_a_deleted_child_comes_back(agent: Site, child: tuple[str, str]) -> None:
    kind, name = child
    before = agent.objects.found(kind, name)
    agent.objects.delete(kind, name)
    agent.until_true(
        lambda: (
            (found := agent.objects.read(kind, name)) is not None
            and found["metadata"]["uid"] != before["metadata"]["uid"]
        )
    )
    _expect_as_before(agent, kind, before)
    agent.until_phase("Stable")


@pytest.mark.parametrize("child", WRITTEN, indirect=True)
def test_labels_that_were_stripped_come_back(agent: Site, child: tuple[str, str]) -> None:
    kind, name = child
    before = agent.objects.found(kind, name)
    agent.objects.merge(kind, name, {"metadata": {"labels": None}})
    _expect_as_before(agent, kind, before)
    assert agent.objects.found(kind, name)["metadata"]["uid"] == before["metadata"]["uid"]


@pytest.mark.parametrize("child", WRITTEN, indirect=True)
def test_an_owner_reference_that_was_stripped_comes_back(
    agent: Site, child: tuple[str, str]
) -> None:
    kind, name = child
    before = agent.objects.found(kind, name)
    agent.objects.merge(kind, name, {"metadata": {"ownerReferences": None}})
    _expect_as_before(agent, kind, before)
    assert agent.objects.found(kind, name)["metadata"]["uid"] == before["metadata"]["uid"]


@pytest.mark.parametrize("child", EDITS, indirect=True)
def test_an_edited_field_is_as_before_again(
    agent: Site, child: tuple[str, str], request: pytest.FixtureRequest
) -> None:
    kind, name = child
    before = agent.objects.found(kind, name)
    agent.objects.merge(kind, name, EDITS[request.node.callspec.params["child"]])
    _expect_as_before(agent, kind, before)
