"""AgentDeployments that must be accepted: changes of the smallest one, up to every field."""

from collections.abc import Mapping
from typing import Any

_SECRET = {"name": "agent-secrets", "key": "value"}
_TERM = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]}
_NEIGHBOURS = {
    "topologyKey": "kubernetes.io/hostname",
    "labelSelector": {"matchLabels": {"app": "x"}},
    "namespaces": ["other"],
}

EVERY_FIELD: Mapping[str, Any] = {
    "image": "registry.example.com:5000/team/refunds:1.4@sha256:" + "4f" * 32,
    "model": {
        "name": "gpt-4o-2024-08-06",
        "revision": "sha256:4f",
        "fallback": "gpt-4o-mini-2024-07-18",
        "temperature": 0,
        "maxTokens": 1024,
        "baseUrl": "https://llm.example.com:8443/v1",
        "credentialsSecretRef": _SECRET,
    },
    "prompt": {"version": "v2.3", "files": None, "configMapRef": {"name": "refunds-prompts"}},
    "scaling": {
        "minReplicas": 3,
        "maxReplicas": 30,
        "sessionsPerPod": 4,
        "cpuUtilization": 70,
        "maxSessionSeconds": 300,
    },
    "rollout": {
        "steps": [{"weight": 5}, {"weight": 25, "minSessions": 100, "minStepSeconds": 60}],
        "analysis": {
            "interval": "1m30s",
            "minSessions": 20,
            "minSessionsToFail": 3,
            "minStepSeconds": 30,
            "alpha": 0.01,
            "minIncrease": 0.05,
            "signals": {
                "errorRate": {"enabled": True, "max": 0.1},
                "fallbackRate": {"enabled": False, "max": 0.3},
            },
        },
        "drain": {"seconds": 60},
        "progressDeadlineSeconds": 120,
        "historyLimit": 3,
    },
    "traffic": {
        "parentRefs": [
            {"name": "public", "namespace": "gateways", "sectionName": "https", "port": 443}
        ],
        "hostnames": ["refunds.example.com", "*.example.org"],
        "paths": ["/v1", "/", "/a.b/c_d/"],
        "timeoutSeconds": 60,
        "stickiness": "None",
    },
    "pod": {
        "resources": {
            "requests": {"cpu": 1, "memory": "1Gi", "nvidia.com/gpu": 1},
            "limits": {"cpu": "1500m", "memory": "1Gi", "nvidia.com/gpu": 1},
        },
        "env": [
            {"name": "LOG_LEVEL", "value": "DEBUG"},
            {"name": "EMPTY", "value": ""},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": _SECRET}},
        ],
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [
            {"operator": "Exists"},
            {"key": "gpu", "value": "yes", "effect": "NoExecute", "tolerationSeconds": 60},
        ],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [_TERM]},
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 5, "preference": _TERM}
                ],
            },
            "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [_NEIGHBOURS]},
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 100, "podAffinityTerm": _NEIGHBOURS}
                ]
            },
        },
        "topologySpreadConstraints": [
            {
                "topologyKey": "topology.kubernetes.io/zone",
                "maxSkew": 1,
                "whenUnsatisfiable": "ScheduleAnyway",
                "minDomains": 2,
                "labelSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]},
            }
        ],
        "priorityClassName": "high",
        "serviceAccountName": "refunds",
        "imagePullSecrets": [{"name": "registry"}],
        "labels": {"team": "support", "example.com/cost-center": "7"},
        "annotations": {"example.com/note": "any text, with spaces"},
        "port": 8080,
    },
    "sessionStore": {"redisSecretRef": _SECRET},
    "paused": True,
}

GOOD: Mapping[str, Mapping[str, Any]] = {
    "the smallest": {},
    "every field": EVERY_FIELD,
    "image by tag": {"image": "localhost:5000/x:1.4"},
    "image by digest": {"image": "r/x@sha256:" + "0a" * 32},
    "model with a short date": {"model": {"name": "claude-sonnet-4-20250514"}},
    "model with a number": {"model": {"name": "gemini-2.5-pro-002"}},
    "model with a version": {"model": {"name": "mistral/large-v2.1"}},
    "model by digest": {"model": {"name": "llama3@sha256:0a1b2c3d"}},
    "self-hosted model with a revision": {"model": {"name": "llama3", "revision": "0a1b2c3"}},
    "prompt from the image": {"prompt": {"files": None, "fromImage": True}},
    "prompt from a ConfigMap": {"prompt": {"files": None, "configMapRef": {"name": "prompts"}}},
    "one weight": {"rollout": {"canaryWeight": 100}},
    "shortest interval": {"rollout": {"analysis": {"interval": "5s"}}},
    "longest interval": {"rollout": {"analysis": {"interval": "10m"}}},
    "one replica": {"scaling": {"minReplicas": 1, "maxReplicas": 1}},
    "empty names": {"pod": {"priorityClassName": "", "serviceAccountName": ""}},
}
