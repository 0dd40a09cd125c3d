from collections.abc import Mapping, Sequence

import pytest

from agent_operator.controller.evaluation import Evaluation, Watched
from agent_operator.domain.manifest import ObjectKey
from agent_operator.domain.observation import Measured, NotMeasured
from agent_operator.domain.verdict.readings import PodReading, Reading
from agent_operator.domain.verdict.signals import Signal
from agent_operator.errors import MetricsUnavailable
from tests.fakes.manual_clock import ManualClock

KEY = ObjectKey("support", "refunds")


class ScriptedMetrics:
    """Pods' session counters as a test sets them; `down` makes every reading fail."""

    def __init__(self) -> None:
        self.sessions: dict[str, dict[str, int]] = {"one": {"a": 100}, "two": {"b": 0}}
        self.past: dict[float, dict[str, dict[str, int]]] = {}
        self.down = False
        self.asked: list[int] = []

    async def readings(
        self, agents: Sequence[ObjectKey], *, at: float, window_seconds: float
    ) -> Mapping[tuple[ObjectKey, str], Reading]:
        self.asked.append(len(agents))
        if self.down:
            raise MetricsUnavailable("ConnectionFailed", "connection refused")
        sessions = self.past.get(at, self.sessions)
        return {
            (key, revision): Reading(at, {pod: reading(n) for pod, n in pods.items()})
            for key in agents
            for revision, pods in sessions.items()
        }


def reading(sessions: int) -> PodReading:
    none = dict.fromkeys(Signal, 0)
    return PodReading(sessions, none, sessions, none)


class Bench:
    """An evaluation with scripted metrics, a manual clock and the keys it enqueued."""

    def __init__(self) -> None:
        self.metrics, self.clock = ScriptedMetrics(), ManualClock(1000.0)
        self.enqueued: list[ObjectKey] = []
        self.restart()

    def restart(self) -> None:
        self.evaluation = Evaluation(
            self.metrics,
            self.clock,
            self.enqueued.append,
            query_lag_seconds=5,
            scrape_interval_seconds=15,
        )

    def watch(self, epoch: str = "first", measured_at: float | None = None) -> None:
        self.evaluation.watch(KEY, Watched("two", "one", 15.0, epoch, measured_at))

    async def tick(self, seconds: float = 15.0) -> Measured | NotMeasured | None:
        self.clock.advance(seconds)
        await self.evaluation.tick()
        return self.evaluation.latest(KEY, after=None)

    async def counts(self) -> tuple[int, int]:
        measured = await self.tick()
        assert isinstance(measured, Measured)
        self.evaluation.taken(KEY, measured.at)
        return measured.canary.sessions_started, measured.stable.sessions_started


@pytest.fixture
async def bench() -> Bench:
    bench = Bench()
    bench.watch()
    assert await bench.counts() == (0, 0), "evidence starts from the present values"
    return bench


async def test_only_what_happened_since_the_last_reading_is_counted(bench: Bench) -> None:
    bench.metrics.sessions = {"one": {"a": 130}, "two": {"b": 4}}
    assert await bench.counts() == (4, 30)
    assert await bench.counts() == (0, 0)


async def test_a_pod_that_appears_later_counts_whole(bench: Bench) -> None:
    bench.metrics.sessions = {"one": {"a": 100}, "two": {"b": 2, "c": 3}}
    assert await bench.counts() == (5, 0)


async def test_a_restarted_pod_counts_what_it_did_since(bench: Bench) -> None:
    bench.metrics.sessions = {"one": {"a": 7}, "two": {"b": 0}}
    assert await bench.counts() == (0, 7)


async def test_counts_wait_until_a_status_has_taken_them(bench: Bench) -> None:
    bench.metrics.sessions = {"one": {"a": 101}, "two": {"b": 2}}
    await bench.tick()
    bench.metrics.sessions = {"one": {"a": 103}, "two": {"b": 5}}
    assert await bench.counts() == (5, 3)


async def test_an_outage_is_reported_once_and_loses_no_count(bench: Bench) -> None:
    bench.metrics.sessions = {"one": {"a": 101}, "two": {"b": 2}}
    await bench.tick()
    bench.metrics.down = True
    bench.enqueued.clear()
    for _ in range(4):
        outage = await bench.tick()
        assert isinstance(outage, NotMeasured)
        assert outage.problem.reason == "MetricsUnavailable"
    assert bench.enqueued == [KEY]
    bench.metrics.down = False
    bench.metrics.sessions = {"one": {"a": 160}, "two": {"b": 9}}
    assert await bench.counts() == (9, 60)


async def test_nothing_is_asked_before_the_interval_is_due(bench: Bench) -> None:
    asked = len(bench.metrics.asked)
    await bench.tick(1.0)
    assert len(bench.metrics.asked) == asked


async def test_another_weight_starts_counting_anew(bench: Bench) -> None:
    bench.metrics.sessions = {"one": {"a": 130}, "two": {"b": 4}}
    bench.watch("second")
    assert await bench.counts() == (0, 0)


async def test_after_a_restart_counting_goes_on_from_the_last_block() -> None:
    bench = Bench()
    bench.metrics.past[900.0] = {"one": {"a": 70}, "two": {"b": 1}}
    bench.metrics.sessions = {"one": {"a": 100}, "two": {"b": 6}}
    bench.watch(measured_at=900.0)
    assert await bench.counts() == (5, 30)


async def test_a_candidate_without_counters_is_named_after_a_while(bench: Bench) -> None:
    bench.watch("second")
    del bench.metrics.sessions["two"]
    first = await bench.tick()
    assert isinstance(first, NotMeasured)
    assert first.problem.reason == "WaitingForMetrics"
    last = await bench.tick(300)
    assert isinstance(last, NotMeasured)
    assert last.problem.reason == "ContractNotMet"


async def test_a_stable_revision_without_counters_holds(bench: Bench) -> None:
    del bench.metrics.sessions["one"]
    result = await bench.tick()
    assert isinstance(result, NotMeasured)
    assert result.problem.reason == "StableUnmeasured"


async def test_many_keys_are_measured_in_one_batch() -> None:
    bench = Bench()
    for number in range(50):
        key = ObjectKey("support", f"agent{number}")
        bench.evaluation.watch(key, Watched("two", "one", 15.0, "first", None))
    await bench.tick()
    assert bench.metrics.asked == [50]


async def test_blocks_that_came_while_a_pass_was_under_way_count_once(bench: Bench) -> None:
    bench.metrics.sessions = {"one": {"a": 110}, "two": {"b": 10}}
    first = await bench.tick()
    assert isinstance(first, Measured)
    bench.metrics.sessions = {"one": {"a": 118}, "two": {"b": 18}}
    await bench.tick()
    bench.evaluation.taken(KEY, first.at)
    second = bench.evaluation.latest(KEY, after=first.at)
    assert isinstance(second, Measured)
    assert (second.canary.sessions_started, second.seconds) == (8, 15.0)


async def test_a_pod_that_missed_the_first_scrape_of_a_weight_does_not_count_its_past(
    bench: Bench,
) -> None:
    bench.metrics.sessions = {"one": {}, "two": {"b": 0}}
    bench.watch("second")
    assert await bench.counts() == (0, 0)
    bench.metrics.sessions = {"one": {"a": 103}, "two": {"b": 1}}
    assert await bench.counts() == (1, 3)
