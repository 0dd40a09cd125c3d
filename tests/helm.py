"""The chart of the operator, rendered by the real helm."""

import json
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from agent_operator.adapters.access import Permission

RELEASE = "agentdeploy"
NAMESPACE = "agentdeploy-system"
FULL_NAME = "agentdeploy-agent-operator"
OLDEST_KUBERNETES = "1.30.0"

Values = dict[str, Any]


@dataclass(frozen=True)
class Chart:
    """A helm program and the folder of a chart."""

    helm: Path
    folder: Path

    def run(
        self, *arguments: str, values: Values | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run helm with values given as one file; both streams are kept, a failure is returned."""
        return _run((str(self.helm), *arguments, "--values", "-"), json.dumps(values or {}))

    def lint(self, *flags: str, values: Values | None = None) -> subprocess.CompletedProcess[str]:
        """Run `helm lint`."""
        return self.run("lint", str(self.folder), *flags, values=values)

    def template(self, values: Values) -> subprocess.CompletedProcess[str]:
        """Run `helm template` for the oldest Kubernetes that the chart takes."""
        where = ["--namespace", NAMESPACE, "--kube-version", OLDEST_KUBERNETES]
        return self.run("template", RELEASE, str(self.folder), *where, values=values)

    def manifests(self, values: Values | None = None) -> list[dict[str, Any]]:
        """Return what the release would create; Prometheus is given unless `values` names it."""
        done = self.template(with_prometheus(values or {}))
        assert done.returncode == 0, done.stderr
        # The definition alone is two thousand lines: too many for the parser in Python.
        return [one for one in yaml.load_all(done.stdout, yaml.CSafeLoader) if one]

    def refusal(self, values: Values) -> str:
        """Return what helm says about values that it must refuse."""
        done = self.template(with_prometheus(values))
        assert done.returncode != 0, f"these values are not refused: {values}"
        return done.stderr


@cache
def _run(command: tuple[str, ...], values: str) -> subprocess.CompletedProcess[str]:
    """Run helm once for the same question: what it answers depends on nothing else."""
    return subprocess.run(
        command, input=values, capture_output=True, text=True, check=False, timeout=120
    )


def with_prometheus(values: Values) -> Values:
    """Return the values with the one that has no default."""
    given = {"url": "http://prometheus.monitoring:9090", **values.get("prometheus", {})}
    return {**values, "prometheus": given}


def only(manifests: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Return the one manifest of a kind."""
    (found,) = of_kind(manifests, kind)
    return found


def of_kind(manifests: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Return the manifests of a kind."""
    return [one for one in manifests if one["kind"] == kind]


def pod(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the spec of the operator's pod."""
    spec: dict[str, Any] = only(manifests, "Deployment")["spec"]["template"]["spec"]
    return spec


def container(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the operator's container."""
    (found,) = pod(manifests)["containers"]
    one: dict[str, Any] = found
    return one


def environment(manifests: list[dict[str, Any]]) -> dict[str, str]:
    """Return the environment variables that are written out, by name."""
    return {one["name"]: one["value"] for one in container(manifests)["env"] if "value" in one}


def granted(role: dict[str, Any]) -> list[Permission]:
    """Return what a role grants, one by one and with repetitions."""
    return [
        Permission(verb, group, resource)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]
