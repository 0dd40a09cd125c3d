"""Bring a cluster up, load images into it, ask it things, take it down: the Python interface."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from localcluster import loading, machine, namespaces
from localcluster.any_cluster import AnyCluster
from localcluster.api import Api, is_node_ready
from localcluster.binaries import binary
from localcluster.configuration import ClusterSpec
from localcluster.errors import LocalClusterError
from localcluster.folders import DEFAULT_STATE, StateFolder, locked, remove_tree
from localcluster.images import Archive, pause_image
from localcluster.network import reserve_slot
from localcluster.progress import step
from localcluster.servers import write_plan

READY_SECONDS = 180.0
AGAIN_READY_SECONDS = 30.0


@dataclass(frozen=True)
class Cluster(AnyCluster):
    """A running cluster of ours."""

    state: StateFolder

    @property
    def kubeconfig(self) -> Path:
        """Path of the administrator's kubeconfig."""
        return self.state.kubeconfig

    @property
    def folder(self) -> Path:
        """Keys and certificates; `down` removes them."""
        return self.state.pki

    @property
    def audit_log(self) -> Path:
        """JSON lines: every request of people and operators to the API server (not of the node)."""
        return self.state.logs / "audit.log"

    def load_image(self, archive: Archive) -> str:
        """Import a built image; return what pods call it."""
        loading.load(self.state, archive)
        return archive.name

    def down(self) -> None:
        """End the cluster."""
        down(self.state.path)


def up(folder: str | Path = DEFAULT_STATE, *, control_plane_only: bool = False) -> Cluster:
    """Bring a cluster up, or return the one that is up in `folder`; its state is all in there."""
    machine.require(machine.CONTROL_PLANE if control_plane_only else machine.NODE + machine.IMAGES)
    state = StateFolder.at(folder)
    binary("kube-all")
    if not control_plane_only:
        binary("coredns")
        pause = pause_image()
    with locked(state.lock, f"it brings up or takes down {state.path}"):
        if not _is_up(state, control_plane_only=control_plane_only):
            namespaces.end(state)  # whatever a killed `up` left
            kind = "control plane" if control_plane_only else "node"
            with step(f"starting a {kind} in {state.path}"):
                _start(state, control_plane_only=control_plane_only)
            if not control_plane_only:
                loading.forget_gone(state)
        if not control_plane_only:
            loading.load(state, pause)
            loading.load_kept(state)
    return Cluster(state)


def running(folder: str | Path = DEFAULT_STATE) -> Cluster:
    """Return the cluster that is up in `folder`."""
    state = StateFolder.at(folder)
    if namespaces.first_process(state) is None or not state.kubeconfig.exists():
        raise LocalClusterError(
            f"no cluster is up in {state.path}; `python -m localcluster up` first"
        )
    return Cluster(state)


def down(folder: str | Path = DEFAULT_STATE, *, everything: bool = False) -> None:
    """End the cluster of `folder`: no process, mount, link, route or cgroup stays.

    `everything` removes the folder too; images stay in the cache.
    """
    problem = machine.refusal()
    if problem is not None:
        raise LocalClusterError(problem)
    machine.search_system_folders()
    state = StateFolder.at(folder)
    with locked(state.lock, f"it brings up or takes down {state.path}"):
        namespaces.end(state)
        if everything:
            remove_tree(state.path, state.lock)


def _is_up(state: StateFolder, *, control_plane_only: bool) -> bool:
    if namespaces.first_process(state) is None or not state.kubeconfig.exists():
        return False
    api = Api(state.kubeconfig)
    deadline = time.monotonic() + AGAIN_READY_SECONDS
    while not api.is_ready():  # its supervisor may just be starting it again
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    if not control_plane_only and not has_node(state):
        raise LocalClusterError(
            f"a control plane without a node is up in {state.path}; `down` first, or another --dir"
        )
    return True


def has_node(state: StateFolder) -> bool:
    """Tell whether the cluster was brought up with a node."""
    servers = json.loads(state.plan.read_text())["servers"]
    return any(server["name"] == "kubelet" for server in servers)


def _start(state: StateFolder, *, control_plane_only: bool) -> None:
    slot = reserve_slot(control_plane_only=control_plane_only)
    spec = ClusterSpec(state, slot.network, control_plane_only)
    try:
        with slot.lock:
            write_plan(spec, slot.store)
            namespaces.start(state, slot.network, slot.lock.fileno())
        _wait_until_ready(state, control_plane_only=control_plane_only)
    except (
        BaseException
    ):  # half a cluster does not stay, also after Ctrl-C; its last words are in the error
        if namespaces.first_process(state) is not None or namespaces.cgroups(state.node):
            namespaces.end(state)
        raise
    state.kubeconfig.touch(mode=0o600)
    state.kubeconfig.write_text(Path(spec.file("admin.kubeconfig")).read_text())


def _wait_until_ready(state: StateFolder, *, control_plane_only: bool) -> None:
    """Wait for the default service account and, with a node, for its condition Ready."""
    api = Api(state.configuration / "admin.kubeconfig")
    deadline = time.monotonic() + READY_SECONDS
    while not _is_ready(api, state.node, control_plane_only=control_plane_only):
        if namespaces.first_process(state) is None:
            raise LocalClusterError(f"the cluster ended by itself:\n{namespaces.tail(state)}")
        if time.monotonic() > deadline:
            logs = namespaces.tail(state)
            raise LocalClusterError(
                f"the cluster is not Ready after {READY_SECONDS:.0f} s:\n{logs}"
            )
        time.sleep(0.1)


def _is_ready(api: Api, node: str, *, control_plane_only: bool) -> bool:
    if not control_plane_only and not is_node_ready(api.read(f"/api/v1/nodes/{node}")):
        return False
    return api.read("/api/v1/namespaces/default/serviceaccounts/default") is not None
