"""PodDisruptionBudget `<name>-<rev>`: a node drain takes one pod of a revision at a time."""

from agent_operator.api.v1alpha1 import AgentDeployment
from agent_operator.domain.manifest import Manifest
from agent_operator.domain.naming import revision_metadata, selector


def disruption_budget(agent: AgentDeployment, revision: str) -> Manifest:
    """Return the budget of one revision; pods that are not ready never block a drain."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": revision_metadata(agent, revision),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": selector(agent, revision)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
