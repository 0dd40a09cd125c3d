"""Reading an AgentDeployment: what code gets to see, and what an unreadable one says."""

import pytest
from pydantic import ValidationError

from agent_operator.api.v1alpha1 import AgentDeployment, Step
from agent_operator.errors import InvalidSpec, Terminal
from tests.bad_input import (
    AGAINST_A_RULE,
    AGAINST_THE_SCHEMA,
    BAD_NAMES,
    GOOD_NAMES,
    NAME_MESSAGE,
    BadInput,
)
from tests.factories import agent, agent_manifest

# Duplicates in lists are the API server's concern alone: it never stores them.
_SCHEMA_CASES = {
    name: case for name, case in AGAINST_THE_SCHEMA.items() if case.message != "Duplicate value"
}


def _python_path(path: str) -> str:
    return path.partition("[")[0]


@pytest.mark.parametrize("case", AGAINST_A_RULE.values(), ids=AGAINST_A_RULE.keys())
def test_an_object_against_a_rule_is_refused_with_the_rules_message(case: BadInput) -> None:
    with pytest.raises(InvalidSpec) as refusal:
        AgentDeployment.parse(agent_manifest(case.change))
    assert case.message in str(refusal.value)


@pytest.mark.parametrize("case", _SCHEMA_CASES.values(), ids=_SCHEMA_CASES.keys())
def test_an_object_against_the_schema_is_refused_by_its_path(case: BadInput) -> None:
    with pytest.raises(InvalidSpec) as refusal:
        AgentDeployment.parse(agent_manifest(case.change))
    assert any(problem.startswith(_python_path(case.field)) for problem in refusal.value.problems)


def test_every_bad_field_is_named_in_one_go() -> None:
    manifest = agent_manifest(
        {"image": 7, "scaling": {"maxReplicas": 0}, "pod": {"env": [{"name": "X"}, {"name": "-"}]}}
    )
    with pytest.raises(InvalidSpec) as refusal:
        AgentDeployment.parse(manifest)
    fields = [problem.partition(":")[0] for problem in refusal.value.problems]
    assert fields == [
        "spec.image",
        "spec.scaling.maxReplicas",
        "spec.pod.env[0]",
        "spec.pod.env[1].name",
    ]


def test_a_refusal_never_repeats_the_value() -> None:
    with pytest.raises(InvalidSpec) as refusal:
        AgentDeployment.parse(agent_manifest({"model": {"baseUrl": "https://u:hidden@x/v1"}}))
    assert "hidden" not in str(refusal.value)


def test_an_unreadable_object_waits_for_a_change() -> None:
    assert issubclass(InvalidSpec, Terminal)


@pytest.mark.parametrize("manifest", [{}, {"spec": None}, {"metadata": {"name": "x"}}])
def test_an_object_without_its_parts_is_refused(manifest: dict[str, object]) -> None:
    with pytest.raises(InvalidSpec):
        AgentDeployment.parse(manifest)


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_a_short_dns_label_is_a_good_name(name: str) -> None:
    assert agent(name=name).metadata.name == name


@pytest.mark.parametrize("name", BAD_NAMES)
def test_any_other_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidSpec, match=NAME_MESSAGE):
        agent(name=name)


def test_unknown_fields_are_ignored() -> None:
    assert agent({"behaviour": {"rateLimitRpm": 60}}) == agent()


def test_metadata_holds_what_the_operator_acts_on() -> None:
    parsed = agent(deletionTimestamp="2026-03-01T12:00:00Z", generation=7).metadata
    assert (parsed.name, parsed.namespace, parsed.uid) == ("refunds", "support", "uid-of-refunds")
    assert (parsed.generation, parsed.resource_version) == (7, "1")
    assert parsed.deletion_timestamp is not None


def test_models_are_immutable() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        agent().spec.paused = True  # type: ignore[misc]


def test_numbers_and_texts_of_a_quantity_are_the_same() -> None:
    as_number = agent({"pod": {"resources": {"limits": {"cpu": 2, "memory": "2Gi"}}}})
    as_text = agent({"pod": {"resources": {"limits": {"cpu": "2", "memory": "2Gi"}}}})
    assert as_number.spec == as_text.spec


@pytest.mark.parametrize(
    ("request_amount", "limit_amount"),
    [("2000m", "2"), ("1024Mi", "1Gi"), ("1G", "1Gi"), ("0.5", "500m"), ("1k", "1Ki")],
)
def test_a_request_up_to_the_limit_is_accepted_in_any_unit(
    request_amount: str, limit_amount: str
) -> None:
    resources = {"requests": {"memory": request_amount}, "limits": {"memory": limit_amount}}
    assert agent({"pod": {"resources": resources}}).spec.pod.resources.requests


def test_a_canary_weight_is_one_step() -> None:
    assert agent({"rollout": {"canaryWeight": 12}}).spec.rollout.effective_steps == (
        Step(weight=12),
    )


def test_without_weight_and_steps_one_step_takes_five_percent() -> None:
    assert agent().spec.rollout.effective_steps == (Step(weight=5),)


def test_steps_are_taken_as_given() -> None:
    steps = agent(
        {"rollout": {"steps": [{"weight": 5, "minSessions": 10}, {"weight": 100}]}}
    ).spec.rollout.effective_steps
    assert [(step.weight, step.min_sessions) for step in steps] == [(5, 10), (100, None)]


@pytest.mark.parametrize(
    ("text", "seconds"), [("5s", 5.0), ("15s", 15.0), ("1m30s", 90.0), ("10m", 600.0)]
)
def test_an_interval_is_a_number_of_seconds(text: str, seconds: float) -> None:
    analysis = agent({"rollout": {"analysis": {"interval": text}}}).spec.rollout.analysis
    assert analysis.interval_seconds == seconds


def test_only_enabled_signals_are_judged() -> None:
    signals = agent(
        {"rollout": {"analysis": {"signals": {"errorRate": {"enabled": False}}}}}
    ).spec.rollout.analysis.signals
    assert {name: signal.max for name, signal in signals.judged.items()} == {"fallbackRate": 0.2}


def test_all_signals_are_judged_by_default() -> None:
    judged = agent().spec.rollout.analysis.signals.judged
    assert {name: signal.max for name, signal in judged.items()} == {
        "errorRate": 0.05,
        "fallbackRate": 0.2,
    }
