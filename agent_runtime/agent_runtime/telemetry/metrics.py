"""The metrics contract with the operator: names, labels and buckets, all series at 0 from start.

Target labels (namespace, pod, agent, revision) come from relabelling and are never set here.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

# One segment for all sessions; the label is part of the contract.
SEGMENT = ""
FALLBACK_TYPES = ("model_fallback", "cache_fallback", "static_fallback")
CALL_STATUSES = ("success", "error", "cancelled")
LLM_SECONDS_BUCKETS = (0.5, 1, 2, 5, 10, 15, 30, 60)
CHAIN_BUCKETS = (1, 2, 3, 5, 8, 10, 13, 20)


class Outcome(StrEnum):
    """How a request ended."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILED = "failed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


class Signal(StrEnum):
    """What can make a request, and with it its session, bad."""

    ERROR = "error"
    FALLBACK = "fallback"
    LATENCY = "latency"
    CHAIN = "chain"
    COST = "cost"
    TOOL = "tool"
    ESCALATION = "escalation"


class Metrics:
    """Every series of one process, in a registry of its own."""

    def __init__(
        self,
        *,
        models: Iterable[str],
        active_sessions: Callable[[], int],
        open_sessions: Callable[[], int],
    ) -> None:
        # `_created` series would double the contract's counters for nothing.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._judged_counters()
        self._gauge("active_agent_sessions", "Agent workflows in flight", read=active_sessions)
        self._gauge(
            "agent_open_sessions",
            "Conversations begun here and neither ended nor idle for too long",
            read=open_sessions,
        )
        self._calls(list(models))

    def _judged_counters(self) -> None:
        counter = self._counter
        signals = [(signal.value, SEGMENT) for signal in Signal]
        outcomes = [(outcome.value, SEGMENT) for outcome in Outcome]
        self.sessions_started = counter(
            "agent_sessions_started_total",
            "Sessions whose first request on this revision is finished",
            labels=("segment",),
            combinations=[(SEGMENT,)],
        )
        self.sessions_bad = counter(
            "agent_sessions_bad_total",
            "Sessions at their first bad request, per signal",
            labels=("signal", "segment"),
            combinations=signals,
        )
        self.requests = counter(
            "agent_requests_total",
            "Requests by outcome",
            labels=("outcome", "segment"),
            combinations=outcomes,
        )
        self.requests_bad = counter(
            "agent_requests_bad_total",
            "Bad requests by signal",
            labels=("signal", "segment"),
            combinations=signals,
        )
        self.sessions_pinned = counter(
            "agent_sessions_pinned_total",
            "Conversations that began with a pin, and are in no other session or request counter",
        )
        self.fallbacks = counter(
            "agent_fallback_total",
            "Uses of each layer below the primary model",
            labels=("fallback_type",),
            combinations=[(kind,) for kind in FALLBACK_TYPES],
        )

    def _gauge(self, name: str, documentation: str, *, read: Callable[[], int]) -> None:
        Gauge(name, documentation, registry=self.registry).set_function(read)

    def _calls(self, models: list[str]) -> None:
        self.request_seconds = Histogram(
            "agent_request_duration_seconds",
            "From the request to the end of its answer",
            buckets=LLM_SECONDS_BUCKETS,
            registry=self.registry,
        )
        self.chain_length = Histogram(
            "agent_chain_length",
            "LLM calls per request",
            buckets=CHAIN_BUCKETS,
            registry=self.registry,
        )
        self.llm_seconds = Histogram(
            "llm_request_duration_seconds",
            "One LLM call",
            ("model", "status"),
            buckets=LLM_SECONDS_BUCKETS,
            registry=self.registry,
        )
        for model in models:
            for status in CALL_STATUSES:
                self.llm_seconds.labels(model, status)
        self.llm_tokens = self._counter(
            "llm_tokens_total",
            "Tokens as the provider counted them",
            labels=("model", "direction"),
            combinations=[
                (model, direction) for model in models for direction in ("input", "output")
            ],
        )

    def _counter(
        self,
        name: str,
        documentation: str,
        *,
        labels: Sequence[str] = (),
        combinations: Iterable[tuple[str, ...]] = (),
    ) -> Counter:
        counter = Counter(name, documentation, labels, registry=self.registry)
        for values in combinations:
            counter.labels(*values)
        return counter
