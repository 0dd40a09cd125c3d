"""The whole in a real cluster: real pods and metrics, customers who talk through a real Gateway."""

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from demo.cluster import load_images
from demo.entrance import entrance
from demo.install import AGENT, EXAMPLE, OPERATOR_NAMESPACE, install_operator
from demo.traffic import Pace
from localcluster import AnyCluster
from localcluster.addons import install as install_addons
from tests.agents import Agents, prompt
from tests.api_server import Objects
from tests.traffic import customers

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

CANARY = {
    "steps": [{"weight": 50}],
    "analysis": {"interval": "5s", "minSessions": 10, "minStepSeconds": 10},
    "drain": {"seconds": 5},
}
SCALING = {"minReplicas": 1, "maxReplicas": 3, "sessionsPerPod": 2, "cpuUtilization": 100}
# Enough CPU per pod that talking alone scales nothing.
RESOURCES = {"requests": {"cpu": "200m", "memory": "128Mi"}, "limits": {"memory": "384Mi"}}
PACE = Pace(customers=6, turns=(2, 4))
OPERATOR = ("--selector=app.kubernetes.io/name=agent-operator", "--namespace", OPERATOR_NAMESPACE)
PROMETHEUS = ("deployment/prometheus", "--namespace", "monitoring")


@dataclass
class RefundDesk(Agents):
    """The refunds example in a namespace of its own, behind the Gateway at `url`."""

    cluster: AnyCluster
    url: str

    def story(self) -> str:
        """Return the last words of the operator."""
        return self.cluster.kubectl("logs", *OPERATOR, "--tail=40")


@pytest.fixture(scope="module")
def desk(cluster: AnyCluster) -> Iterator[RefundDesk]:
    install_addons(cluster)
    images = load_images(cluster)
    install_operator(cluster, images.operator)
    namespace = f"desk-{secrets.token_hex(3)}"
    cluster.kubectl("create", "namespace", namespace)
    objects = Objects(cluster.kubeconfig, namespace)
    try:
        secret = yaml.safe_load((EXAMPLE / "secret.yaml").read_text())
        objects.create("secrets", secret | {"metadata": {"name": secret["metadata"]["name"]}})
        with entrance(cluster) as url:
            desk = RefundDesk(objects, _spec(images.agent), cluster, url)
            desk.settle()
            yield desk
        objects.delete("agentdeployments", AGENT)
        desk.until_true(lambda: not objects.every("pods"), within_seconds=60)
    finally:
        objects.close()
        cluster.kubectl("delete", "namespace", namespace, "--wait=false")


def _spec(image: str) -> Mapping[str, Any]:
    """Return the example's spec at a test's pace."""
    spec: dict[str, Any] = yaml.safe_load((EXAMPLE / "agentdeployment.yaml").read_text())["spec"]
    pod = spec["pod"] | {"resources": RESOURCES}
    return spec | prompt("v1") | {"image": image, "rollout": CANARY, "scaling": SCALING, "pod": pod}


def _scale_prometheus(cluster: AnyCluster, replicas: int) -> None:
    cluster.kubectl("scale", *PROMETHEUS, f"--replicas={replicas}")
    cluster.kubectl("rollout", "status", *PROMETHEUS, "--timeout=60s")


def test_a_canary_outlives_prometheus_and_the_operator_and_is_promoted(desk: RefundDesk) -> None:
    cluster = desk.cluster
    with customers(desk.url, PACE) as tally:
        candidate = desk.roll_out(prompt("v2"))
        desk.until_counted()
        _scale_prometheus(cluster, 0)
        try:
            desk.until_phase("Held", within_seconds=60)
            assert desk.condition("MetricsAvailable") == ("False", "MetricsUnavailable")
            _kill_operator(cluster)
            held = desk.until_phase("Held", within_seconds=60)
            assert held.rollout is not None
            assert (held.rollout.state, held.rollout.weight) == ("Stepping", 50)
        finally:
            _scale_prometheus(cluster, 1)
        desk.until(lambda status: status.stable_revision == candidate, within_seconds=120)
        desk.until_phase("Stable")
    assert tally.failures == []
    assert tally.by_revision[candidate] > 0
    assert [each.result for each in desk.status().history] == ["Promoted"]


def _kill_operator(cluster: AnyCluster) -> None:
    cluster.kubectl("delete", "pods", *OPERATOR, "--grace-period=0", "--force")
    cluster.kubectl("wait", "deployment", *OPERATOR, "--for=condition=Available")


def test_sessions_in_flight_scale_stable_up(desk: RefundDesk) -> None:
    stable = desk.until_phase("Stable").stable_revision
    deployment = f"{AGENT}-{stable}"
    _answer_slowly(desk.cluster, seconds=4)
    try:
        with customers(desk.url, PACE):
            desk.until_true(
                lambda: _available(desk.objects.found("deployments", deployment)) == 3,
                within_seconds=120,
            )
    finally:
        _answer_as_ever(desk.cluster)
    rescaled = [
        event["note"]
        for event in desk.objects.every("events")
        if event["reason"] == "SuccessfulRescale" and event["regarding"]["name"] == deployment
    ]
    assert any("active_agent_sessions" in note for note in rescaled), rescaled


def _available(deployment: Mapping[str, Any]) -> int:
    return int(deployment.get("status", {}).get("availableReplicas", 0))


def _answer_slowly(cluster: AnyCluster, *, seconds: float) -> None:
    """Have the mock LLM hold every answer back for so long."""
    delay = json.dumps({"behaviors": [{"type": "delay", "seconds": seconds, "times": None}]})
    script = (
        "import urllib.request as r; r.urlopen(r.Request("
        "'http://127.0.0.1:8080/_llmock/scenario', "
        f"{delay!r}.encode(), {{'Content-Type': 'application/json'}}))"
    )
    cluster.kubectl("exec", "deployment/llm", "--namespace=llm", "--", "python3", "-c", script)


def _answer_as_ever(cluster: AnyCluster) -> None:
    cluster.kubectl("rollout", "restart", "deployment/llm", "--namespace=llm")
    cluster.kubectl("rollout", "status", "deployment/llm", "--namespace=llm", "--timeout=60s")
