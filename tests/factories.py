"""Builders of test objects: an AgentDeployment with only the fields that matter to a test.

`spec` is written as in YAML and merged into the smallest valid one: objects are merged, everything
else replaces, None removes.
"""

from collections.abc import Mapping
from typing import Any

from agent_operator.api.v1alpha1 import API_VERSION, KIND, AgentDeployment
from agent_operator.domain.revision import snapshot
from agent_operator.domain.serving import ServingPlan, ServingRevision, Snapshot

PROMPT_FILES: Mapping[str, str] = {"system.md": "You decide on refunds.\n"}

_SMALLEST_SPEC: Mapping[str, Any] = {
    "image": "registry.example.com/refunds:1.4.2",
    "model": {
        "name": "gpt-4o-2024-08-06",
        "credentialsSecretRef": {"name": "agent-secrets", "key": "openai-api-key"},
    },
    "prompt": {"version": "v1", "files": PROMPT_FILES},
}
GATEWAY_TRAFFIC: Mapping[str, Any] = {
    "traffic": {"parentRefs": [{"name": "public", "namespace": "gateways"}]}
}


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Apply a JSON merge patch (RFC 7396)."""
    result = dict(base)
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def agent_manifest(
    spec: Mapping[str, Any] | None = None,
    *,
    name: str = "refunds",
    namespace: str = "support",
    status: Mapping[str, Any] | None = None,
    **metadata: Any,
) -> dict[str, Any]:
    """Return an AgentDeployment as the API server gives it; `metadata` in camelCase."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-of-{name}",
            "generation": 1,
            "resourceVersion": "1",
            **metadata,
        },
        "spec": merged(_SMALLEST_SPEC, spec or {}),
        **({} if status is None else {"status": dict(status)}),
    }


def agent(spec: Mapping[str, Any] | None = None, **manifest: Any) -> AgentDeployment:
    """Return a parsed AgentDeployment; the arguments are those of `agent_manifest`."""
    return AgentDeployment.parse(agent_manifest(spec, **manifest))


def frozen(agent: AgentDeployment, files: Mapping[str, str] | None = None) -> Snapshot:
    """Return the snapshot of the agent's spec; its files are the spec's own unless given."""
    return snapshot(agent, (agent.spec.prompt.files or {}) if files is None else files)


def serving(
    snapshot: Snapshot, weight: int = 100, *, min_replicas: int = 2, **options: Any
) -> ServingRevision:
    """Return a serving revision; `options` are the other fields of ServingRevision."""
    return ServingRevision(snapshot, weight, min_replicas, **options)


def settled_plan(agent: AgentDeployment) -> ServingPlan:
    """Return the plan of an agent whose spec is stable and has all the traffic."""
    stable = frozen(agent)
    return ServingPlan((serving(stable, pinned=True),), service_revision=stable.revision)
