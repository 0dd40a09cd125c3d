"""The golden manifests in `golden/`, written anew by `python -m tests.unit.domain.golden_cases`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent_operator.domain.desired import desired_objects
from agent_operator.domain.manifest import Manifest
from agent_operator.domain.resources.deployment import deployment
from agent_operator.domain.resources.secret import KEY_BYTES, keys_secret
from agent_operator.domain.serving import ServingPlan
from tests import golden
from tests.factories import GATEWAY_TRAFFIC, agent, frozen, serving, settled_plan

DIRECTORY = Path(__file__).parent / "golden"

EVERY_POD_FIELD: Mapping[str, Any] = {
    "model": {
        "revision": "3f1c",
        "fallback": "gpt-4o-mini-2024-07-18",
        "temperature": 0,
        "maxTokens": 2048,
        "baseUrl": "https://llm-gateway.example.com/v1",
    },
    "sessionStore": {"redisSecretRef": {"name": "redis", "key": "url"}},
    "scaling": {"maxSessionSeconds": 120},
    "pod": {
        "resources": {
            "requests": {"cpu": "0.25", "memory": "1024Mi"},
            "limits": {"cpu": 1, "memory": "2Gi"},
        },
        "env": [
            {"name": "LOG_LEVEL", "value": "DEBUG"},
            {"name": "EMPTY", "value": ""},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "tokens", "key": "refunds"}}},
        ],
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 100,
                        "podAffinityTerm": {
                            "topologyKey": "kubernetes.io/hostname",
                            "labelSelector": {"matchLabels": {"agentdeploy.dev/name": "refunds"}},
                        },
                    }
                ]
            }
        },
        "topologySpreadConstraints": [
            {
                "topologyKey": "topology.kubernetes.io/zone",
                "maxSkew": 1,
                "whenUnsatisfiable": "ScheduleAnyway",
            }
        ],
        "priorityClassName": "customer-facing",
        "serviceAccountName": "refunds",
        "imagePullSecrets": [{"name": "registry"}],
        "labels": {"team": "support"},
        "annotations": {"example.com/contact": "support@example.com"},
        "port": 8080,
    },
}


def smallest_agent() -> Sequence[Manifest]:
    refunds = agent()
    return desired_objects(refunds, settled_plan(refunds))


def deployment_with_every_field() -> Sequence[Manifest]:
    refunds = agent(EVERY_POD_FIELD)
    return [deployment(refunds, frozen(refunds))]


def deployment_with_the_prompt_in_the_image() -> Sequence[Manifest]:
    refunds = agent({"prompt": {"files": None, "fromImage": True}})
    return [deployment(refunds, frozen(refunds))]


def traffic_and_scale_of_a_canary() -> Sequence[Manifest]:
    """Return what moves during a rollout through a gateway, with one revision still draining."""
    traffic: dict[str, Any] = {
        "parentRefs": [{"name": "public", "namespace": "gateways", "sectionName": "http"}],
        "hostnames": ["refunds.example.com"],
        "paths": ["/v1", "/api"],
        "timeoutSeconds": 90,
    }
    oldest, stable, candidate = (
        frozen(agent({"prompt": {"version": version}})) for version in ("v1", "v2", "v3")
    )
    plan = ServingPlan(
        (
            serving(stable, 95, min_replicas=4, scale_down=False, pinned=True),
            serving(candidate, 5, min_replicas=1, pinned=True),
            serving(oldest, 0, min_replicas=1, pinned=True),
        ),
        service_revision=stable.revision,
    )
    refunds = agent({"prompt": {"version": "v3"}, "traffic": traffic})
    moving = ("HorizontalPodAutoscaler", "Service", "HTTPRoute")
    return [each for each in desired_objects(refunds, plan) if each["kind"] in moving]


def route_with_defaults() -> Sequence[Manifest]:
    refunds = agent(GATEWAY_TRAFFIC)
    return desired_objects(refunds, settled_plan(refunds))[-1:]


def session_keys() -> Sequence[Manifest]:
    return [keys_secret(agent(), bytes(range(KEY_BYTES)))]


CASES: dict[str, golden.Case] = {
    "smallest-agent": smallest_agent,
    "deployment-with-every-field": deployment_with_every_field,
    "deployment-with-the-prompt-in-the-image": deployment_with_the_prompt_in_the_image,
    "traffic-and-scale-of-a-canary": traffic_and_scale_of_a_canary,
    "route-with-defaults": route_with_defaults,
    "session-keys": session_keys,
}

if __name__ == "__main__":
    golden.write(DIRECTORY, CASES)
