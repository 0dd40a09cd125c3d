"""Services: one per revision, which never changes, and `<name>` for callers in the cluster."""

from collections.abc import Mapping

from agent_operator.api.v1alpha1 import AgentDeployment
from agent_operator.domain.manifest import Manifest
from agent_operator.domain.naming import owned_metadata, revision_metadata, selector
from agent_operator.domain.resources.pod_template import HTTP_PORT

SERVICE_PORT = 80


def revision_service(agent: AgentDeployment, revision: str) -> Manifest:
    """Return the Service of one revision's pods, the route's backend."""
    return _service(revision_metadata(agent, revision), selector(agent, revision))


def agent_service(agent: AgentDeployment, revision: str | None) -> Manifest:
    """Return Service `<name>`; it chooses one revision, or with None the pods of all of them."""
    return _service(owned_metadata(agent, agent.metadata.name), selector(agent, revision))


def _service(metadata: Manifest, pods: Mapping[str, str]) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "type": "ClusterIP",
            "selector": pods,
            # By name: revisions may listen on different ports behind one Service.
            "ports": [
                {
                    "name": "http",
                    "port": SERVICE_PORT,
                    "protocol": "TCP",
                    "targetPort": HTTP_PORT,
                }
            ],
        },
    }
