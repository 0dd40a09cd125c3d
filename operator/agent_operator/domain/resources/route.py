"""HTTPRoute `<name>`: splits new sessions by weight and keeps pinned ones on their revision.

Rules are atomic lists, so the route is ours as a whole. Every default is written out: what the API
server stores equals what we apply. The weights in force are read back from the stored route.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from agent_operator.api.v1alpha1 import AgentDeployment, ParentRef, TrafficSpec
from agent_operator.domain.manifest import Manifest
from agent_operator.domain.naming import REVISION_HEADER, child_name, owned_metadata
from agent_operator.domain.resources.service import SERVICE_PORT
from agent_operator.domain.serving import ServingRevision

GATEWAY_GROUP = "gateway.networking.k8s.io"
MAX_RULES = 16  # of the Gateway API
MAX_REASON_LENGTH = 256

_PARENT_FIELDS = ("group", "kind", "namespace", "name", "sectionName", "port")
_REQUIRED_CONDITIONS = ("Accepted", "ResolvedRefs")


def route(
    agent: AgentDeployment, traffic: TrafficSpec, revisions: Sequence[ServingRevision]
) -> Manifest:
    """Return the route: pins first, then a rule with a backend per revision, weight 0 included.

    Pins beyond the Gateway API's limit of rules are left out, the last revisions first.
    """
    pinned = [serving for serving in revisions if serving.pinned][: MAX_RULES - 1]
    pins = [] if traffic.stickiness == "None" else [_pin(agent, traffic, each) for each in pinned]
    backends = [_backend(agent, each.snapshot.revision, each.weight) for each in revisions]
    spec: dict[str, Any] = {
        "parentRefs": [_parent_reference(parent) for parent in traffic.parent_refs],
        "rules": [*pins, _rule(traffic, [_path(path) for path in traffic.paths], backends)],
    }
    if traffic.hostnames:
        spec["hostnames"] = list(traffic.hostnames)
    return {
        "apiVersion": f"{GATEWAY_GROUP}/v1",
        "kind": "HTTPRoute",
        "metadata": owned_metadata(agent, agent.metadata.name),
        "spec": spec,
    }


def weights_of(route: Manifest) -> Mapping[str, int]:
    """Return the weight of each revision in the stored route's default rule.

    Raises ValueError when the route is not as `route` builds it: somebody else wrote it.
    """
    try:
        prefix = f"{route['metadata']['name']}-"
        defaults = [rule for rule in route["spec"]["rules"] if not _is_pin(rule)]
        backends = [backend for rule in defaults for backend in rule["backendRefs"]]
        weights = {
            backend["name"].removeprefix(prefix): backend["weight"]
            for backend in backends
            if backend["name"].startswith(prefix)
        }
    except (KeyError, TypeError, AttributeError):
        raise ValueError("the route is not as the operator writes it") from None
    if len(defaults) != 1 or len(weights) != len(backends):
        raise ValueError("the route has other rules or backends than the operator writes")
    if not all(type(weight) is int and weight >= 0 for weight in weights.values()):
        raise ValueError("the route has a weight that is no number")
    return weights


def route_problem(route: Manifest) -> str | None:
    """Say why the stored route is not in force; None when every parent accepted this generation."""
    answers = route.get("status", {}).get("parents", [])
    for parent in route["spec"].get("parentRefs", []):
        wanted = _identity(route, parent)
        found = [each for each in answers if _identity(route, each["parentRef"]) == wanted]
        label = f"Gateway {wanted['namespace']}/{wanted['name']}"
        if not found:
            return (
                f"{label} has not answered yet; if it does not exist, set spec.traffic.parentRefs"
            )
        for answer in found:
            problem = _answer_problem(answer, route["metadata"]["generation"])
            if problem is not None:
                return f"{label}: {problem}"[:MAX_REASON_LENGTH]
    return None


def is_answered(route: Manifest) -> bool:
    """Whether every parent has said yes or no to the stored generation."""
    generation, parents = (
        route["metadata"]["generation"],
        route.get("status", {}).get("parents", []),
    )
    known = [
        {
            each["type"]
            for each in parent.get("conditions", [])
            if each.get("observedGeneration") == generation
        }
        for parent in parents
    ]
    return len(parents) >= len(route["spec"].get("parentRefs", [])) and all(
        types >= set(_REQUIRED_CONDITIONS) for types in known
    )


def _answer_problem(answer: Mapping[str, Any], generation: int) -> str | None:
    conditions = {each["type"]: each for each in answer.get("conditions", [])}
    for name in _REQUIRED_CONDITIONS:
        condition = conditions.get(name)
        if condition is None or condition.get("observedGeneration") != generation:
            return f"{name} is not known yet for generation {generation}"
        if condition["status"] != "True":
            return f"{name} is {condition['status']}: {condition['reason']}, {condition['message']}"
    return None


def _identity(route: Manifest, parent: Mapping[str, Any]) -> Mapping[str, Any]:
    defaults = {
        "group": GATEWAY_GROUP,
        "kind": "Gateway",
        "namespace": route["metadata"]["namespace"],
    }
    return {field: parent.get(field, defaults.get(field)) for field in _PARENT_FIELDS}


def _is_pin(rule: Mapping[str, Any]) -> bool:
    return any(match.get("headers") for match in rule["matches"])


def _pin(agent: AgentDeployment, traffic: TrafficSpec, serving: ServingRevision) -> dict[str, Any]:
    revision = serving.snapshot.revision
    header = {"type": "Exact", "name": REVISION_HEADER, "value": revision}
    matches = [_path(path) | {"headers": [header]} for path in traffic.paths]
    return _rule(traffic, matches, [_backend(agent, revision, 1)])


def _rule(
    traffic: TrafficSpec, matches: list[dict[str, Any]], backends: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "matches": matches,
        "backendRefs": backends,
        "timeouts": {"request": f"{traffic.timeout_seconds}s"},
    }


def _path(path: str) -> dict[str, Any]:
    return {"path": {"type": "PathPrefix", "value": path}}


def _backend(agent: AgentDeployment, revision: str, weight: int) -> dict[str, Any]:
    return {
        "group": "",
        "kind": "Service",
        "name": child_name(agent, revision),
        "port": SERVICE_PORT,
        "weight": weight,
    }


def _parent_reference(parent: ParentRef) -> dict[str, Any]:
    return {"group": GATEWAY_GROUP, "kind": "Gateway"} | parent.to_manifest()
