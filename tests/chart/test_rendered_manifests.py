"""What a release creates: values arrive where they belong, the pod is locked down."""

import os
from typing import Any
from unittest import mock

import pytest
import yaml

from agent_operator import __version__
from agent_operator.settings import ENV_PREFIX, Settings, read
from tests.helm import (
    FULL_NAME,
    NAMESPACE,
    Chart,
    container,
    environment,
    of_kind,
    only,
    pod,
    with_prometheus,
)

_DIGEST = f"sha256:{'0' * 64}"


def _settings(manifests: list[dict[str, Any]]) -> Settings:
    """Return the settings that the operator would read in the rendered container."""
    with mock.patch.dict(os.environ, environment(manifests), clear=True):  # what the pod would see
        return read({})


def test_lint_has_nothing_to_say(chart: Chart) -> None:
    done = chart.lint("--strict", values=with_prometheus({}))
    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout


def test_lint_is_clean_without_any_values(chart: Chart) -> None:
    assert chart.lint("--strict").returncode == 0


def test_a_release_creates_what_the_operator_needs_and_nothing_else(chart: Chart) -> None:
    kinds = sorted(one["kind"] for one in chart.manifests())
    assert kinds == [
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "Deployment",
        "Service",
        "ServiceAccount",
    ]


def test_the_chart_has_the_version_of_the_operator(chart: Chart) -> None:
    about = yaml.safe_load((chart.folder / "Chart.yaml").read_text())
    assert (about["version"], about["appVersion"]) == (__version__, __version__)


