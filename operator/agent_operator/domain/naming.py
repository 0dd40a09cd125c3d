"""Names, labels and ownership of everything the operator creates.

Every builder in `resources` takes its metadata from here, so one rule decides what is ours.
"""

from collections.abc import Mapping
from typing import Any

from agent_operator.api.v1alpha1 import API_VERSION, GROUP, KIND, AgentDeployment

MANAGED_BY = "agent-operator"
FIELD_MANAGER = "agent-operator"
PART_OF = "agentdeploy"

LABEL_NAME = f"{GROUP}/name"
LABEL_REVISION = f"{GROUP}/revision"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"

REVISION_HEADER = "x-agent-revision"


def child_name(agent: AgentDeployment, revision: str) -> str:
    """Return the name of a revision's own objects: at most 51 characters, a DNS label."""
    return f"{agent.metadata.name}-{revision}"


def policy_name(agent: AgentDeployment) -> str:
    """Return the name of the ConfigMap with the values that change without a new revision."""
    return f"{agent.metadata.name}-policy"


def keys_name(agent: AgentDeployment) -> str:
    """Return the name of the Secret that signs session ids."""
    return f"{agent.metadata.name}-keys"


def labels(agent: AgentDeployment, revision: str | None = None) -> dict[str, str]:
    """Return the labels of an owned object; those of a revision say which one."""
    name = agent.metadata.name
    common = {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/instance": name,
        LABEL_MANAGED_BY: MANAGED_BY,
        "app.kubernetes.io/part-of": PART_OF,
        LABEL_NAME: name,
    }
    if revision is None:
        return common
    return common | {"app.kubernetes.io/version": revision, LABEL_REVISION: revision}


def selector(agent: AgentDeployment, revision: str | None = None) -> dict[str, str]:
    """Return labels that choose the pods of one revision, or of all revisions of the agent."""
    name = {LABEL_NAME: agent.metadata.name}
    return name if revision is None else name | {LABEL_REVISION: revision}


def owner_reference(agent: AgentDeployment) -> dict[str, Any]:
    """Return the reference that makes the agent the controller of an object.

    Deletion of the agent never waits for its objects (`blockOwnerDeletion: false`).
    """
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": agent.metadata.name,
        "uid": agent.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def owned_metadata(agent: AgentDeployment, name: str) -> Mapping[str, Any]:
    """Return the whole metadata of an object that belongs to the agent as a whole."""
    return {
        "name": name,
        "namespace": agent.metadata.namespace,
        "labels": labels(agent),
        "ownerReferences": [owner_reference(agent)],
    }


def revision_metadata(agent: AgentDeployment, revision: str) -> Mapping[str, Any]:
    """Return the whole metadata of an object that belongs to one revision."""
    own = {"labels": labels(agent, revision)}
    return {**owned_metadata(agent, child_name(agent, revision)), **own}
