from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_operator.domain.canonical import content_hash
from agent_operator.domain.desired import desired_objects
from agent_operator.domain.manifest import Kind, Manifest, ObjectRef
from agent_operator.domain.plan import Apply, Child, Delete, Scale, Write, is_projection, writes
from tests.factories import GATEWAY_TRAFFIC, agent, settled_plan

AGENT = agent(GATEWAY_TRAFFIC)
DESIRED = desired_objects(AGENT, settled_plan(AGENT))
SHARED = ObjectRef(Kind.SERVICE, AGENT.metadata.namespace, AGENT.metadata.name)


def in_sync(manifest: Manifest) -> Child:
    return Child(
        ObjectRef.of(manifest), "uid", "1", AGENT.metadata.uid, content_hash(manifest), None
    )


def planned(
    children: Mapping[ObjectRef, Child],
    *,
    traffic_first: bool = False,
    replicas: Mapping[ObjectRef, int] | None = None,
) -> tuple[Write, ...]:
    return writes(
        DESIRED, children, replicas=replicas or {}, shared=SHARED, traffic_first=traffic_first
    )


def everything() -> dict[ObjectRef, Child]:
    return {ObjectRef.of(manifest): in_sync(manifest) for manifest in DESIRED}


def kinds(planned_writes: tuple[Write, ...]) -> list[str]:
    return [
        ObjectRef.of(write.manifest).kind.value.kind
        for write in planned_writes
        if isinstance(write, Apply)
    ]


def test_nothing_is_written_when_everything_agrees() -> None:
    assert planned(everything()) == ()


@pytest.mark.parametrize("manifest", DESIRED, ids=lambda manifest: manifest["kind"])
def test_a_missing_object_is_the_only_one_that_is_written(manifest: Manifest) -> None:
    children = everything()
    del children[ObjectRef.of(manifest)]
    assert planned(children) == (Apply(manifest, content_hash(manifest), None),)


def test_on_the_way_forward_traffic_moves_after_everything_else() -> None:
    assert kinds(planned({}))[-2:] == ["Service", "HTTPRoute"]


def test_on_the_way_back_traffic_moves_before_everything_else() -> None:
    assert kinds(planned({}, traffic_first=True))[:2] == ["Service", "HTTPRoute"]


def test_what_nothing_wants_is_deleted_last() -> None:
    stale = Child(
        ObjectRef(Kind.DEPLOYMENT, "support", "refunds-old"), "uid", "1", AGENT.metadata.uid
    )
    assert planned({stale.ref: stale})[-1] == Delete(stale)


def test_replicas_are_set_after_the_deployment_exists_and_before_traffic() -> None:
    ref = ObjectRef.of(next(m for m in DESIRED if m["kind"] == "Deployment"))
    order = [
        type(write).__name__ if isinstance(write, Scale) else kind
        for write, kind in _named(planned({}, replicas={ref: 3}))
    ]
    assert order.index("Deployment") < order.index("Scale") < order.index("HTTPRoute")


def _named(planned_writes: tuple[Write, ...]) -> list[tuple[Write, str]]:
    return [
        (write, ObjectRef.of(write.manifest).kind.value.kind if isinstance(write, Apply) else "")
        for write in planned_writes
    ]


@pytest.mark.parametrize(
    ("desired", "observed", "agrees"),
    [
        ({"a": 1}, {"a": 1, "defaulted": True}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": 1}, {}, False),
        ({"a": {}}, {}, True),
        ({"a": [1, 2]}, {"a": [1, 2]}, True),
        ({"a": [1, 2]}, {"a": [2, 1]}, False),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1, "c": 2}]}, True),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1}, {"b": 2}]}, False),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": {"b": 1}}, {"a": None}, False),
    ],
)
def test_an_object_agrees_when_it_holds_all_that_is_desired(
    desired: Any, observed: Any, agrees: bool
) -> None:
    assert is_projection(desired, observed) is agrees


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON)
def test_everything_agrees_with_itself(data: Any) -> None:
    assert is_projection(data, data)
