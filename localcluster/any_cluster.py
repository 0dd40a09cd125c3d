"""A cluster to work with, by its kubeconfig: ours, or one that somebody else brought up."""

from __future__ import annotations

import os
import shutil
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path

from localcluster.binaries import kubectl as built_kubectl
from localcluster.errors import LocalClusterError
from localcluster.folders import cache_folder, locked
from localcluster.images import Archive, buildah
from localcluster.progress import step

REGISTRY_VARIABLE = "IMAGE_REGISTRY"


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
    def load_image(self, archive: Archive) -> str:
        """Make a built image known to the nodes; return what pods call it."""

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
    """A cluster of somebody else; images get there by kind, by k3d or through a registry."""

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

    def load_image(self, archive: Archive) -> str:
        """Load by `kind` or `k3d`, whichever made the current context, else by IMAGE_REGISTRY."""
        context = self.kubectl("config", "current-context").strip()
        command = loader(context, archive)
        if command is not None and shutil.which(command[0]):
            _run(command)
            return archive.name
        registry = os.environ.get(REGISTRY_VARIABLE)
        if not registry:
            raise LocalClusterError(
                f"cannot load {archive.name} into context {context}: it is not one of kind or k3d, "
                f"or that command is missing; set {REGISTRY_VARIABLE} to a registry that this "
                "machine may push to and that cluster pulls from, as in registry.example.com/team"
            )
        return _push(archive, registry)


def _push(archive: Archive, registry: str) -> str:
    """Push an image to a registry; log in before, where that is needed: `buildah login`."""
    name = registry_name(archive, registry)
    with step(f"pushing {name}"), locked(cache_folder() / "buildah.lock", "it builds an image"):
        _run(buildah("pull", "--quiet", f"docker-archive:{archive.path}"))
        _run(buildah("push", "--quiet", archive.name, f"docker://{name}"))
    return name


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalClusterError(f"`{' '.join(command)}` failed: {done.stderr.strip()[-1000:]}")


def registry_name(archive: Archive, registry: str) -> str:
    """Return what an image is called in a registry: the same without our own host."""
    return f"{registry.rstrip('/')}/{archive.name.removeprefix('localhost/')}"


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
