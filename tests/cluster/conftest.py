"""What tests of the operator on a real API server share: definitions, its account, a site each."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from localcluster import Cluster
from localcluster.binaries import binary
from tests.audit import AuditLog
from tests.helm import FULL_NAME, NAMESPACE, Chart
from tests.site import Account, Furnish, Site, site

_ROOT = Path(__file__).resolve().parents[2]
_TOKEN_HOURS = "2h"


@pytest.fixture(scope="session")
def definitions(control_plane: Cluster) -> None:
    """Teach the API server AgentDeployments and the Gateway API."""
    gateway_api = binary("gateway-api-crds.yaml")
    files = [f"--filename={_ROOT / 'crds'}", f"--filename={gateway_api}"]
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", *files)
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")


@pytest.fixture(scope="session")
def account(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Account:
    """Log in as the operator's ServiceAccount, which may do what the chart's role grants."""
    chart = Chart(binary("helm"), _ROOT / "charts" / "agent-operator")
    kinds = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding")
    manifests = [one for one in chart.manifests() if one["kind"] in kinds]
    manifests.insert(0, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    text = yaml.safe_dump_all(manifests)
    control_plane.kubectl("apply", "--server-side", "--namespace", NAMESPACE, "-f", "-", text=text)
    where = ("--namespace", NAMESPACE, f"--duration={_TOKEN_HOURS}")
    token = control_plane.kubectl("create", "token", FULL_NAME, *where).strip()
    kubeconfig = yaml.safe_load(control_plane.kubeconfig.read_text())
    kubeconfig["users"][0]["user"] = {"token": token}
    path = tmp_path_factory.mktemp("account") / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(json.dumps(kubeconfig))
    return Account(path, f"system:serviceaccount:{NAMESPACE}:{FULL_NAME}")


@pytest.fixture(scope="session")
def audit(control_plane: Cluster) -> AuditLog:
    """Return the requests that the API server has counted."""
    return AuditLog(control_plane.audit_log)


@pytest.fixture(scope="session")
def furnish(
    definitions: None, control_plane: Cluster, account: Account, audit: AuditLog
) -> Furnish:
    """Return what makes a namespace of its own with a gateway, a Prometheus and an operator."""

    @contextmanager
    def furnished() -> Iterator[Site]:
        namespace = f"site-{secrets.token_hex(4)}"
        control_plane.kubectl("create", "namespace", namespace)
        try:
            with site(control_plane.kubeconfig, namespace, account=account, audit=audit) as place:
                place.start_operator()
                yield place
        finally:
            control_plane.kubectl("delete", "namespace", namespace, "--wait=false")

    return furnished


@pytest.fixture
def place(furnish: Furnish) -> Iterator[Site]:
    """Furnish a site for one test."""
    with furnish() as furnished:
        yield furnished
