"""Last words: how to look around in a cluster that stays; what a failed run looks like inside."""

from __future__ import annotations

import sys

from demo.install import AGENT, NAMESPACE, OPERATOR_NAMESPACE, RELEASE
from localcluster import AnyCluster, LocalClusterError

LOG_LINES = 40
CONDITIONS = r'{range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{"\n"}{end}'


def invite(cluster: AnyCluster, *, leave: str) -> None:
    """Say how to look around, and how to remove it all: by the command `leave`."""
    print(
        f"""
It stays up. Look around:
  export KUBECONFIG={cluster.kubeconfig} PATH={cluster.kubectl_path.parent}:$PATH
  kubectl -n {NAMESPACE} get agentdeployments,httproutes,deployments,pods
  kubectl -n {NAMESPACE} describe agentdeployment {AGENT}
  kubectl -n {NAMESPACE} events
  kubectl -n {OPERATOR_NAMESPACE} logs deployment/{RELEASE}
  kubectl -n gateways port-forward service/envoy 8080:80 &
  curl -si localhost:8080/v1/chat -H 'content-type: application/json' -d '{{"message": "Hello"}}'
Remove it: {leave}
""",
        flush=True,
    )


def diagnose(cluster: AnyCluster) -> None:
    """Show what explains a failed run; say so where the cluster does not answer."""
    for what in (
        ("get", "pods", "--all-namespaces", "-o", "wide"),
        ("-n", NAMESPACE, "get", "agentdeployment", AGENT, "-o", f"jsonpath={CONDITIONS}"),
        ("-n", NAMESPACE, "events"),
        ("-n", OPERATOR_NAMESPACE, "logs", f"deployment/{RELEASE}", f"--tail={LOG_LINES}"),
    ):
        print(f"\n$ kubectl {' '.join(what)}", file=sys.stderr)
        try:
            print(cluster.kubectl(*what), file=sys.stderr)
        except LocalClusterError as problem:
            print(problem, file=sys.stderr)