def test_exactly_one_operator_runs_at_any_time(chart: Chart) -> None:
    spec = only(chart.manifests(), "Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_the_pod_is_restricted(chart: Chart) -> None:
    spec = pod(chart.manifests())
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()


def test_the_container_is_restricted(chart: Chart) -> None:
    assert container(chart.manifests())["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_services_of_the_namespace_do_not_reach_the_settings(chart: Chart) -> None:
    assert pod(chart.manifests())["enableServiceLinks"] is False


def test_only_the_operators_own_pod_is_given_a_token(chart: Chart) -> None:
    manifests = chart.manifests()
    assert only(manifests, "ServiceAccount")["automountServiceAccountToken"] is False
    assert pod(manifests)["automountServiceAccountToken"] is True


def test_every_variable_is_a_setting_of_the_operator(chart: Chart) -> None:
    full = chart.manifests(
        {
            "watch": {"namespaces": ["shop"]},
            "prometheus": {
                "existingSecret": "login",
                "authentication": "basic",
                "caConfigMap": "ca",
                "headers": {"X-Scope-OrgID": "team"},
            },
        }
    )
    known = {f"{ENV_PREFIX}{name.upper()}" for name in Settings.model_fields}
    assert {one["name"] for one in container(full)["env"]} <= known


def test_the_defaults_are_those_of_the_operator(chart: Chart) -> None:
    found = _settings(chart.manifests())
    plain = Settings(prometheus_url="http://prometheus.monitoring:9090", log_format="json")
    assert found == plain


def test_the_port_is_the_same_for_probes_service_and_setting(chart: Chart) -> None:
    manifests = chart.manifests()
    (declared,) = container(manifests)["ports"]
    (served,) = only(manifests, "Service")["spec"]["ports"]
    assert declared["containerPort"] == _settings(manifests).health_port == served["port"]
    probes = [container(manifests)[f"{one}Probe"] for one in ("startup", "liveness", "readiness")]
    assert {one["httpGet"]["port"] for one in probes} == {declared["name"]}
    assert served["targetPort"] == declared["name"]


def test_the_service_and_the_deployment_select_the_pod(chart: Chart) -> None:
    manifests = chart.manifests({"commonLabels": {"team": "shop"}})
    labels = only(manifests, "Deployment")["spec"]["template"]["metadata"]["labels"]
    for selector in (
        only(manifests, "Service")["spec"]["selector"],
        only(manifests, "Deployment")["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
        assert "team" not in selector


@pytest.mark.parametrize(
    ("values", "name", "value"),
    [
        ({"prometheus": {"url": "https://metrics.example/prom"}}, "prometheus_url", None),
        ({"prometheus": {"timeoutSeconds": 2.5}}, "prometheus_timeout_seconds", 2.5),
        ({"prometheus": {"scrapeInterval": "30s"}}, "scrape_interval_seconds", 30.0),
        ({"prometheus": {"queryLag": "0s"}}, "query_lag_seconds", 0.0),
        (
            {"prometheus": {"headers": {"X-Scope-OrgID": "a b=c", "X-Other": "1"}}},
            "prometheus_headers",
            ("X-Other=1", "X-Scope-OrgID=a b=c"),
        ),
        ({"watch": {"namespaces": ["shop", "lab"]}}, "namespaces", ("shop", "lab")),
        ({"resyncSeconds": 86400}, "resync_seconds", 86400.0),
        ({"resyncSeconds": 10.5}, "resync_seconds", 10.5),
        ({"tickSeconds": 0.5}, "tick_seconds", 0.5),
        ({"workers": 4}, "workers", 4),
        ({"logging": {"level": "debug"}}, "log_level", "debug"),
        ({"logging": {"format": "console"}}, "log_format", "console"),
    ],
    ids=str,
)
def test_a_value_reaches_the_setting(
    chart: Chart, values: dict[str, Any], name: str, value: Any
) -> None:
    expected = values["prometheus"]["url"] if value is None else value
    assert getattr(_settings(chart.manifests(values)), name) == expected


def test_a_token_is_mounted_from_the_secret_and_nothing_else_of_it(chart: Chart) -> None:
    manifests = chart.manifests({"prometheus": {"existingSecret": "login"}})
    path = environment(manifests)["AGENT_OPERATOR_PROMETHEUS_TOKEN_FILE"]
    (volume,) = pod(manifests)["volumes"]
    (mount,) = container(manifests)["volumeMounts"]
    assert volume["secret"]["secretName"] == "login"
    assert [f"{mount['mountPath']}/{one['path']}" for one in volume["secret"]["items"]] == [path]
    assert [one["key"] for one in volume["secret"]["items"]] == ["token"]


def test_basic_authentication_takes_the_user_and_mounts_the_password(chart: Chart) -> None:
    manifests = chart.manifests(
        {"prometheus": {"existingSecret": "login", "authentication": "basic"}}
    )
    (user,) = [one for one in container(manifests)["env"] if "valueFrom" in one]
    assert user["name"] == "AGENT_OPERATOR_PROMETHEUS_USERNAME"
    assert user["valueFrom"] == {"secretKeyRef": {"name": "login", "key": "username"}}
    (volume,) = pod(manifests)["volumes"]
    assert volume["secret"]["items"] == [{"key": "password", "path": "password"}]
    path = environment(manifests)["AGENT_OPERATOR_PROMETHEUS_PASSWORD_FILE"]
    assert path == f"{container(manifests)['volumeMounts'][0]['mountPath']}/password"
    assert "AGENT_OPERATOR_PROMETHEUS_TOKEN_FILE" not in environment(manifests)


def test_the_ca_of_prometheus_is_mounted(chart: Chart) -> None:
    manifests = chart.manifests({"prometheus": {"caConfigMap": "authorities"}})
    (volume,) = pod(manifests)["volumes"]
    (mount,) = container(manifests)["volumeMounts"]
    assert volume["configMap"]["name"] == "authorities"
    assert _settings(manifests).prometheus_ca_file == f"{mount['mountPath']}/ca.crt"


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({}, f"agentdeploy/operator:{__version__}"),
        ({"tag": "dev"}, "agentdeploy/operator:dev"),
        ({"registry": "registry.example:5000"}, None),
        ({"registry": "mirror.example/team"}, None),
        ({"tag": "dev", "digest": _DIGEST}, f"agentdeploy/operator@{_DIGEST}"),
    ],
    ids=str,
)
def test_an_image_is_named_by_tag_or_digest(
    chart: Chart, image: dict[str, str], expected: str | None
) -> None:
    name = expected or f"{image['registry']}/agentdeploy/operator:{__version__}"
    assert container(chart.manifests({"image": image}))["image"] == name


@pytest.mark.parametrize(
    ("value", "given"),
    [
        ("imagePullSecrets", [{"name": "registry"}]),
        ("priorityClassName", "system-cluster-critical"),
        ("nodeSelector", {"kubernetes.io/os": "linux"}),
        ("tolerations", [{"key": "spot", "operator": "Exists"}]),
        ("affinity", {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}),
    ],
)
def test_a_value_of_scheduling_reaches_the_pod_as_it_is(
    chart: Chart, value: str, given: Any
) -> None:
    assert pod(chart.manifests({value: given}))[value] == given


def test_resources_and_pull_policy_reach_the_container(chart: Chart) -> None:
    manifests = chart.manifests(
        {"image": {"pullPolicy": "Always"}, "resources": {"limits": {"cpu": "1"}}}
    )
    found = container(manifests)
    assert found["imagePullPolicy"] == "Always"
    assert found["resources"]["limits"] == {"cpu": "1", "memory": "256Mi"}


def test_everything_carries_the_common_labels_and_keeps_the_charts_own(chart: Chart) -> None:
    own = "app.kubernetes.io/managed-by"
    manifests = chart.manifests({"commonLabels": {"team": "shop", own: "agent-operator"}})
    for one in manifests:
        labels = one["metadata"]["labels"]
        assert labels["team"] == "shop", one["kind"]
        assert labels[own] == "Helm", one["kind"]  # the operator follows what it manages by label


def test_everything_with_a_namespace_is_in_that_of_the_release(chart: Chart) -> None:
    manifests = chart.manifests()
    for kind in ("Deployment", "Service", "ServiceAccount"):
        assert only(manifests, kind)["metadata"]["namespace"] == NAMESPACE


def test_a_service_account_can_come_from_elsewhere(chart: Chart) -> None:
    manifests = chart.manifests({"serviceAccount": {"create": False, "name": "mine"}})
    assert not of_kind(manifests, "ServiceAccount")
    assert pod(manifests)["serviceAccountName"] == "mine"
    (subject,) = only(manifests, "ClusterRoleBinding")["subjects"]
    assert (subject["name"], subject["namespace"]) == ("mine", NAMESPACE)


def test_the_service_account_carries_annotations(chart: Chart) -> None:
    manifests = chart.manifests({"serviceAccount": {"annotations": {"example/role": "metrics"}}})
    account = only(manifests, "ServiceAccount")["metadata"]
    assert account["annotations"] == {"example/role": "metrics"}
    assert account["name"] == FULL_NAME == pod(manifests)["serviceAccountName"]
