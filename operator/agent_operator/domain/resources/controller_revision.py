"""ControllerRevision `<name>-<rev>`: a revision's snapshot, from which all its objects are rebuilt.

`revision.snapshot_from` reads it back.
"""

from agent_operator.api.v1alpha1 import AgentDeployment
from agent_operator.domain.manifest import Manifest
from agent_operator.domain.naming import revision_metadata
from agent_operator.domain.serving import Snapshot


def controller_revision(agent: AgentDeployment, snapshot: Snapshot) -> Manifest:
    """Return the frozen revision; its data is immutable, its number rises once it is stable."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": revision_metadata(agent, snapshot.revision),
        "data": {
            "axes": snapshot.axes,
            "template": snapshot.template,
            "files": snapshot.files,
        },
        "revision": snapshot.number,
    }
