"""The plot, told by statuses as the operator would write them: what counts as an outcome."""

import asyncio
from datetime import datetime
from typing import Any

import pytest

from agent_operator.api.v1alpha1 import RejectedStatus
from demo.errors import DemoError
from demo.reading import AGENTS, ROUTES
from demo.story import Outcome, Story, bad_start_to_weight_zero_seconds
from demo.tally import Tally
from demo.traffic import Pace, Traffic
from demo.watching import View

V1, V2, V3 = "1f0c000000", "9ab2000000", "77de000000"
TIME = "2026-11-22T23:31:00Z"


def ending(prompt: str, revision: str, result: str) -> dict[str, Any]:
    return {"revision": revision, "promptVersion": prompt, "result": result, "time": TIME}


def agent(state: str, **status: Any) -> dict[str, Any]:
    content = {"rollout": {"state": state}, "stableRevision": V1, **status}
    return {"metadata": {"name": "refunds", "namespace": "support"}, "status": content}


def route(**weights: int) -> dict[str, Any]:
    backends = [{"name": f"refunds-{name}", "weight": weight} for name, weight in weights.items()]
    rule = {"matches": [{"path": {"value": "/v1"}}], "backendRefs": backends}
    return {"metadata": {"name": "refunds"}, "spec": {"rules": [rule]}}


class Stage:
    """A story and the view it watches; `changes` are the versions it asked for."""

    def __init__(self) -> None:
        self.view = View()
        self.changes: list[str] = []
        self.story = Story(self.view, Traffic("http://127.0.0.1:9", Pace()), self.changes.append)

    async def happens(self, *objects: dict[str, Any]) -> None:
        for each in objects:
            kind = ROUTES if "spec" in each else AGENTS
            await self.view.take(kind, {"type": "MODIFIED", "object": each})


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_a_promotion_is_an_outcome_once_the_agent_is_stable_again(stage: Stage) -> None:
    act = asyncio.create_task(stage.story.good_rollout())
    history = [ending("v2", V2, "Promoted")]
    await stage.happens(agent("Promoting", stableRevision=V2, history=history))
    await stage.happens(agent("Stable", stableRevision=V2, history=history))
    await act
    assert (stage.changes, stage.story.outcome.promoted) == (["v2"], V2)


async def test_a_good_prompt_that_is_rolled_back_ends_the_story_at_once(stage: Stage) -> None:
    decision = {"action": "RollBack", "reason": "ErrorRateRegression", "message": "", "time": TIME}
    history = [ending("v2", V2, "RolledBack")]
    await stage.happens(agent("Stable", history=history, lastDecision=decision))
    with pytest.raises(DemoError, match="v2 was not promoted; last decision: ErrorRateRegression"):
        await stage.story.good_rollout()
    assert stage.story.outcome.promoted is None


async def test_a_rollback_is_an_outcome_once_the_route_gives_the_bad_one_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("demo.story.EPILOGUE_SECONDS", 0.0)
    stage.story.outcome.promoted = V2
    rejected = {"revision": V3, "reason": "FallbackRateRegression", "message": "so", "time": TIME}
    back = {"stableRevision": V2, "rejected": rejected}
    act = asyncio.create_task(stage.story.bad_rollout())
    await stage.happens(route(**{V2: 95, V3: 5}))
    await stage.happens(agent("Stepping", stableRevision=V2, candidateRevision=V3))
    await stage.happens(agent("RollingBack", candidateRevision=V3, **back))
    for _ in range(5):
        await asyncio.sleep(0)
    assert stage.story.outcome.weight_zero_at is None
    await stage.happens(route(**{V2: 100, V3: 0}), agent("Stable", **back))
    await act
    outcome = stage.story.outcome
    assert outcome.rejected is not None
    assert (outcome.rejected.revision, outcome.sentence) == (V3, "so")
    assert outcome.weight_zero_at is not None


async def test_what_does_not_happen_in_time_is_said_with_the_last_decision(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("demo.story.PROMOTION_SECONDS", 0.0)
    decision = {"action": "Hold", "reason": "MetricsUnavailable", "message": "down", "time": TIME}
    await stage.happens(agent("Stepping", lastDecision=decision))
    with pytest.raises(DemoError, match=r"not so that .*; last decision: MetricsUnavailable: down"):
        await stage.story.good_rollout()


def test_the_time_to_weight_0_runs_from_the_first_bad_answer_of_the_rejected_revision() -> None:
    rejected = RejectedStatus(revision=V3, reason="Bad", time=datetime.fromisoformat(TIME))
    outcome = Outcome(rejected=rejected, weight_zero_at=130.0)
    tally = Tally(first_degraded={V2: 90.0, V3: 108.5})
    assert bad_start_to_weight_zero_seconds(outcome, tally) == 21.5
    assert bad_start_to_weight_zero_seconds(outcome, Tally(first_degraded={V2: 90.0})) is None
    assert bad_start_to_weight_zero_seconds(Outcome(), tally) is None
