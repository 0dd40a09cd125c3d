import copy
from typing import Any

import pytest

from agent_operator.controller.cache import Cache
from agent_operator.domain.canonical import content_hash
from agent_operator.domain.desired import desired_objects
from agent_operator.domain.manifest import Kind, ObjectKey, ObjectRef
from agent_operator.domain.observation import TrackObservation
from tests.factories import agent, agent_manifest, settled_plan

AGENT = agent()
KEY = ObjectKey(AGENT.metadata.namespace, AGENT.metadata.name)
DESIRED = {m["kind"]: m for m in desired_objects(AGENT, settled_plan(AGENT))}


def stored(kind: str, version: int = 1, **extra: Any) -> dict[str, Any]:
    obj: dict[str, Any] = copy.deepcopy(dict(DESIRED[kind]))
    obj["metadata"] |= {"uid": f"{kind}-uid", "resourceVersion": str(version), "generation": 1}
    return obj | extra


class Watching:
    def __init__(self) -> None:
        self.woken: list[ObjectKey] = []
        self.cache = Cache(self.woken.append)

    def observe(self, obj: dict[str, Any]) -> bool:
        """Return whether the change woke its key."""
        before = len(self.woken)
        self.cache.observe(obj)
        return len(self.woken) > before

    def is_in_sync(self, kind: str) -> bool:
        desired = DESIRED[kind]
        record = self.cache.children(KEY)[ObjectRef.of(desired)]
        record.compare(desired)
        return record.in_sync_with == content_hash(desired)


@pytest.fixture
def watching() -> Watching:
    return Watching()


@pytest.mark.parametrize("kind", list(DESIRED))
def test_a_listed_object_that_agrees_needs_no_write(kind: str, watching: Watching) -> None:
    assert watching.observe(stored(kind))
    assert watching.is_in_sync(kind)


def test_an_edited_field_of_ours_is_noticed(watching: Watching) -> None:
    watching.observe(stored("HorizontalPodAutoscaler"))
    assert watching.is_in_sync("HorizontalPodAutoscaler")
    edited = stored("HorizontalPodAutoscaler", 2)
    edited["spec"]["maxReplicas"] = 99
    assert watching.observe(edited)
    assert not watching.is_in_sync("HorizontalPodAutoscaler")


def test_a_status_that_says_nothing_new_wakes_nobody(watching: Watching) -> None:
    watching.observe(stored("HorizontalPodAutoscaler"))
    assert not watching.observe(stored("HorizontalPodAutoscaler", 2, status={"currentReplicas": 2}))


def test_pods_getting_ready_wake_the_key(watching: Watching) -> None:
    watching.observe(stored("Deployment"))
    status = {"observedGeneration": 1, "readyReplicas": 2, "availableReplicas": 1}
    assert watching.observe(stored("Deployment", 2, status=status))
    record = watching.cache.children(KEY)[ObjectRef.of(DESIRED["Deployment"])]
    assert record.facts == TrackObservation(1, 2, 1, is_observed=True)


def test_an_older_event_changes_nothing(watching: Watching) -> None:
    watching.observe(stored("Service", 5))
    old = stored("Service", 4)
    old["spec"]["selector"] = {}
    assert not watching.observe(old)


def test_the_answer_to_our_own_apply_is_no_news_when_its_event_comes(watching: Watching) -> None:
    answer = stored("Service", 5)
    watching.cache.applied(KEY, answer, content_hash(DESIRED["Service"]))
    assert not watching.observe(answer)
    assert watching.is_in_sync("Service")


def test_a_status_watched_before_the_answer_to_our_apply_stays(watching: Watching) -> None:
    status = {"observedGeneration": 1, "readyReplicas": 2, "availableReplicas": 2}
    watching.observe(stored("Deployment", 6, status=status))
    answer = stored("Deployment", 5)
    watching.cache.applied(KEY, answer, content_hash(DESIRED["Deployment"]))
    record = watching.cache.children(KEY)[ObjectRef.of(DESIRED["Deployment"])]
    assert record.facts == TrackObservation(1, 2, 2, is_observed=True)
    assert record.resource_version == "6"
    assert watching.is_in_sync("Deployment")


def test_an_edit_watched_before_the_answer_to_our_apply_is_not_in_sync(watching: Watching) -> None:
    edited = stored("Service", 6)
    edited["spec"]["selector"] = {}
    watching.observe(edited)
    watching.cache.applied(KEY, stored("Service", 5), content_hash(DESIRED["Service"]))
    assert not watching.is_in_sync("Service")


def test_a_spec_watched_before_the_answer_to_our_status_write_stays(watching: Watching) -> None:
    seen = dict(agent_manifest())
    changed = {**seen, "metadata": {**seen["metadata"], "resourceVersion": "9", "generation": 2}}
    watching.cache.observe_agent("MODIFIED", changed)
    written = {**seen, "metadata": {**seen["metadata"], "resourceVersion": "8"}}
    watching.cache.agent_written(written)
    found = watching.cache.agent(KEY)
    assert found is not None
    assert found["metadata"]["generation"] == 2


def test_the_answer_to_a_status_write_brings_no_deleted_agent_back(watching: Watching) -> None:
    watching.cache.agent_written({**agent_manifest(), "metadata": {**agent_manifest()["metadata"]}})
    assert watching.cache.agent(KEY) is None


def test_a_vanished_object_wakes_the_key_and_is_forgotten(watching: Watching) -> None:
    watching.observe(stored("Service"))
    ref = ObjectRef.of(DESIRED["Service"])
    watching.cache.forget(ref, "another-uid")
    assert ref in watching.cache.children(KEY)
    watching.cache.forget(ref, "Service-uid")
    assert ref not in watching.cache.children(KEY)
    assert watching.woken[-1] == KEY


def test_a_list_without_an_object_means_that_it_is_gone(watching: Watching) -> None:
    watching.observe(stored("Service"))
    watching.observe(stored("Deployment"))
    watching.cache.replace(Kind.SERVICE, [])
    assert {ref.kind for ref in watching.cache.children(KEY)} == {Kind.DEPLOYMENT}


def test_an_object_that_lost_its_name_label_still_belongs_to_its_agent(watching: Watching) -> None:
    watching.observe(stored("Service"))
    stripped = stored("Service", 2)
    stripped["metadata"]["labels"] = {}
    assert watching.observe(stripped)
    assert not watching.is_in_sync("Service")


def test_our_own_status_write_is_no_news(watching: Watching) -> None:
    seen = dict(agent_manifest())
    seen["metadata"] = {**seen["metadata"], "resourceVersion": "7"}
    watching.cache.observe_agent("ADDED", seen)
    written = {**seen, "metadata": {**seen["metadata"], "resourceVersion": "8"}}
    watching.cache.agent_written(written)
    watching.woken.clear()
    watching.cache.observe_agent("MODIFIED", written)
    assert watching.woken == []


def test_a_recreated_agent_replaces_the_old_one(watching: Watching) -> None:
    old = dict(agent_manifest())
    old["metadata"] = {**old["metadata"], "resourceVersion": "9"}
    watching.cache.observe_agent("ADDED", old)
    new = {**old, "metadata": {**old["metadata"], "uid": "new", "resourceVersion": "3"}}
    watching.cache.observe_agent("ADDED", new)
    watching.cache.observe_agent("DELETED", old)
    found = watching.cache.agent(KEY)
    assert found is not None
    assert found["metadata"]["uid"] == "new"
