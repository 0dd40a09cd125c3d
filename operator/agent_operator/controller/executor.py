"""Carries out planned writes one by one and says what kept one from being done.

Every write is fenced by the uid of what it was decided on, deletes and /scale by its
resourceVersion too; before anything is created the AgentDeployment itself is looked at again.
"""

import secrets
from collections.abc import Sequence

import structlog

from agent_operator.api.v1alpha1 import AgentDeployment
from agent_operator.controller.cache import Cache
from agent_operator.controller.records import controller_is_agent, controller_uid, track_replicas
from agent_operator.domain.manifest import Kind, Manifest, ObjectKey, ObjectRef
from agent_operator.domain.naming import (
    FIELD_MANAGER,
    LABEL_MANAGED_BY,
    MANAGED_BY,
    keys_name,
)
from agent_operator.domain.observation import Problem
from agent_operator.domain.plan import Apply, Delete, Scale, Write
from agent_operator.domain.resources.secret import KEY_BYTES, keys_secret
from agent_operator.errors import AccessDenied, Conflict, InvalidObject, MissingApi, NotFound
from agent_operator.ports import AgentApi, ClusterApi, ScaleApi

log = structlog.get_logger(__name__)


class AgentGone(Exception):  # noqa: N818 - not a failure: there is nothing left to do
    """The AgentDeployment was deleted or replaced while a pass was under way."""


class Executor:
    """Writes owned objects of one AgentDeployment at a time."""

    def __init__(
        self, cluster: ClusterApi, scales: ScaleApi, agents: AgentApi, cache: Cache
    ) -> None:
        self._cluster = cluster
        self._scales = scales
        self._agents = agents
        self._cache = cache

    async def carry_out(self, agent: AgentDeployment, writes: Sequence[Write]) -> Problem | None:
        """Do the writes in order; return the first problem a person has to solve.

        One refused object does not keep the others from being written. Raises `AgentGone` when
        the AgentDeployment is not the one the writes were planned for any more.
        """
        first: Problem | None = None
        is_checked = False
        for write in writes:
            if isinstance(write, Apply) and write.child is None and not is_checked:
                await self._ensure_still_there(agent)
                is_checked = True
            problem = await self._carry_out_one(agent, write)
            first = first or problem
        return first

    async def _apply(self, agent: AgentDeployment, write: Apply) -> Problem | None:
        """Apply one manifest; foreign objects under its name are left alone."""
        key = _key(agent)
        ref = ObjectRef.of(write.manifest)
        uid = write.child.uid if write.child else None
        owner = write.child.owner_uid if write.child else None
        if write.child is None:
            found = await self._cluster.read(ref)
            if found is not None:
                problem = _foreign(agent, ref, found)
                if problem is not None:
                    return problem
                uid, owner = found["metadata"]["uid"], controller_uid(found)
        if owner is not None and owner != agent.metadata.uid:
            return _other_owner(agent, ref)
        answer = await self._cluster.apply(write.manifest, uid=uid)
        self._cache.applied(key, answer, write.digest)
        log.info("child.applied", kind=ref.kind.value.kind, name=ref.name, created=uid is None)
        return None

    async def ensure_keys(self, agent: AgentDeployment) -> Problem | None:
        """Create the Secret that signs session ids once; its content is never read or rewritten."""
        name = keys_name(agent)
        ref = ObjectRef(Kind.SECRET, agent.metadata.namespace, name)
        try:
            found = await self._cluster.read(ref)
            if found is not None:
                return _foreign(agent, ref, found)
            await self._ensure_still_there(agent)
            await self._cluster.create(keys_secret(agent, secrets.token_bytes(KEY_BYTES)))
        except Conflict:
            return None  # another pass was first
        except (InvalidObject, AccessDenied) as error:
            return Problem(_reason(error), f"Secret {name}: {error}")
        log.info("child.applied", kind="Secret", name=name, created=True)
        return None

    async def _ensure_still_there(self, agent: AgentDeployment) -> None:
        """Raise `AgentGone` unless the AgentDeployment is there, the same and not being deleted."""
        found = await self._agents.read_agent(_key(agent))
        if (
            found is None
            or found["metadata"]["uid"] != agent.metadata.uid
            or found["metadata"].get("deletionTimestamp")
        ):
            raise AgentGone

    async def _carry_out_one(self, agent: AgentDeployment, write: Write) -> Problem | None:
        try:
            match write:
                case Apply():
                    return await self._apply(agent, write)
                case Scale():
                    await self._scale(agent, write)
                case Delete():
                    await self._delete(agent, write)
        except (InvalidObject, AccessDenied, MissingApi) as error:
            return _refused(write, error)
        return None

    async def _scale(self, agent: AgentDeployment, write: Scale) -> None:
        record = self._cache.children(_key(agent)).get(write.ref)
        if record is None:
            return  # its apply was refused; the problem says so already
        version = record.resource_version
        for attempts_left in (2, 1, 0):
            try:
                await self._scales.scale(write.ref, write.replicas, resource_version=version)
                break
            except NotFound:
                return  # deleted meanwhile: the next pass creates it again
            except Conflict:
                # A Deployment just created gets its first status now: look again, decide again.
                found = await self._cluster.read(write.ref)
                if not attempts_left or found is None or found["metadata"]["uid"] != record.uid:
                    raise
                if found["spec"].get("replicas") != track_replicas(record):
                    return  # somebody scaled it meanwhile: the next pass decides on that
                version = found["metadata"]["resourceVersion"]
        log.info("deployment.scaled", name=write.ref.name, replicas=write.replicas)

    async def _delete(self, agent: AgentDeployment, write: Delete) -> None:
        child = write.child
        if child.owner_uid not in (None, agent.metadata.uid):
            return  # of an AgentDeployment of the same name that is gone: garbage collection's
        await self._cluster.delete(
            child.ref, uid=child.uid, resource_version=child.resource_version
        )
        self._cache.deleted(_key(agent), child.ref)
        log.info("child.deleted", kind=child.ref.kind.value.kind, name=child.ref.name)


