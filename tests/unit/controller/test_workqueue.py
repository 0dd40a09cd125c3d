"""The queue's promises: coalescing, one pass per key at a time, back-off, nothing lost."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from agent_operator.controller.workqueue import KeySchedule, WorkQueue
from agent_operator.domain.backoff import Backoff
from agent_operator.domain.manifest import ObjectKey
from agent_operator.errors import Throttled

A, B, C = (ObjectKey("support", name) for name in "abc")
KEYS = (A, B, C)
AT_ONCE = Backoff(base_seconds=0.001, cap_seconds=0.002)


def test_a_key_added_twice_is_taken_once() -> None:
    schedule = KeySchedule()
    schedule.add(A)
    schedule.add(A)
    assert (schedule.take(), schedule.take()) == (A, None)


def test_keys_are_taken_in_the_order_they_came() -> None:
    schedule = KeySchedule()
    for key in (B, A, C, A):
        schedule.add(key)
    assert [schedule.take() for _ in range(4)] == [B, A, C, None]


def test_a_key_added_while_it_runs_waits_for_the_end_of_the_run() -> None:
    schedule = KeySchedule()
    schedule.add(A)
    schedule.take()
    schedule.add(A)
    assert (schedule.take(), len(schedule)) == (None, 1)
    schedule.done(A)
    assert schedule.take() == A


def test_an_earlier_plan_wins_over_a_later_one() -> None:
    schedule = KeySchedule()
    schedule.plan(A, 5.0)
    schedule.plan(A, 9.0)
    schedule.plan(A, 3.0)
    assert schedule.promote(2.9) == 3.0
    assert schedule.promote(3.0) is None
    assert schedule.take() == A


def test_a_plan_fires_once() -> None:
    schedule = KeySchedule()
    schedule.plan(A, 5.0)
    schedule.plan(A, 3.0)
    schedule.promote(10.0)
    schedule.take()
    schedule.done(A)
    schedule.promote(20.0)
    assert schedule.take() is None


def test_the_plan_of_a_forgotten_key_does_not_fire() -> None:
    schedule = KeySchedule()
    schedule.plan(A, 3.0)
    schedule.forget(A)
    assert schedule.promote(5.0) is None
    assert schedule.take() is None


class Interleavings(RuleBasedStateMachine):
    """Any order of adding, planning, taking and ending: no key runs twice, none is forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule, self.now = KeySchedule(), 0.0
        self.running: set[ObjectKey] = set()
        self.owed: set[ObjectKey] = set()  # asked for since its last run began
        self.planned: dict[ObjectKey, float] = {}

    @rule(key=st.sampled_from(KEYS))
    def add(self, key: ObjectKey) -> None:
        self.schedule.add(key)
        self.owed.add(key)

    @rule(key=st.sampled_from(KEYS), seconds=st.floats(0, 5))
    def plan(self, key: ObjectKey, seconds: float) -> None:
        self.schedule.plan(key, self.now + seconds)
        self.planned[key] = min(self.planned.get(key, float("inf")), self.now + seconds)

    @rule(seconds=st.floats(0, 5))
    def let_time_pass(self, seconds: float) -> None:
        self.now += seconds
        next_due = self.schedule.promote(self.now)
        due = {key for key, moment in self.planned.items() if moment <= self.now}
        self.owed |= due
        self.planned = {key: at for key, at in self.planned.items() if key not in due}
        assert next_due == min(self.planned.values(), default=None)

    @rule()
    def take(self) -> None:
        key = self.schedule.take()
        if key is not None:
            assert key not in self.running
            assert key in self.owed
            self.running.add(key)
            self.owed.discard(key)

    @rule(key=st.sampled_from(KEYS))
    def end(self, key: ObjectKey) -> None:
        if key in self.running:
            self.running.discard(key)
            self.schedule.done(key)

    def teardown(self) -> None:
        self.let_time_pass(10.0)
        for key in KEYS:
            self.end(key)
        for _ in KEYS:
            self.take()
        assert not self.owed


TestInterleavings = Interleavings.TestCase


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_pauses_stay_between_half_the_base_and_the_cap(failures: int, jitter: float) -> None:
    pause = Backoff(base_seconds=0.25, cap_seconds=60.0).seconds(failures, jitter)
    assert 0.125 < pause <= 60.0


@given(st.integers(1, 200), st.floats(0, 1, exclude_max=True))
def test_pauses_never_shrink_with_more_failures(failures: int, jitter: float) -> None:
    backoff = Backoff(base_seconds=0.25, cap_seconds=60.0)
    assert backoff.seconds(failures, jitter) <= backoff.seconds(failures + 1, jitter)


