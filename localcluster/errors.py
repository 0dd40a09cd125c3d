"""The one exception of localcluster: a sentence for the person at the keyboard."""

from __future__ import annotations

OTHER_CLUSTER = (
    "any other cluster does as well: set AGENTDEPLOY_KUBECONFIG to its kubeconfig (kind, k3d, ...)"
)


class LocalClusterError(Exception):
    """What went wrong and what to do about it, in one or two sentences."""
