"""The queue between watches and reconcile passes.

Keys coalesce, never run twice at once, come back with back-off after a failure, and are never
lost: a key added while it runs runs again. `KeySchedule` holds the rules, `WorkQueue` the tasks.
"""

import asyncio
import contextlib
import heapq
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable

import structlog

from agent_operator.domain.backoff import Backoff
from agent_operator.domain.manifest import ObjectKey
from agent_operator.errors import OperatorError, Throttled

log = structlog.get_logger(__name__)

Pass = Callable[[ObjectKey], Awaitable[float | None]]
"""One reconcile pass; returns the seconds until the key should come back, None for no need."""

DEFAULT_BACKOFF = Backoff(base_seconds=0.25, cap_seconds=60.0)


class KeySchedule:
    """Which key runs next: ready ones first come, first served; planned ones when they are due.

    Times are seconds on one clock of the caller's choice.
    """

    def __init__(self) -> None:
        self._ready: deque[ObjectKey] = deque()
        self._queued: set[ObjectKey] = set()
        self._running: set[ObjectKey] = set()
        self._dirty: set[ObjectKey] = set()
        self._due: dict[ObjectKey, float] = {}
        self._heap: list[tuple[float, ObjectKey]] = []

    def __len__(self) -> int:
        return len(self._ready) + len(self._dirty)

    @property
    def running(self) -> int:
        """Return how many keys are being worked on."""
        return len(self._running)

    def add(self, key: ObjectKey) -> None:
        """Make the key run as soon as possible, once more if it is running right now."""
        if key in self._running:
            self._dirty.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._ready.append(key)

    def plan(self, key: ObjectKey, due: float) -> None:
        """Make the key run at `due` at the latest; an earlier plan stays."""
        planned = self._due.get(key)
        if planned is None or due < planned:
            self._due[key] = due
            heapq.heappush(self._heap, (due, key))

    def promote(self, now: float) -> float | None:
        """Add the keys that are due; return when the next one will be, None if none is planned."""
        while self._heap:
            due, key = self._heap[0]
            if self._due.get(key) == due:
                if due > now:
                    return due
                del self._due[key]
                self.add(key)
            heapq.heappop(self._heap)
        return None

    def take(self) -> ObjectKey | None:
        """Return the next key and mark it running, None when nothing is ready."""
        if not self._ready:
            return None
        key = self._ready.popleft()
        self._queued.discard(key)
        self._running.add(key)
        return key

    def done(self, key: ObjectKey) -> None:
        """End the run of a key; it is ready again if it was added meanwhile."""
        self._running.discard(key)
        if key in self._dirty:
            self._dirty.discard(key)
            self.add(key)

    def forget(self, key: ObjectKey) -> None:
        """Drop the plan of a key whose object is gone."""
        self._due.pop(key, None)


class WorkQueue:
    """Runs passes over keys, so many at once and never two of one key.

    Every failure comes back with back-off: a pass reports itself what cannot be retried.
    """

    def __init__(
        self,
        run_pass: Pass,
        *,
        workers: int = 16,
        backoff: Backoff = DEFAULT_BACKOFF,
        observe_pass: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._run_pass = run_pass
        self._workers = workers
        self._backoff = backoff
        self._observe_pass = observe_pass
        self._schedule = KeySchedule()
        self._failures: dict[ObjectKey, int] = {}
        self._wake = asyncio.Event()
        self._is_closed = False

    @property
    def depth(self) -> int:
        """Return how many keys are ready and wait for a worker."""
        return len(self._schedule)

    @property
    def running(self) -> int:
        """Return how many passes are under way."""
        return self._schedule.running

    def add(self, key: ObjectKey) -> None:
        """Run a pass over the key as soon as possible."""
        self._schedule.add(key)
        self._wake.set()

    def add_after(self, key: ObjectKey, seconds: float) -> None:
        """Run a pass over the key after so many seconds at the latest."""
        self._schedule.plan(key, asyncio.get_running_loop().time() + max(seconds, 0.0))
        self._wake.set()

    def forget(self, key: ObjectKey) -> None:
        """Drop plan and failures of a key whose object is gone; a running pass goes on."""
        self._schedule.forget(key)
        self._failures.pop(key, None)

    def close(self) -> None:
        """Start no further pass; `run` returns once those under way have ended."""
        self._is_closed = True
        self._wake.set()

    async def run(self) -> None:
        """Run passes until `close`; cancel to end those under way as well."""
        clock = asyncio.get_running_loop().time
        async with asyncio.TaskGroup() as passes:
            while not self._is_closed:
                self._wake.clear()
                next_due = self._schedule.promote(clock())
                while self._schedule.running < self._workers and (key := self._schedule.take()):
                    passes.create_task(self._work(key), name=f"pass {key.namespace}/{key.name}")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(next_due):
                        await self._wake.wait()

    async def _work(self, key: ObjectKey) -> None:
        began = time.monotonic()
        try:
            come_back = await self._run_pass(key)
        except Exception as error:  # whatever it is, the key comes back
            come_back = self._failed(key, error)
        else:
            self._failures.pop(key, None)
        finally:
            self._schedule.done(key)
            self._wake.set()
            self._observe_pass(time.monotonic() - began)
        if come_back is not None:
            self.add_after(key, come_back)

    def _failed(self, key: ObjectKey, error: Exception) -> float:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        pause = self._backoff.seconds(failures, random.random())  # noqa: S311 - no secret
        if isinstance(error, Throttled):
            pause = max(pause, error.retry_after)
        log.warning(
            "pass.failed",
            object=f"{key.namespace}/{key.name}",
            error=f"{type(error).__name__}: {error}",
            failures=failures,
            retry_seconds=round(pause, 2),
            exc_info=None if isinstance(error, OperatorError) else error,
        )
        return pause
