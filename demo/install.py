"""Puts the operator into the cluster with its Helm chart, and the refunds agent beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from demo.cluster import helm
from demo.errors import DemoError
from demo.progress import step
from localcluster import AnyCluster
from localcluster.folders import REPOSITORY

CHART = REPOSITORY / "charts" / "agent-operator"
EXAMPLE = REPOSITORY / "examples" / "refunds"
RELEASE = "agent-operator"
OPERATOR_NAMESPACE = "agentdeploy-system"
NAMESPACE = "support"
AGENT = "refunds"
EXAMPLES_LABEL = ("app.kubernetes.io/part-of", "agentdeploy-examples")
PROMPT_VERSIONS = ("v1", "v2", "v3")
WAIT = "--timeout=120s"
PROMETHEUS_URL = "http://prometheus.monitoring:9090"
SCRAPE_INTERVAL = "5s"  # of localcluster's Prometheus


def install_operator(cluster: AnyCluster, image: str) -> None:
    """Install the chart, or upgrade it, and wait until the operator is available."""
    registry, _, rest = image.partition("/")
    repository, _, tag = rest.partition(":")
    values = {
        "image": {"registry": registry, "repository": repository, "tag": tag},
        "prometheus": {"url": PROMETHEUS_URL, "scrapeInterval": SCRAPE_INTERVAL},
    }
    flags = [f"--set-json={name}={json.dumps(value)}" for name, value in values.items()]
    where = ("--namespace", OPERATOR_NAMESPACE, "--create-namespace")
    with step("helm install of the operator"):
        helm(
            cluster,
            "upgrade",
            "--install",
            RELEASE,
            str(CHART),
            *where,
            *flags,
            "--wait",
            "--timeout=120s",
        )


def clear(cluster: AnyCluster) -> None:
    """Remove what an earlier run left in the agent's namespace: the story starts from nothing.

    Raises DemoError when the namespace is somebody else's.
    """
    found = cluster.kubectl("get", "namespace", NAMESPACE, "--ignore-not-found", "-o", "json")
    if not found.strip():
        return
    name, ours = EXAMPLES_LABEL
    if json.loads(found)["metadata"].get("labels", {}).get(name) != ours:
        raise DemoError(
            f"this cluster has a namespace {NAMESPACE} that is not the demo's; the demo would "
            "replace it, so it stops here: use another cluster"
        )
    with step(f"removing namespace {NAMESPACE} of an earlier run"):
        kinds = cluster.kubectl("api-resources", "--api-group=agentdeploy.dev", "-o", "name")
        if kinds.strip():
            # Pods first: a namespace waits for half their grace period, however fast they are.
            everything = (*kinds.split(), "--all")
            cluster.kubectl("-n", NAMESPACE, "delete", *everything)
            cluster.kubectl("-n", NAMESPACE, "wait", "--for=delete", "pods", "--all", WAIT)
        cluster.kubectl("delete", "namespace", NAMESPACE, WAIT)


def install_agent(cluster: AnyCluster, image: str) -> None:
    """Apply examples/refunds: namespace, Secret, a ConfigMap per prompt, the AgentDeployment."""
    agent = _manifest("agentdeployment.yaml")
    agent["spec"]["image"] = image
    prompts = [prompt_config_map(EXAMPLE / "prompts" / version) for version in PROMPT_VERSIONS]
    manifests = [_manifest("namespace.yaml"), _manifest("secret.yaml"), *prompts, agent]
    text = yaml.safe_dump_all(manifests)
    cluster.kubectl("apply", "--server-side", "--field-manager=demo", "-f", "-", text=text)


def patch_agent(cluster: AnyCluster, version: str) -> None:
    """Change the AgentDeployment as examples/refunds/<version>.yaml says."""
    file = EXAMPLE / f"{version}.yaml"
    what = ("-n", NAMESPACE, "patch", "agentdeployment", AGENT)
    cluster.kubectl(*what, "--type=merge", f"--patch-file={file}", "--field-manager=demo")


def prompt_config_map(folder: Path) -> dict[str, Any]:
    """Return the ConfigMap of a prompt's folder: a key per file."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"{AGENT}-prompt-{folder.name}", "namespace": NAMESPACE},
        "data": {file.name: file.read_text() for file in sorted(folder.iterdir())},
    }


def _manifest(name: str) -> dict[str, Any]:
    manifest: dict[str, Any] = yaml.safe_load((EXAMPLE / name).read_text())
    return manifest
