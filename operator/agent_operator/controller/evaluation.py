"""One loop measures all live candidates: few queries for the whole fleet, counts per key.

Passes register what they want measured (`watch`) and take what was counted (`latest`). Blocks of
counts wait until a status holds them (`taken`), so none is lost or counted twice.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from agent_operator.domain.manifest import ObjectKey
from agent_operator.domain.observation import Measured, NotMeasured, Problem
from agent_operator.domain.verdict.readings import (
    REMEMBERED_SECONDS,
    Reading,
    SeenPod,
    deltas,
    remembered,
)
from agent_operator.errors import MetricsUnavailable
from agent_operator.ports import Clock, Enqueue, MetricsSource

log = structlog.get_logger(__name__)

Readings = Mapping[tuple[ObjectKey, str], Reading]


@dataclass(frozen=True, slots=True)
class Watched:
    """What to measure for one key.

    `epoch` names the stretch of constant weight: counting starts anew with each. `measured_at`:
    end of the last block already in status, where counting goes on after a restart.
    """

    candidate: str
    stable: str
    interval_seconds: float
    epoch: str
    measured_at: float | None


@dataclass(slots=True)
class _Progress:
    """How far one watched key is measured; `due` on the monotonic clock, other times Unix."""

    watched: Watched
    began: float
    due: float
    measured_at: float | None = None
    blocks: list[Measured] = field(default_factory=list)  # counted, not in status yet
    problem: Problem | None = None  # why nothing can be counted now


class Evaluation:
    """Reads the counters of every watched key when its interval is due."""

    def __init__(
        self,
        metrics: MetricsSource,
        clock: Clock,
        enqueue: Enqueue,
        *,
        query_lag_seconds: float,
        scrape_interval_seconds: float,
        on_error: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._on_error = on_error
        self._metrics = metrics
        self._clock = clock
        self._enqueue = enqueue
        self._lag = query_lag_seconds
        self._scrape_interval = scrape_interval_seconds
        self._progress: dict[ObjectKey, _Progress] = {}
        # Last values of pods outlive epochs: one failed scrape must not make a pod look new.
        self._pods: dict[tuple[ObjectKey, str], dict[str, SeenPod]] = {}

    def watch(self, key: ObjectKey, watched: Watched) -> None:
        """Measure a key from now on; the same epoch goes on where it was."""
        known = self._progress.get(key)
        if known is not None and known.watched.epoch == watched.epoch:
            known.watched = watched
            return
        # The first reading is of a moment at which the weight was already in force.
        due = self._clock.monotonic() + self._lag
        problem = None if known is None else known.problem
        self._progress[key] = _Progress(
            watched,
            began=self._clock.now(),
            due=due,
            measured_at=watched.measured_at,
            problem=problem,
        )

    def unwatch(self, key: ObjectKey) -> None:
        """Measure a key no more and forget counts that no status has taken."""
        self._progress.pop(key, None)

    def forget(self, key: ObjectKey) -> None:
        """Forget everything about a key without a live candidate."""
        self.unwatch(key)
        for track in [track for track in self._pods if track[0] == key]:
            del self._pods[track]

    def latest(self, key: ObjectKey, *, after: float | None) -> Measured | NotMeasured | None:
        """Return the blocks that end later than `after` as one, or why there can be none."""
        progress = self._progress.get(key)
        if progress is None:
            return None
        if progress.problem is not None:
            return NotMeasured(progress.problem)
        blocks = [block for block in progress.blocks if block.at > (after or 0.0)]
        return _joined(blocks) if blocks else None

    def taken(self, key: ObjectKey, at: float | None) -> None:
        """Forget the blocks that end at `at` or before: they are in status now."""
        progress = self._progress.get(key)
        if progress is not None and at is not None:
            progress.blocks = [block for block in progress.blocks if block.at > at]

    async def run(self, tick_seconds: float = 1.0) -> None:
        """Measure what is due, for ever."""
        while True:
            await self.tick()
            await asyncio.sleep(tick_seconds)

    async def tick(self) -> None:
        """Measure every key whose interval is due, in one batch per window length."""
        now = self._clock.monotonic()
        batches: dict[float, list[ObjectKey]] = defaultdict(list)
        for key, progress in self._progress.items():
            if progress.due <= now:
                progress.due = now + progress.watched.interval_seconds
                batches[self._window(key, progress)].append(key)
        at = self._clock.now() - self._lag
        for window, keys in batches.items():
            await self._measure(keys, at=at, window_seconds=window)

    def _window(self, key: ObjectKey, progress: _Progress) -> float:
        """Return how old a sample may be: an hour for pods that were never read before."""
        watched = progress.watched
        if progress.measured_at is None or (key, watched.candidate) not in self._pods:
            return REMEMBERED_SECONDS
        return max(2 * watched.interval_seconds, 2.5 * self._scrape_interval)

    async def _measure(
        self, keys: Sequence[ObjectKey], *, at: float, window_seconds: float
    ) -> None:
        try:
            await self._resume(keys)
            readings = await self._metrics.readings(keys, at=at, window_seconds=window_seconds)
        except MetricsUnavailable as error:
            log.warning("metrics.unavailable", reason=error.reason, error=str(error))
            self._on_error(error.reason)
            message = f"{error}; the weight stays until Prometheus answers again ({error.reason})"
            for key in keys:
                self._hold(key, Problem("MetricsUnavailable", message))
            return
        for key in keys:
            self._count(key, readings, at=at)

    async def _resume(self, keys: Sequence[ObjectKey]) -> None:
        """Go on after a restart from the counters as they were at the last blocks' ends."""
        by_time: dict[float, list[ObjectKey]] = defaultdict(list)
        for key in keys:
            progress = self._progress.get(key)
            if progress is None or progress.measured_at is None:
                continue
            if (key, progress.watched.candidate) not in self._pods:
                by_time[progress.measured_at].append(key)
        for at, some in by_time.items():
            before = await self._metrics.readings(some, at=at, window_seconds=REMEMBERED_SECONDS)
            for track, reading in before.items():
                self._pods[track] = remembered(None, reading)

    def _count(self, key: ObjectKey, readings: Readings, *, at: float) -> None:
        progress = self._progress.get(key)
        if progress is None:
            return  # went away while the query was under way
        watched = progress.watched
        candidate = readings.get((key, watched.candidate))
        stable = readings.get((key, watched.stable))
        if candidate is None or stable is None:
            self._hold(key, self._unmeasured(progress, candidate))
            return
        began = progress.measured_at
        if began is not None and at <= began:
            return  # the clock went back: time is counted once
        known = [
            self._pods.get((key, revision)) for revision in (watched.candidate, watched.stable)
        ]
        block = Measured(
            at=at,
            seconds=0.0 if began is None else at - began,
            canary=deltas(None if began is None else known[0], candidate),
            stable=deltas(None if began is None else known[1], stable),
            epoch=watched.epoch,
        )
        self._pods[key, watched.candidate] = remembered(known[0], candidate)
        self._pods[key, watched.stable] = remembered(known[1], stable)
        progress.measured_at, progress.problem = at, None
        progress.blocks.append(block)
        self._enqueue(key)

    def _unmeasured(self, progress: _Progress, candidate: Reading | None) -> Problem:
        watched = progress.watched
        if candidate is not None:
            message = (
                f"no counters of stable {watched.stable} in Prometheus: nothing to compare with; "
                "check that its pods are scraped and relabelled"
            )
            return Problem("StableUnmeasured", message)
        patience = 2 * max(2 * watched.interval_seconds, 2.5 * self._scrape_interval)
        if self._clock.now() - progress.began < patience:
            message = f"waiting for the first counters of {watched.candidate} in Prometheus"
            return Problem("WaitingForMetrics", message)
        message = (
            f"no complete agent_sessions and agent_requests counters of {watched.candidate} in "
            "Prometheus; check that its pods export them on port 9090 and are scraped"
        )
        return Problem("ContractNotMet", message)

    def _hold(self, key: ObjectKey, problem: Problem) -> None:
        progress = self._progress.get(key)
        if progress is not None and progress.problem != problem:
            progress.problem = problem
            self._enqueue(key)


def _joined(blocks: Sequence[Measured]) -> Measured:
    """Add up blocks of one epoch that follow each other."""
    first, *rest = blocks
    for block in rest:
        first = Measured(
            at=block.at,
            seconds=first.seconds + block.seconds,
            canary=first.canary + block.canary,
            stable=first.stable + block.stable,
            epoch=block.epoch,
        )
    return first
