"""Import image archives into the containerd of a running cluster, or keep them for its next `up`.

Stores outlive clusters, so what a store has is recorded in it and imported only once.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from localcluster import namespaces
from localcluster.configuration import CONTAINERD_SOCKET
from localcluster.errors import LocalClusterError
from localcluster.folders import StateFolder, locked, write_whole
from localcluster.images import Archive
from localcluster.progress import step

CTR = ("ctr", "-a", CONTAINERD_SOCKET, "-n", "k8s.io")


def load(state: StateFolder, archive: Archive) -> None:
    """Make the image known to the cluster's kubelet; does nothing when it has it already."""
    with _locked_record(state) as record:
        loaded = _read(record)
        if loaded.get(archive.name) == archive.digest:
            return
        with step(f"loading image {archive.name}"):
            _import(state, archive)
        write_whole(record, json.dumps({**loaded, archive.name: archive.digest}))


def forget_gone(state: StateFolder) -> None:
    """Remove images from the cluster's store whose archive the cache has dropped.

    Only for a cluster that just started: in an older one, pods may use them.
    """
    with _locked_record(state) as record:
        loaded = _read(record)
        gone = [name for name, digest in loaded.items() if not Archive(name, digest).path.exists()]
        if not gone:
            return
        command = namespaces.enter(state, [*CTR, "images", "rm", *map(full_name, gone)])
        subprocess.run(command, capture_output=True, check=False)
        write_whole(record, json.dumps({name: loaded[name] for name in loaded if name not in gone}))


def full_name(name: str) -> str:
    """Complete a name without a registry's host, as container runtimes do."""
    host, slash, _ = name.partition("/")
    if slash and (host == "localhost" or "." in host or ":" in host):
        return name
    return f"docker.io/{name}" if slash else f"docker.io/library/{name}"


@contextmanager
def _locked_record(state: StateFolder) -> Iterator[Path]:
    """Hold the file in the store that says what it has; it goes when the store goes."""
    record = Path(json.loads(state.plan.read_text())["store"]) / "loaded-images.json"
    with locked(record.with_suffix(".lock"), "it loads images into the same node"):
        yield record


def _read(record: Path) -> dict[str, str]:
    """Read names and digests; a file that cannot be read counts as none, and is written anew."""
    try:
        content = json.loads(record.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _import(state: StateFolder, archive: Archive) -> None:
    if not archive.use():
        raise LocalClusterError(
            f"the cache has no {archive.path} any more; build {archive.name} again"
        )
    command = namespaces.enter(state, [*CTR, "images", "import", str(archive.path)])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalClusterError(f"{archive.path} cannot be imported: {done.stderr.strip()[-500:]}")


def keep(state: StateFolder, archive: Archive) -> None:
    """Remember an image for the next `up`."""
    state.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    pending = _read(state.pending_images)
    write_whole(state.pending_images, json.dumps({**pending, archive.name: archive.digest}))


def load_kept(state: StateFolder) -> None:
    """Load what was built while the cluster was down."""
    for name, digest in _read(state.pending_images).items():
        load(state, Archive(name, digest))
    state.pending_images.unlink(missing_ok=True)
