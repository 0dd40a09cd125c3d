"""Add-ons in a cluster of somebody else: what is theirs stays as it is."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcluster import AnyCluster, Cluster, ForeignCluster
from localcluster.addons.ownership import apply, documents

pytestmark = pytest.mark.cluster

VERBS = "rules: [{apiGroups: [''], resources: [pods], verbs: [%s]}]"


@pytest.fixture
def foreign(control_plane: Cluster, tmp_path: Path) -> ForeignCluster:
    return ForeignCluster(control_plane.kubeconfig, tmp_path)


@pytest.fixture
def role(control_plane: Cluster) -> Iterator[str]:
    """Name of a ClusterRole that is removed afterwards."""
    name = f"role-{secrets.token_hex(4)}"
    yield name
    control_plane.kubectl("delete", "clusterrole", name, "--ignore-not-found")


def cluster_role(name: str, verb: str) -> str:
    head = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\n"
    return f"{head}metadata: {{name: {name}}}\n{VERBS % verb}\n"


def config_map(namespace: str, value: str) -> str:
    metadata = f"metadata: {{name: settings, namespace: {namespace}}}"
    return f"apiVersion: v1\nkind: ConfigMap\n{metadata}\ndata: {{value: {value}}}\n"


def stored(cluster: AnyCluster, *what: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cluster.kubectl("get", *what, "-o", "json"))
    return found


def verb(cluster: AnyCluster, role: str) -> str:
    return str(stored(cluster, "clusterrole", role)["rules"][0]["verbs"][0])


def test_what_somebody_else_installed_is_left_alone_and_named(
    foreign: ForeignCluster, role: str, namespace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign.kubectl("apply", "-f", "-", text=cluster_role(role, "watch"))

    wanted = documents(f"{cluster_role(role, 'list')}---\n{config_map(namespace, 'ours')}")
    applied = apply(foreign, wanted)

    assert verb(foreign, role) == "watch"
    assert stored(foreign, "configmap", "-n", namespace, "settings")["data"] == {"value": "ours"}
    assert [each["kind"] for each in applied] == ["ConfigMap"]
    assert f"ClusterRole {role} is of somebody else: left alone" in capsys.readouterr().err


def test_what_is_ours_is_applied_again(foreign: ForeignCluster, role: str, namespace: str) -> None:
    apply(foreign, documents(f"{cluster_role(role, 'watch')}---\n{config_map(namespace, 'old')}"))
    apply(foreign, documents(f"{cluster_role(role, 'list')}---\n{config_map(namespace, 'new')}"))
    assert verb(foreign, role) == "list"
    assert stored(foreign, "configmap", "-n", namespace, "settings")["data"] == {"value": "new"}


def test_where_everything_is_of_somebody_else_nothing_is_applied(
    foreign: ForeignCluster, role: str
) -> None:
    foreign.kubectl("apply", "-f", "-", text=cluster_role(role, "watch"))
    assert apply(foreign, documents(cluster_role(role, "list"))) == []
    assert verb(foreign, role) == "watch"
