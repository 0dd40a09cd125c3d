"""The roles grant what the operator asks for before it starts, and not one verb more."""

from collections import Counter
from typing import Any

import pytest

from agent_operator.adapters.access import REQUIRED
from tests.helm import FULL_NAME, NAMESPACE, Chart, granted, of_kind, only

_WATCHED = ["lab", "shop"]


@pytest.fixture(scope="module")
def everywhere(chart: Chart) -> list[dict[str, Any]]:
    return chart.manifests()


@pytest.fixture(scope="module")
def in_some(chart: Chart) -> list[dict[str, Any]]:
    return chart.manifests({"watch": {"namespaces": _WATCHED}})


def test_the_cluster_role_grants_each_required_permission_once(
    everywhere: list[dict[str, Any]],
) -> None:
    assert Counter(granted(only(everywhere, "ClusterRole"))) == Counter(REQUIRED)


def test_no_rule_has_a_wildcard(everywhere: list[dict[str, Any]]) -> None:
    parts = {part for permission in granted(only(everywhere, "ClusterRole")) for part in permission}
    assert not [part for part in parts if "*" in part]


def test_secrets_are_never_listed_watched_or_changed(everywhere: list[dict[str, Any]]) -> None:
    verbs = {
        one.verb for one in granted(only(everywhere, "ClusterRole")) if one.resource == "secrets"
    }
    assert verbs == {"get", "create"}


def test_nothing_is_granted_that_leads_to_more(everywhere: list[dict[str, Any]]) -> None:
    found = granted(only(everywhere, "ClusterRole"))
    assert not {one.verb for one in found} & {"escalate", "bind", "impersonate", "deletecollection"}
    assert not {one.group for one in found} & {
        "rbac.authorization.k8s.io",
        "admissionregistration.k8s.io",
    }
    assert not [one.resource for one in found if one.resource.startswith("pods")]


def test_the_binding_is_for_the_operators_account_alone(everywhere: list[dict[str, Any]]) -> None:
    binding, role = only(everywhere, "ClusterRoleBinding"), only(everywhere, "ClusterRole")
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": FULL_NAME, "namespace": NAMESPACE}
    ]
    assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) == (
        "ClusterRole",
        role["metadata"]["name"],
    )


def test_watching_some_namespaces_grants_nothing_outside_of_them(
    in_some: list[dict[str, Any]],
) -> None:
    assert not of_kind(in_some, "ClusterRole")
    assert not of_kind(in_some, "ClusterRoleBinding")
    for kind in ("Role", "RoleBinding"):
        assert [one["metadata"]["namespace"] for one in of_kind(in_some, kind)] == _WATCHED


def test_each_watched_namespace_grants_each_required_permission_once(
    in_some: list[dict[str, Any]],
) -> None:
    for role in of_kind(in_some, "Role"):
        assert Counter(granted(role)) == Counter(REQUIRED)


def test_each_role_is_bound_to_the_account_in_the_releases_namespace(
    in_some: list[dict[str, Any]],
) -> None:
    for role, binding in zip(
        of_kind(in_some, "Role"), of_kind(in_some, "RoleBinding"), strict=True
    ):
        assert binding["roleRef"]["name"] == role["metadata"]["name"]
        (subject,) = binding["subjects"]
        assert (subject["name"], subject["namespace"]) == (FULL_NAME, NAMESPACE)


def test_roles_can_be_left_to_others(chart: Chart) -> None:
    for watched in ([], _WATCHED):
        manifests = chart.manifests({"rbac": {"create": False}, "watch": {"namespaces": watched}})
        assert not [one["kind"] for one in manifests if "Role" in one["kind"]]


def test_two_releases_of_one_name_do_not_share_a_cluster_role(chart: Chart) -> None:
    names = set()
    for namespace in ("red", "blue"):
        done = chart.run(
            *("template", "agentdeploy", str(chart.folder), "--namespace", namespace),
            *("--kube-version", "1.30.0", "--show-only", "templates/rbac.yaml"),
            values={"prometheus": {"url": "http://prometheus"}},
        )
        names |= {line for line in done.stdout.splitlines() if line.startswith("  name:")}
    assert len(names) == 2
