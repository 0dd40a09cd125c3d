"""One namespace with everything around an AgentDeployment but pods: operator, Prometheus, gateway.

The API server, the controller manager and the operator's process are real; what pods and the
gateway would say comes from `tests.fakes`.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.agents import Agents
from tests.api_server import Objects
from tests.audit import AuditLog
from tests.fakes.node import FakeNode
from tests.fakes.prometheus_server import prometheus_server
from tests.fakes.session_counters import SessionCounters
from tests.operator_process import OperatorCommand, OperatorProcess

# The fastest that the API allows; three passes in a row at the last step promote.
QUICK_ROLLOUT: Mapping[str, Any] = {
    "steps": [{"weight": 50}],
    "analysis": {"interval": "5s", "minSessions": 5, "minStepSeconds": 0},
    "drain": {"seconds": 0},
}
ATTEMPTS = 10
QUICK_SETTINGS: Mapping[str, float] = {
    "tick_seconds": 0.2,
    "query_lag_seconds": 1,
    "scrape_interval_seconds": 1,
}
_SPEC: Mapping[str, Any] = {
    "image": "registry.example.com/refunds:1.4.2",
    "model": {
        "name": "gpt-4o-2024-08-06",
        "credentialsSecretRef": {"name": "agent-secrets", "key": "openai-api-key"},
    },
    "prompt": {"version": "v1", "files": {"system.md": "You decide on refunds.\n"}},
    "rollout": QUICK_ROLLOUT,
}


@dataclass(frozen=True)
class Account:
    """Who the operator is: its kubeconfig, with the chart's permissions only, and its user name."""

    kubeconfig: Path
    user: str


@dataclass
class Site(Agents):
    """The namespace, its players, and the operators that were started in it."""

    node: FakeNode
    counters: SessionCounters
    account: Account
    audit: AuditLog
    operators: list[OperatorProcess] = field(default_factory=list)

    @property
    def operator(self) -> OperatorProcess:
        """Return the operator that was started last."""
        return self.operators[-1]

    def start_operator(self, **settings: float) -> OperatorProcess:
        """Start an operator for this namespace and wait until it works."""
        command = OperatorCommand(
            self.account.kubeconfig,
            self.counters.url,
            self.objects.namespace,
            {**QUICK_SETTINGS, **settings},
        )
        process = OperatorProcess(command)
        self.operators.append(process)
        return process.until_started()

    def kill_operators(self) -> None:
        """End all operators; those that have ended already count."""
        for operator in self.operators:
            operator.kill()

    def writes(self, since: AuditLog | None = None) -> list[str]:
        """Return the operator's writes in this namespace, as the API server counted them."""
        log = since or self.audit
        writes = log.writes(user=self.account.user, namespace=self.objects.namespace)
        return [
            f"{each.verb} {each.resource} {each.name}{' refused' if each.code >= 400 else ''}"
            for each in writes
        ]

    def served(self, revisions: Iterable[str], start: float, end: float) -> Mapping[str, int]:
        """Return the sessions that the pods of revisions really had between two moments."""
        since, until = round(start, 3), round(end, 3)  # queries ask for milliseconds
        started = self.counters.started
        return {one: started(one, until) - started(one, since) for one in revisions}

    def until_quiet(self, *, seconds: float = 2.0) -> AuditLog:
        """Wait until the operator has written nothing for so long; return the log from then on."""
        for _ in range(ATTEMPTS):
            log = self.audit.from_now()
            time.sleep(seconds)
            if not self.writes(log):
                return self.audit.from_now()
        raise AssertionError(f"the operator goes on writing: {self.writes(log)}")

    def story(self) -> str:
        """Return the last words of the operator, or what ended the fake node."""
        if self.node.failure is not None:
            return f"the fake node failed: {self.node.failure!r}"
        return self.operator.output[-4000:]


@dataclass(frozen=True)
class SettledSite:
    """A site in which nothing is left to do: since when (monotonic seconds) and what came then."""

    place: Site
    since: float
    log: AuditLog


Furnish = Callable[[], AbstractContextManager[Site]]


@contextmanager
def site(kubeconfig: Path, namespace: str, *, account: Account, audit: AuditLog) -> Iterator[Site]:
    """Furnish a namespace but for an operator; at the end nothing of it runs any more."""
    with ExitStack() as stack:
        objects = Objects(kubeconfig, namespace)
        stack.callback(objects.close)
        secret = {"openai-api-key": "not-a-key", "redis-url": "redis://redis"}
        objects.create("secrets", {"metadata": {"name": "agent-secrets"}, "stringData": secret})
        node = FakeNode(Objects(kubeconfig, namespace, manager="node"))
        counters = SessionCounters(namespace=namespace, pods=node.pods)
        stack.enter_context(prometheus_server(counters))
        node.start()
        stack.callback(node.stop)
        place = Site(objects, _SPEC, node, counters, account, audit)
        stack.callback(place.kill_operators)
        yield place
