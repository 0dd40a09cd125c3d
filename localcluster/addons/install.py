"""Install add-ons: images and definitions first, then all manifests at once, then one wait."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from string import Template

from localcluster.addons.registry import Addon, chosen
from localcluster.any_cluster import AnyCluster
from localcluster.binaries import binary
from localcluster.credentials import Authority
from localcluster.errors import LocalClusterError
from localcluster.progress import step

WAIT_SECONDS = 120
PART = "app.kubernetes.io/part-of=localcluster"
RESOURCE_METRICS = "v1beta1.metrics.k8s.io"
ADAPTER_HOST = "DNS:metrics-adapter.monitoring.svc"


def install(cluster: AnyCluster, *wanted: str) -> None:
    """Install the named add-ons (all without names) and wait until they work; idempotent."""
    addons = chosen(list(wanted))
    archives = {addon.name: addon.build() for addon in addons}
    with step(f"installing add-ons {', '.join(archives)}"), ThreadPoolExecutor() as pool:
        definitions = pool.submit(_define, cluster, addons)
        names = {addon: cluster.load_image(archive) for addon, archive in archives.items()}
        definitions.result()
        manifests = [_manifest(cluster, addon, names[addon.name]) for addon in addons]
        _apply(cluster, "---\n".join(manifests))
        waits = [pool.submit(_wait, cluster, *wait) for wait in _waits(addons)]
        for wait in waits:
            wait.result()


def _define(cluster: AnyCluster, addons: list[Addon]) -> None:
    files = [binary(name) for addon in addons for name in addon.custom_resources]
    if files:
        text = "\n---\n".join(file.read_text() for file in files)
        _apply(cluster, text)
        cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")


def _apply(cluster: AnyCluster, text: str) -> None:
    options = ("--server-side", "--force-conflicts", "--field-manager=localcluster")
    cluster.kubectl("apply", *options, "-f", "-", text=text)


def _manifest(cluster: AnyCluster, addon: Addon, image: str) -> str:
    values = {"IMAGE": image}
    text = addon.manifest
    if addon.name == "metrics-adapter":
        values |= _adapter_certificate(cluster)
        if _has_resource_metrics(cluster):
            text = "---\n".join(doc for doc in text.split("---\n") if RESOURCE_METRICS not in doc)
    return Template(text).safe_substitute(values)


def _has_resource_metrics(cluster: AnyCluster) -> bool:
    """Tell whether somebody else's server (metrics-server) answers for CPU and memory here."""
    name = ("get", "apiservice", RESOURCE_METRICS, "--ignore-not-found", "-o", "json")
    found = cluster.kubectl(*name)
    if not found:
        return False
    labels = json.loads(found)["metadata"].get("labels", {})
    key, value = PART.split("=")
    return bool(labels.get(key) != value)


def _adapter_certificate(cluster: AnyCluster) -> dict[str, str]:
    """Return the adapter's certificate, key and authority; they last as long as the cluster."""
    folder = cluster.folder / "metrics-adapter"
    if not (folder / "server.crt").exists():
        authority = Authority(folder, "metrics-adapter-ca")
        authority.sign("server", subject="/CN=metrics-adapter", hosts=(ADAPTER_HOST,))
    files = {"CERTIFICATE": "server.crt", "KEY": "server.key", "AUTHORITY": "ca.crt"}
    return {
        name: base64.b64encode((folder / file).read_bytes()).decode()
        for name, file in files.items()
    }


def _waits(addons: list[Addon]) -> list[tuple[str, ...]]:
    """List what `kubectl wait` has to see."""
    names = {addon.name for addon in addons}
    waits: list[tuple[str, ...]] = [("Available", "deployment", "-A", "-l", PART)]
    if "gateway" in names:
        waits.append(("Programmed", "gateway/public", "-n", "gateways"))
    if "metrics-adapter" in names:
        waits.append(("Available", "apiservice", "-l", PART))
    return waits


def _wait(cluster: AnyCluster, condition: str, *what: str) -> None:
    try:
        timeout = f"--timeout={WAIT_SECONDS}s"
        cluster.kubectl("wait", f"--for=condition={condition}", *what, timeout)
    except LocalClusterError as problem:
        pods = cluster.kubectl("get", "pods", "--all-namespaces", "-o", "wide")
        raise LocalClusterError(f"{problem}\n{pods}") from problem
