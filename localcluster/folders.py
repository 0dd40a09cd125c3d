"""Where things live: a state folder per cluster, a cache per user, locks between processes."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from localcluster.progress import say

REPOSITORY = Path(__file__).resolve().parent.parent
DEFAULT_STATE = REPOSITORY / ".local" / "cluster"


def cache_folder() -> Path:
    """Return the user's cache of binaries, images and containerd stores."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home) / "agentdeploy"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


@dataclass(frozen=True)
class StateFolder:
    """Every file of one cluster; removing the folder forgets the cluster, `down` ends it."""

    path: Path

    @classmethod
    def at(cls, path: str | Path) -> StateFolder:
        """Return the state folder at an absolute form of `path` (it need not exist yet)."""
        return cls(Path(path).resolve())

    @property
    def node(self) -> str:
        """Name of the node, its cgroups and its link; follows from the path alone."""
        return "ad-" + hashlib.sha256(str(self.path).encode()).hexdigest()[:8]

    @property
    def kubeconfig(self) -> Path:
        """Administrator's kubeconfig; there only while the cluster is up and was once Ready."""
        return self.path / "kubeconfig"

    @property
    def logs(self) -> Path:
        """One log per server, and audit.log."""
        return self.path / "logs"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.path / "pki"

    @property
    def configuration(self) -> Path:
        """Configuration files of the servers."""
        return self.path / "conf"

    @property
    def plan(self) -> Path:
        """What the first process of the namespaces does (node.plan)."""
        return self.configuration / "plan.json"

    @property
    def kubelet(self) -> Path:
        """The kubelet's files, with the pods' volumes."""
        return self.path / "kubelet"

    @property
    def pod_logs(self) -> Path:
        """Standard output of the containers."""
        return self.path / "varlog"

    @property
    def pending_images(self) -> Path:
        """Names of images that were built while the cluster was down."""
        return self.path / "images.json"

    @property
    def lock(self) -> Path:
        """Held by whoever brings this cluster up or down."""
        return self.path.parent / f".{self.path.name}.lock"


@contextmanager
def locked(path: Path, waiting_for: str) -> Iterator[None]:
    """Hold an exclusive lock on `path`; say `waiting_for` when another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process: {waiting_for}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write_whole(path: Path, text: str) -> None:
    """Write a file so that nobody, not even after a crash, ever reads a part of it."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text)
    part.replace(path)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give a folder in the cache (same file system, so results can be renamed into place)."""
    parent = cache_folder() / "scratch"
    parent.mkdir(exist_ok=True)
    for left in parent.iterdir():  # by processes that were killed
        if not Path(f"/proc/{left.name.partition('-')[0]}").exists():
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(dir=parent, prefix=f"{os.getpid()}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_tree(*paths: Path) -> None:
    """Remove folders, never crossing into another file system (a mount that stayed)."""
    subprocess.run(["rm", "-rf", "--one-file-system", *map(str, paths)], check=True)
