"""Following owned objects on a real API server."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from agent_operator.adapters.apiserver import MERGE_PATCH, ApiServer, Call
from agent_operator.adapters.cluster import Cluster
from agent_operator.adapters.connection import connect
from agent_operator.adapters.informer import Informer, Scope, Timing
from agent_operator.adapters.listing import object_path
from agent_operator.domain.manifest import Kind, Manifest, ObjectRef
from agent_operator.domain.naming import LABEL_MANAGED_BY, MANAGED_BY
from localcluster import Cluster as LocalCluster

pytestmark = pytest.mark.cluster


class Known:
    """A listener that knows which objects there are, as the operator's cache does."""

    def __init__(self) -> None:
        self.objects: dict[ObjectRef, Manifest] = {}
        self.changed = asyncio.Event()

    def observe(self, obj: Manifest) -> None:
        self.objects[ObjectRef.of(obj)] = obj
        self.changed.set()

    def forget(self, ref: ObjectRef, uid: str) -> None:
        assert self.objects.pop(ref)["metadata"]["uid"] == uid
        self.changed.set()

    def replace(
        self, kind: Kind, objects: Sequence[Manifest], *, namespace: str | None = None
    ) -> None:
        rest = {ref: obj for ref, obj in self.objects.items() if ref.kind is not kind}
        self.objects = rest | {ObjectRef.of(obj): obj for obj in objects}
        self.changed.set()

    async def until(self, holds: Callable[[dict[str, Manifest]], bool]) -> None:
        """Wait until something holds of the objects by name."""
        async with asyncio.timeout(20):
            while not holds({ref.name: obj for ref, obj in self.objects.items()}):
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
async def server(control_plane: LocalCluster) -> AsyncIterator[ApiServer]:
    connection = await connect(kubeconfig=str(control_plane.kubeconfig))
    yield ApiServer(connection)
    await connection.close()


@pytest.fixture
def known() -> Known:
    return Known()


@pytest.fixture
async def informer(server: ApiServer, known: Known, namespace: str) -> AsyncIterator[Informer]:
    kinds = (Kind.CONFIG_MAP, Kind.SERVICE)
    scope = Scope(namespaces=[namespace], kinds=kinds, metadata_only={Kind.SERVICE})
    # Watches of about a second, so that every test sees some of them end.
    informer = Informer(server, known, scope=scope, timing=Timing(stream_seconds=2.0))
    running = asyncio.create_task(informer.run())
    async with asyncio.timeout(20):
        await informer.synced.wait()
    yield informer
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def config_map(namespace: str, name: str, **data: str) -> dict[str, Any]:
    labels = {LABEL_MANAGED_BY: MANAGED_BY}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


async def test_changes_are_told_across_the_ends_of_watches(
    control_plane: LocalCluster,
    server: ApiServer,
    known: Known,
    informer: Informer,
    namespace: str,
) -> None:
    cluster = Cluster(server)
    for number in range(4):
        manifest = config_map(namespace, "settings", number=str(number))
        applied = await cluster.apply(manifest, uid=None)
        await known.until(
            lambda objects, wanted=applied["data"]: (  # type: ignore[misc]
                objects.get("settings", {}).get("data") == wanted
            )
        )
        await asyncio.sleep(0.7)
    ref = ObjectRef.of(applied)
    await cluster.delete(ref, uid=applied["metadata"]["uid"], resource_version=None)
    await known.until(lambda objects: not objects)


async def test_an_object_that_loses_our_label_is_forgotten(
    control_plane: LocalCluster,
    server: ApiServer,
    known: Known,
    informer: Informer,
    namespace: str,
) -> None:
    await Cluster(server).apply(config_map(namespace, "settings"), uid=None)
    await known.until(lambda objects: "settings" in objects)
    path = object_path(Kind.CONFIG_MAP.value, namespace, "settings")
    strip = {"metadata": {"labels": {LABEL_MANAGED_BY: None}}}
    await server.request(Call("PATCH", path, body=strip, content_type=MERGE_PATCH))
    await known.until(lambda objects: not objects)


async def test_of_some_kinds_only_metadata_comes(
    control_plane: LocalCluster,
    server: ApiServer,
    known: Known,
    informer: Informer,
    namespace: str,
) -> None:
    service = {**config_map(namespace, "refunds"), "kind": "Service"}
    del service["data"]
    await Cluster(server).apply({**service, "spec": {"ports": [{"port": 80}]}}, uid=None)
    await known.until(lambda objects: "refunds" in objects)
    (found,) = known.objects.values()
    assert (found["kind"], "spec" in found) == ("Service", False)
    assert "managedFields" not in found["metadata"]
