"""Every field of the spec: a change is a new revision that reaches the pods, or restarts no pod."""

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from agent_operator.api.model import ApiModel
from agent_operator.api.v1alpha1 import AgentDeployment, AgentDeploymentSpec
from agent_operator.domain.canonical import canonical_json
from agent_operator.domain.desired import desired_objects
from agent_operator.domain.revision import axes, changed_axes
from agent_operator.domain.serving import ServingPlan
from tests.factories import PROMPT_FILES, agent, frozen, serving

# Two values of every field. Each belongs to an axis, unless it can change under a running revision.
ROWS: dict[str, tuple[Any, Any]] = {
    "image": ("registry.example.com/refunds:1", "registry.example.com/refunds:2"),
    "model.name": ("gpt-4o-2024-08-06", "gpt-4o-2024-11-20"),
    "model.revision": ("3f1c", "9ab2"),
    "model.fallback": ("gpt-4o-mini-2024-07-18", "gpt-4.1-mini-2025-04-14"),
    "model.temperature": (0.1, 0),
    "model.maxTokens": (4096, 2048),
    "model.baseUrl": ("https://llm.example.com/v1", "https://llm.example.com/v2"),
    "model.credentialsSecretRef.name": ("agent-secrets", "other-secrets"),
    "model.credentialsSecretRef.key": ("openai-api-key", "other-key"),
    "prompt.version": ("v1", "v2"),
    "prompt.files": ({"system.md": "Be brief."}, {"system.md": "Be kind."}),
    "prompt.configMapRef.name": ("prompts", "prompts-copy"),
    "scaling.minReplicas": (2, 3),
    "scaling.maxReplicas": (20, 30),
    "scaling.sessionsPerPod": (8, 16),
    "scaling.cpuUtilization": (60, 70),
    "scaling.maxSessionSeconds": (600, 300),
    "rollout.canaryWeight": (5, 10),
    "rollout.steps[0].weight": (5, 10),
    "rollout.steps[0].minSessions": (50, 60),
    "rollout.steps[0].minStepSeconds": (60, 90),
    "rollout.analysis.interval": ("15s", "30s"),
    "rollout.analysis.minSessions": (50, 60),
    "rollout.analysis.minSessionsToFail": (5, 6),
    "rollout.analysis.minStepSeconds": (120, 60),
    "rollout.analysis.alpha": (0.05, 0.01),
    "rollout.analysis.minIncrease": (0.02, 0.03),
    "rollout.analysis.signals.errorRate.enabled": (True, False),
    "rollout.analysis.signals.errorRate.max": (0.05, 0.06),
    "rollout.analysis.signals.fallbackRate.enabled": (True, False),
    "rollout.analysis.signals.fallbackRate.max": (0.2, 0.3),
    "rollout.drain.seconds": (600, 60),
    "rollout.progressDeadlineSeconds": (600, 900),
    "rollout.historyLimit": (5, 6),
    "traffic.parentRefs[0].name": ("public", "internal"),
    "traffic.parentRefs[0].namespace": ("gateways", "edge"),
    "traffic.parentRefs[0].sectionName": ("http", "https"),
    "traffic.parentRefs[0].port": (80, 443),
    "traffic.hostnames": (["refunds.example.com"], ["refunds.example.org"]),
    "traffic.paths": (["/v1"], ["/v1", "/v2"]),
    "traffic.timeoutSeconds": (120, 60),
    "traffic.stickiness": ("Header", "None"),
    "pod.resources.requests": ({"cpu": "500m"}, {"cpu": "1"}),
    "pod.resources.limits": ({"memory": "2Gi"}, {"memory": "3Gi"}),
    "pod.env[0].name": ("TONE", "STYLE"),
    "pod.env[0].value": ("kind", "short"),
    "pod.env[1].name": ("TOKEN", "OTHER_TOKEN"),
    "pod.env[1].valueFrom.secretKeyRef.name": ("tokens", "other-tokens"),
    "pod.env[1].valueFrom.secretKeyRef.key": ("token", "other-token"),
    "pod.nodeSelector": ({"disk": "ssd"}, {"disk": "nvme"}),
    "pod.tolerations": (
        [{"key": "spot", "value": "yes", "effect": "NoExecute", "tolerationSeconds": 60}],
        [{"key": "spot", "value": "yes", "effect": "NoExecute", "tolerationSeconds": 90}],
    ),
    "pod.affinity": (
        {
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    {"topologyKey": "kubernetes.io/hostname", "labelSelector": {}}
                ]
            }
        },
        {
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    {"topologyKey": "topology.kubernetes.io/zone", "labelSelector": {}}
                ]
            }
        },
    ),
    "pod.topologySpreadConstraints[0].topologyKey": ("zone", "rack"),
    "pod.topologySpreadConstraints[0].maxSkew": (1, 2),
    "pod.topologySpreadConstraints[0].whenUnsatisfiable": ("DoNotSchedule", "ScheduleAnyway"),
    "pod.topologySpreadConstraints[0].labelSelector": ({"matchLabels": {"a": "b"}}, {}),
    "pod.topologySpreadConstraints[0].minDomains": (2, 3),
    "pod.priorityClassName": ("high", "low"),
    "pod.serviceAccountName": ("refunds", "other"),
    "pod.imagePullSecrets[0].name": ("registry", "other-registry"),
    "pod.labels": ({"team": "a"}, {"team": "b"}),
    "pod.annotations": ({"note": "a"}, {"note": "b"}),
    "pod.port": (8000, 8080),
    "sessionStore.redisSecretRef.name": ("redis", "other-redis"),
    "sessionStore.redisSecretRef.key": ("url", "other-url"),
    "paused": (False, True),
}
# A field that excludes another one is tested without it.
EXCLUDED = {"prompt.configMapRef.name": "prompt.files", "rollout.canaryWeight": "rollout.steps"}
AXIS_OF = {"image": "image", "model": "model", "prompt": "prompt", "pod": "pod"}
AXIS_OF |= {"sessionStore": "pod"}
# Only the content of a referenced ConfigMap counts, not its name.
HOT = {"prompt.configMapRef.name"}
# Its hash is in the axes, the text in a ConfigMap beside the template.
BESIDE_THE_TEMPLATE = {"prompt.files"}
# Types of Kubernetes itself are passed on whole.
WHOLE = {
    "pod.tolerations",
    "pod.affinity",
    "pod.topologySpreadConstraints[].labelSelector",
}
# `test_moving_the_prompt_into_the_image_is_a_new_revision`
OTHER_TESTS = {"prompt.fromImage"}