def _key(agent: AgentDeployment) -> ObjectKey:
    return ObjectKey(agent.metadata.namespace, agent.metadata.name)


def _foreign(agent: AgentDeployment, ref: ObjectRef, found: Manifest) -> Problem | None:
    """Say whose an object is that already has the name; None when it is ours to repair."""
    owner = controller_uid(found)
    if owner == agent.metadata.uid:
        return None
    if owner is None and _was_ours(found):
        return None
    if owner is not None and controller_is_agent(found, agent.metadata.name):
        return _other_owner(agent, ref)
    kind = ref.kind.value.kind
    message = (
        f"{kind} {ref.namespace}/{ref.name} exists and is not the operator's; rename or delete it, "
        "or give the AgentDeployment another name"
    )
    return Problem("NameConflict", message)


def _was_ours(found: Manifest) -> bool:
    metadata = found["metadata"]
    managers = {entry.get("manager") for entry in metadata.get("managedFields") or ()}
    has_label = (metadata.get("labels") or {}).get(LABEL_MANAGED_BY) == MANAGED_BY
    return has_label and FIELD_MANAGER in managers


def _other_owner(agent: AgentDeployment, ref: ObjectRef) -> Problem:
    message = (
        f"{ref.kind.value.kind} {ref.name} belongs to an earlier AgentDeployment "
        f"{agent.metadata.name}; waiting for its garbage collection"
    )
    return Problem("WaitingForGarbageCollection", message)


def _refused(write: Write, error: InvalidObject | AccessDenied | MissingApi) -> Problem:
    if isinstance(error, MissingApi):
        field = "spec.traffic: " if _ref(write).kind is Kind.ROUTE else ""
        return Problem("MissingApi", f"{field}{error}")
    ref = _ref(write)
    return Problem(_reason(error), f"{ref.kind.value.kind} {ref.name}: {error}")


def _reason(error: InvalidObject | AccessDenied) -> str:
    return "AccessDenied" if isinstance(error, AccessDenied) else "ChildRefused"


def _ref(write: Write) -> ObjectRef:
    match write:
        case Apply():
            return ObjectRef.of(write.manifest)
        case Scale():
            return write.ref
        case Delete():
            return write.child.ref
