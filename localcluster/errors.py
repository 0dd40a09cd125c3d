"""The one exception of localcluster: a sentence for the person at the keyboard."""

from __future__ import annotations

OTHER_CLUSTER = (
    "any other cluster (kind, k3d, ...) does as well, by `make demo KUBECONFIG=FILE` and "
    "`make e2e KUBECONFIG=FILE`; these still build their images here, with buildah as root on Linux"
)
OTHER_BUILDER = "elsewhere `docker build` and `podman build` take the same Dockerfiles"


class LocalClusterError(Exception):
    """What went wrong and what to do about it, in one or two sentences."""