class Recorder:
    """A pass that records what it was called for and ends when its script says so."""

    def __init__(self, *script: Callable[[ObjectKey], Awaitable[float | None]]) -> None:
        self.calls: list[ObjectKey] = []
        self._script = list(script)
        self.called = asyncio.Event()

    async def __call__(self, key: ObjectKey) -> float | None:
        self.calls.append(key)
        self.called.set()
        return await self._script.pop(0)(key) if self._script else None

    async def reached(self, calls: int) -> None:
        async with asyncio.timeout(5):
            while len(self.calls) < calls:
                self.called.clear()
                await self.called.wait()


async def fails(_key: ObjectKey) -> float | None:
    raise RuntimeError("no luck")


async def comes_back(_key: ObjectKey) -> float | None:
    return 0.001


async def finished(queue: WorkQueue, running: asyncio.Task[None]) -> None:
    queue.close()
    async with asyncio.timeout(5):
        await running


async def test_a_pass_that_fails_comes_back() -> None:
    recorder = Recorder(fails, fails)
    queue = WorkQueue(recorder, backoff=AT_ONCE)
    running = asyncio.create_task(queue.run())
    queue.add(A)
    await recorder.reached(3)
    await finished(queue, running)
    assert recorder.calls == [A, A, A]


async def test_a_pass_comes_back_when_it_said() -> None:
    recorder = Recorder(comes_back)
    queue = WorkQueue(recorder)
    running = asyncio.create_task(queue.run())
    queue.add(A)
    await recorder.reached(2)
    await finished(queue, running)
    assert recorder.calls == [A, A]


async def test_a_throttled_pass_waits_as_long_as_the_server_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def throttled(_key: ObjectKey) -> float | None:
        raise Throttled("slow down", retry_after=7.0)

    planned: list[float] = []
    recorder = Recorder(throttled)
    queue = WorkQueue(recorder, backoff=AT_ONCE)
    monkeypatch.setattr(queue, "add_after", lambda key, seconds: planned.append(seconds))
    running = asyncio.create_task(queue.run())
    queue.add(A)
    await recorder.reached(1)
    await finished(queue, running)
    assert planned == [7.0]


async def test_pauses_start_anew_after_a_success(monkeypatch: pytest.MonkeyPatch) -> None:
    async def succeeds(_key: ObjectKey) -> float | None:
        return None

    monkeypatch.setattr(random, "random", lambda: 0.0)
    pauses: list[float] = []
    recorder = Recorder(fails, fails, succeeds, fails)
    queue = WorkQueue(recorder, backoff=Backoff(base_seconds=1.0, cap_seconds=60.0))
    monkeypatch.setattr(queue, "add_after", lambda key, seconds: pauses.append(seconds))
    running = asyncio.create_task(queue.run())
    for calls in range(1, 5):
        queue.add(A)
        await recorder.reached(calls)
    await finished(queue, running)
    assert pauses == [1.0, 2.0, 1.0]


async def test_no_more_passes_run_at_once_than_workers() -> None:
    gate = asyncio.Event()
    at_once: list[int] = []

    async def waits(_key: ObjectKey) -> float | None:
        at_once.append(queue.running)
        await gate.wait()
        return None

    recorder = Recorder(waits, waits, waits)
    queue = WorkQueue(recorder, workers=2)
    running = asyncio.create_task(queue.run())
    for key in KEYS:
        queue.add(key)
    await recorder.reached(2)
    assert (queue.running, queue.depth) == (2, 1)
    gate.set()
    await recorder.reached(3)
    await finished(queue, running)
    assert max(at_once) == 2


async def test_closing_lets_a_pass_under_way_end() -> None:
    gate = asyncio.Event()

    async def waits(_key: ObjectKey) -> float | None:
        await gate.wait()
        return None

    recorder = Recorder(waits)
    durations: list[float] = []
    queue = WorkQueue(recorder, observe_pass=durations.append)
    running = asyncio.create_task(queue.run())
    queue.add(A)
    await recorder.reached(1)
    queue.add(B)
    queue.close()
    gate.set()
    await finished(queue, running)
    assert recorder.calls == [A]
    assert len(durations) == 1


async def test_a_key_that_keeps_failing_does_not_hold_up_others() -> None:
    seen: list[ObjectKey] = []
    b_ran = asyncio.Event()

    async def run_pass(key: ObjectKey) -> float | None:
        seen.append(key)
        if key == A:
            raise RuntimeError("always")
        b_ran.set()
        return None

    queue = WorkQueue(run_pass, workers=1, backoff=Backoff(base_seconds=30, cap_seconds=60))
    running = asyncio.create_task(queue.run())
    queue.add(A)
    queue.add(B)
    async with asyncio.timeout(5):
        await b_ran.wait()
    await finished(queue, running)
    assert seen == [A, B]
