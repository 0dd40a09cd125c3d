"""What a real API server does with good and bad AgentDeployments, by our definition alone.

No operator runs here: everything is refused, defaulted and explained by the API server itself.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from agent_operator.api import crd
from agent_operator.api.v1alpha1 import (
    GROUP,
    PLURAL,
    VERSION,
    AgentDeployment,
    AgentDeploymentStatus,
    Condition,
    DecisionStatus,
    DrainingStatus,
    HistoryEntry,
    Phase,
    RejectedStatus,
    ReplicasStatus,
    RolloutState,
    RolloutStatus,
    SignalStatus,
    Verdict,
)
from localcluster import Cluster
from tests.bad_input import (
    AGAINST_A_RULE,
    AGAINST_THE_SCHEMA,
    BAD_NAMES,
    GOOD_NAMES,
    NAME_MESSAGE,
    BadInput,
)
from tests.factories import agent_manifest
from tests.good_input import GOOD
from tests.schema_defaults import with_defaults

pytestmark = pytest.mark.cluster

_CRDS = Path(__file__).parents[2] / "crds"
_BAD = {**AGAINST_A_RULE, **AGAINST_THE_SCHEMA}
_SCHEMA = crd.definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
_TIME = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)


class Agents:
    """AgentDeployments of one namespace, as any client writes them."""

    def __init__(self, api: Any, namespace: str) -> None:
        self._where = (GROUP, VERSION, namespace, PLURAL)
        self._api = api
        self.namespace = namespace

    def written(self, spec: Mapping[str, Any], *, name: str = "refunds") -> dict[str, Any]:
        """Return the manifest that a user would write."""
        manifest = agent_manifest(spec, name=name, namespace=self.namespace)
        manifest["metadata"] = {"name": name, "namespace": self.namespace}
        return manifest

    def tried(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a creation would store; unknown fields are errors, as for kubectl."""
        return self._dict(
            self._api.create_namespaced_custom_object(
                *self._where, manifest, dry_run="All", field_validation="Strict"
            )
        )

    def created(self, spec: Mapping[str, Any], *, name: str) -> dict[str, Any]:
        """Create an AgentDeployment and return what is stored."""
        manifest = self.written(spec, name=name)
        return self._dict(self._api.create_namespaced_custom_object(*self._where, manifest))

    def merged(self, name: str, change: Mapping[str, Any]) -> dict[str, Any]:
        """Send a merge patch, as `kubectl apply` and Helm do, and return what is stored."""
        return self._dict(
            self._api.patch_namespaced_custom_object(
                *self._where, name, change, _content_type="application/merge-patch+json"
            )
        )

    def with_status(self, stored: Mapping[str, Any], status: Any) -> dict[str, Any]:
        """Write the status and return what is stored."""
        name = stored["metadata"]["name"]
        return self._dict(
            self._api.replace_namespaced_custom_object_status(
                *self._where, name, {**stored, "status": status}
            )
        )

    @staticmethod
    def _dict(answer: Any) -> dict[str, Any]:
        assert isinstance(answer, dict)
        return answer


@pytest.fixture(scope="session")
def custom_objects(control_plane: Cluster) -> Any:
    """Return a client of an API server that knows our definition."""
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(_CRDS))
    definition = f"crd/{PLURAL}.{GROUP}"
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", definition)
    kubeconfig = str(control_plane.kubeconfig)
    connection = config.new_client_from_config(kubeconfig)  # type: ignore[no-untyped-call]
    return client.CustomObjectsApi(connection)


@pytest.fixture
def agents(custom_objects: Any, namespace: str) -> Agents:
    return Agents(custom_objects, namespace)


def _status(refusal: ApiException) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(refusal.body or "{}")
    return status


def _causes(refusal: ApiException) -> dict[str, str]:
    """Return what the API server says, by field; several messages on a field are joined."""
    causes: dict[str, str] = {}
    for cause in _status(refusal)["details"]["causes"]:
        field = cause["field"]
        causes[field] = f"{causes.get(field, '')} {cause['message']}"
    return causes


@pytest.mark.parametrize("case", _BAD.values(), ids=_BAD.keys())
def test_a_bad_object_is_refused_naming_field_and_fix(agents: Agents, case: BadInput) -> None:
    with pytest.raises(ApiException) as refusal:
        agents.tried(agents.written(case.change))
    assert refusal.value.status == 422
    assert case.message in _causes(refusal.value).get(case.field, ""), refusal.value.body


@pytest.mark.parametrize("change", GOOD.values(), ids=GOOD.keys())
def test_a_good_object_is_accepted_and_readable(agents: Agents, change: Mapping[str, Any]) -> None:
    stored = agents.tried(agents.written(change))
    as_written = agent_manifest(change, namespace=agents.namespace)
    assert AgentDeployment.parse(stored).spec == AgentDeployment.parse(as_written).spec


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_a_short_dns_label_is_accepted_as_name(agents: Agents, name: str) -> None:
    assert agents.tried(agents.written({}, name=name))["metadata"]["name"] == name


@pytest.mark.parametrize("name", BAD_NAMES)
def test_any_other_name_is_refused(agents: Agents, name: str) -> None:
    with pytest.raises(ApiException) as refusal:
        agents.tried(agents.written({}, name=name))
    assert NAME_MESSAGE in str(_causes(refusal.value))


