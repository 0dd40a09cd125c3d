"""Watches one request: gauges that cannot leak, calls and fallbacks as metrics and log events."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import structlog

from agent_runtime.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class CallRecord:
    """What is known of one LLM call while it runs."""

    input_tokens: int = 0
    output_tokens: int = 0

    def tokens(self, input_tokens: int, output_tokens: int) -> None:
        """Take over the provider's own count."""
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens


class ActiveSessions:
    """Agent workflows in flight: what the autoscaler scales on and a drain waits for."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any] | None] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        """Count the workflows in flight now."""
        return len(self._tasks)

    def enter(self) -> None:
        """Count the current task in."""
        self._tasks.add(asyncio.current_task())
        self._idle.clear()

    def leave(self) -> None:
        """Count the current task out."""
        self._tasks.discard(asyncio.current_task())
        if not self._tasks:
            self._idle.set()

    async def idle(self) -> None:
        """Return when nothing is in flight."""
        await self._idle.wait()

    def cancel(self) -> None:
        """Give up on everything in flight."""
        for task in self._tasks:
            if task:
                task.cancel()


class AgentMonitor:
    """Context manager around one request; leaving it by any way ends its place in the gauge."""

    def __init__(self, metrics: Metrics, active_sessions: ActiveSessions) -> None:
        self._metrics = metrics
        self._active_sessions = active_sessions
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        self._active_sessions.enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._active_sessions.leave()

    @property
    def seconds(self) -> float:
        """Seconds since the request began."""
        return time.monotonic() - self._started

    @contextmanager
    def llm_call(self, model: str) -> Iterator[CallRecord]:
        """Record the call inside, however it ends."""
        record = CallRecord()
        started = time.monotonic()
        try:
            yield record
        except Exception as error:
            # The type only: a provider's message may quote the prompt or part of the key.
            self.record_llm_call(
                model, record, status="error", started=started, error=type(error).__name__
            )
            raise
        except BaseException:
            self.record_llm_call(model, record, status="cancelled", started=started)
            raise
        self.record_llm_call(model, record, status="success", started=started)

    def record_llm_call(
        self, model: str, record: CallRecord, *, status: str, started: float, **fields: str
    ) -> None:
        """Count one LLM call, begun at monotonic time `started`, and log it as `llm_call`."""
        seconds = time.monotonic() - started
        self._metrics.llm_seconds.labels(model, status).observe(seconds)
        self._metrics.llm_tokens.labels(model, "input").inc(record.input_tokens)
        self._metrics.llm_tokens.labels(model, "output").inc(record.output_tokens)
        log.info(
            "llm_call",
            model=model,
            status=status,
            seconds=round(seconds, 3),
            input_tokens=record.input_tokens,
            output_tokens=record.output_tokens,
            **fields,
        )

    def record_fallback(self, fallback_type: str, *, reason: str) -> None:
        """Count the use of a lower layer and log it as `fallback_triggered`."""
        self._metrics.fallbacks.labels(fallback_type).inc()
        log.warning("fallback_triggered", fallback_type=fallback_type, reason=reason)

    def finish(self, *, chain_length: int, outcome: str) -> None:
        """Observe the finished request and log it as `request_complete`."""
        seconds = self.seconds
        self._metrics.request_seconds.observe(seconds)
        self._metrics.chain_length.observe(chain_length)
        log.info(
            "request_complete",
            outcome=outcome,
            chain_length=chain_length,
            seconds=round(seconds, 3),
        )
