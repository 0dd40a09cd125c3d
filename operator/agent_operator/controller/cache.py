"""Last observed state: AgentDeployments from kopf, their children from the informer.

Changes that matter to a key put it into the queue; echoes of our own writes do not.
"""

from collections.abc import Sequence
from typing import Any

import structlog

from agent_operator.controller.records import Record, agent_name, record_of
from agent_operator.domain.manifest import Kind, Manifest, ObjectKey, ObjectRef
from agent_operator.ports import Enqueue

log = structlog.get_logger(__name__)


def key_of(agent: Manifest) -> ObjectKey:
    """Return the key of an AgentDeployment."""
    return ObjectKey(agent["metadata"]["namespace"], agent["metadata"]["name"])


class Cache:
    """Everything a pass reads without asking the API server."""

    def __init__(self, enqueue: Enqueue) -> None:
        self._enqueue = enqueue
        self._agents: dict[ObjectKey, Manifest] = {}
        self._children: dict[ObjectKey, dict[ObjectRef, Record]] = {}
        self._owners: dict[ObjectRef, ObjectKey] = {}

    def agent(self, key: ObjectKey) -> Manifest | None:
        """Return the AgentDeployment as last seen or written."""
        return self._agents.get(key)

    def agents(self) -> Sequence[ObjectKey]:
        """Return the keys of all known AgentDeployments."""
        return tuple(self._agents)

    def children(self, key: ObjectKey) -> dict[ObjectRef, Record]:
        """Return the records of a key's owned objects; do not change the mapping."""
        return self._children.get(key, {})

    def observe_agent(self, kind: str | None, agent: Manifest) -> None:
        """Take a watch event of an AgentDeployment; `kind` is DELETED, or anything else."""
        key = key_of(agent)
        known = self._agents.get(key)
        if kind == "DELETED":
            if known is not None and known["metadata"]["uid"] == agent["metadata"]["uid"]:
                del self._agents[key]
            self._enqueue(key)
            return
        if known is not None and not _is_newer(agent, known):
            return
        self._agents[key] = _trimmed(agent)
        self._enqueue(key)

    def agent_written(self, agent: Manifest) -> None:
        """Take the answer to our own status write; its watch event is then no news.

        What was watched before the answer came stays: a later change, a deletion, a successor.
        """
        key = key_of(agent)
        known = self._agents.get(key)
        if known is not None and _is_later_version(agent, known):
            self._agents[key] = _trimmed(agent)

    def drop_agent(self, key: ObjectKey, uid: str) -> None:
        """Forget an AgentDeployment of that UID: it does not exist any more."""
        known = self._agents.get(key)
        if known is not None and known["metadata"]["uid"] == uid:
            del self._agents[key]
            self._enqueue(key)

    def observe(self, obj: Manifest) -> None:
        """Take an added or changed owned object."""
        key = self._owner(obj)
        if key is None:
            return
        try:
            new = record_of(obj)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            # One odd object must not stop the others of its kind from being followed.
            log.warning("object.unreadable", object="/".join(key), error=repr(error))
            return
        old = self._children.get(key, {}).get(new.ref)
        if old is not None and old.uid == new.uid:
            if not new.is_later_than(old):
                return
            if old.content == new.content and old.owner_uid == new.owner_uid:
                new.in_sync_with, new.manifest = old.in_sync_with, old.manifest
                if old.facts == new.facts:
                    self._keep(key, new)
                    return
        self._keep(key, new)
        self._enqueue(key)

    def forget(self, ref: ObjectRef, uid: str) -> None:
        """Take the disappearance of an owned object, or of the label it is followed by."""
        key = self._owners.get(ref)
        if key is None:
            return
        record = self._children.get(key, {}).get(ref)
        if record is not None and record.uid == uid:
            self._drop(key, ref)
            self._enqueue(key)

    def replace(
        self, kind: Kind, objects: Sequence[Manifest], *, namespace: str | None = None
    ) -> None:
        """Take a complete list of one kind, or of one namespace of it: the rest is gone."""
        listed = {ObjectRef.of(obj) for obj in objects}
        gone = [
            ref
            for ref in self._owners
            if ref.kind is kind and ref not in listed and namespace in (None, ref.namespace)
        ]
        for ref in gone:
            key = self._owners[ref]
            self._drop(key, ref)
            self._enqueue(key)
        for obj in objects:
            self.observe(obj)

    def applied(self, key: ObjectKey, answer: Manifest, digest: str) -> Record:
        """Take the answer to our own apply: it agrees with the manifest of that digest.

        A later change, such as a status, may have been watched before the answer came: it stays.
        """
        record = record_of(answer)
        watched = self._children.get(key, {}).get(record.ref)
        if watched is not None and watched.is_later_than(record):
            if watched.content != record.content:
                return watched
            record = watched
        record.in_sync_with, record.manifest = digest, None
        self._keep(key, record)
        return record

    def deleted(self, key: ObjectKey, ref: ObjectRef) -> None:
        """Take the success of our own delete."""
        self._drop(key, ref)

    def _keep(self, key: ObjectKey, record: Record) -> None:
        self._children.setdefault(key, {})[record.ref] = record
        self._owners[record.ref] = key

    def _drop(self, key: ObjectKey, ref: ObjectRef) -> None:
        self._owners.pop(ref, None)
        children = self._children.get(key, {})
        children.pop(ref, None)
        if not children:
            self._children.pop(key, None)

    def _owner(self, obj: Manifest) -> ObjectKey | None:
        known = self._owners.get(ObjectRef.of(obj))
        if known is not None:  # whatever somebody did to its labels: still the child it was
            return known
        name = agent_name(obj)
        return None if name is None else ObjectKey(obj["metadata"]["namespace"], name)


def _is_newer(agent: Manifest, known: Manifest) -> bool:
    is_same = agent["metadata"]["uid"] == known["metadata"]["uid"]
    return not is_same or _is_later_version(agent, known)


def _is_later_version(agent: Manifest, known: Manifest) -> bool:
    old, new = known["metadata"], agent["metadata"]
    return old["uid"] == new["uid"] and int(new["resourceVersion"]) > int(old["resourceVersion"])


def _trimmed(agent: Manifest) -> dict[str, Any]:
    metadata = {key: v for key, v in agent["metadata"].items() if key != "managedFields"}
    return {**agent, "metadata": metadata}
