"""What is remembered of one owned object: a small record instead of the object.

The whole object is kept only until it was compared once with what is desired.
"""

from dataclasses import dataclass, field
from typing import Any

from agent_operator.api.v1alpha1 import KIND
from agent_operator.domain.canonical import content_hash
from agent_operator.domain.manifest import Kind, Manifest, ObjectRef
from agent_operator.domain.naming import LABEL_NAME, LABEL_REVISION
from agent_operator.domain.observation import Problem, TrackObservation, TrafficObservation
from agent_operator.domain.plan import Child, is_projection
from agent_operator.domain.resources.route import is_answered, route_problem, weights_of
from agent_operator.domain.revision import snapshot_from
from agent_operator.domain.serving import Snapshot

_NOT_CONTENT = frozenset({"resourceVersion", "generation", "managedFields", "creationTimestamp"})
Facts = TrackObservation | TrafficObservation | Snapshot | str | None


@dataclass(slots=True)
class Record:
    """One owned object: identity, what the state machine wants to know of it, and agreement.

    `facts`: numbers of a Deployment, weights of the route, the snapshot of a ControllerRevision,
    the selected revision of Service <name> ("" when it selects all). `content`: hash of everything
    but status and bookkeeping.
    """

    ref: ObjectRef
    uid: str
    resource_version: str
    owner_uid: str | None
    revision: str | None
    content: str
    facts: Facts
    manifest: Manifest | None
    in_sync_with: str | None = field(default=None)

    def is_later_than(self, other: "Record") -> bool:
        """Whether this is a later version of the same object."""
        is_same = self.uid == other.uid
        return is_same and int(self.resource_version) > int(other.resource_version)

    def compare(self, desired: Manifest) -> None:
        """Decide once whether the object agrees with what is desired, then forget its content."""
        if self.manifest is None:
            return  # settled: nothing is hashed either
        digest = content_hash(desired)
        if self.in_sync_with != digest and is_projection(_own(desired), self.manifest):
            self.in_sync_with = digest
            self.manifest = None

    def child(self) -> Child:
        """Return what planning needs."""
        return Child(
            self.ref,
            self.uid,
            self.resource_version,
            self.owner_uid,
            self.in_sync_with,
            track_replicas(self),
        )


def record_of(obj: Manifest) -> Record:
    """Return the record of an object as the API server sent it."""
    metadata = obj["metadata"]
    ref = ObjectRef.of(obj)
    return Record(
        ref=ref,
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        owner_uid=controller_uid(obj),
        revision=(metadata.get("labels") or {}).get(LABEL_REVISION),
        content=_content(obj),
        facts=_facts(ref, obj),
        manifest=obj,
    )


def track_replicas(record: Record) -> int | None:
    """Return the replicas that a Deployment's record was last seen with."""
    return record.facts.replicas if isinstance(record.facts, TrackObservation) else None


def agent_name(obj: Manifest) -> str | None:
    """Return the name of the AgentDeployment an object belongs to, by its label."""
    name = (obj["metadata"].get("labels") or {}).get(LABEL_NAME)
    return name if isinstance(name, str) else None


def controller_uid(obj: Manifest) -> str | None:
    """Return the UID of the object's controller, None without one."""
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return str(owner["uid"])
    return None


def controller_is_agent(obj: Manifest, name: str) -> bool:
    """Whether the object is controlled by an AgentDeployment of this name, of whatever UID."""
    return any(
        owner.get("controller") and owner["kind"] == KIND and owner["name"] == name
        for owner in obj["metadata"].get("ownerReferences") or ()
    )


def _own(desired: Manifest) -> Manifest:
    return {key: value for key, value in desired.items() if key not in ("apiVersion", "kind")}


def _content(obj: Manifest) -> str:
    metadata = {k: v for k, v in obj["metadata"].items() if k not in _NOT_CONTENT}
    rest = {k: v for k, v in obj.items() if k not in ("metadata", "status")}
    return content_hash({"metadata": metadata} | rest)


def _facts(ref: ObjectRef, obj: Manifest) -> Facts:
    match ref.kind:
        case Kind.DEPLOYMENT:
            return _track(obj)
        case Kind.ROUTE:
            return _traffic(obj)
        case Kind.SERVICE:
            selector: dict[str, Any] = obj["spec"].get("selector") or {}
            return str(selector.get(LABEL_REVISION, ""))
        case Kind.CONTROLLER_REVISION:
            return _snapshot(obj)
        case _:
            return None


def _track(deployment: Manifest) -> TrackObservation:
    status = deployment.get("status") or {}
    return TrackObservation(
        replicas=deployment["spec"].get("replicas", 1),
        ready=status.get("readyReplicas", 0),
        available=status.get("availableReplicas", 0),
        is_observed=status.get("observedGeneration", 0) >= deployment["metadata"]["generation"],
    )


def _traffic(route: Manifest) -> TrafficObservation:
    problem = route_problem(route)
    try:
        weights = weights_of(route)
    except ValueError as error:
        return TrafficObservation(None, Problem("RouteChanged", f"{error}; it is written again"))
    if problem is None:
        return TrafficObservation(weights)
    reason = "RouteNotAccepted" if is_answered(route) else "RoutePending"
    return TrafficObservation(weights, Problem(reason, problem))


def _snapshot(controller_revision: Manifest) -> Snapshot | None:
    try:
        return snapshot_from(controller_revision)
    except ValueError:
        return None  # not a snapshot of ours: the pass that wants the revision writes it again
