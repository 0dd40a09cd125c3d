"""From desired and observed objects to the writes that are missing; none when nothing differs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent_operator.domain.canonical import content_hash
from agent_operator.domain.manifest import Kind, Manifest, ObjectRef


@dataclass(frozen=True, slots=True)
class Child:
    """An owned object as far as planning needs it.

    `owner_uid`: of its controller, None without one. `in_sync_with`: digest of the manifest it is
    known to agree with. `replicas`: asked for, of a Deployment.
    """

    ref: ObjectRef
    uid: str
    resource_version: str
    owner_uid: str | None
    in_sync_with: str | None = None
    replicas: int | None = None


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply of a manifest; `child` is what is there now, None when nothing is."""

    manifest: Manifest
    digest: str
    child: Child | None = None


@dataclass(frozen=True, slots=True)
class Scale:
    """Replicas of a Deployment that no autoscaler has brought there yet."""

    ref: ObjectRef
    replicas: int
    child: Child | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Removal of an owned object that nothing wants any more."""

    child: Child


Write = Apply | Scale | Delete

_WHOLE = frozenset({"selector", "nodeSelector"})
_TRAFFIC = frozenset({Kind.ROUTE})
_RETIRE_ORDER = {
    kind: index
    for index, kind in enumerate(
        (
            Kind.ROUTE,
            Kind.AUTOSCALER,
            Kind.DISRUPTION_BUDGET,
            Kind.DEPLOYMENT,
            Kind.SERVICE,
            Kind.CONFIG_MAP,
            Kind.CONTROLLER_REVISION,
        )
    )
}


def writes(
    desired: Sequence[Manifest],
    children: Mapping[ObjectRef, Child],
    *,
    replicas: Mapping[ObjectRef, int],
    shared: ObjectRef,
    traffic_first: bool,
) -> tuple[Write, ...]:
    """Return the writes that make the children what they should be, in the order to do them.

    `replicas`: of Deployments that need a write of the scale subresource. `shared`: the Service
    that, like the route, moves traffic. Traffic goes first on the way back and last on the way
    forward; what is retired goes last of all.
    """
    applies = [_apply(manifest, children) for manifest in desired]
    missing = [apply for apply in applies if not _is_in_sync(apply)]
    moving = [a for a in missing if _moves_traffic(a, shared)]
    rest = [a for a in missing if not _moves_traffic(a, shared)]
    scales = [Scale(ref, number, children.get(ref)) for ref, number in replicas.items()]
    wanted = {ObjectRef.of(manifest) for manifest in desired}
    retired = sorted(
        (child for ref, child in children.items() if ref not in wanted),
        key=lambda child: (_RETIRE_ORDER[child.ref.kind], child.ref.name),
    )
    deletes = [Delete(child) for child in retired]
    if traffic_first:
        return (*moving, *rest, *scales, *deletes)
    return (*rest, *scales, *moving, *deletes)


def is_projection(desired: Any, observed: Any) -> bool:
    """Whether observed holds everything desired says; what others or defaults added is tolerated.

    Lists must agree in length and order, selectors as a whole. Numbers compare by
    value: 1 and 1.0 are the same.
    """
    if isinstance(desired, Mapping):
        return isinstance(observed, Mapping) and all(
            _agrees(key, value, observed[key]) if key in observed else _is_empty(value)
            for key, value in desired.items()
        )
    if isinstance(desired, list | tuple):
        return (
            isinstance(observed, list | tuple)
            and len(desired) == len(observed)
            and all(is_projection(a, b) for a, b in zip(desired, observed, strict=True))
        )
    return bool(desired == observed)


def _agrees(key: str, desired: Any, observed: Any) -> bool:
    # One more label in a selector selects nothing any more: these maps are ours as a whole.
    return bool(desired == observed) if key in _WHOLE else is_projection(desired, observed)


def _is_empty(value: Any) -> bool:
    # The API server does not store empty values of most fields.
    return value in ({}, [], (), "", None)


def _apply(manifest: Manifest, children: Mapping[ObjectRef, Child]) -> Apply:
    return Apply(manifest, content_hash(manifest), children.get(ObjectRef.of(manifest)))


def _is_in_sync(apply: Apply) -> bool:
    return apply.child is not None and apply.child.in_sync_with == apply.digest


def _moves_traffic(apply: Apply, shared: ObjectRef) -> bool:
    ref = ObjectRef.of(apply.manifest)
    return ref.kind in _TRAFFIC or ref == shared
