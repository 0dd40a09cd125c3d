"""Updating conditions: a list that changes only when something did."""

from datetime import UTC, datetime, timedelta

import pytest

from agent_operator.api.conditions import (
    Condition,
    ConditionStatus,
    ConditionType,
    find_condition,
    set_condition,
)

_THEN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
_NOW = _THEN + timedelta(minutes=5)


def _ready(status: ConditionStatus, at: datetime, *, message: str = "") -> Condition:
    return Condition(
        type=ConditionType.READY,
        status=status,
        reason="Tested",
        message=message,
        last_transition_time=at,
    )


def _stalled(at: datetime) -> Condition:
    return Condition(
        type=ConditionType.STALLED,
        status=ConditionStatus.FALSE,
        reason="Tested",
        last_transition_time=at,
    )


def test_an_equal_observation_changes_nothing() -> None:
    conditions = (_ready(ConditionStatus.TRUE, _THEN),)
    assert set_condition(conditions, _ready(ConditionStatus.TRUE, _NOW)) == conditions


def test_a_new_message_keeps_the_time_of_the_transition() -> None:
    conditions = (_ready(ConditionStatus.TRUE, _THEN),)
    updated = set_condition(conditions, _ready(ConditionStatus.TRUE, _NOW, message="2 of 2"))
    assert updated == (_ready(ConditionStatus.TRUE, _THEN, message="2 of 2"),)


def test_a_new_status_takes_the_new_time() -> None:
    conditions = (_ready(ConditionStatus.TRUE, _THEN),)
    failed = _ready(ConditionStatus.FALSE, _NOW)
    assert set_condition(conditions, failed) == (failed,)


def test_a_first_observation_is_appended() -> None:
    ready = _ready(ConditionStatus.TRUE, _THEN)
    assert set_condition((ready,), _stalled(_NOW)) == (ready, _stalled(_NOW))


def test_the_order_of_conditions_does_not_change() -> None:
    conditions = (_ready(ConditionStatus.TRUE, _THEN), _stalled(_THEN))
    updated = set_condition(conditions, _ready(ConditionStatus.FALSE, _NOW))
    assert [condition.type for condition in updated] == ["Ready", "Stalled"]


def test_a_condition_is_found_by_its_type() -> None:
    conditions = (_ready(ConditionStatus.TRUE, _THEN), _stalled(_THEN))
    assert find_condition(conditions, ConditionType.STALLED) == _stalled(_THEN)
    assert find_condition(conditions, ConditionType.AVAILABLE) is None


def test_a_condition_is_written_as_kubernetes_writes_it() -> None:
    assert _ready(ConditionStatus.UNKNOWN, _THEN).to_manifest() == {
        "type": "Ready",
        "status": "Unknown",
        "reason": "Tested",
        "message": "",
        "lastTransitionTime": "2026-03-01T12:00:00Z",
        "observedGeneration": 0,
    }


@pytest.mark.parametrize(("length", "kept"), [(1024, 1024), (1025, 1024), (100_000, 1024)])
def test_a_long_message_is_cut_to_what_the_api_server_takes(length: int, kept: int) -> None:
    message = _ready(ConditionStatus.TRUE, _THEN, message="x" * length).message
    assert len(message) == kept
    assert message.endswith("…") == (length > kept)
