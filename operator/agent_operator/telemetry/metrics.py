"""What the operator counts about itself; none of it is labelled by object."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_PASS_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_ROLLBACK_BUCKETS = (5, 10, 15, 30, 45, 60, 90, 120, 180, 300, 600)


class Metrics:
    """All metrics of one process, in a registry of their own."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        self._reconcile = Histogram(
            "agentdeploy_reconcile_duration_seconds",
            "Duration of one pass over one AgentDeployment",
            buckets=_PASS_BUCKETS,
            registry=self.registry,
        )
        self._depth = Gauge(
            "agentdeploy_workqueue_depth",
            "AgentDeployments that wait for a worker",
            registry=self.registry,
        )
        self._requests = Counter(
            "agentdeploy_api_requests",
            "Requests to the API server; code 0: no answer",
            ["verb", "code"],
            registry=self.registry,
        )
        self._decisions = Counter(
            "agentdeploy_decisions",
            "Decisions about rollouts",
            ["action", "reason"],
            registry=self.registry,
        )
        self._rollback = Histogram(
            "agentdeploy_rollback_latency_seconds",
            "From the decision to roll back until the candidate's weight was read back as 0",
            buckets=_ROLLBACK_BUCKETS,
            registry=self.registry,
        )
        self._evaluation_errors = Counter(
            "agentdeploy_evaluation_errors",
            "Evaluations without trustworthy metrics",
            ["reason"],
            registry=self.registry,
        )
        Gauge("agentdeploy_info", "Always 1", ["version"], registry=self.registry).labels(
            version
        ).set(1)

    def observe_pass(self, seconds: float) -> None:
        """Take the duration of one reconcile pass."""
        self._reconcile.observe(seconds)

    def watch_depth(self, depth: Callable[[], int]) -> None:
        """Ask `depth` for the length of the work queue at every scrape."""
        self._depth.set_function(depth)

    def observe_request(self, verb: str, code: int) -> None:
        """Take one answer of the API server."""
        self._requests.labels(verb, str(code)).inc()

    def observe_decision(self, action: str, reason: str) -> None:
        """Take one decision about a rollout."""
        self._decisions.labels(action, reason).inc()

    def observe_rollback(self, seconds: float) -> None:
        """Take how long a rollback needed to reach weight 0."""
        self._rollback.observe(seconds)

    def observe_evaluation_error(self, reason: str) -> None:
        """Take one evaluation that could not be made."""
        self._evaluation_errors.labels(reason).inc()
