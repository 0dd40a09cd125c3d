"""The status: written as it will be read again, read even if somebody spoiled a part of it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from agent_operator.api.v1alpha1 import (
    AgentDeploymentStatus,
    DecisionStatus,
    Phase,
    RolloutState,
    RolloutStatus,
    SessionCounts,
    SignalStatus,
    Verdict,
)
from tests.factories import agent

_TIME = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
_STATUS = AgentDeploymentStatus(
    observed_generation=7,
    phase=Phase.CANARY,
    stable_revision="1f0c",
    candidate_revision="9ab2",
    changed_axes=("prompt",),
    rollout=RolloutStatus(state=RolloutState.STEPPING, step=1, steps=3, weight=5, started_at=_TIME),
    analysis=(
        SignalStatus(
            signal="errorRate",
            verdict=Verdict.INCONCLUSIVE,
            canary=SessionCounts(sessions=83, bad=2),
            limit=0.05,
            evidence=0.4,
        ),
    ),
    evidence={"errorRate": {"lnWealth": [-3.2, None]}},
    last_decision=DecisionStatus(action="Hold", reason="CollectingSessions", time=_TIME),
)


def test_a_written_status_is_read_back_unchanged() -> None:
    assert AgentDeploymentStatus.parse(_STATUS.to_manifest()) == (_STATUS, ())


def test_a_written_status_has_camel_case_names_and_no_nulls() -> None:
    written = AgentDeploymentStatus(observed_generation=7).to_manifest()
    assert written == {
        "observedGeneration": 7,
        "changedAxes": [],
        "analysis": [],
        "draining": [],
        "history": [],
        "conditions": [],
    }


def test_the_opaque_evidence_is_kept_to_the_last_null() -> None:
    assert _STATUS.to_manifest()["evidence"] == {"errorRate": {"lnWealth": [-3.2, None]}}


def test_times_keep_their_fractions_of_a_second() -> None:
    assert _STATUS.to_manifest()["rollout"]["startedAt"] == "2026-03-01T12:00:00.250000Z"


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        DecisionStatus(action="Hold", reason="X", time=_TIME.replace(tzinfo=None))


def test_no_status_is_none() -> None:
    assert agent().status is None
    assert agent(status={}).status is None


def test_a_spoiled_part_is_left_out_and_reported() -> None:
    written = _STATUS.to_manifest()
    written["rollout"]["state"] = "Unheard"
    parsed = agent(status=written)
    assert parsed.status == _STATUS.model_copy(update={"rollout": None})
    assert parsed.status_problems == ("status.rollout: unreadable, left out",)


@pytest.mark.parametrize(
    "spoiled",
    [{"phase": 7}, {"conditions": "x"}, {"history": [{}]}, {"observedGeneration": -1}],
)
def test_any_spoiled_field_leaves_the_rest_readable(spoiled: dict[str, Any]) -> None:
    parsed, problems = AgentDeploymentStatus.parse({"stableRevision": "1f0c", **spoiled})
    assert parsed.stable_revision == "1f0c"
    assert len(problems) == 1
