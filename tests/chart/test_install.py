"""A release on a real API server: everything is accepted, the account may do its work, no more."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from agent_operator.adapters.access import REQUIRED, Permission
from localcluster import Cluster
from tests.helm import FULL_NAME, RELEASE, Chart, Values, with_prometheus

pytestmark = pytest.mark.cluster

_DEFINITION = "customresourcedefinition/agentdeployments.agentdeploy.dev"
_TOO_MUCH = (
    Permission("list", "", "secrets"),
    Permission("watch", "", "secrets"),
    Permission("patch", "", "secrets"),
    Permission("delete", "", "secrets"),
    Permission("get", "", "pods"),
    Permission("create", "", "pods/exec"),
    Permission("update", "agentdeploy.dev", "agentdeployments"),
    Permission("patch", "agentdeploy.dev", "agentdeployments"),
    Permission("delete", "agentdeploy.dev", "agentdeployments"),
    Permission("update", "apps", "deployments/status"),
    Permission("create", "rbac.authorization.k8s.io", "roles"),
)


class Release:
    """One release in a namespace that admits restricted pods only."""

    def __init__(self, chart: Chart, cluster: Cluster, namespace: str) -> None:
        self._chart = chart
        self._cluster = cluster
        self.namespace = namespace

    def install(self, values: Values) -> None:
        """Install or upgrade; the definition may be there already, from tests without Helm."""
        done = self._helm(
            *("upgrade", "--install", "--take-ownership", RELEASE, str(self._chart.folder)),
            values=with_prometheus(values),
        )
        assert done.returncode == 0, done.stderr

    def uninstall(self) -> str:
        """Uninstall and return what Helm says."""
        return self._helm("uninstall", RELEASE, "--ignore-not-found").stdout

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """Run kubectl in the namespace of the release."""
        return self._cluster.kubectl("--namespace", self.namespace, *arguments, text=text)

    def answers(self, questions: Sequence[Permission], *, namespace: str) -> list[bool]:
        """Return what the operator's account is allowed in a namespace (empty: in all)."""
        user = f"system:serviceaccount:{self.namespace}:{FULL_NAME}"
        reviews = [_review(user, question, namespace) for question in questions]
        items = {"apiVersion": "v1", "kind": "List", "items": reviews}
        allowed = r'-o=jsonpath={.status.allowed}{"\n"}'
        lines = self.kubectl("create", "-f", "-", allowed, text=json.dumps(items)).split()
        return [line == "true" for line in lines]

    def _helm(
        self, *arguments: str, values: Values | None = None
    ) -> subprocess.CompletedProcess[str]:
        given = ["--values", "-"] if values is not None else []
        return subprocess.run(
            [str(self._chart.helm), *arguments, "--namespace", self.namespace, *given],
            input=json.dumps(values),
            env=self._cluster.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


def _review(user: str, question: Permission, namespace: str) -> dict[str, Any]:
    resource, _, subresource = question.resource.partition("/")
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": user,
            "resourceAttributes": {
                "verb": question.verb,
                "group": question.group,
                "resource": resource,
                "subresource": subresource,
                "namespace": namespace,
            },
        },
    }


@pytest.fixture
def release(chart: Chart, control_plane: Cluster, namespace: str) -> Iterator[Release]:
    label = "pod-security.kubernetes.io/enforce=restricted"
    control_plane.kubectl("label", "namespace", namespace, label)
    found = Release(chart, control_plane, namespace)
    yield found
    found.uninstall()


def test_the_restricted_namespace_admits_the_operators_pod(release: Release) -> None:
    release.install({})
    created = "--for=jsonpath={.status.replicas}=1"  # the pod exists; nothing runs it here
    release.kubectl("wait", f"deployment/{FULL_NAME}", created, "--timeout=30s")


def test_the_account_may_do_what_the_operator_asks_for(release: Release) -> None:
    release.install({})
    answers = release.answers(REQUIRED, namespace="")
    assert [one for one, allowed in zip(REQUIRED, answers, strict=True) if not allowed] == []


def test_the_account_may_not_do_more(release: Release) -> None:
    release.install({})
    answers = release.answers(_TOO_MUCH, namespace="")
    assert [one for one, allowed in zip(_TOO_MUCH, answers, strict=True) if allowed] == []


def test_watching_one_namespace_gives_the_account_that_one_only(release: Release) -> None:
    release.install({"watch": {"namespaces": [release.namespace]}})
    assert all(release.answers(REQUIRED, namespace=release.namespace))
    assert not any(release.answers(REQUIRED, namespace="default"))


def test_the_definition_outlives_the_release(release: Release) -> None:
    release.install({})
    assert "agentdeployments.agentdeploy.dev" in release.uninstall()
    assert release.kubectl("get", _DEFINITION, "-o", "name")


def test_installing_twice_changes_nothing(release: Release) -> None:
    release.install({})
    names = (_DEFINITION, f"deployment/{FULL_NAME}", f"service/{FULL_NAME}")
    before = _generations(release, names)
    release.install({})
    assert _generations(release, names) == before


def _generations(release: Release, names: Sequence[str]) -> list[str]:
    path = "-o=jsonpath={.metadata.generation}"
    return [release.kubectl("get", name, path) for name in names]


def test_an_upgrade_can_change_every_value_that_the_operator_reads(release: Release) -> None:
    release.install({})
    release.install(
        {
            "prometheus": {"existingSecret": "login", "caConfigMap": "ca", "scrapeInterval": "5s"},
            "logging": {"level": "debug"},
            "commonLabels": {"team": "shop"},
        }
    )
    path = "-o=jsonpath={.spec.template.spec.containers[0].env}"
    variables = json.loads(release.kubectl("get", f"deployment/{FULL_NAME}", path))
    assert {"name": "AGENT_OPERATOR_LOG_LEVEL", "value": "debug"} in variables


def test_the_written_definition_is_found_by_kubectl_explain(release: Release) -> None:
    release.install({})
    release.kubectl("wait", "--for=condition=Established", _DEFINITION, "--timeout=30s")
    assert "prompt" in release.kubectl("explain", "agentdeployment.spec")
