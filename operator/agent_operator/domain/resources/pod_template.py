"""The pod template of a revision: rendered once, then frozen in the revision's ControllerRevision.

It is rendered from the axes alone, which is why nothing else in the spec can restart a pod. The one
exception is the grace period: `scaling.maxSessionSeconds` reaches it with the next revision.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from agent_operator.api.v1alpha1 import AgentDeployment
from agent_operator.domain.manifest import Manifest
from agent_operator.domain.naming import child_name, keys_name, labels, policy_name, selector

CONTAINER = "agent"
HTTP_PORT = "http"
METRICS_PORT = "metrics"
METRICS_PORT_NUMBER = 9090
PROMPT_KEY_PREFIX = "prompt-"
SESSION_KEY = "session-signing-key"

# Longer than an endpoint's removal takes to reach the gateway and every node.
PRE_STOP_SECONDS = 5
# What a pod has beyond its longest session: preStop, and the time to write and close everything.
GRACE_MARGIN_SECONDS = 30

_USER_ID = 65532
_KEYS_PATH = "/etc/agent/keys"
_KEYS_MODE = 0o440


def pod_template(
    agent: AgentDeployment,
    revision: str,
    *,
    axes: Mapping[str, Any],
    file_names: Sequence[str],
) -> Manifest:
    """Return the pod template; without `file_names` the prompt comes from the image."""
    pod = axes["pod"]
    metadata = {"labels": {**pod.get("labels", {}), **labels(agent, revision)}}
    if "annotations" in pod:
        metadata["annotations"] = pod["annotations"]
    return {"metadata": metadata, "spec": _pod_spec(agent, revision, axes, file_names)}


def _pod_spec(
    agent: AgentDeployment, revision: str, axes: Mapping[str, Any], file_names: Sequence[str]
) -> dict[str, Any]:
    mounts, volumes = _volumes(agent, revision, file_names)
    container = {
        "name": CONTAINER,
        "image": axes["image"],
        "env": _environment(agent, revision, axes),
        "ports": [
            {"name": HTTP_PORT, "containerPort": axes["pod"]["port"], "protocol": "TCP"},
            {"name": METRICS_PORT, "containerPort": METRICS_PORT_NUMBER, "protocol": "TCP"},
        ],
        **_probes(),
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
        "resources": axes["pod"].get("resources", {}),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": mounts,
    }
    return {
        "containers": [container],
        "volumes": volumes,
        "terminationGracePeriodSeconds": (
            agent.spec.scaling.max_session_seconds + GRACE_MARGIN_SECONDS
        ),
        "automountServiceAccountToken": False,
        # A Service called "redis" would otherwise put REDIS_PORT and the like into the environment.
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER_ID,
            "runAsGroup": _USER_ID,
            "fsGroup": _USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **_scheduling(agent, revision, axes["pod"]),
    }


def _probes() -> dict[str, Any]:
    """Return the probes: /health for liveness and /ready for readiness, every 30 and 15 seconds.

    In place of a fixed delay of 10 seconds before readiness, a startup probe asks /ready every 1 s:
    a pod serves as soon as it can (the kubelet probes readiness at once when the startup probe
    succeeds), and one that is slow to load has two minutes instead of being killed by liveness.
    """
    ready = {"path": "/ready", "port": HTTP_PORT, "scheme": "HTTP"}
    health = {"path": "/health", "port": HTTP_PORT, "scheme": "HTTP"}
    return {
        "startupProbe": {
            "httpGet": ready,
            "periodSeconds": 1,
            "timeoutSeconds": 1,
            "failureThreshold": 120,
        },
        "readinessProbe": {
            "httpGet": ready,
            "periodSeconds": 15,
            "timeoutSeconds": 5,
            "failureThreshold": 2,
        },
        "livenessProbe": {
            "httpGet": health,
            "initialDelaySeconds": 30,
            "periodSeconds": 30,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
    }


def _environment(
    agent: AgentDeployment, revision: str, axes: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return our variables, then the user's; the API refuses a user's variable named like ours."""
    sources = {
        "POD_NAME": {"fieldRef": {"fieldPath": "metadata.name"}},
        "POD_NAMESPACE": {"fieldRef": {"fieldPath": "metadata.namespace"}},
        **_secret_sources(axes),
    }
    ours = [
        *({"name": name, **_value(text)} for name, text in _texts(agent, revision, axes).items()),
        *({"name": name, "valueFrom": source} for name, source in sources.items()),
    ]
    return ours + list(axes["pod"].get("env", []))


