"""The plot: v1 serves, v2 is promoted, v3 is rolled back, all of it watched and under traffic."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from agent_operator.api.v1alpha1 import (
    AgentDeploymentStatus,
    HistoryEntry,
    RejectedStatus,
    RolloutState,
)
from demo.errors import DemoError
from demo.progress import say
from demo.reading import status, weights
from demo.tally import Tally
from demo.traffic import Traffic
from demo.watching import View

READY_SECONDS = 120.0
ANSWER_SECONDS = 30.0
PROMOTION_SECONDS = 240.0
ROLLBACK_SECONDS = 240.0
# What customers find after the rollback belongs to the story.
EPILOGUE_SECONDS = 5.0


@dataclass(slots=True)
class Outcome:
    """What happened so far; None is what has not happened."""

    promoted: str | None = None
    rejected: RejectedStatus | None = None
    weight_zero_at: float | None = None
    sentence: str = ""


class Story:
    """Changes the AgentDeployment and waits for what the operator makes of it.

    `outcome` holds what happened also when the story ends early.
    """

    def __init__(self, view: View, traffic: Traffic, change: Callable[[str], None]) -> None:
        self.outcome = Outcome()
        self._view = view
        self._traffic = traffic
        self._change = change

    async def first_revision(self) -> None:
        """Wait until prompt v1 serves and the Gateway answers."""
        await self._wait_for(_is_settled, READY_SECONDS, "prompt v1 serves all sessions")
        if not await self._traffic.is_answered(within_seconds=ANSWER_SECONDS):
            raise DemoError("the agent does not answer through the Gateway")
        say("prompt v1 answers through the Gateway: customers start talking")

    async def good_rollout(self) -> None:
        """Change to prompt v2 and wait until it is promoted."""
        await asyncio.to_thread(self._change, "v2")
        say("changed to prompt v2: 5 % of new conversations, then 50 %, then all")
        await self._wait_for(
            lambda now: _ending(now, "v2") is not None and _is_settled(now),
            PROMOTION_SECONDS,
            "prompt v2 is promoted",
        )
        now = status(self._view)
        ending = _ending(now, "v2")
        if ending is None or ending.result != "Promoted" or ending.revision != now.stable_revision:
            self._fail("prompt v2 was not promoted")
        self.outcome.promoted = ending.revision
        say(f"prompt v2 serves everybody: {now.last_decision.message if now.last_decision else ''}")

    async def bad_rollout(self) -> None:
        """Change to v3, whose model fails, and wait until the operator has taken it back."""
        await asyncio.to_thread(self._change, "v3")
        say("changed to prompt v3 on a model whose provider fails: the operator is on its own now")
        bad = await self._candidate()
        is_back = await self._view.until(
            lambda view: _is_rejected(status(view), bad) and not weights(view).get(bad),
            within_seconds=ROLLBACK_SECONDS,
        )
        if not is_back:
            self._fail("prompt v3 was not rolled back")
        self.outcome.weight_zero_at = time.time()
        await self._wait_for(_is_settled, READY_SECONDS, "the rollback is complete")
        now = status(self._view)
        if now.stable_revision != self.outcome.promoted or now.rejected is None:
            self._fail("prompt v2 does not serve after the rollback")
        self.outcome.rejected = now.rejected
        self.outcome.sentence = now.rejected.message
        say("prompt v3 is rolled back; customers go on talking for a moment")
        await asyncio.sleep(EPILOGUE_SECONDS)

    async def _candidate(self) -> str:
        """Wait until the candidate has a share of new conversations and return its revision."""
        await self._wait_for(
            lambda now: bool(now.candidate_revision), READY_SECONDS, "prompt v3 starts as candidate"
        )
        candidate = status(self._view).candidate_revision
        if candidate is None or candidate == self.outcome.promoted:
            self._fail("prompt v3 did not become the candidate")
        return candidate

    async def _wait_for(
        self, holds: Callable[[AgentDeploymentStatus], bool], within_seconds: float, what: str
    ) -> None:
        is_so = await self._view.until(
            lambda view: holds(status(view)), within_seconds=within_seconds
        )
        if not is_so:
            self._fail(f"after {within_seconds:.0f} s it is not so that {what}")

    def _fail(self, problem: str) -> NoReturn:
        raise DemoError(f"{problem}; last decision: {_decision(status(self._view))}")


def bad_start_to_weight_zero_seconds(outcome: Outcome, tally: Tally) -> float | None:
    """Return the seconds from the first answer by v3's fallback to weight 0 in the stored route."""
    if outcome.rejected is None or outcome.weight_zero_at is None:
        return None
    began = tally.first_degraded.get(outcome.rejected.revision)
    return None if began is None else round(outcome.weight_zero_at - began, 2)


def _is_settled(now: AgentDeploymentStatus) -> bool:
    return now.rollout is not None and now.rollout.state is RolloutState.STABLE


def _is_rejected(now: AgentDeploymentStatus, revision: str) -> bool:
    return now.rejected is not None and now.rejected.revision == revision


def _ending(now: AgentDeploymentStatus, prompt: str) -> HistoryEntry | None:
    """Return how the last rollout of a prompt version ended; None as long as it has not."""
    endings = [entry for entry in now.history if entry.prompt_version == prompt]
    return endings[-1] if endings else None


def _decision(now: AgentDeploymentStatus) -> str:
    last = now.last_decision
    return f"{last.reason}: {last.message}" if last else "none"
