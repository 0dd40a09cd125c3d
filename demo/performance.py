"""One run of the story with its watches, its customers and its display around it."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict, dataclass
from functools import partial

from rich.console import Console

from agent_operator.domain.naming import LABEL_NAME
from demo.display import show
from demo.errors import DemoError
from demo.install import AGENT, NAMESPACE, patch_agent
from demo.progress import say, seconds
from demo.reading import AGENTS, KINDS
from demo.story import Outcome, Story, bad_start_to_weight_zero_seconds
from demo.summary import Summary
from demo.tally import Tally
from demo.traffic import Pace, Traffic
from demo.watching import View, watch
from localcluster import AnyCluster

SHOWN_FAILURES = 20


@dataclass(frozen=True, slots=True)
class Performance:
    """How a run went; `problem` says why the story ended early."""

    summary: Summary
    outcome: Outcome
    tally: Tally
    problem: DemoError | None

    def print(self) -> None:
        """Print summary, moved conversations and, last, the decision's sentence."""
        if self.problem is not None:
            say(f"failed: {self.problem}")
        moved = len(self.tally.switches) - self.summary.session_switches
        say(f"{moved} conversations were moved by the rollback, off the revision it took back")
        for failure in self.tally.failures[:SHOWN_FAILURES]:
            when = f"{failure.at - time.time() + seconds():.1f} s"
            where = f"on {failure.revision}" if failure.revision else "just begun"
            say(f"failed at {when}, in a conversation {where}: {failure.reason}")
        print(json.dumps(asdict(self.summary), indent=2), flush=True)
        if self.outcome.sentence:
            print(self.outcome.sentence, flush=True)


async def perform(cluster: AnyCluster, url: str, console: Console) -> Performance:
    """Let the story happen; ends early, but ends well, when something does not happen."""
    view, traffic = View(), Traffic(url, Pace())
    story = Story(view, traffic, partial(patch_agent, cluster))
    problem = None
    async with asyncio.TaskGroup() as group:
        background = [
            group.create_task(watch(cluster, view, kind=kind, scope=_scope(kind))) for kind in KINDS
        ]
        background.append(group.create_task(show(view, traffic.tally, console)))
        try:
            await story.first_revision()
            background.append(group.create_task(traffic.run()))
            await story.good_rollout()
            await story.bad_rollout()
        except DemoError as error:
            problem = error
        for task in background:
            task.cancel()
    summary = _summary(story.outcome, traffic.tally)
    return Performance(summary, story.outcome, traffic.tally, problem)


def _scope(kind: str) -> tuple[str, ...]:
    if kind == AGENTS:
        return ("-n", NAMESPACE, AGENT)
    return ("-n", NAMESPACE, "-l", f"{LABEL_NAME}={AGENT}")


def _summary(outcome: Outcome, tally: Tally) -> Summary:
    rejected = outcome.rejected
    unexplained = tally.unexplained_switches(
        evicted=rejected.revision if rejected else None,
        since=rejected.time.timestamp() if rejected else 0.0,
    )
    return Summary(
        promoted_revision=outcome.promoted,
        rolled_back_revision=rejected.revision if rejected else None,
        rollback_reason=rejected.reason if rejected else None,
        requests_total=tally.requests,
        requests_failed=len(tally.failures),
        session_switches=len(unexplained),
        bad_start_to_weight_zero_seconds=bad_start_to_weight_zero_seconds(outcome, tally),
        total_seconds=round(seconds(), 1),
    )
