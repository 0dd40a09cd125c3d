"""Deployment `<name>-<rev>`: the pods of one revision, from its frozen template."""

from agent_operator.api.v1alpha1 import AgentDeployment
from agent_operator.domain.manifest import Manifest
from agent_operator.domain.naming import revision_metadata, selector
from agent_operator.domain.serving import Snapshot


def deployment(agent: AgentDeployment, snapshot: Snapshot) -> Manifest:
    """Return the Deployment without replicas: they are written through /scale only."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": revision_metadata(agent, snapshot.revision),
        "spec": {
            "progressDeadlineSeconds": agent.spec.rollout.progress_deadline_seconds,
            # The template never changes, except for restart marks: nothing to go back to.
            "revisionHistoryLimit": 1,
            "selector": {"matchLabels": selector(agent, snapshot.revision)},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1},
            },
            "template": snapshot.template,
        },
    }
