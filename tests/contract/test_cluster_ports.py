"""What the controller relies on, of the real API server and of the fake alike."""

import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

import pytest

from agent_operator.adapters.apiserver import MERGE_PATCH, ApiServer, Call
from agent_operator.adapters.cluster import Cluster
from agent_operator.adapters.connection import connect
from agent_operator.adapters.listing import AGENTS, collection_path, object_path
from agent_operator.domain.manifest import Kind, ObjectKey, ObjectRef
from agent_operator.errors import Conflict, InvalidObject, NamespaceTerminating, NotFound
from agent_operator.ports import AgentApi, ClusterApi, ScaleApi
from localcluster import Cluster as LocalCluster
from tests.factories import agent_manifest
from tests.fakes.cluster import FakeCluster


class Ports(ClusterApi, ScaleApi, AgentApi, Protocol):
    """Everything the controller has of the cluster."""


class Bench(Protocol):
    """A cluster to test, with what other people do to it."""

    ports: Ports
    namespace: str

    async def other_client(self, ref: ObjectRef, patch: Mapping[str, Any]) -> None:
        """Merge a patch into an object, as somebody else."""

    async def put_agent(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Create an AgentDeployment, as a user."""


class FakeBench:
    def __init__(self) -> None:
        self.fake = FakeCluster()
        self.fake.terminating.add("gone")
        self.ports: Ports = self.fake
        self.namespace = "support"

    async def other_client(self, ref: ObjectRef, patch: Mapping[str, Any]) -> None:
        self.fake.change(ref, patch)

    async def put_agent(self, manifest: dict[str, Any]) -> dict[str, Any]:
        return self.fake.put_agent(manifest)


class RealBench:
    def __init__(self, server: ApiServer, namespace: str) -> None:
        self._server = server
        self.ports: Ports = Cluster(server, namespaces=[namespace])
        self.namespace = namespace

    async def other_client(self, ref: ObjectRef, patch: Mapping[str, Any]) -> None:
        path = object_path(ref.kind.value, ref.namespace, ref.name)
        query = {"fieldManager": "other"}
        await self._server.request(Call("PATCH", path, query, dict(patch), MERGE_PATCH))

    async def put_agent(self, manifest: dict[str, Any]) -> dict[str, Any]:
        path = collection_path(AGENTS, self.namespace)
        return await self._server.request(Call("POST", path, body=manifest))


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.cluster)])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    if request.param == "fake":
        yield FakeBench()
        return
    local: LocalCluster = request.getfixturevalue("agents_known")
    namespace = f"ports-{secrets.token_hex(4)}"
    local.kubectl("create", "namespace", namespace)
    connection = await connect(kubeconfig=str(local.kubeconfig))
    yield RealBench(ApiServer(connection), namespace)
    await connection.close()
    local.kubectl("delete", "namespace", namespace, "--wait=false")


def config_map(bench: Bench, name: str = "settings", **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": bench.namespace, "labels": {"app": "refunds"}}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {"a": "1", "b": "2"},
        **more,
    }


def deployment(bench: Bench, image: str = "example.com/refunds:1") -> dict[str, Any]:
    labels = {"app": "refunds"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "refunds", "namespace": bench.namespace},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "agent", "image": image}]},
            },
        },
    }


def agent(bench: Bench) -> dict[str, Any]:
    manifest = agent_manifest(namespace=bench.namespace)
    manifest["metadata"] = {"name": "refunds", "namespace": bench.namespace}
    return manifest


async def test_an_absent_object_reads_as_none(bench: Bench) -> None:
    assert await bench.ports.read(ObjectRef(Kind.SERVICE, bench.namespace, "none")) is None
    assert await bench.ports.read_agent(ObjectKey(bench.namespace, "none")) is None


async def test_an_apply_creates_and_answers_with_the_object(bench: Bench) -> None:
    answer = await bench.ports.apply(config_map(bench), uid=None)
    assert answer["data"] == {"a": "1", "b": "2"}
    assert answer["metadata"]["uid"]
    assert "managedFields" not in answer["metadata"]


async def test_the_same_apply_again_changes_nothing(bench: Bench) -> None:
    first = await bench.ports.apply(config_map(bench), uid=None)
    again = await bench.ports.apply(config_map(bench), uid=first["metadata"]["uid"])
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_a_field_that_is_not_applied_any_more_goes(bench: Bench) -> None:
    await bench.ports.apply(config_map(bench), uid=None)
    answer = await bench.ports.apply(config_map(bench, data={"a": "3"}), uid=None)
    assert answer["data"] == {"a": "3"}


async def test_fields_of_others_stay(bench: Bench) -> None:
    await bench.ports.apply(config_map(bench), uid=None)
    ref = ObjectRef.of(config_map(bench))
    await bench.other_client(ref, {"metadata": {"annotations": {"team": "x"}}, "data": {"c": "9"}})
    answer = await bench.ports.apply(config_map(bench, data={"a": "3"}), uid=None)
    assert answer["metadata"]["annotations"] == {"team": "x"}
    assert answer["data"] == {"a": "3", "c": "9"}


async def test_an_apply_takes_back_what_others_changed(bench: Bench) -> None:
    await bench.ports.apply(config_map(bench), uid=None)
    await bench.other_client(ObjectRef.of(config_map(bench)), {"data": {"a": "changed"}})
    answer = await bench.ports.apply(config_map(bench), uid=None)
    assert answer["data"]["a"] == "1"


async def test_a_reading_names_its_field_managers(bench: Bench) -> None:
    await bench.ports.apply(config_map(bench), uid=None)
    found = await bench.ports.read(ObjectRef.of(config_map(bench)))
    assert found is not None
    managers = {entry["manager"] for entry in found["metadata"]["managedFields"]}
    assert managers == {"agent-operator"}


async def test_an_apply_to_another_object_than_meant_is_a_conflict(bench: Bench) -> None:
    await bench.ports.apply(config_map(bench), uid=None)
    with pytest.raises(Conflict):
        await bench.ports.apply(config_map(bench), uid="another")


async def test_an_apply_to_an_object_that_is_gone_is_a_conflict(bench: Bench) -> None:
    answer = await bench.ports.apply(config_map(bench), uid=None)
    uid = answer["metadata"]["uid"]
    await bench.ports.delete(ObjectRef.of(answer), uid=uid, resource_version=None)
    with pytest.raises(Conflict):
        await bench.ports.apply(config_map(bench), uid=uid)


async def test_what_is_immutable_is_refused(bench: Bench) -> None:
    await bench.ports.apply(config_map(bench, immutable=True), uid=None)
    with pytest.raises(InvalidObject, match="immutable"):
        await bench.ports.apply(config_map(bench, immutable=True, data={"a": "2"}), uid=None)


async def test_the_data_of_a_revision_is_immutable(bench: Bench) -> None:
    revision = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {"name": "refunds-1", "namespace": bench.namespace},
        "data": {"axes": {"image": "x"}},
        "revision": 0,
    }
    await bench.ports.apply(revision, uid=None)
    numbered = await bench.ports.apply({**revision, "revision": 4}, uid=None)
    assert numbered["revision"] == 4
    with pytest.raises(InvalidObject):
        await bench.ports.apply({**revision, "data": {"axes": {"image": "y"}}}, uid=None)


async def test_nothing_is_created_in_a_namespace_that_goes(bench: Bench) -> None:
    orphan = config_map(bench)
    orphan["metadata"]["namespace"] = "gone"
    with pytest.raises(NamespaceTerminating):
        await bench.ports.apply(orphan, uid=None)
    with pytest.raises(NamespaceTerminating):
        await bench.ports.create(orphan)


async def test_creating_what_exists_is_a_conflict(bench: Bench) -> None:
    await bench.ports.create(config_map(bench))
    with pytest.raises(Conflict):
        await bench.ports.create(config_map(bench))


async def test_a_deleted_object_is_gone(bench: Bench) -> None:
    answer = await bench.ports.apply(config_map(bench), uid=None)
    metadata, ref = answer["metadata"], ObjectRef.of(answer)
    await bench.ports.delete(ref, uid=metadata["uid"], resource_version=metadata["resourceVersion"])
    assert await bench.ports.read(ref) is None
    await bench.ports.delete(ref, uid=metadata["uid"], resource_version=None)  # no error


@pytest.mark.parametrize("fence", ["uid", "resource_version"])
async def test_another_object_than_meant_is_not_deleted(bench: Bench, fence: str) -> None:
    answer = await bench.ports.apply(config_map(bench), uid=None)
    metadata, ref = answer["metadata"], ObjectRef.of(answer)
    fences = {"uid": metadata["uid"], "resource_version": metadata["resourceVersion"]}
    with pytest.raises(Conflict):
        await bench.ports.delete(ref, **{**fences, fence: "999999"})
    assert await bench.ports.read(ref) is not None


async def test_a_secret_is_read_without_its_content(bench: Bench) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "refunds-keys", "namespace": bench.namespace},
        "data": {"session-signing-key": "aHVudGVyMg=="},
    }
    await bench.ports.create(secret)
    found = await bench.ports.read(ObjectRef.of(secret))
    assert found is not None
    assert found["metadata"]["uid"]
    assert (found["kind"], "data" in found) == ("Secret", False)


async def test_replicas_survive_an_apply_without_them(bench: Bench) -> None:
    answer = await bench.ports.apply(deployment(bench), uid=None)
    ref = ObjectRef.of(answer)
    await bench.ports.scale(ref, 3, resource_version=None)  # its controller writes, too
    changed = await bench.ports.apply(deployment(bench, "example.com/refunds:2"), uid=None)
    assert changed["spec"]["replicas"] == 3
    assert changed["metadata"]["generation"] == 3


async def test_a_scale_by_an_old_version_is_a_conflict(bench: Bench) -> None:
    answer = await bench.ports.apply(deployment(bench), uid=None)
    ref, old = ObjectRef.of(answer), answer["metadata"]["resourceVersion"]
    await bench.other_client(ref, {"metadata": {"annotations": {"team": "x"}}})
    with pytest.raises(Conflict):
        await bench.ports.scale(ref, 3, resource_version=old)


async def test_what_does_not_exist_cannot_be_scaled(bench: Bench) -> None:
    with pytest.raises(NotFound):
        await bench.ports.scale(
            ObjectRef(Kind.DEPLOYMENT, bench.namespace, "none"), 1, resource_version=None
        )


async def test_agents_are_listed_by_metadata(bench: Bench) -> None:
    created = await bench.put_agent(agent(bench))
    (listed,) = await bench.ports.list_agents()
    assert (listed["kind"], "spec" in listed) == ("AgentDeployment", False)
    assert listed["metadata"]["uid"] == created["metadata"]["uid"]


async def test_a_status_replaces_the_one_before(bench: Bench) -> None:
    created = await bench.put_agent(agent(bench))
    rollout = {"replicas": {"stable": 2, "candidate": 1}}
    first = await bench.ports.write_status(created, {"phase": "Canary", **rollout})
    status = {"phase": "Stable", "replicas": {"stable": 2}}
    second = await bench.ports.write_status(first, status)
    assert second["status"] == status
    assert second["metadata"]["generation"] == created["metadata"]["generation"]
    found = await bench.ports.read_agent(ObjectKey(bench.namespace, "refunds"))
    assert found is not None
    assert found["status"] == status


async def test_the_same_status_again_is_no_write(bench: Bench) -> None:
    created = await bench.put_agent(agent(bench))
    written = await bench.ports.write_status(created, {"phase": "Stable"})
    assert await bench.ports.write_status(written, {"phase": "Stable"}) is written


async def test_a_status_by_an_old_version_is_a_conflict(bench: Bench) -> None:
    created = await bench.put_agent(agent(bench))
    await bench.ports.write_status(created, {"phase": "Canary"})
    with pytest.raises(Conflict):
        await bench.ports.write_status(created, {"phase": "Stable"})


async def test_the_status_of_an_agent_that_is_gone_is_not_found(bench: Bench) -> None:
    created = await bench.put_agent(agent(bench))
    gone = {**created, "metadata": {**created["metadata"], "name": "none"}}
    with pytest.raises(NotFound):
        await bench.ports.write_status(gone, {"phase": "Stable"})
