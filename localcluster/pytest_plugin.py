"""pytest fixtures: a cluster or a control plane per session, a namespace per test."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster.any_cluster import AnyCluster, ForeignCluster
from localcluster.cluster import Cluster, down, up
from localcluster.folders import REPOSITORY

KUBECONFIG_VARIABLE = "AGENTDEPLOY_KUBECONFIG"
STATES = REPOSITORY / ".local" / "tests"


def own_state(kind: str) -> Path:
    """Return a state folder of this process; ends clusters of killed test processes."""
    for folder in STATES.glob("*-*"):
        owner = folder.name.rpartition("-")[2]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            down(folder, everything=True)
    return STATES / f"{kind}-{os.getpid()}"


def _session_cluster(kind: str, *, control_plane_only: bool) -> Iterator[Cluster]:
    folder = own_state(kind)
    try:
        yield up(folder, control_plane_only=control_plane_only)
    finally:
        down(folder, everything=True)


@pytest.fixture(scope="session")
def _control_plane_cluster() -> Iterator[Cluster]:
    yield from _session_cluster("control-plane", control_plane_only=True)


@pytest.fixture(scope="session")
def control_plane(_control_plane_cluster: Cluster) -> Cluster:
    """Give etcd, an API server and the controller manager; pods are never run."""
    return _control_plane_cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[AnyCluster]:
    """Give a cluster with a node: the one of AGENTDEPLOY_KUBECONFIG, else our own."""
    named = os.environ.get(KUBECONFIG_VARIABLE)
    if named:
        yield ForeignCluster(Path(named), STATES / "foreign")
        return
    yield from _session_cluster("cluster", control_plane_only=False)


@pytest.fixture
def namespace(request: pytest.FixtureRequest) -> Iterator[str]:
    """Create a namespace for one test: in the control plane if it asks for that."""
    alone = "control_plane" in request.fixturenames
    where: AnyCluster = request.getfixturevalue("_control_plane_cluster" if alone else "cluster")
    name = f"test-{secrets.token_hex(4)}"
    where.kubectl("create", "namespace", name)
    yield name
    where.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")
