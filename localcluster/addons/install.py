"""Install add-ons: images and definitions first, then all manifests at once, then one wait."""

from __future__ import annotations

import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor
from string import Template

from localcluster.addons.ownership import PART, Manifest, apply, documents
from localcluster.addons.registry import Addon, chosen
from localcluster.any_cluster import AnyCluster
from localcluster.binaries import binary
from localcluster.credentials import Authority, is_current
from localcluster.errors import LocalClusterError
from localcluster.progress import step

WAIT_SECONDS = 120
ADAPTER_HOST = "DNS:metrics-adapter.monitoring.svc"


def install(cluster: AnyCluster, *wanted: str) -> None:
    """Install the named add-ons (all without names) and wait until they work; idempotent.

    What exists under the same name without our label is left as it is.
    """
    addons = chosen(list(wanted))
    archives = {addon.name: addon.build() for addon in addons}
    with step(f"installing add-ons {', '.join(archives)}"), ThreadPoolExecutor() as pool:
        definitions = pool.submit(_define, cluster, addons)
        names = {addon: cluster.load_image(archive) for addon, archive in archives.items()}
        definitions.result()
        texts = [_manifest(cluster, addon, names[addon.name]) for addon in addons]
        applied = apply(cluster, documents("---\n".join(texts)))
        running = [pool.submit(_wait, cluster, *wait) for wait in waits(applied)]
        for each in running:
            each.result()


def _define(cluster: AnyCluster, addons: list[Addon]) -> None:
    files = [binary(name) for addon in addons for name in addon.custom_resources]
    if files:
        definitions = documents("\n---\n".join(file.read_text() for file in files))
        apply(cluster, definitions)
        names = [f"crd/{each['metadata']['name']}" for each in definitions]
        cluster.kubectl("wait", "--for=condition=Established", *names, "--timeout=30s")


def _manifest(cluster: AnyCluster, addon: Addon, image: str) -> str:
    values = {"IMAGE": image}
    if addon.name == "metrics-adapter":
        values |= adapter_certificate(cluster)
    return Template(addon.manifest).safe_substitute(values)


def adapter_certificate(cluster: AnyCluster) -> dict[str, str]:
    """Return the adapter's certificate, key and authority; made again before they expire.

    The adapter reads them once: SERIAL, in its pods' template, starts new pods for new ones.
    """
    folder = cluster.folder / "metrics-adapter"
    if not is_current(folder / "server.crt"):
        authority = Authority(folder, "metrics-adapter-ca")
        authority.sign("server", subject="/CN=metrics-adapter", hosts=(ADAPTER_HOST,))
    files = {"CERTIFICATE": "server.crt", "KEY": "server.key", "AUTHORITY": "ca.crt"}
    encoded = {
        name: base64.b64encode((folder / file).read_bytes()).decode()
        for name, file in files.items()
    }
    return {**encoded, "SERIAL": hashlib.sha256(encoded["CERTIFICATE"].encode()).hexdigest()}


def waits(applied: list[Manifest]) -> list[tuple[str, ...]]:
    """List what `kubectl wait` has to see of what was applied."""
    kinds = {each["kind"] for each in applied}
    possible = {
        "Deployment": ("Available", "deployment", "-A", "-l", PART),
        "Gateway": ("Programmed", "gateway/public", "-n", "gateways"),
        "APIService": ("Available", "apiservice", "-l", PART),
    }
    return [wait for kind, wait in possible.items() if kind in kinds]


def _wait(cluster: AnyCluster, condition: str, *what: str) -> None:
    try:
        timeout = f"--timeout={WAIT_SECONDS}s"
        cluster.kubectl("wait", f"--for=condition={condition}", *what, timeout)
    except LocalClusterError as problem:
        pods = cluster.kubectl("get", "pods", "--all-namespaces", "-o", "wide")
        raise LocalClusterError(f"{problem}\n{pods}") from problem
