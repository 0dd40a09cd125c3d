"""Sees to what the agent needs beside the operator: all of it in the demo's own cluster, in one of
somebody else only what is missing, and nothing that would replace what is theirs.
"""

from __future__ import annotations

from demo.errors import DemoError
from demo.progress import say
from localcluster import AnyCluster, Cluster
from localcluster.addons import install

# What each add-on is found by, as arguments of `kubectl get`.
_TRACES = {
    "gateway": ("gateways.gateway.networking.k8s.io", "public", "--namespace=gateways"),
    "prometheus": ("service", "prometheus", "--namespace=monitoring"),
    "redis": ("service", "redis", "--namespace=redis"),
    "llm": ("service", "llm", "--namespace=llm"),
    "metrics-adapter": ("apiservice", "v1beta2.custom.metrics.k8s.io"),
}
_GATEWAY_API = "gateways.gateway.networking.k8s.io"


def install_addons(cluster: AnyCluster) -> None:
    """Install what is missing of Gateway, Prometheus, Redis, mock LLM and custom metrics."""
    if isinstance(cluster, Cluster):
        install(cluster)
        return
    missing = missing_addons(cluster)
    if missing:
        say(f"this cluster has no {', '.join(missing)}: installing")
        install(cluster, *missing)


def missing_addons(cluster: AnyCluster) -> list[str]:
    """Name what a cluster lacks; refuse where installing it would replace something."""
    has_gateway_api = _exists(cluster, "crd", _GATEWAY_API)
    missing = [
        name
        for name, trace in _TRACES.items()
        if (name == "gateway" and not has_gateway_api) or not _exists(cluster, *trace)
    ]
    if "gateway" in missing and has_gateway_api:
        raise DemoError(
            "this cluster has the Gateway API but no Gateway `public` in namespace `gateways`: make"
            " one that takes HTTPRoutes of all namespaces on port 80; nothing is installed over it"
        )
    if "metrics-adapter" in missing and "prometheus" not in missing:
        missing.remove("metrics-adapter")
        say("no custom metrics here: the autoscalers will keep the number of pods")
    return missing


def _exists(cluster: AnyCluster, *what: str) -> bool:
    return bool(cluster.kubectl("get", *what, "--ignore-not-found", "--output=name"))