@pytest.mark.parametrize("change", GOOD.values(), ids=GOOD.keys())
def test_a_good_object_is_stored_as_written_with_our_defaults(
    agents: Agents, change: Mapping[str, Any]
) -> None:
    written = agents.written(change)
    assert agents.tried(written)["spec"] == with_defaults(written, _SCHEMA)["spec"]


def test_a_misspelt_field_is_refused_by_name(agents: Agents) -> None:
    with pytest.raises(ApiException) as refusal:
        agents.tried(agents.written({"rollot": {}}))
    assert 'unknown field "spec.rollot"' in _status(refusal.value)["message"]


def test_an_object_without_spec_is_refused(agents: Agents) -> None:
    manifest = agents.written({})
    del manifest["spec"]
    with pytest.raises(ApiException) as refusal:
        agents.tried(manifest)
    assert "Required value" in _causes(refusal.value)["spec"]


def test_steps_can_be_added_to_an_object_that_left_the_rollout_to_its_defaults(
    agents: Agents,
) -> None:
    agents.created({}, name="refunds")
    stored = agents.merged("refunds", {"spec": {"rollout": {"steps": [{"weight": 5}]}}})
    assert stored["spec"]["rollout"]["steps"] == [{"weight": 5}]


def test_a_signal_can_be_switched_off_later(agents: Agents) -> None:
    agents.created({}, name="refunds")
    change = {"rollout": {"analysis": {"signals": {"fallbackRate": {"enabled": False}}}}}
    stored = AgentDeployment.parse(agents.merged("refunds", {"spec": change}))
    assert stored.spec.rollout.analysis.signals.judged.keys() == {"errorRate"}


def test_a_bad_change_leaves_the_stored_object_alone(agents: Agents) -> None:
    before = agents.created({}, name="refunds")
    with pytest.raises(ApiException) as refusal:
        agents.merged("refunds", {"spec": {"model": {"name": "gpt-4o"}}})
    assert "pin it" in _causes(refusal.value)["spec.model.name"]
    assert agents.merged("refunds", {}) == before


def test_a_full_status_is_stored_to_the_last_field(agents: Agents) -> None:
    stored = agents.created({}, name="refunds")
    status = _full_status().to_manifest()
    assert agents.with_status(stored, status)["status"] == status


def test_a_status_does_not_count_as_a_change_of_the_spec(agents: Agents) -> None:
    stored = agents.created({}, name="refunds")
    after = agents.with_status(stored, {"observedGeneration": 1})
    assert after["metadata"]["generation"] == stored["metadata"]["generation"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("agentdeployment.spec.rollout", "Steps with strictly rising weights."),
        ("agentdeployment.spec.rollout.analysis", "Default: 15s."),
        ("agd.spec.traffic", 'Default: ["/v1"].'),
        ("agd.status", "What the operator observed and decided"),
    ],
)
def test_kubectl_explains_a_field(
    custom_objects: Any, control_plane: Cluster, path: str, text: str
) -> None:
    explained = control_plane.kubectl("explain", path)
    assert text in explained
    assert "<no description>" not in explained


def test_kubectl_lists_agents_with_their_columns(
    agents: Agents, control_plane: Cluster, namespace: str
) -> None:
    stored = agents.created({}, name="refunds")
    agents.with_status(stored, _full_status().to_manifest())
    listed = control_plane.kubectl("get", "agents", "-n", namespace, "-o", "wide")
    header, row = (line.split() for line in listed.strip().splitlines())
    assert header == [
        *("NAME", "PHASE", "WEIGHT", "STABLE", "CANDIDATE", "VERDICT", "MODEL", "PROMPT"),
        *("AGE", "IMAGE"),
    ]
    assert row[:8] == [
        *("refunds", "Canary", "5", "1f0c", "9ab2", "CollectingSessions"),
        *("gpt-4o-2024-08-06", "v1"),
    ]


def _full_status() -> AgentDeploymentStatus:
    decision = {"reason": "CollectingSessions", "message": "17 to go", "time": _TIME}
    return AgentDeploymentStatus(
        observed_generation=1,
        phase=Phase.CANARY,
        stable_revision="1f0c",
        candidate_revision="9ab2",
        changed_axes=("image", "prompt"),
        rollout=RolloutStatus(
            state=RolloutState.STEPPING,
            step=1,
            steps=3,
            weight=5,
            effective_weight=5,
            attempt=1,
            started_at=_TIME,
            step_started_at=_TIME,
            progress_since=_TIME,
            evaluated_seconds=240.5,
            stable_size=4,
            passes_in_row=2,
        ),
        analysis=(
            SignalStatus(
                signal="errorRate",
                verdict=Verdict.INCONCLUSIVE,
                reason="CollectingSessions",
                limit=0.05,
                evidence=0.4,
                fail_at=280,
                sessions_needed=17,
            ),
        ),
        evidence={"errorRate": {"lnWealth": [-3.25, None], "joined": {"n": 83}}},
        last_decision=DecisionStatus(action="Hold", **decision),
        rejected=RejectedStatus(revision="77de", generation=1, **decision),
        draining=(DrainingStatus(revision="0a1b", since=_TIME, deadline=_TIME),),
        replicas=ReplicasStatus(stable=4, candidate=1),
        history=(HistoryEntry(revision="1f0c", result="Promoted", time=_TIME),),
        conditions=(
            Condition(type="Ready", status="False", reason="Canary", last_transition_time=_TIME),
        ),
    )
