"""AgentDeployments that must be refused, and what the refusal has to say.

One table for all who refuse: the API server (schema and CEL), the rules evaluated offline, and the
operator itself when it reads an object that an older CustomResourceDefinition let pass.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent_operator.api.v1alpha1_pod import RESERVED_ENV

_DIGEST = "@sha256:" + "4f" * 32


@dataclass(frozen=True)
class BadInput:
    """A change of a good object's spec that makes it bad.

    `field` is the path that the API server names, `message` a part of what it says there.
    """

    change: Mapping[str, Any]
    field: str
    message: str


def _model(**change: Any) -> Mapping[str, Any]:
    return {"model": change}


def _rollout(**change: Any) -> Mapping[str, Any]:
    return {"rollout": change}


def _steps(*weights: int) -> Mapping[str, Any]:
    return _rollout(steps=[{"weight": weight} for weight in weights])


def _analysis(**change: Any) -> Mapping[str, Any]:
    return {"rollout": {"analysis": change}}


def _pod(**change: Any) -> Mapping[str, Any]:
    return {"pod": change}


def _env(**variable: Any) -> Mapping[str, Any]:
    return {"pod": {"env": [variable]}}


def _traffic(**change: Any) -> Mapping[str, Any]:
    return {"traffic": {"parentRefs": [{"name": "public"}], **change}}


def _node_requirement(**requirement: Any) -> Mapping[str, Any]:
    terms = [{"matchExpressions": [{"key": "zone", **requirement}]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return _pod(affinity={"nodeAffinity": required})


_IMAGE = "image must be fixed: give a digest (name@sha256:...) or a tag, not latest"
_MODEL = "name is an alias that can change its meaning: pin it"
_FALLBACK = "fallback is an alias that can change its meaning: pin it"
_SOURCES = "prompt needs exactly one source: configMapRef, files, or fromImage: true"
_STEPS = "steps must have strictly rising weights"
_VALUES = "values must be empty for Exists and DoesNotExist"
_KEYS = "must have keys as Kubernetes takes them"
_RESERVED = "must not have keys of agentdeploy.dev/ or app.kubernetes.io/"
_ZONE = "spec.pod.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
_REQUIREMENT = f"{_ZONE}.nodeSelectorTerms[0].matchExpressions[0]"

# Refused by a rule of ours, with a message that names the fix.
AGAINST_A_RULE: Mapping[str, BadInput] = {
    "image without tag": BadInput({"image": "r/x"}, "spec.image", _IMAGE),
    "image latest": BadInput({"image": "r/x:latest"}, "spec.image", _IMAGE),
    "image with a port but no tag": BadInput({"image": "localhost:5000/x"}, "spec.image", _IMAGE),
    "image with half a digest": BadInput({"image": "r/x@sha256:4f"}, "spec.image", _IMAGE),
    "model alias": BadInput(_model(name="gpt-4o"), "spec.model.name", _MODEL),
    "model alias latest": BadInput(_model(name="claude-latest"), "spec.model.name", _MODEL),
    "model alias mini": BadInput(_model(name="gpt-4o-mini"), "spec.model.name", _MODEL),
    "fallback alias": BadInput(_model(fallback="gpt-4o-mini"), "spec.model.fallback", _FALLBACK),
    "fallback is the model": BadInput(
        _model(fallback="gpt-4o-2024-08-06"),
        "spec.model.fallback",
        "fallback must be another model than name: it would fail together with it",
    ),
    "no prompt source": BadInput({"prompt": {"files": None}}, "spec.prompt", _SOURCES),
    "prompt source switched off": BadInput(
        {"prompt": {"files": None, "fromImage": False}}, "spec.prompt", _SOURCES
    ),
    "two prompt sources": BadInput(
        {"prompt": {"configMapRef": {"name": "prompts"}}}, "spec.prompt", _SOURCES
    ),
    "prompt from image and files": BadInput(
        {"prompt": {"fromImage": True}}, "spec.prompt", _SOURCES
    ),
    "prompt file in a folder": BadInput(
        {"prompt": {"files": {"a/b": "text"}}}, "spec.prompt.files", "files must have names of"
    ),
    "fewest replicas above most": BadInput(
        {"scaling": {"minReplicas": 5, "maxReplicas": 4}},
        "spec.scaling.minReplicas",
        "minReplicas (default 2) must not be above maxReplicas (default 20)",
    ),
    "most replicas below the default of fewest": BadInput(
        {"scaling": {"maxReplicas": 1}},
        "spec.scaling.minReplicas",
        "minReplicas (default 2) must not be above maxReplicas (default 20)",
    ),
    "canary weight and steps": BadInput(
        _rollout(canaryWeight=5, steps=[{"weight": 10}]),
        "spec.rollout.steps",
        "canaryWeight and steps exclude each other",
    ),
    "falling weights": BadInput(_steps(50, 5), "spec.rollout.steps", _STEPS),
    "equal weights": BadInput(_steps(5, 5), "spec.rollout.steps", _STEPS),
    "interval too short": BadInput(
        _analysis(interval="4s"),
        "spec.rollout.analysis.interval",
        "interval must be between 5s and 10m",
    ),
    "interval too long": BadInput(
        _analysis(interval="10m1s"),
        "spec.rollout.analysis.interval",
        "interval must be between 5s and 10m",
    ),
    "no signal enabled": BadInput(
        _analysis(
            signals={"errorRate": {"enabled": False}, "fallbackRate": {"enabled": False}},
        ),
        "spec.rollout.analysis.signals",
        "signals must leave at least one enabled",
    ),
    "variable without value": BadInput(
        _env(name="X"), "spec.pod.env[0]", "set exactly one of value and valueFrom"
    ),
    "variable with two values": BadInput(
        _env(name="X", value="1", valueFrom={"secretKeyRef": {"name": "s", "key": "k"}}),
        "spec.pod.env[0]",
        "set exactly one of value and valueFrom",
    ),
    **{
        f"reserved variable {name}": BadInput(
            _env(name=name, value="1"), "spec.pod.env[0].name", "name is reserved"
        )
        for name in RESERVED_ENV
    },
    "our label": BadInput(
        _pod(labels={"agentdeploy.dev/revision": "1"}), "spec.pod.labels", f"labels {_RESERVED}"
    ),
    "recommended label": BadInput(
        _pod(labels={"app.kubernetes.io/name": "x"}), "spec.pod.labels", f"labels {_RESERVED}"
    ),
    "our annotation": BadInput(
        _pod(annotations={"agentdeploy.dev/command": "x"}),
        "spec.pod.annotations",
        f"annotations {_RESERVED}",
    ),
    "malformed label key": BadInput(_pod(labels={"-x": "1"}), "spec.pod.labels", f"labels {_KEYS}"),
    "malformed annotation key": BadInput(
        _pod(annotations={"a b": "1"}), "spec.pod.annotations", f"annotations {_KEYS}"
    ),
    "malformed node label": BadInput(
        _pod(nodeSelector={"a/b/c": "1"}), "spec.pod.nodeSelector", f"nodeSelector {_KEYS}"
    ),
    "port of the metrics": BadInput(
        _pod(port=9090), "spec.pod.port", "port must not be 9090: metrics are served there"
    ),
    "misspelt resource": BadInput(
        _pod(resources={"requests": {"memroy": "1Gi"}}),
        "spec.pod.resources",
        "requests and limits take cpu, memory",
    ),
    "request above limit": BadInput(
        _pod(resources={"requests": {"cpu": "3"}, "limits": {"cpu": "2500m"}}),
        "spec.pod.resources.requests",
        "requests (default cpu 500m, memory 512Mi) must not be above limits",
    ),
    "limit below the default request": BadInput(
        _pod(resources={"limits": {"memory": "256Mi"}}),
        "spec.pod.resources.requests",
        "requests (default cpu 500m, memory 512Mi) must not be above limits",
    ),
    "toleration without key": BadInput(
        _pod(tolerations=[{"value": "x"}]),
        "spec.pod.tolerations[0].operator",
        "a toleration without key needs operator Exists",
    ),
    "toleration of any value with a value": BadInput(
        _pod(tolerations=[{"key": "x", "operator": "Exists", "value": "y"}]),
        "spec.pod.tolerations[0].value",
        "value must be left out with operator Exists",
    ),
    "toleration for a time without eviction": BadInput(
        _pod(tolerations=[{"key": "x", "effect": "NoSchedule", "tolerationSeconds": 5}]),
        "spec.pod.tolerations[0].tolerationSeconds",
        "tolerationSeconds needs effect NoExecute",
    ),
    "node requirement In without values": BadInput(
        _node_requirement(operator="In"), f"{_REQUIREMENT}.values", _VALUES
    ),
    "node requirement Exists with values": BadInput(
        _node_requirement(operator="Exists", values=["x"]), f"{_REQUIREMENT}.values", _VALUES
    ),
    "node requirement Gt with two values": BadInput(
        _node_requirement(operator="Gt", values=["1", "2"]), f"{_REQUIREMENT}.values", _VALUES
    ),
    "malformed label of a selector": BadInput(
        _pod(
            topologySpreadConstraints=[
                {
                    "topologyKey": "zone",
                    "maxSkew": 1,
                    "whenUnsatisfiable": "DoNotSchedule",
                    "labelSelector": {"matchLabels": {"a b": "1"}},
                }
            ]
        ),
        "spec.pod.topologySpreadConstraints[0].labelSelector.matchLabels",
        f"matchLabels {_KEYS}",
    ),
}

# Refused by type, bounds or form; the API server words the message.
AGAINST_THE_SCHEMA: Mapping[str, BadInput] = {
    "no image": BadInput({"image": None}, "spec.image", "Required value"),
    "no model": BadInput({"model": None}, "spec.model", "Required value"),
    "no model name": BadInput(_model(name=None), "spec.model.name", "Required value"),
    "no prompt": BadInput({"prompt": None}, "spec.prompt", "Required value"),
    "no prompt version": BadInput(
        {"prompt": {"version": None}}, "spec.prompt.version", "Required value"
    ),
    "empty prompt version": BadInput(
        {"prompt": {"version": ""}}, "spec.prompt.version", "at least 1 chars"
    ),
    "no prompt files": BadInput(
        {"prompt": {"files": {"system.md": None}}}, "spec.prompt.files", "at least 1 properties"
    ),
    "image as a number": BadInput({"image": 7}, "spec.image", "must be of type string"),
    "image with a space": BadInput({"image": "r/x:1 y"}, "spec.image", "should match"),
    "image too long": BadInput(
        {"image": "r/" + "x" * 512 + _DIGEST}, "spec.image", "may not be more than 512"
    ),
    "too hot": BadInput(
        _model(temperature=2.1), "spec.model.temperature", "less than or equal to 2"
    ),
    "no tokens": BadInput(
        _model(maxTokens=0), "spec.model.maxTokens", "greater than or equal to 1"
    ),
    "base URL with a password": BadInput(
        _model(baseUrl="https://user:word@example.com/v1"), "spec.model.baseUrl", "should match"
    ),
    "base URL of a file": BadInput(
        _model(baseUrl="file:///x"), "spec.model.baseUrl", "should match"
    ),
    "secret without key": BadInput(
        _model(credentialsSecretRef={"name": "s", "key": None}),
        "spec.model.credentialsSecretRef.key",
        "Required value",
    ),
    "no replicas": BadInput(
        {"scaling": {"minReplicas": 0}}, "spec.scaling.minReplicas", "greater than or equal to 1"
    ),
    "replicas as text": BadInput(
        {"scaling": {"minReplicas": "two"}}, "spec.scaling.minReplicas", "must be of type integer"
    ),
    "no weight": BadInput(
        _rollout(canaryWeight=0), "spec.rollout.canaryWeight", "greater than or equal to 1"
    ),
    "weight above all": BadInput(
        _rollout(canaryWeight=101), "spec.rollout.canaryWeight", "less than or equal to 100"
    ),
    "step weight above all": BadInput(
        _steps(5, 101), "spec.rollout.steps[1].weight", "less than or equal to 100"
    ),
    "no steps": BadInput(_steps(), "spec.rollout.steps", "at least 1 items"),
    "too many steps": BadInput(_steps(*range(1, 22)), "spec.rollout.steps", "at most 20 items"),
    "step without weight": BadInput(
        _rollout(steps=[{"minSessions": 5}]), "spec.rollout.steps[0].weight", "Required value"
    ),
    "interval in hours": BadInput(
        _analysis(interval="1h"), "spec.rollout.analysis.interval", "should match"
    ),
    "certain alpha": BadInput(_analysis(alpha=0), "spec.rollout.analysis.alpha", "greater than 0"),
    "signal that allows nothing": BadInput(
        _analysis(signals={"errorRate": {"max": 0}}),
        "spec.rollout.analysis.signals.errorRate.max",
        "greater than 0",
    ),
    "signal that allows everything": BadInput(
        _analysis(signals={"fallbackRate": {"max": 1}}),
        "spec.rollout.analysis.signals.fallbackRate.max",
        "less than 1",
    ),
    "traffic without gateway": BadInput(
        {"traffic": {"hostnames": ["a.example.com"]}}, "spec.traffic.parentRefs", "Required value"
    ),
    "traffic with no gateway": BadInput(
        {"traffic": {"parentRefs": []}}, "spec.traffic.parentRefs", "at least 1 items"
    ),
    "path without slash": BadInput(_traffic(paths=["v1"]), "spec.traffic.paths[0]", "should match"),
    "path that climbs": BadInput(
        _traffic(paths=["/v1/../x"]), "spec.traffic.paths[0]", "should match"
    ),
    "path twice": BadInput(
        _traffic(paths=["/v1", "/v1"]), "spec.traffic.paths[1]", "Duplicate value"
    ),
    "host name with a scheme": BadInput(
        _traffic(hostnames=["https://x"]), "spec.traffic.hostnames[0]", "should match"
    ),
    "unknown stickiness": BadInput(
        _traffic(stickiness="Cookie"), "spec.traffic.stickiness", "supported values"
    ),
    "privileged port": BadInput(_pod(port=80), "spec.pod.port", "greater than or equal to 1024"),
    "variable with a dash": BadInput(
        _env(name="A-B", value="1"), "spec.pod.env[0].name", "should match"
    ),
    "variable twice": BadInput(
        _pod(env=[{"name": "X", "value": "1"}, {"name": "X", "value": "2"}]),
        "spec.pod.env[1]",
        "Duplicate value",
    ),
    "no quantity": BadInput(
        _pod(resources={"requests": {"cpu": "much"}}),
        "spec.pod.resources.requests.cpu",
        "should match",
    ),
    "label value with a space": BadInput(
        _pod(labels={"team": "a b"}), "spec.pod.labels.team", "should match"
    ),
}

# Names of AgentDeployments: good ones, and bad ones that the root rule refuses.
GOOD_NAMES = ("a", "refunds", "refunds-2", "a" * 40)
BAD_NAMES = ("a" * 41, "1a", "a.b")
NAME_MESSAGE = (
    "metadata.name must be a DNS label of at most 40 characters that starts with a letter"
)
