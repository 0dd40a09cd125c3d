"""Import image archives into the containerd of a running cluster, or keep them for its next `up`.

Stores outlive clusters, so what a store has is recorded beside it and imported only once.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from localcluster import namespaces
from localcluster.configuration import CONTAINERD_SOCKET
from localcluster.errors import LocalClusterError
from localcluster.folders import StateFolder, locked
from localcluster.images import Archive
from localcluster.progress import step

CTR = ("ctr", "-a", CONTAINERD_SOCKET, "-n", "k8s.io")


def load(state: StateFolder, archive: Archive) -> None:
    """Make the image known to the cluster's kubelet; does nothing when it has it already."""
    store = Path(json.loads(state.plan.read_text())["store"])
    record = store.with_suffix(".json")
    with locked(store.with_suffix(".images.lock"), "it loads images into the same node"):
        loaded = json.loads(record.read_text()) if record.exists() else {}
        if loaded.get(archive.name) == archive.digest:
            return
        with step(f"loading image {archive.name}"):
            _import(state, archive)
        record.write_text(json.dumps({**loaded, archive.name: archive.digest}))


def _import(state: StateFolder, archive: Archive) -> None:
    command = namespaces.enter(state, [*CTR, "images", "import", str(archive.path)])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalClusterError(f"{archive.path} cannot be imported: {done.stderr.strip()[-500:]}")


def keep(state: StateFolder, archive: Archive) -> None:
    """Remember an image for the next `up`."""
    state.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    pending = _pending(state)
    state.pending_images.write_text(json.dumps({**pending, archive.name: archive.digest}))


def load_kept(state: StateFolder) -> None:
    """Load what was built while the cluster was down."""
    for name, digest in _pending(state).items():
        archive = Archive(name, digest)
        if archive.path.exists():
            load(state, archive)
    state.pending_images.unlink(missing_ok=True)


def _pending(state: StateFolder) -> dict[str, str]:
    if not state.pending_images.exists():
        return {}
    pending: dict[str, str] = json.loads(state.pending_images.read_text())
    return pending
