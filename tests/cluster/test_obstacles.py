"""What a person has to fix is a condition with a name and a next step, and heals by itself."""

from typing import Any

import pytest

from tests.factories import GATEWAY_TRAFFIC, merged
from tests.site import Site

pytestmark = pytest.mark.cluster

GATEWAY_API = "gateway.networking.k8s.io/v1"


def _prompt_from(config_map: str, version: str = "v1") -> dict[str, Any]:
    return {"prompt": {"version": version, "files": None, "configMapRef": {"name": config_map}}}


def _config_map(name: str, text: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": {"system.md": text},
    }


def _foreign(what: str, agent: str) -> tuple[str, dict[str, Any]]:
    """Return the kind and an object that has nothing to do with the operator but a name."""
    match what:
        case "service":
            return "services", {"metadata": {"name": agent}, "spec": {"ports": [{"port": 80}]}}
        case "policy":
            return "configmaps", {"metadata": {"name": f"{agent}-policy"}, "data": {"a": "b"}}
        case "keys":
            return "secrets", {"metadata": {"name": f"{agent}-keys"}}
        case _:
            head = {"apiVersion": GATEWAY_API, "kind": "HTTPRoute", "metadata": {"name": agent}}
            return "httproutes", {**head, "spec": {"hostnames": ["elsewhere.example.com"]}}


def _message(place: Site, kind: str, name: str) -> str:
    return next(each.message for each in place.status(name).conditions if each.type == kind)


@pytest.mark.parametrize("what", ["service", "policy", "keys", "route"])
def test_a_foreign_object_under_a_child_s_name_is_left_alone(
    shared_place: Site, name: str, what: str
) -> None:
    place, (kind, manifest) = shared_place, _foreign(what, name)
    foreign = place.objects.create(kind, manifest)
    child = foreign["metadata"]["name"]
    place.apply(GATEWAY_TRAFFIC, name=name)
    conflict = ("True", "NameConflict")
    place.until(lambda _: place.condition("Stalled", name) == conflict, name=name)
    assert f"{place.objects.namespace}/{child} exists" in _message(place, "Stalled", name)
    assert _content(place.objects.found(kind, child)) == _content(foreign)
    place.objects.delete(kind, child)
    place.until_phase("Stable", name=name)
    assert place.objects.found(kind, child)["metadata"]["ownerReferences"]


def _content(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the object without its status, which the gateway's controller may have written."""
    metadata = {k: obj["metadata"].get(k) for k in ("uid", "labels", "ownerReferences")}
    rest = {key: value for key, value in obj.items() if key not in ("status", "metadata")}
    return {**rest, "metadata": metadata}


def test_a_missing_prompt_is_waited_for(shared_place: Site, name: str) -> None:
    place = shared_place
    place.apply(_prompt_from(f"{name}-prompt"), name=name)
    missing = ("True", "PromptNotFound")
    place.until(lambda _: place.condition("Reconciling", name) == missing, name=name)
    words = f"ConfigMap {place.objects.namespace}/{name}-prompt does not exist"
    assert words in _message(place, "Reconciling", name)
    place.objects.apply("configmaps", _config_map(f"{name}-prompt", "You decide on refunds.\n"))
    place.until_phase("Stable", name=name)


def test_a_missing_secret_is_waited_for(shared_place: Site, name: str) -> None:
    place, secret = shared_place, {"name": f"{name}-secret", "key": "openai-api-key"}
    place.apply({"model": {"credentialsSecretRef": secret}}, name=name)
    missing = ("True", "SecretNotFound")
    place.until(lambda _: place.condition("Reconciling", name) == missing, name=name)
    assert "spec.model.credentialsSecretRef" in _message(place, "Reconciling", name)
    place.objects.create("secrets", {"metadata": {"name": f"{name}-secret"}})
    place.until_phase("Stable", name=name)


def test_a_missing_prompt_of_a_new_revision_leaves_stable_alone(
    shared_place: Site, name: str
) -> None:
    place, stable = shared_place, shared_place.settle(name=name)
    place.apply(_prompt_from("nowhere", "v2"), name=name)
    missing = ("True", "PromptNotFound")
    place.until(lambda _: place.condition("Reconciling", name) == missing, name=name)
    assert place.condition("Available", name) == ("True", "StableServes")
    assert place.status(name).stable_revision == stable
    assert _deployments(place, name) == {f"{name}-{stable}"}


def _deployments(place: Site, name: str) -> set[str]:
    return place.objects.names("deployments", f"agentdeploy.dev/name={name}")


def test_a_prompt_that_changes_under_its_version_is_named_and_not_rolled_out(
    shared_place: Site, name: str
) -> None:
    place, prompts = shared_place, f"{name}-prompt"
    place.objects.apply("configmaps", _config_map(prompts, "You decide on refunds.\n"))
    stable = place.settle(_prompt_from(prompts), name=name)
    place.objects.apply("configmaps", _config_map(prompts, "You decide on everything.\n"))
    place.apply(merged(_prompt_from(prompts), {"scaling": {"maxReplicas": 7}}), name=name)
    drift = ("True", "ContentChanged")
    place.until(lambda _: place.condition("PromptDrift", name) == drift, name=name)
    assert "bump spec.prompt.version" in _message(place, "PromptDrift", name)
    assert place.until_phase("Stable", name=name).stable_revision == stable
    assert _deployments(place, name) == {f"{name}-{stable}"}
    frozen = place.objects.found("configmaps", f"{name}-{stable}")
    assert "You decide on refunds.\n" in frozen["data"].values()
