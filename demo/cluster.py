"""Where the demo runs: a cluster of its own on this machine, or the one of a given kubeconfig."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import localcluster
from demo.errors import DemoError
from demo.progress import step
from localcluster import AnyCluster
from localcluster.binaries import binary
from localcluster.folders import REPOSITORY
from localcluster.images import image

# Names without a tag get the hash of the content as theirs: changed code is another image.
OPERATOR_IMAGE = "localhost/agentdeploy-operator"
AGENT_IMAGE = "localhost/agentdeploy-agent"


@dataclass(frozen=True)
class Images:
    """What pods call the two images of this repository."""

    operator: str
    agent: str


@contextlib.contextmanager
def own_cluster(folder: Path, *, keep: bool) -> Iterator[AnyCluster]:
    """Bring up the cluster of `folder`, or find it up; take it down afterwards unless kept."""
    try:
        yield localcluster.up(folder)
    finally:
        if not keep:
            with step("taking the cluster down"):
                localcluster.down(folder)


def load_images(cluster: AnyCluster) -> Images:
    """Build operator and agent from their Dockerfiles and give them to the cluster."""
    with step("images of operator and agent"):
        operator = image(OPERATOR_IMAGE, REPOSITORY, dockerfile=REPOSITORY / "Dockerfile.operator")
        agent = image(AGENT_IMAGE, REPOSITORY, dockerfile=REPOSITORY / "Dockerfile.agent")
        return Images(cluster.load_image(operator), cluster.load_image(agent))


def kubectl_command(cluster: AnyCluster, *arguments: str) -> list[str]:
    """Return a kubectl command line for this cluster."""
    return [str(cluster.kubectl_path), "--kubeconfig", str(cluster.kubeconfig), *arguments]


def helm(cluster: AnyCluster, *arguments: str) -> None:
    """Run helm, the one on PATH or one that is built here; its last words are in the error."""
    program = shutil.which("helm") or str(binary("helm"))
    command = [program, "--kubeconfig", str(cluster.kubeconfig), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        short = " ".join(arguments[:4])
        raise DemoError(f"`helm {short}` failed: {done.stderr.strip()[-2000:]}")
