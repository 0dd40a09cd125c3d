"""kopf on a real API server: it passes events on, leaves no trace on objects and stops at once."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml

from agent_operator.adapters.access import check_access
from agent_operator.adapters.apiserver import ApiServer, Call
from agent_operator.adapters.connection import Connection, connect
from agent_operator.adapters.listing import AGENTS, collection_path, object_path
from agent_operator.errors import AccessDenied, MissingApi
from agent_operator.shell.handlers import AgentEvent
from agent_operator.shell.runtime import Hooks, run
from localcluster import Cluster
from tests.factories import agent_manifest

pytestmark = pytest.mark.cluster

STOP_SECONDS = 5.0


class Watched:
    """What kopf passed on."""

    def __init__(self) -> None:
        self.events: list[AgentEvent] = []
        self.changed = asyncio.Event()

    def take(self, event: AgentEvent) -> None:
        self.events.append(event)
        self.changed.set()

    async def until(self, *kinds: str | None) -> None:
        """Wait until events of exactly these types have come."""
        async with asyncio.timeout(20):
            while len(self.events) < len(kinds):
                self.changed.clear()
                await self.changed.wait()
        assert [event["type"] for event in self.events] == list(kinds)


@pytest.fixture
async def connection(agents_known: Cluster) -> AsyncIterator[Connection]:
    connection = await connect(kubeconfig=str(agents_known.kubeconfig))
    yield connection
    await connection.close()


@asynccontextmanager
async def shell(
    connection: Connection, namespace: str
) -> AsyncIterator[tuple[Watched, asyncio.Task[None]]]:
    """Run kopf over one namespace."""
    watched = Watched()

    async def nothing() -> None:
        pass

    flag = asyncio.Event()
    hooks = Hooks(watched.take, nothing, nothing)
    running = asyncio.create_task(run(connection, hooks, namespaces=[namespace], stop_flag=flag))
    yield watched, running
    flag.set()
    async with asyncio.timeout(STOP_SECONDS):
        await running


async def create(connection: Connection, namespace: str, name: str = "refunds") -> None:
    manifest = agent_manifest(name=name, namespace=namespace)
    manifest["metadata"] = {"name": name, "namespace": namespace}
    path = collection_path(AGENTS, namespace)
    await ApiServer(connection).request(Call("POST", path, body=manifest))


async def test_agents_are_passed_on_from_the_list_and_from_the_watch(
    control_plane: Cluster, connection: Connection, namespace: str
) -> None:
    await create(connection, namespace, "first")
    async with shell(connection, namespace) as (watched, _):
        await watched.until(None)
        await create(connection, namespace, "second")
        await watched.until(None, "ADDED")
        path = object_path(AGENTS, namespace, "first")
        await ApiServer(connection).request(Call("DELETE", path))
        await watched.until(None, "ADDED", "DELETED")


async def test_nothing_is_written_to_an_agent(
    control_plane: Cluster, connection: Connection, namespace: str
) -> None:
    await create(connection, namespace)
    async with shell(connection, namespace) as (watched, _):
        await watched.until(None)
        await asyncio.sleep(0.5)  # kopf writes after its handlers, if it writes
        found = await ApiServer(connection).request(
            Call("GET", object_path(AGENTS, namespace, "refunds"))
        )
        assert len(watched.events) == 1
    metadata = found["metadata"]
    assert not metadata.keys() & {"annotations", "finalizers"}
    assert metadata["resourceVersion"] == watched.events[0]["object"]["metadata"]["resourceVersion"]


async def test_sigterm_ends_it_at_once_and_a_second_one_does_no_harm(
    control_plane: Cluster, connection: Connection, namespace: str
) -> None:
    await create(connection, namespace)
    async with shell(connection, namespace) as (watched, running):
        await watched.until(None)
        began = time.monotonic()
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(STOP_SECONDS):
            await running
        assert time.monotonic() - began < STOP_SECONDS


async def test_an_administrator_has_all_permissions(
    control_plane: Cluster, connection: Connection, namespace: str
) -> None:
    server = ApiServer(connection)
    await check_access(server)
    await check_access(server, namespaces=[namespace])


async def test_missing_permissions_are_all_named(
    control_plane: Cluster, agents_known: Cluster, namespace: str, tmp_path: Path
) -> None:
    control_plane.kubectl("create", "serviceaccount", "nobody", "-n", namespace)
    token = control_plane.kubectl("create", "token", "nobody", "-n", namespace).strip()
    config = yaml.safe_load(control_plane.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    connection = await connect(kubeconfig=str(file))
    with pytest.raises(AccessDenied) as caught:
        await check_access(ApiServer(connection), namespaces=[namespace])
    await connection.close()
    said = str(caught.value)
    assert f"get/list/watch agentdeployments.agentdeploy.dev in {namespace}" in said
    assert "patch deployments/scale.apps" in said
    assert "get/create secrets" in said


async def test_a_missing_definition_is_named(
    control_plane: Cluster, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = AGENTS._replace(plural="agentdeploymentz")
    monkeypatch.setattr("agent_operator.adapters.access.AGENTS", absent)
    with pytest.raises(MissingApi, match=r"agentdeploymentz\.agentdeploy\.dev/v1alpha1"):
        await check_access(ApiServer(connection))
