"""What a cluster needs before an operator can work in it: definitions, an account, a site."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from localcluster import Cluster
from localcluster.binaries import binary
from tests.audit import AuditLog
from tests.helm import FULL_NAME, NAMESPACE, Chart
from tests.site import Account, Site, site

_ROOT = Path(__file__).resolve().parents[1]
TOKEN_DURATION = "2h"


def define(cluster: Cluster, *, gateway_api: bool) -> None:
    """Teach the API server AgentDeployments and, if wanted, the Gateway API."""
    files = [_ROOT / "crds", *([binary("gateway-api-crds.yaml")] if gateway_api else [])]
    flags = [f"--filename={file}" for file in files]
    cluster.kubectl("apply", "--server-side", "--force-conflicts", *flags)
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")


def operator_account(cluster: Cluster, folder: Path) -> Account:
    """Log in as the operator's ServiceAccount, which may do what the chart's role grants."""
    chart = Chart(binary("helm"), _ROOT / "charts" / "agent-operator")
    kinds = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding")
    manifests = [one for one in chart.manifests() if one["kind"] in kinds]
    manifests.insert(0, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    text = yaml.safe_dump_all(manifests)
    cluster.kubectl("apply", "--server-side", "--namespace", NAMESPACE, "-f", "-", text=text)
    where = ("--namespace", NAMESPACE, f"--duration={TOKEN_DURATION}")
    token = cluster.kubectl("create", "token", FULL_NAME, *where).strip()
    kubeconfig = yaml.safe_load(cluster.kubeconfig.read_text())
    kubeconfig["users"][0]["user"] = {"token": token}
    path = folder / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(json.dumps(kubeconfig))
    return Account(path, f"system:serviceaccount:{NAMESPACE}:{FULL_NAME}")


@contextmanager
def furnished(cluster: Cluster, account: Account) -> Iterator[Site]:
    """Make a namespace with a gateway, a Prometheus and an operator at work."""
    namespace = f"site-{secrets.token_hex(4)}"
    audit = AuditLog(cluster.audit_log)
    cluster.kubectl("create", "namespace", namespace)
    try:
        with site(cluster.kubeconfig, namespace, account=account, audit=audit) as place:
            place.start_operator()
            yield place
    finally:
        cluster.kubectl("delete", "namespace", namespace, "--wait=false")
