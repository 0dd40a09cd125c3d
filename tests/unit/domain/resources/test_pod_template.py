"""What a pod gets: variables, files, probes and as few rights as possible."""

from typing import Any

import pytest

from agent_operator.api.v1alpha1_pod import RESERVED_ENV
from tests.factories import agent, frozen
from tests.unit.domain.golden_cases import EVERY_POD_FIELD


def pod_spec(spec: dict[str, Any] | None = None) -> Any:
    return frozen(agent(spec)).template["spec"]


def container(spec: dict[str, Any] | None = None) -> Any:
    return pod_spec(spec)["containers"][0]


def variables(spec: dict[str, Any] | None = None) -> dict[str, Any]:
    return {each["name"]: each for each in container(spec)["env"]}


def test_a_user_cannot_set_a_variable_that_the_operator_sets() -> None:
    users = {each["name"] for each in EVERY_POD_FIELD["pod"]["env"]}
    assert set(variables(dict(EVERY_POD_FIELD))) - users <= set(RESERVED_ENV)


def test_variables_of_the_user_come_last_and_in_their_order() -> None:
    names = [each["name"] for each in container(dict(EVERY_POD_FIELD))["env"]]
    assert names[-3:] == ["LOG_LEVEL", "EMPTY", "TOKEN"]


def test_without_a_fallback_the_variable_is_set_and_empty() -> None:
    assert variables()["FALLBACK_MODEL"] == {"name": "FALLBACK_MODEL"}


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "REDIS_URL"])
def test_a_secret_is_only_ever_referred_to(name: str) -> None:
    assert set(variables(dict(EVERY_POD_FIELD))[name]["valueFrom"]) == {"secretKeyRef"}


def test_without_a_session_store_there_is_no_redis() -> None:
    assert "REDIS_URL" not in variables()


def test_without_credentials_there_is_no_api_key() -> None:
    assert "OPENAI_API_KEY" not in variables({"model": {"credentialsSecretRef": None}})


def test_the_pod_says_which_revision_it_is() -> None:
    snapshot = frozen(agent())
    labels = snapshot.template["metadata"]["labels"]
    assert variables()["AGENT_REVISION"]["value"] == snapshot.revision
    assert labels["agentdeploy.dev/revision"] == snapshot.revision


def test_a_probe_finds_the_port_by_name_whatever_its_number() -> None:
    agent_container = container({"pod": {"port": 8080}})
    ports = {each["name"]: each["containerPort"] for each in agent_container["ports"]}
    probes = [agent_container[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness")]
    assert {probe["httpGet"]["port"] for probe in probes} == {"http"}
    assert ports == {"http": 8080, "metrics": 9090}


def test_liveness_asks_health_every_half_minute_and_never_asks_ready() -> None:
    liveness = container()["livenessProbe"]
    assert liveness["httpGet"]["path"] == "/health"
    assert [
        liveness[field] for field in ("initialDelaySeconds", "periodSeconds", "failureThreshold")
    ] == [30, 30, 3]


def test_readiness_asks_ready_from_the_first_second_on() -> None:
    startup, readiness = container()["startupProbe"], container()["readinessProbe"]
    assert startup["httpGet"]["path"] == readiness["httpGet"]["path"] == "/ready"
    assert "initialDelaySeconds" not in startup.keys() | readiness.keys()
    assert (startup["periodSeconds"], readiness["periodSeconds"]) == (1, 15)


def test_a_pod_that_ends_has_time_for_its_longest_session() -> None:
    spec = pod_spec({"scaling": {"maxSessionSeconds": 300}})
    assert spec["terminationGracePeriodSeconds"] == 330


def test_every_mount_has_its_volume_and_only_scratch_space_is_writable() -> None:
    mounts = container()["volumeMounts"]
    assert [each["name"] for each in mounts] == [each["name"] for each in pod_spec()["volumes"]]
    assert [each["name"] for each in mounts if not each.get("readOnly")] == ["tmp"]


def test_prompt_files_are_projected_under_their_own_names() -> None:
    refunds = agent({"prompt": {"files": {"b.md": "b", "a.md": "a", "system.md": None}}})
    volume = frozen(refunds).template["spec"]["volumes"][0]
    assert volume["configMap"]["items"] == [
        {"key": "prompt-a.md", "path": "a.md"},
        {"key": "prompt-b.md", "path": "b.md"},
    ]


def test_a_prompt_in_the_image_is_not_hidden_by_a_volume() -> None:
    spec = {"prompt": {"files": None, "fromImage": True}}
    paths = [each["mountPath"] for each in container(spec)["volumeMounts"]]
    assert not any(path.startswith("/etc/agent/prompt") for path in paths)


def test_the_pod_passes_the_restricted_security_profile() -> None:
    pod, rights = pod_spec()["securityContext"], container()["securityContext"]
    assert pod["runAsNonRoot"]
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert rights == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def test_the_pod_gets_no_token_even_with_a_service_account() -> None:
    spec = pod_spec({"pod": {"serviceAccountName": "refunds"}})
    assert spec["serviceAccountName"] == "refunds"
    assert spec["automountServiceAccountToken"] is False


def test_names_of_other_services_stay_out_of_the_environment() -> None:
    assert pod_spec()["enableServiceLinks"] is False


def spread(selector: dict[str, Any] | None) -> Any:
    constraint = {
        "topologyKey": "zone",
        "maxSkew": 1,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": selector,
    }
    spec = pod_spec({"pod": {"topologySpreadConstraints": [constraint]}})
    return spec["topologySpreadConstraints"][0]["labelSelector"]


def test_pods_are_spread_within_their_revision_unless_a_selector_is_given() -> None:
    assert "agentdeploy.dev/revision" in spread(None)["matchLabels"]
    assert spread({"matchLabels": {"a": "b"}}) == {"matchLabels": {"a": "b"}}
    assert spread({}) == {}
