"""ConfigMap `<name>-<rev>`: the prompt files of a revision, as its pods mount them."""

from agent_operator.api.v1alpha1 import AgentDeployment
from agent_operator.domain.manifest import Manifest
from agent_operator.domain.naming import revision_metadata
from agent_operator.domain.resources.pod_template import PROMPT_KEY_PREFIX
from agent_operator.domain.serving import Snapshot


def revision_configmap(agent: AgentDeployment, snapshot: Snapshot) -> Manifest:
    """Return the immutable ConfigMap; a revision whose prompt is in the image needs none."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": revision_metadata(agent, snapshot.revision),
        "immutable": True,
        "data": {f"{PROMPT_KEY_PREFIX}{name}": text for name, text in snapshot.files.items()},
    }
