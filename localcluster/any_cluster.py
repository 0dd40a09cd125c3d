"""A cluster to work with, by its kubeconfig: ours, or one that somebody else brought up."""

from __future__ import annotations

import os
import shutil
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path

from localcluster.binaries import kubectl as built_kubectl
from localcluster.errors import LocalClusterError
from localcluster.images import Archive


class AnyCluster(ABC):
    """What the demo, the add-ons and the tests use of a cluster."""

    @property
    @abstractmethod
    def kubeconfig(self) -> Path:
        """Path of an administrator's kubeconfig."""

    @property
    @abstractmethod
    def folder(self) -> Path:
        """Folder for files that last as long as the cluster."""

    @abstractmethod
    def load_image(self, archive: Archive) -> None:
        """Make a built image known to the nodes, so that pods can name it."""

    @property
    def kubectl_path(self) -> Path:
        """The kubectl that fits this cluster."""
        return built_kubectl()

    @property
    def environment(self) -> dict[str, str]:
        """Environment for child processes: KUBECONFIG, and the cluster's kubectl first on PATH."""
        path = os.pathsep.join((str(self.kubectl_path.parent), os.environ.get("PATH", "")))
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "PATH": path}

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """Run kubectl and return its output; `text` is its standard input."""
        command = [str(self.kubectl_path), "--kubeconfig", str(self.kubeconfig), *arguments]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        if done.returncode:
            short = " ".join(arguments[:6])
            raise LocalClusterError(f"`kubectl {short}` failed: {done.stderr.strip()[-2000:]}")
        return done.stdout


class ForeignCluster(AnyCluster):
    """A cluster of somebody else; images get there by the loader of kind or k3d."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        """Take its kubeconfig and a folder of ours for files that belong to it."""
        self._kubeconfig = kubeconfig.resolve()
        self._folder = folder

    @property
    def kubeconfig(self) -> Path:
        """Path of the kubeconfig."""
        return self._kubeconfig

    @property
    def folder(self) -> Path:
        """Folder for files of ours."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self._folder

    @property
    def kubectl_path(self) -> Path:
        """The machine's own kubectl, or one that is built here."""
        found = shutil.which("kubectl")
        return Path(found) if found else built_kubectl()

    def load_image(self, archive: Archive) -> None:
        """Load by `kind` or `k3d`, whichever made the current context."""
        context = self.kubectl("config", "current-context").strip()
        command = loader(context, archive)
        if command is None or shutil.which(command[0]) is None:
            raise LocalClusterError(
                f"cannot load {archive.name} into context {context}: it is not one of kind or k3d, "
                f"or that command is missing; push {archive.path} to a registry of that cluster"
            )
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LocalClusterError(f"`{' '.join(command)}` failed: {done.stderr.strip()[-1000:]}")


def loader(context: str, archive: Archive) -> list[str] | None:
    """Return the command that loads an archive into the cluster of a context; None for others."""
    tool, _, name = context.partition("-")
    match tool:
        case "kind":
            return ["kind", "load", "image-archive", str(archive.path), "--name", name]
        case "k3d":
            return ["k3d", "image", "import", str(archive.path), "--cluster", name]
        case _:
            return None
