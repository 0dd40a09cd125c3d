"""The autoscaler of a serving revision."""

from typing import Any

import pytest

from agent_operator.domain.resources.autoscaler import autoscaler
from tests.factories import agent, frozen, serving


def scaler(scaling: dict[str, Any] | None = None, **options: Any) -> Any:
    refunds = agent({"scaling": scaling or {}})
    return autoscaler(refunds, serving(frozen(refunds), **options))["spec"]


def test_the_minimum_is_that_of_the_plan_and_the_maximum_that_of_the_spec() -> None:
    spec = scaler({"minReplicas": 2, "maxReplicas": 9}, min_replicas=5)
    assert (spec["minReplicas"], spec["maxReplicas"]) == (5, 9)


@pytest.mark.parametrize(("sessions", "stored"), [(8, "8"), (1500, "1500"), (2000, "2k")])
def test_sessions_per_pod_are_spelled_as_the_api_server_stores_them(
    sessions: int, stored: str
) -> None:
    target = scaler({"sessionsPerPod": sessions})["metrics"][0]["pods"]["target"]
    assert target == {"type": "AverageValue", "averageValue": stored}


@pytest.mark.parametrize(("longest", "window"), [(60, 60), (600, 600), (3600, 600)])
def test_scaling_down_waits_for_the_longest_session_but_ten_minutes_at_most(
    longest: int, window: int
) -> None:
    down = scaler({"maxSessionSeconds": longest})["behavior"]["scaleDown"]
    assert down["stabilizationWindowSeconds"] == window


@pytest.mark.parametrize(("allowed", "policy"), [(True, "Max"), (False, "Disabled")])
def test_scaling_down_can_be_switched_off(allowed: bool, policy: str) -> None:
    behavior = scaler(scale_down=allowed)["behavior"]
    assert behavior["scaleDown"]["selectPolicy"] == policy
    assert behavior["scaleUp"]["selectPolicy"] == "Max"
