"""Objects in the cluster: `ports.ClusterApi`, `ScaleApi` and `AgentApi` over the API server."""

from collections.abc import Mapping, Sequence
from typing import Any

from agent_operator.adapters.apiserver import APPLY_PATCH, JSON, MERGE_PATCH, ApiServer, Call
from agent_operator.adapters.listing import (
    AGENTS,
    METADATA,
    Selection,
    collection_path,
    object_path,
    pages,
)
from agent_operator.domain.manifest import Kind, KindInfo, Manifest, ObjectKey, ObjectRef
from agent_operator.domain.naming import FIELD_MANAGER
from agent_operator.errors import NotFound

_WRITE = {"fieldManager": FIELD_MANAGER}
_STRICT_WRITE = {**_WRITE, "fieldValidation": "Strict"}


class Cluster:
    """The API server as the controller needs it: see the protocols in `ports`.

    Beside what `ports.ClusterApi` names, any method may raise MissingApi, AccessDenied,
    NamespaceTerminating (terminating or gone) and, when the object must exist, NotFound.
    """

    def __init__(self, server: ApiServer, *, namespaces: Sequence[str] = ()) -> None:
        self._server = server
        self._namespaces: Sequence[str | None] = tuple(namespaces) or (None,)

    async def read(self, ref: ObjectRef) -> Manifest | None:
        """Return the object, managedFields included; None when it does not exist."""
        accept = METADATA if ref.kind is Kind.SECRET else JSON
        found = await self._read(ref.kind.value, ref.namespace, ref.name, accept=accept)
        if found is not None:  # metadata answers call themselves PartialObjectMetadata
            found["apiVersion"], found["kind"] = ref.kind.value.api_version, ref.kind.value.kind
        return found

    async def apply(self, manifest: Manifest, *, uid: str | None) -> Manifest:
        """Server-side apply with force; `uid` fences against a re-created object (Conflict)."""
        metadata = {**manifest["metadata"], **({"uid": uid} if uid is not None else {})}
        body = {**manifest, "metadata": metadata}
        query = {**_STRICT_WRITE, "force": "true"}
        return _slim(
            await self._server.request(
                Call("PATCH", _path(ObjectRef.of(manifest)), query, body, APPLY_PATCH)
            )
        )

    async def create(self, manifest: Manifest) -> Manifest:
        """Create the object; raise Conflict when the name is taken."""
        ref = ObjectRef.of(manifest)
        path = collection_path(ref.kind.value, ref.namespace)
        return _slim(await self._server.request(Call("POST", path, _STRICT_WRITE, dict(manifest))))

    async def delete(self, ref: ObjectRef, *, uid: str, resource_version: str | None) -> None:
        """Delete in the background; an absent object is success, a changed one is Conflict."""
        preconditions = {"uid": uid}
        if resource_version is not None:
            preconditions["resourceVersion"] = resource_version
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": preconditions,
            "propagationPolicy": "Background",
        }
        try:
            await self._server.request(Call("DELETE", _path(ref), body=options))
        except NotFound:
            return

    async def scale(self, ref: ObjectRef, replicas: int, *, resource_version: str | None) -> None:
        """Set replicas; a stale `resource_version` is Conflict."""
        body: dict[str, Any] = {"spec": {"replicas": replicas}}
        if resource_version is not None:
            body["metadata"] = {"resourceVersion": resource_version}
        await self._server.request(Call("PATCH", f"{_path(ref)}/scale", _WRITE, body, MERGE_PATCH))

    async def read_agent(self, key: ObjectKey) -> Manifest | None:
        """Return the AgentDeployment, None when it does not exist."""
        found = await self._read(AGENTS, key.namespace, key.name, accept=JSON)
        return None if found is None else _slim(found)

    async def list_agents(self) -> Sequence[Manifest]:
        """Return metadata of all AgentDeployments in the watched namespaces."""
        return [
            item
            for namespace in self._namespaces
            async for page in pages(self._server, Selection(AGENTS, namespace, metadata_only=True))
            for item in page.items
        ]

    async def write_status(self, agent: Manifest, status: Mapping[str, Any]) -> Manifest:
        """Replace `.status` of exactly this version of `agent`; Conflict when there is another.

        Sends only what differs from the status in `agent`, and nothing when nothing does.
        """
        changes = merge_patch(agent.get("status") or {}, status)
        if not changes:
            return agent
        metadata = agent["metadata"]
        # The status subresource does not look at uid; a re-created object has another version.
        body = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "status": changes}
        path = f"{object_path(AGENTS, metadata['namespace'], metadata['name'])}/status"
        return _slim(
            await self._server.request(Call("PATCH", path, _STRICT_WRITE, body, MERGE_PATCH))
        )

    async def _read(
        self, info: KindInfo, namespace: str, name: str, *, accept: str
    ) -> dict[str, Any] | None:
        try:
            return await self._server.request(
                Call("GET", object_path(info, namespace, name), accept=accept)
            )
        except NotFound:
            return None


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON merge patch from `old` to `new`; a None in `new` means absent."""
    patch: dict[str, Any] = {key: None for key in old if new.get(key) is None}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            if inner := merge_patch(before, value):
                patch[key] = inner
        elif value is not None and value != before:
            patch[key] = value
    return patch


def _path(ref: ObjectRef) -> str:
    return object_path(ref.kind.value, ref.namespace, ref.name)


def _slim(answer: dict[str, Any]) -> dict[str, Any]:
    answer["metadata"].pop("managedFields", None)
    return answer
