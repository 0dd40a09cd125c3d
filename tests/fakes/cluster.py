"""A cluster in memory: the ports over plain dicts, held to the real one by tests/contract.

Server-side apply works by leaves: what we applied once and leave out now goes, what others own
stays. Lists are one leaf (the real one merges some by key); nothing is defaulted or validated
beyond what the contract tests name.
"""

import copy
import itertools
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent_operator.adapters.cluster import merge_patch
from agent_operator.domain.manifest import Kind, Manifest, ObjectKey, ObjectRef
from agent_operator.domain.naming import FIELD_MANAGER
from agent_operator.errors import (
    Conflict,
    InvalidObject,
    MissingApi,
    NamespaceTerminating,
    NotFound,
    OperatorError,
)
from agent_operator.ports import ChildListener
from tests.factories import merged

Path = tuple[str, ...]
_WITHOUT_GENERATION = (Kind.CONFIG_MAP, Kind.SECRET, Kind.SERVICE, Kind.CONTROLLER_REVISION)


@dataclass
class _Stored:
    obj: dict[str, Any]
    owned: dict[str, set[Path]] = field(default_factory=dict)


class FakeCluster:
    """`ports.ClusterApi`, `ScaleApi` and `AgentApi` in memory.

    `writes` counts what was written, as in {"apply Service": 2}; an apply without effect counts,
    too, as the request it is.
    """

    def __init__(self, *, missing: Collection[Kind] = ()) -> None:
        self.writes: Counter[str] = Counter()
        self.terminating: set[str] = set()
        self.missing = set(missing)
        self._objects: dict[ObjectRef, _Stored] = {}
        self._agents: dict[ObjectKey, dict[str, Any]] = {}
        self._listeners: list[ChildListener] = []
        self._failures: deque[OperatorError] = deque()
        self._lost_answers: deque[OperatorError] = deque()
        self._versions = itertools.count(1)

    # What the operator does.

    async def read(self, ref: ObjectRef) -> Manifest | None:
        self._answer(ref)
        stored = self._objects.get(ref)
        if stored is None:
            return None
        found = copy.deepcopy(stored.obj)
        found["metadata"]["managedFields"] = [{"manager": name} for name in stored.owned]
        if ref.kind is Kind.SECRET:
            return {name: found[name] for name in ("apiVersion", "kind", "metadata")}
        return found

    async def apply(self, manifest: Manifest, *, uid: str | None) -> Manifest:
        ref = ObjectRef.of(manifest)
        self._answer(ref, f"apply {ref.kind.value.kind}")
        stored = self._objects.get(ref)
        if uid is not None and (stored is None or stored.obj["metadata"]["uid"] != uid):
            raise Conflict(f"{ref.name}: uid mismatch")
        if stored is None:
            self._check_creatable(ref)
            stored = self._objects[ref] = _Stored(self._born(manifest))
        before = copy.deepcopy(stored.obj)
        wanted = dict(_leaves(manifest))
        others = set().union(*(v for k, v in stored.owned.items() if k != FIELD_MANAGER))
        for path in stored.owned.get(FIELD_MANAGER, set()) - wanted.keys() - others:
            _remove(stored.obj, path)
        for path, value in wanted.items():
            _put(stored.obj, path, copy.deepcopy(value))
        _check_immutable(ref, before, stored)
        stored.owned[FIELD_MANAGER] = set(wanted)
        return self._written(ref, stored, before)

    async def create(self, manifest: Manifest) -> Manifest:
        ref = ObjectRef.of(manifest)
        self._answer(ref, f"create {ref.kind.value.kind}")
        if ref in self._objects:
            raise Conflict(f"{ref.name} already exists")
        self._check_creatable(ref)
        stored = _Stored(self._born(manifest), {FIELD_MANAGER: {p for p, _ in _leaves(manifest)}})
        stored.obj.update(copy.deepcopy({k: v for k, v in manifest.items() if k != "metadata"}))
        stored.obj["metadata"].update(copy.deepcopy(dict(manifest["metadata"])))
        self._objects[ref] = stored
        return self._written(ref, stored, {})

    async def delete(self, ref: ObjectRef, *, uid: str, resource_version: str | None) -> None:
        self._answer(ref, f"delete {ref.kind.value.kind}")
        stored = self._objects.get(ref)
        if stored is None:
            return
        metadata = stored.obj["metadata"]
        if uid != metadata["uid"] or resource_version not in (None, metadata["resourceVersion"]):
            raise Conflict(f"{ref.name}: precondition failed")
        self.remove(ref)
        self._lose_answer()

    async def scale(self, ref: ObjectRef, replicas: int, *, resource_version: str | None) -> None:
        self._answer(ref, "scale")
        stored = self._objects.get(ref)
        if stored is None:
            raise NotFound(f"{ref.name} not found")
        if resource_version not in (None, stored.obj["metadata"]["resourceVersion"]):
            raise Conflict(f"{ref.name} has been modified")
        before = copy.deepcopy(stored.obj)
        _put(stored.obj, ("spec", "replicas"), replicas)
        self._written(ref, stored, before)

    async def read_agent(self, key: ObjectKey) -> Manifest | None:
        self._answer(None)
        return copy.deepcopy(self._agents.get(key))

    async def list_agents(self) -> Sequence[Manifest]:
        self._answer(None)
        return [
            copy.deepcopy({name: agent[name] for name in ("apiVersion", "kind", "metadata")})
            for agent in self._agents.values()
        ]

    async def write_status(self, agent: Manifest, status: Mapping[str, Any]) -> Manifest:
        changes = merge_patch(agent.get("status") or {}, status)
        if not changes:
            return agent
        self._answer(None, "status")
        metadata = agent["metadata"]
        stored = self._agents.get(ObjectKey(metadata["namespace"], metadata["name"]))
        if stored is None:
            raise NotFound(f"{metadata['name']} not found")
        if stored["metadata"]["resourceVersion"] != metadata["resourceVersion"]:
            raise Conflict(f"{metadata['name']} has been modified")
        stored["status"] = merged(stored.get("status") or {}, changes)
        stored["metadata"]["resourceVersion"] = self._version()
        self._lose_answer()
        return copy.deepcopy(stored)

    # What users, other controllers and faults do.

    def put_agent(self, manifest: Manifest) -> dict[str, Any]:
        """Create an AgentDeployment or change its spec, as `kubectl apply` does."""
        metadata = manifest["metadata"]
        key = ObjectKey(metadata["namespace"], metadata["name"])
        known = self._agents.get(key)
        version = self._version()
        agent = copy.deepcopy(dict(manifest)) | {"status": (known or {}).get("status", {})}
        generation = 1
        uid = f"uid-{version}"
        if known is not None:
            uid, generation = known["metadata"]["uid"], known["metadata"]["generation"]
            generation += known["spec"] != manifest["spec"]
        agent["metadata"].update(uid=uid, resourceVersion=version, generation=generation)
        self._agents[key] = agent
        return copy.deepcopy(agent)

    def delete_agent(self, key: ObjectKey) -> None:
        """Delete an AgentDeployment and, as garbage collection does, everything it owns."""
        uid = self._agents.pop(key)["metadata"]["uid"]
        for ref, stored in list(self._objects.items()):
            owners = stored.obj["metadata"].get("ownerReferences", ())
            if any(owner["uid"] == uid for owner in owners):
                self.remove(ref)

    def change(self, ref: ObjectRef, patch: Mapping[str, Any], *, manager: str = "other") -> None:
        """Merge a patch into an object, as another client does."""
        stored = self._objects[ref]
        before = copy.deepcopy(stored.obj)
        stored.obj = merged(stored.obj, patch)
        stored.owned.setdefault(manager, set()).update(path for path, _ in _leaves(patch))
        self._written(ref, stored, before)

    def remove(self, ref: ObjectRef) -> None:
        """Delete an object without asking anybody."""
        stored = self._objects.pop(ref)
        for listener in self._listeners:
            listener.forget(ref, stored.obj["metadata"]["uid"])

    def follow(self, listener: ChildListener) -> None:
        """Tell a listener everything there is, then every change at once, as the informer does."""
        for kind in Kind:
            if kind is not Kind.SECRET:
                listener.replace(kind, [obj for ref, obj in self.objects() if ref.kind is kind])
        self._listeners.append(listener)

    def objects(self) -> Iterator[tuple[ObjectRef, dict[str, Any]]]:
        """Return everything that is owned, as copies."""
        for ref, stored in list(self._objects.items()):
            yield ref, copy.deepcopy(stored.obj)

    def fail(self, error: OperatorError, *, times: int = 1, answer_only: bool = False) -> None:
        """Fail the next requests; `answer_only`: the next writes take effect before they fail."""
        (self._lost_answers if answer_only else self._failures).extend([error] * times)

    def _answer(self, ref: ObjectRef | None, write: str = "") -> None:
        if write:
            self.writes[write] += 1
        if self._failures:
            raise self._failures.popleft()
        if ref is not None and ref.kind in self.missing:
            info = ref.kind.value
            raise MissingApi(f"{info.plural}.{info.api_version}")

    def _lose_answer(self) -> None:
        if self._lost_answers:
            raise self._lost_answers.popleft()

    def _check_creatable(self, ref: ObjectRef) -> None:
        if ref.namespace in self.terminating:
            raise NamespaceTerminating(f"namespace {ref.namespace} is being terminated")

    def _version(self) -> str:
        return str(next(self._versions))

    def _born(self, manifest: Manifest) -> dict[str, Any]:
        metadata = {name: manifest["metadata"][name] for name in ("name", "namespace")}
        version = self._version()
        born: dict[str, Any] = {name: manifest[name] for name in ("apiVersion", "kind")}
        born["metadata"] = metadata | {"uid": f"uid-{version}", "resourceVersion": version}
        if Kind.of(manifest) not in _WITHOUT_GENERATION:
            born["metadata"]["generation"] = 1
        return born

    def _written(self, ref: ObjectRef, stored: _Stored, before: dict[str, Any]) -> Manifest:
        if stored.obj != before:
            metadata = stored.obj["metadata"]
            metadata["resourceVersion"] = self._version()
            if "generation" in metadata and "spec" in before:
                metadata["generation"] += stored.obj["spec"] != before["spec"]
            if ref.kind is not Kind.SECRET:
                for listener in self._listeners:
                    listener.observe(copy.deepcopy(stored.obj))
        self._lose_answer()
        return copy.deepcopy(stored.obj)


def _leaves(value: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Return everything but names, maps taken apart and lists whole."""
    for key, inner in value.items():
        here = (*path, key)
        if here in (("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")):
            continue
        if isinstance(inner, Mapping) and inner:
            yield from _leaves(inner, here)
        else:
            yield here, inner


def _put(obj: dict[str, Any], path: Path, value: Any) -> None:
    *parents, last = path
    for name in parents:
        obj = obj.setdefault(name, {})
    obj[last] = value


def _remove(obj: dict[str, Any], path: Path) -> None:
    """Remove a leaf, and the maps that are empty without it."""
    first, *rest = path
    if not rest:
        obj.pop(first, None)
    elif first in obj:
        _remove(obj[first], tuple(rest))
        if not obj[first]:
            del obj[first]


def _check_immutable(ref: ObjectRef, before: dict[str, Any], stored: _Stored) -> None:
    is_frozen = ref.kind is Kind.CONTROLLER_REVISION or before.get("immutable")
    if is_frozen and "data" in before and before["data"] != stored.obj.get("data"):
        stored.obj = before
        raise InvalidObject(f"{ref.name} is invalid: data: field is immutable")
