"""ConfigMap `<name>-policy`: what pods read while they run, so that a change restarts none."""

from agent_operator.api.v1alpha1 import AgentDeployment
from agent_operator.domain.canonical import canonical_json
from agent_operator.domain.manifest import Manifest
from agent_operator.domain.naming import owned_metadata, policy_name

POLICY_FILE = "policy.json"


def policy_configmap(agent: AgentDeployment) -> Manifest:
    """Return the ConfigMap with the policy as one JSON file."""
    policy = {"maxSessionSeconds": agent.spec.scaling.max_session_seconds}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": owned_metadata(agent, policy_name(agent)),
        "data": {POLICY_FILE: canonical_json(policy).decode()},
    }
