"""The counters of a fleet of agent pods, as a function of time, behind a real HTTP server.

Every pod serves sessions of one request at a steady rate from when it became Ready. Asked twice for
the same moment the answer is the same, so what an operator counted can be checked to the session.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.node import Pod
from tests.fakes.prometheus_server import PrometheusServer, Scraped

SIGNALS = ("error", "fallback", "latency", "chain", "cost", "tool", "escalation")


@dataclass
class SessionCounters(PrometheusServer):
    """A Prometheus that has scraped the pods of one namespace at every moment it is asked about.

    `bad_shares`: share of bad sessions by signal, by prompt version; other versions have none.
    `spoiled_values`: what started sessions are said to be instead, by prompt version.
    `unseen_prompts`: prompt versions whose pods are not scraped.
    """

    namespace: str = ""
    pods: Callable[[], Sequence[Pod]] = tuple
    sessions_per_second: float = 8.0
    bad_shares: dict[str, Mapping[str, float]] = field(default_factory=dict)
    spoiled_values: dict[str, float] = field(default_factory=dict)
    unseen_prompts: set[str] = field(default_factory=set)

    def evaluate(self, query: str, at: float) -> list[dict[str, Any]] | None:
        """Return the vector of that moment, None for a query the operator does not send."""
        return PrometheusServer(series=list(self._series(at))).evaluate(query, at)

    def started(self, revision: str, at: float) -> int:
        """Return the sessions that all pods of a revision have started until then."""
        pods = [pod for pod in self.pods() if pod.revision == revision and pod.serves_at(at)]
        return sum(self._sessions(pod, at) for pod in pods)

    def _series(self, at: float) -> Iterator[Scraped]:
        for pod in self.pods():
            if pod.serves_at(at) and pod.prompt_version not in self.unseen_prompts:
                for metric, labels, value in self._counts(pod, at):
                    target = {
                        "namespace": self.namespace,
                        "agent": pod.agent,
                        "revision": pod.revision,
                        "pod": pod.name,
                    }
                    yield Scraped(metric, target | labels, value, at)

    def _counts(self, pod: Pod, at: float) -> Iterator[tuple[str, dict[str, str], float]]:
        sessions = self._sessions(pod, at)
        shares = self.bad_shares.get(pod.prompt_version, {})
        started = self.spoiled_values.get(pod.prompt_version, sessions)
        yield "agent_sessions_started_total", {}, started
        yield "agent_requests_total", {"outcome": "ok"}, sessions
        for signal in SIGNALS:
            bad = math.floor(sessions * shares.get(signal, 0.0))
            for metric in ("agent_sessions_bad_total", "agent_requests_bad_total"):
                yield metric, {"signal": signal}, bad

    def _sessions(self, pod: Pod, at: float) -> int:
        return math.floor(self.sessions_per_second * (at - pod.ready_at))
