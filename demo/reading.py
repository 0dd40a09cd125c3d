"""Reads the watched objects into what the tree shows and the story waits for; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agent_operator.api.v1alpha1 import AgentDeploymentStatus
from agent_operator.domain.naming import LABEL_REVISION
from agent_operator.domain.resources.route import weights_of

Manifest = Mapping[str, Any]

AGENTS = "agentdeployments.agentdeploy.dev"
ROUTES = "httproutes.gateway.networking.k8s.io"
DEPLOYMENTS = "deployments.apps"
AUTOSCALERS = "horizontalpodautoscalers.autoscaling"
PODS = "pods"
KINDS = (AGENTS, ROUTES, DEPLOYMENTS, AUTOSCALERS, PODS)


class Objects(Protocol):
    """The newest objects by kind."""

    def all(self, kind: str) -> Sequence[Manifest]:
        """Return all objects of a kind, by name."""
        ...


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod; `state` is Ready, Starting, Leaving or the pod's own phase."""

    name: str
    state: str
    restarts: int


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision with its share of new sessions, its pods and its autoscaler."""

    revision: str
    role: str
    weight: int
    model: str
    prompt: str
    ready: int
    replicas: int
    scaling: str
    pods: tuple[Pod, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything the tree shows of one AgentDeployment."""

    name: str
    namespace: str
    status: AgentDeploymentStatus
    revisions: tuple[Revision, ...]


def status(objects: Objects) -> AgentDeploymentStatus:
    """Return the AgentDeployment's status; an empty one before the operator has written any."""
    agents = objects.all(AGENTS)
    return AgentDeploymentStatus.parse(agents[0].get("status") or {})[0] if agents else _NO_STATUS


def weights(objects: Objects) -> Mapping[str, int]:
    """Return each revision's share of new sessions as the stored HTTPRoute says it."""
    routes = objects.all(ROUTES)
    return weights_of(dict(routes[0])) if routes else {}


def picture(objects: Objects) -> Picture | None:
    """Return the picture of the one AgentDeployment; None as long as there is none."""
    agents = objects.all(AGENTS)
    if not agents:
        return None
    now, shares = status(objects), weights(objects)
    rows = [_revision(objects, each, now, shares) for each in objects.all(DEPLOYMENTS)]
    rows.sort(key=lambda row: (_ORDER.index(row.role), row.revision))
    metadata = agents[0]["metadata"]
    return Picture(metadata["name"], metadata["namespace"], now, tuple(rows))


_NO_STATUS = AgentDeploymentStatus()
_ORDER = ("stable", "candidate", "draining", "rejected", "leaving")


def _revision(
    objects: Objects, deployment: Manifest, now: AgentDeploymentStatus, shares: Mapping[str, int]
) -> Revision:
    revision = _revision_of(deployment)
    environment = {
        each["name"]: each.get("value", "")
        for each in deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    }
    counted = deployment.get("status", {})
    pods = [_pod(each) for each in objects.all(PODS) if _revision_of(each) == revision]
    scalers = [each for each in objects.all(AUTOSCALERS) if _revision_of(each) == revision]
    return Revision(
        revision=revision,
        role=_role(revision, now),
        weight=shares.get(revision, 0),
        model=environment.get("MODEL_NAME", ""),
        prompt=environment.get("PROMPT_VERSION", ""),
        ready=counted.get("readyReplicas", 0),
        replicas=deployment["spec"].get("replicas", 0),
        scaling=_scaling(scalers[0]) if scalers else "",
        pods=tuple(pods),
    )


def _role(revision: str, now: AgentDeploymentStatus) -> str:
    if revision == now.stable_revision:
        return "stable"
    if revision == now.candidate_revision:
        return "candidate"
    if any(entry.revision == revision for entry in now.draining):
        return "draining"
    return "rejected" if now.rejected and now.rejected.revision == revision else "leaving"


def _scaling(autoscaler: Manifest) -> str:
    """Say between which numbers it scales, and the sessions in flight per pod it saw last."""
    spec = autoscaler["spec"]
    text = f"HPA {spec['minReplicas']}-{spec['maxReplicas']}"
    for metric in autoscaler.get("status", {}).get("currentMetrics") or ():
        if metric["type"] == "Pods":
            text += f", {_number(metric['pods']['current']['averageValue'])} sessions/pod"
    return text


def _number(quantity: str) -> str:
    """Write Kubernetes' `1500m` as 1.5."""
    return f"{float(quantity[:-1]) / 1000:.1f}" if quantity.endswith("m") else quantity


def _pod(pod: Manifest) -> Pod:
    state = pod.get("status", {})
    restarts = sum(each["restartCount"] for each in state.get("containerStatuses", ()))
    conditions = {each["type"]: each["status"] for each in state.get("conditions", ())}
    phase = state.get("phase", "Pending")
    if "deletionTimestamp" in pod["metadata"]:
        phase = "Leaving"
    elif phase == "Running":
        phase = "Ready" if conditions.get("Ready") == "True" else "Starting"
    return Pod(pod["metadata"]["name"], phase, restarts)


def _revision_of(manifest: Manifest) -> str:
    return str(manifest["metadata"]["labels"].get(LABEL_REVISION, ""))
