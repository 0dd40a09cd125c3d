"""HorizontalPodAutoscaler `<name>-<rev>`: scales a serving revision on its sessions in flight."""

from typing import Any

from agent_operator.api.v1alpha1 import AgentDeployment
from agent_operator.domain.canonical import canonical_quantity
from agent_operator.domain.manifest import Manifest
from agent_operator.domain.naming import child_name, revision_metadata
from agent_operator.domain.serving import ServingRevision

SESSIONS_METRIC = "active_agent_sessions"
MAX_STABILIZATION_SECONDS = 600


def autoscaler(agent: AgentDeployment, serving: ServingRevision) -> Manifest:
    """Return the autoscaler; CPU alone would mislead, an agent mostly waits for its model."""
    name = child_name(agent, serving.snapshot.revision)
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": revision_metadata(agent, serving.snapshot.revision),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": serving.min_replicas,
            "maxReplicas": agent.spec.scaling.max_replicas,
            "metrics": _metrics(agent),
            "behavior": {
                "scaleUp": _scale_up(),
                "scaleDown": _scale_down(agent, allowed=serving.scale_down),
            },
        },
    }


def _metrics(agent: AgentDeployment) -> list[dict[str, Any]]:
    scaling = agent.spec.scaling
    sessions = canonical_quantity(str(scaling.sessions_per_pod))
    return [
        {
            "type": "Pods",
            "pods": {
                "metric": {"name": SESSIONS_METRIC},
                "target": {"type": "AverageValue", "averageValue": sessions},
            },
        },
        {
            "type": "Resource",
            "resource": {
                "name": "cpu",
                "target": {"type": "Utilization", "averageUtilization": scaling.cpu_utilization},
            },
        },
    ]


def _scale_up() -> dict[str, Any]:
    """Return Kubernetes' own defaults, said explicitly."""
    return {
        "stabilizationWindowSeconds": 0,
        "selectPolicy": "Max",
        "policies": [
            {"type": "Pods", "value": 4, "periodSeconds": 15},
            {"type": "Percent", "value": 100, "periodSeconds": 15},
        ],
    }


def _scale_down(agent: AgentDeployment, *, allowed: bool) -> dict[str, Any]:
    """Return slow scaling down: a pod that leaves makes its sessions move."""
    window = min(agent.spec.scaling.max_session_seconds, MAX_STABILIZATION_SECONDS)
    return {
        "stabilizationWindowSeconds": window,
        "selectPolicy": "Max" if allowed else "Disabled",
        "policies": [
            {"type": "Pods", "value": 1, "periodSeconds": 60},
            {"type": "Percent", "value": 10, "periodSeconds": 60},
        ],
    }
