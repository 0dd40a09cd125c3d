"""One loop measures all live candidates: few queries for the whole fleet, counts per key.

Passes register what they want measured (`watch`) and take what was counted (`latest`); counts stay
until the status that holds them is written (`taken`), so none is lost or counted twice.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from agent_operator.domain.manifest import ObjectKey
from agent_operator.domain.observation import Measured, NotMeasured, Problem
from agent_operator.domain.verdict.readings import Reading, SeenPod, deltas, remembered
from agent_operator.errors import MetricsUnavailable
from agent_operator.ports import Clock, Enqueue, MetricsSource

log = structlog.get_logger(__name__)

Readings = Mapping[tuple[ObjectKey, str], Reading]
REMEMBERED_SECONDS = 3600.0


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
class _Track:
    pods: dict[str, SeenPod] | None = None


@dataclass(slots=True)
class _Progress:
    """What is known of one watched key."""

    watched: Watched
    began: float
    due: float
    measured_at: float | None = None
    candidate: _Track = field(default_factory=_Track)
    stable: _Track = field(default_factory=_Track)
    pending: Measured | None = None  # counted, not in status yet
    problem: Problem | None = None  # why nothing can be counted now

    @property
    def latest(self) -> Measured | NotMeasured | None:
        """What the state machine should see."""
        return self.pending if self.problem is None else NotMeasured(self.problem)


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

    def watch(self, key: ObjectKey, watched: Watched) -> None:
        """Measure a key from now on; the same epoch goes on where it was."""
        known = self._progress.get(key)
        if known is not None and known.watched.epoch == watched.epoch:
            known.watched = watched
            return
        now = self._clock.now()
        problem = None if known is None else known.problem
        self._progress[key] = _Progress(watched, began=now, due=now, problem=problem)

    def unwatch(self, key: ObjectKey) -> None:
        """Measure a key no more and forget its counts."""
        self._progress.pop(key, None)

    def latest(self, key: ObjectKey) -> Measured | NotMeasured | None:
        """Return counts that are not in status yet, or why there are none."""
        progress = self._progress.get(key)
        return None if progress is None else progress.latest

    def taken(self, key: ObjectKey, at: float | None) -> None:
        """Forget the counts up to `at`: they are in status now."""
        progress = self._progress.get(key)
        if progress is None or at is None or progress.pending is None:
            return
        if progress.pending.at <= at:
            progress.pending = None

    async def run(self, tick_seconds: float = 1.0) -> None:
        """Measure what is due, for ever."""
        while True:
            await self.tick()
            await asyncio.sleep(tick_seconds)

    async def tick(self) -> None:
        """Measure every key whose interval is due, in one batch per interval length."""
        now = self._clock.now()
        batches: dict[float, list[ObjectKey]] = defaultdict(list)
        for key, progress in self._progress.items():
            if progress.due <= now:
                progress.due = now + progress.watched.interval_seconds
                batches[progress.watched.interval_seconds].append(key)
        for interval, keys in batches.items():
            await self._measure(keys, interval_seconds=interval, at=now - self._lag)

    async def _measure(
        self, keys: Sequence[ObjectKey], *, interval_seconds: float, at: float
    ) -> None:
        window = max(2 * interval_seconds, 2.5 * self._scrape_interval)
        try:
            for key in keys:
                await self._resume(key)
            readings = await self._metrics.readings(keys, at=at, window_seconds=window)
        except MetricsUnavailable as error:
            log.warning("metrics.unavailable", reason=error.reason, error=str(error))
            self._on_error(error.reason)
            problem = Problem(
                "MetricsUnavailable",
                f"{error}; the weight stays until Prometheus answers again ({error.reason})",
            )
            for key in keys:
                self._hold(key, problem)
            return
        for key in keys:
            self._count(key, readings, at=at, window_seconds=window)

    async def _resume(self, key: ObjectKey) -> None:
        """Go on after a restart from the counters as they were at the last block's end."""
        progress = self._progress.get(key)
        if progress is None or progress.candidate.pods is not None:
            return
        at = progress.watched.measured_at
        if at is None:
            return
        before = await self._metrics.readings([key], at=at, window_seconds=REMEMBERED_SECONDS)
        candidate = before.get((key, progress.watched.candidate))
        stable = before.get((key, progress.watched.stable))
        if candidate is not None and stable is not None:
            progress.candidate.pods = remembered(None, candidate)
            progress.stable.pods = remembered(None, stable)
            progress.measured_at = at

    def _count(
        self, key: ObjectKey, readings: Readings, *, at: float, window_seconds: float
    ) -> None:
        progress = self._progress.get(key)
        if progress is None:
            return  # went away while the query was under way
        watched = progress.watched
        candidate = readings.get((key, watched.candidate))
        stable = readings.get((key, watched.stable))
        if candidate is None or stable is None:
            problem = self._unmeasured(progress, candidate, window_seconds=window_seconds)
            self._hold(key, problem)
            return
        if progress.measured_at is not None and at <= progress.measured_at:
            return  # the clock went back: time is counted once
        counted = Measured(
            at=at,
            seconds=0.0 if progress.measured_at is None else at - progress.measured_at,
            canary=deltas(progress.candidate.pods, candidate),
            stable=deltas(progress.stable.pods, stable),
        )
        progress.candidate.pods = remembered(progress.candidate.pods, candidate)
        progress.stable.pods = remembered(progress.stable.pods, stable)
        progress.measured_at = at
        progress.problem, progress.pending = None, _joined(progress.pending, counted)
        self._enqueue(key)

    def _unmeasured(
        self, progress: _Progress, candidate: Reading | None, *, window_seconds: float
    ) -> Problem:
        watched = progress.watched
        if candidate is not None:
            message = (
                f"no counters of stable {watched.stable} in Prometheus: nothing to compare with; "
                "check that its pods are scraped and relabelled"
            )
            return Problem("StableUnmeasured", message)
        if self._clock.now() - progress.began < 2 * window_seconds:
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


def _joined(pending: Measured | None, new: Measured) -> Measured:
    """Add counts to those that no status has taken yet."""
    if pending is None:
        return new
    return Measured(
        at=new.at,
        seconds=pending.seconds + new.seconds,
        canary=pending.canary + new.canary,
        stable=pending.stable + new.stable,
    )
