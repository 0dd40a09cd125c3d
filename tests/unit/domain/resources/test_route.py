"""The route: how sessions are split, pinned, and how the split is read back."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_operator.domain.resources.route import (
    MAX_RULES,
    is_answered,
    route,
    route_problem,
    weights_of,
)
from agent_operator.domain.serving import Snapshot
from tests.factories import agent, serving

REVISIONS = tuple(f"{number:010x}" for number in range(20))


UNANSWERED = "has not answered yet; if it does not exist, set spec.traffic.parentRefs"


def built(weights: dict[str, int], *, pinned: tuple[str, ...] = (), **traffic: Any) -> Any:
    """Return the route as JSON makes it, for revisions with these weights."""
    parents = [{"name": "public", "namespace": "gateways"}, {"name": "internal"}]
    refunds = agent({"traffic": {"parentRefs": parents, **traffic}})
    assert refunds.spec.traffic is not None
    revisions = [
        serving(Snapshot(revision, {}, {}, {}), weight, pinned=revision in pinned)
        for revision, weight in weights.items()
    ]
    return json.loads(json.dumps(route(refunds, refunds.spec.traffic, revisions)))


def pins(route: Any) -> list[tuple[str, str, str]]:
    """Return path, header value and backend of each pin."""
    return [
        (match["path"]["value"], match["headers"][0]["value"], rule["backendRefs"][0]["name"])
        for rule in route["spec"]["rules"]
        for match in rule["matches"]
        if "headers" in match
    ]


def test_a_pinned_revision_is_matched_by_the_header_on_every_path() -> None:
    one, other = REVISIONS[:2]
    canary = built({one: 95, other: 5}, pinned=(other,), paths=["/v1", "/api"])
    assert pins(canary) == [
        ("/v1", other, f"refunds-{other}"),
        ("/api", other, f"refunds-{other}"),
    ]


def test_the_default_rule_is_the_last_one() -> None:
    canary = built({REVISIONS[0]: 95, REVISIONS[1]: 5}, pinned=REVISIONS[:2])
    assert ["headers" in rule["matches"][0] for rule in canary["spec"]["rules"]] == [
        True,
        True,
        False,
    ]


def test_without_stickiness_nothing_is_pinned() -> None:
    assert pins(built({REVISIONS[0]: 100}, pinned=REVISIONS[:1], stickiness="None")) == []


def test_pins_never_exceed_the_limit_of_rules_and_the_last_ones_go_first() -> None:
    crowded = built(dict.fromkeys(REVISIONS, 5), pinned=REVISIONS)
    assert len(crowded["spec"]["rules"]) == MAX_RULES
    assert [pin[1] for pin in pins(crowded)] == list(REVISIONS[: MAX_RULES - 1])


def test_every_rule_has_the_timeout() -> None:
    rules = built({REVISIONS[0]: 100}, pinned=REVISIONS[:1], timeoutSeconds=7)["spec"]["rules"]
    assert [rule["timeouts"] for rule in rules] == [{"request": "7s"}] * 2


@given(weights=st.dictionaries(st.sampled_from(REVISIONS), st.integers(0, 100), min_size=1))
def test_weights_read_back_are_those_that_were_written(weights: dict[str, int]) -> None:
    assert weights_of(built(weights, pinned=tuple(weights))) == weights


def test_a_weight_of_zero_is_read_back_as_zero() -> None:
    assert weights_of(built({"aaaaaaaaaa": 100, "bbbbbbbbbb": 0}))["bbbbbbbbbb"] == 0


def altered(change: Callable[[Any], Any]) -> Any:
    canary = built({REVISIONS[0]: 95, REVISIONS[1]: 5}, pinned=REVISIONS[:2])
    change(canary["spec"]["rules"])
    return canary


@pytest.mark.parametrize(
    "foreign",
    [
        altered(lambda rules: rules.pop()),
        altered(lambda rules: rules.append(copy.deepcopy(rules[-1]))),
        altered(lambda rules: rules[-1].pop("backendRefs")),
        altered(lambda rules: rules[-1].pop("matches")),
        altered(lambda rules: rules[-1]["backendRefs"][0].pop("weight")),
        altered(lambda rules: rules[-1]["backendRefs"][0].update(weight="95")),
        altered(lambda rules: rules[-1]["backendRefs"][0].update(weight=True)),
        altered(lambda rules: rules[-1]["backendRefs"][0].update(weight=-1)),
        altered(lambda rules: rules[-1]["backendRefs"][0].update(name="other")),
        altered(lambda rules: rules[-1]["backendRefs"].append(rules[-1]["backendRefs"][0])),
        {"metadata": {"name": "refunds"}, "spec": {}},
        {"metadata": {"name": "refunds"}, "spec": {"rules": None}},
        {},
    ],
)
def test_weights_of_a_route_that_somebody_else_wrote_are_refused(foreign: Any) -> None:
    with pytest.raises(ValueError, match="the route"):
        weights_of(foreign)


def condition(name: str, *, status: str = "True", generation: int = 4) -> dict[str, Any]:
    return {
        "type": name,
        "status": status,
        "observedGeneration": generation,
        "reason": "BackendNotFound" if status == "False" else name,
        "message": "Service refunds-x is missing",
    }


def answered(change: Callable[[Any], Any] = lambda parents: None) -> Any:
    """Return a stored route of generation 4 that both parents accept, then changed."""
    stored = built({REVISIONS[0]: 100})
    stored["metadata"]["generation"] = 4
    parents = [
        {
            "parentRef": parent,
            "controllerName": "example.com/gateway",
            "conditions": [condition("Accepted"), condition("ResolvedRefs")],
        }
        for parent in copy.deepcopy(stored["spec"]["parentRefs"])
    ]
    change(parents)
    return stored | {"status": {"parents": parents}}


def test_a_route_that_every_parent_accepts_has_no_problem() -> None:
    assert route_problem(answered()) is None


def test_a_parent_without_an_answer_is_named() -> None:
    assert route_problem(built({}) | {"status": {}}) == (f"Gateway gateways/public {UNANSWERED}")
    assert route_problem(answered(lambda parents: parents.pop())) == (
        f"Gateway support/internal {UNANSWERED}"
    )


def test_a_parent_may_be_answered_with_its_defaults_filled_in_or_left_out() -> None:
    assert route_problem(answered(lambda p: p[1]["parentRef"].update(namespace="support"))) is None
    assert route_problem(answered(lambda p: p[0]["parentRef"].pop("kind"))) is None


def test_an_answer_for_another_listener_does_not_count() -> None:
    problem = route_problem(answered(lambda p: p[0]["parentRef"].update(sectionName="https")))
    assert problem == f"Gateway gateways/public {UNANSWERED}"


@pytest.mark.parametrize("name", ["Accepted", "ResolvedRefs"])
def test_a_refusal_is_told_in_the_words_of_the_gateway(name: str) -> None:
    def refuse(parents: Any) -> None:
        parents[1]["conditions"].append(condition(name, status="False"))

    assert route_problem(answered(refuse)) == (
        f"Gateway support/internal: {name} is False: BackendNotFound, Service refunds-x is missing"
    )


@pytest.mark.parametrize("position", [0, 1])
def test_an_answer_for_an_older_generation_does_not_count(position: int) -> None:
    problem = route_problem(
        answered(lambda p: p[0]["conditions"][position].update(observedGeneration=3))
    )
    assert problem is not None
    assert "not known yet for generation 4" in problem


@pytest.mark.parametrize("position", [0, 1])
def test_a_missing_condition_does_not_count_as_true(position: int) -> None:
    assert route_problem(answered(lambda p: p[0]["conditions"].pop(position))) is not None


def test_of_two_controllers_that_answer_for_a_parent_both_must_accept() -> None:
    def split(parents: Any) -> None:
        second = copy.deepcopy(parents[0])
        second["conditions"] = [condition("Accepted", status="False")]
        parents.append(second)

    assert "Accepted is False" in str(route_problem(answered(split)))


def test_an_answer_of_a_parent_that_is_no_longer_asked_is_ignored() -> None:
    def leave_behind(parents: Any) -> None:
        parents.append({"parentRef": {"name": "former"}, "conditions": []})

    assert route_problem(answered(leave_behind)) is None


def test_a_very_long_refusal_is_cut() -> None:
    def ramble(parents: Any) -> None:
        parents[0]["conditions"].insert(0, condition("Accepted", status="False"))
        parents[0]["conditions"][1:2] = []
        parents[0]["conditions"][0]["message"] = "x" * 30_000

    assert len(str(route_problem(answered(ramble)))) == 256


def test_a_route_is_in_work_until_every_parent_has_answered_its_generation() -> None:
    assert is_answered(answered())
    assert is_answered(answered(lambda p: p[0]["conditions"][0].update(status="False")))
    assert not is_answered(answered(lambda parents: parents.pop()))
    assert not is_answered(answered(lambda p: p[0]["conditions"][0].update(observedGeneration=1)))
