"""What the operator must be allowed to do, asked before it starts: a gap is named, not hung on.

The table is also what the chart's roles are tested against.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from agent_operator.adapters.apiserver import ApiServer, Call
from agent_operator.adapters.listing import AGENTS, collection_path
from agent_operator.domain.manifest import Kind
from agent_operator.errors import AccessDenied

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class Permission(NamedTuple):
    """One verb on one resource; `resource` may name a subresource, as in deployments/scale."""

    verb: str
    group: str
    resource: str


def _permissions(api_version: str, resource: str, verbs: str) -> Iterable[Permission]:
    group = api_version.rpartition("/")[0]
    return (Permission(verb, group, resource) for verb in verbs.split())


_CHILD_VERBS = "get list watch create patch delete"  # an apply that creates needs create too
_CHILDREN = [kind.value for kind in Kind if kind is not Kind.SECRET]

REQUIRED: tuple[Permission, ...] = (
    *_permissions(AGENTS.api_version, AGENTS.plural, "get list watch"),
    *_permissions(AGENTS.api_version, f"{AGENTS.plural}/status", "patch"),
    *(
        permission
        for info in _CHILDREN
        for permission in _permissions(info.api_version, info.plural, _CHILD_VERBS)
    ),
    *_permissions("apps/v1", "deployments/scale", "patch"),
    *_permissions("v1", "secrets", "get create"),
    *_permissions("events.k8s.io/v1", "events", "create"),
)
OPTIONAL = frozenset({Kind.ROUTE.value.plural, "events"})
"""Resources the operator starts without: only agents with traffic rules need routes."""


async def check_access(server: ApiServer, *, namespaces: Sequence[str] = ()) -> None:
    """Return when the operator can do its work in all its namespaces (none: the whole cluster).

    Raises MissingApi without the AgentDeployment CRD, AccessDenied naming every permission that
    is missing, ApiUnavailable when the API server cannot be reached.
    """
    places: Sequence[str | None] = tuple(namespaces) or (None,)
    questions = [
        (permission, place)
        for permission in REQUIRED
        if permission.resource not in OPTIONAL
        for place in places
    ]
    answers = await asyncio.gather(*(_is_allowed(server, *question) for question in questions))
    gaps = [gap for gap, allowed in zip(questions, answers, strict=True) if not allowed]
    if gaps:
        raise AccessDenied(f"the operator's account lacks permissions: {_listed(gaps)}")
    for place in places:
        await server.request(Call("GET", collection_path(AGENTS, place), {"limit": "1"}))


def _listed(gaps: Iterable[tuple[Permission, str | None]]) -> str:
    verbs: dict[str, list[str]] = {}
    for permission, place in gaps:
        resource = ".".join(filter(None, (permission.resource, permission.group)))
        verbs.setdefault(f"{resource} in {place or 'all namespaces'}", []).append(permission.verb)
    return "; ".join(f"{'/'.join(names)} {where}" for where, names in verbs.items())


async def _is_allowed(server: ApiServer, permission: Permission, namespace: str | None) -> bool:
    resource, _, subresource = permission.resource.partition("/")
    attributes = {
        "verb": permission.verb,
        "group": permission.group,
        "resource": resource,
        "subresource": subresource,
        "namespace": namespace or "",
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = await server.request(Call("POST", REVIEWS, body=review))
    return bool(answer.get("status", {}).get("allowed"))