def _value(text: str) -> dict[str, str]:
    # The API server drops an empty value; the variable is set all the same.
    return {"value": text} if text else {}


def _texts(agent: AgentDeployment, revision: str, axes: Mapping[str, Any]) -> dict[str, str]:
    model = axes["model"]
    optional = {"MODEL_REVISION": model.get("revision"), "OPENAI_BASE_URL": model.get("baseUrl")}
    return {
        "AGENT_NAME": agent.metadata.name,
        "AGENT_REVISION": revision,
        "PORT": str(axes["pod"]["port"]),
        "PROMPT_VERSION": axes["prompt"]["version"],
        "SESSION_KEYS_FILE": f"{_KEYS_PATH}/{SESSION_KEY}",
        "MODEL_NAME": model["name"],
        "MODEL_TEMPERATURE": str(model["temperature"]),
        "MODEL_MAX_TOKENS": str(model["maxTokens"]),
        # Set even without a fallback: the runtime's own default would add one.
        "FALLBACK_MODEL": model.get("fallback", ""),
        **{name: text for name, text in optional.items() if text},
    }


def _secret_sources(axes: Mapping[str, Any]) -> dict[str, Any]:
    references = {
        "OPENAI_API_KEY": axes["model"].get("credentialsSecretRef"),
        "REDIS_URL": axes["pod"].get("sessionStore", {}).get("redisSecretRef"),
    }
    return {name: {"secretKeyRef": ref} for name, ref in references.items() if ref is not None}


def _volumes(
    agent: AgentDeployment, revision: str, file_names: Sequence[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return volume mounts and volumes."""
    volumes: list[dict[str, Any]] = [
        {"name": "policy", "configMap": {"name": policy_name(agent)}},
        {"name": "keys", "secret": {"secretName": keys_name(agent), "defaultMode": _KEYS_MODE}},
        {"name": "tmp", "emptyDir": {}},
    ]
    mounts: list[dict[str, Any]] = [
        {"name": "policy", "mountPath": "/etc/agent/policy", "readOnly": True},
        {"name": "keys", "mountPath": _KEYS_PATH, "readOnly": True},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a path in the container
    ]
    if not file_names:
        return mounts, volumes
    items = [{"key": f"{PROMPT_KEY_PREFIX}{name}", "path": name} for name in file_names]
    prompt = {"name": child_name(agent, revision), "items": items}
    return (
        [{"name": "prompt", "mountPath": "/etc/agent/prompt", "readOnly": True}, *mounts],
        [{"name": "prompt", "configMap": prompt}, *volumes],
    )


def _scheduling(agent: AgentDeployment, revision: str, pod: Mapping[str, Any]) -> dict[str, Any]:
    """Return where pods may run, as the user gave it; absent fields stay absent."""
    fields = (
        "nodeSelector",
        "tolerations",
        "affinity",
        "priorityClassName",
        "serviceAccountName",
        "imagePullSecrets",
    )
    given = {field: pod[field] for field in fields if field in pod}
    spread = pod.get("topologySpreadConstraints", [])
    if spread:
        own = {"labelSelector": {"matchLabels": selector(agent, revision)}}
        given["topologySpreadConstraints"] = [own | constraint for constraint in spread]
    return given