def field_paths(model: type[ApiModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        nested = next(nested_models(field.annotation), None)
        if nested is None or path in WHOLE:
            yield path
        else:
            listed = "[]" if "tuple[" in str(field.annotation) else ""
            yield from field_paths(nested, f"{path}{listed}.")


def nested_models(annotation: Any) -> Iterator[type[ApiModel]]:
    if isinstance(annotation, type) and issubclass(annotation, ApiModel):
        yield annotation
    for argument in get_args(annotation):
        yield from nested_models(argument)


def spec_of(values: dict[str, Any]) -> Any:
    """Build a spec from values by path."""
    spec: dict[str, Any] = {}
    for path, value in values.items():
        *parents, last = re.findall(r"\w+", path)
        at = spec
        for part in parents:
            at = at.setdefault(part, {})
        at[last] = value
    return with_lists(spec)


def with_lists(data: Any) -> Any:
    if not isinstance(data, dict):
        return data
    values = {key: with_lists(value) for key, value in data.items()}
    return list(values.values()) if values and all(key.isdigit() for key in values) else values


def before_and_after(path: str) -> tuple[AgentDeployment, AgentDeployment]:
    """Return agents with every field set that differ in one."""
    values = {other: row[0] for other, row in ROWS.items() if other not in EXCLUDED}
    if path in EXCLUDED:
        kept = {other: row for other, row in values.items() if not other.startswith(EXCLUDED[path])}
        values = kept | {EXCLUDED[path]: None, path: ROWS[path][0]}
    return agent(spec_of(values)), agent(spec_of(values | {path: ROWS[path][1]}))


def files_of(agent: AgentDeployment) -> dict[str, str]:
    return dict(agent.spec.prompt.files or PROMPT_FILES)


def axis_of(path: str) -> str | None:
    return None if path in HOT else AXIS_OF.get(path.partition(".")[0])


def pod_templates(agent: AgentDeployment, plan: ServingPlan) -> list[bytes]:
    return [
        canonical_json(manifest["spec"]["template"])
        for manifest in desired_objects(agent, plan)
        if manifest["kind"] == "Deployment"
    ]


REVISIONED = [path for path in ROWS if axis_of(path) is not None]
UNREVISIONED = [path for path in ROWS if axis_of(path) is None]


def test_every_field_of_the_spec_has_a_row() -> None:
    tested = {re.sub(r"\[[0-9]\]", "[]", path) for path in ROWS} | OTHER_TESTS
    assert tested == set(field_paths(AgentDeploymentSpec))


@pytest.mark.parametrize("path", REVISIONED)
def test_a_change_of_a_revisioned_field_changes_its_axis_and_no_other(path: str) -> None:
    old, new = before_and_after(path)
    changed = changed_axes(axes(old.spec, files_of(old)), axes(new.spec, files_of(new)))
    assert changed == (axis_of(path),)


@pytest.mark.parametrize("path", sorted(set(REVISIONED) - BESIDE_THE_TEMPLATE))
def test_a_change_of_a_revisioned_field_reaches_the_pods(path: str) -> None:
    old, new = (frozen(each, files_of(each)) for each in before_and_after(path))
    renamed = canonical_json(new.template).replace(new.revision.encode(), old.revision.encode())
    assert renamed != canonical_json(old.template)


@pytest.mark.parametrize("path", UNREVISIONED)
def test_a_change_of_any_other_field_leaves_revision_and_pod_template_as_they_are(
    path: str,
) -> None:
    old, new = before_and_after(path)
    stable = frozen(old, files_of(old))
    plan = ServingPlan((serving(stable),), service_revision=stable.revision)
    assert frozen(new, files_of(new)).revision == stable.revision
    assert pod_templates(new, plan) == pod_templates(old, plan) != []


@pytest.mark.parametrize("path", sorted(set(UNREVISIONED) - {"scaling.maxSessionSeconds"}))
def test_a_snapshot_taken_anew_is_the_same_whatever_else_changed(path: str) -> None:
    old, new = before_and_after(path)
    assert frozen(new, files_of(new)) == frozen(old, files_of(old))


def test_a_longer_session_reaches_the_grace_period_with_the_next_revision() -> None:
    old, new = before_and_after("scaling.maxSessionSeconds")
    periods = [
        frozen(each).template["spec"]["terminationGracePeriodSeconds"] for each in (old, new)
    ]
    assert periods == [630, 330]


def test_moving_the_prompt_into_the_image_is_a_new_revision() -> None:
    inside = agent({"prompt": {"files": None, "fromImage": True}})
    assert changed_axes(frozen(agent()).axes, frozen(inside).axes) == ("prompt",)
