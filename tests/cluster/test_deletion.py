"""An AgentDeployment that is deleted leaves nothing, and nothing is written for it any more."""

import time

import pytest

from tests.agents import prompt
from tests.audit import AuditLog
from tests.factories import GATEWAY_TRAFFIC, merged
from tests.site import QUICK_ROLLOUT, Site

pytestmark = pytest.mark.cluster

SLOWLY_JUDGED = merged(QUICK_ROLLOUT, {"analysis": {"interval": "1m"}})
HOLD = {"metadata": {"finalizers": ["example.com/hold"]}}
ECHO_SECONDS = 2.0


def _delete(place: Site, name: str) -> None:
    """Delete an agent and wait until all of it is gone."""
    place.objects.delete("agentdeployments", name)
    of_agent = f"agentdeploy.dev/name={name}"
    place.until_true(lambda: not place.children(name) and not place.objects.every("pods", of_agent))


def _accepted(place: Site, since: AuditLog) -> list[str]:
    return [write for write in place.writes(since) if not write.endswith(" refused")]


def test_a_deleted_agent_leaves_nothing(shared_place: Site, name: str) -> None:
    shared_place.settle(GATEWAY_TRAFFIC, name=name)
    since = shared_place.until_quiet()
    _delete(shared_place, name)
    time.sleep(ECHO_SECONDS)
    assert shared_place.children(name) == set()
    assert shared_place.writes(since) == []


def test_an_agent_that_is_deleted_in_the_middle_of_a_canary_leaves_nothing(
    shared_place: Site, name: str
) -> None:
    spec = merged(GATEWAY_TRAFFIC, {"rollout": SLOWLY_JUDGED})
    shared_place.settle(spec, name=name)
    shared_place.roll_out(merged(spec, prompt("v2")), name=name)
    since = shared_place.until_quiet()
    _delete(shared_place, name)
    time.sleep(ECHO_SECONDS)
    assert shared_place.children(name) == set()
    # A pass that was under way may ask for one more write; nothing of it is stored.
    assert _accepted(shared_place, since) == []


def test_an_operator_that_missed_the_deletion_writes_nothing(place: Site) -> None:
    place.settle(GATEWAY_TRAFFIC)
    place.operator.kill()
    since = place.audit.from_now()
    place.objects.delete("agentdeployments", "refunds")
    place.start_operator()
    place.until_true(lambda: not place.children())
    time.sleep(ECHO_SECONDS)
    assert place.writes(since) == []


def test_an_agent_of_the_same_name_waits_until_the_old_one_s_children_are_gone(
    shared_place: Site, name: str
) -> None:
    objects = shared_place.objects
    stable = shared_place.settle(name=name)
    held = [("services", name), ("deployments", f"{name}-{stable}")]
    for kind, child in held:
        objects.merge(kind, child, HOLD)
    old = [objects.found(kind, child)["metadata"]["uid"] for kind, child in held]
    objects.delete("agentdeployments", name)
    shared_place.until_true(lambda: shared_place.children(name) == set(held))
    shared_place.apply(name=name)
    waiting = ("False", "WaitingForGarbageCollection")
    shared_place.until(lambda _: shared_place.condition("Ready", name) == waiting, name=name)
    for kind, child in held:
        objects.merge(kind, child, {"metadata": {"finalizers": None}})
    shared_place.until_phase("Stable", name=name)
    new = [objects.found(kind, child)["metadata"]["uid"] for kind, child in held]
    assert not set(new) & set(old)
