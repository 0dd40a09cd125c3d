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

from agent_operator.api.v1alpha1 import AgentDeploymentStatus
from agent_operator.domain.naming import LABEL_NAME
from tests.api_server import Objects, Refused
from tests.audit import AuditLog
from tests.factories import merged
from tests.fakes.node import FakeNode
from tests.fakes.prometheus_server import prometheus_server
from tests.fakes.session_counters import SessionCounters
from tests.operator_process import OperatorCommand, OperatorProcess

AGENT = "refunds"
POLL_SECONDS = 0.1
# The fastest that the API allows; three passes in a row at the last step promote.
QUICK_ROLLOUT: Mapping[str, Any] = {
    "steps": [{"weight": 50}],
    "analysis": {"interval": "5s", "minSessions": 5, "minStepSeconds": 0},
    "drain": {"seconds": 0},
}
QUICK_SETTINGS: Mapping[str, float] = {
    "tick_seconds": 0.2,
    "query_lag_seconds": 1,
    "scrape_interval_seconds": 1,
}
OWNED = (
    "controllerrevisions",
    "configmaps",
    "services",
    "deployments",
    "horizontalpodautoscalers",
    "poddisruptionbudgets",
    "httproutes",
    "secrets",
)
_SPEC: Mapping[str, Any] = {
    "image": "registry.example.com/refunds:1.4.2",
    "model": {
        "name": "gpt-4o-2024-08-06",
        "credentialsSecretRef": {"name": "agent-secrets", "key": "openai-api-key"},
    },
    "prompt": {"version": "v1", "files": {"system.md": "You decide on refunds.\n"}},
    "rollout": QUICK_ROLLOUT,
}


def prompt(version: str) -> dict[str, Any]:
    """Return the part of a spec that asks for a prompt version: every version is a revision."""
    files = {"system.md": f"You decide on refunds, the {version} way.\n"}
    return {"prompt": {"version": version, "files": files}}


@dataclass(frozen=True)
class Account:
    """Who the operator is: its kubeconfig, with the chart's permissions only, and its user name."""

    kubeconfig: Path
    user: str


@dataclass(frozen=True)
class Counted:
    """Sessions that a status says both tracks had until `at` (Unix seconds), by revision."""

    at: float
    sessions: Mapping[str, int]

    @staticmethod
    def of(status: AgentDeploymentStatus) -> "Counted | None":
        """Return the counts of the whole rollout, None before there are any."""
        at = (status.evidence or {}).get("measuredAt")
        candidate, stable = status.candidate_revision, status.stable_revision
        if at is None or candidate is None or stable is None or not status.analysis:
            return None
        row = status.analysis[0]
        sessions = {candidate: row.canary.sessions, stable: row.stable.sessions}
        return Counted(float(at), sessions) if row.canary.sessions else None

    def since(self, before: "Counted") -> Mapping[str, int]:
        """Return what was counted after another moment."""
        return {one: number - before.sessions[one] for one, number in self.sessions.items()}


@dataclass
class Site:
    """The namespace, its players, and the operators that were started in it."""

    objects: Objects
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

    def apply(self, spec: Mapping[str, Any] | None = None, *, name: str = AGENT) -> dict[str, Any]:
        """Apply an AgentDeployment; `spec` is a merge patch on a small one with a quick pace."""
        manifest = {
            "apiVersion": "agentdeploy.dev/v1alpha1",
            "kind": "AgentDeployment",
            "metadata": {"name": name},
            "spec": merged(_SPEC, spec or {}),
        }
        return self.objects.apply("agentdeployments", manifest)

    def agent(self, name: str = AGENT) -> dict[str, Any]:
        """Return the AgentDeployment as stored."""
        return self.objects.found("agentdeployments", name)

    def status(self, name: str = AGENT) -> AgentDeploymentStatus:
        """Return the status as stored; an empty one counts."""
        stored = self.agent(name).get("status") or {}
        status, problems = AgentDeploymentStatus.parse(stored)
        assert not problems, problems
        return status

    def condition(self, kind: str, name: str = AGENT) -> tuple[str, str]:
        """Return status and reason of a condition, empty while there is none."""
        for condition in self.status(name).conditions:
            if condition.type == kind:
                return str(condition.status), condition.reason
        return "", ""

    def until(
        self,
        wanted: Callable[[AgentDeploymentStatus], object],
        *,
        within_seconds: float = 30.0,
        name: str = AGENT,
    ) -> AgentDeploymentStatus:
        """Wait until the status is as wanted and return it."""
        deadline = time.monotonic() + within_seconds
        while not wanted(status := self.status(name)):
            assert time.monotonic() < deadline, self._story(status)
            time.sleep(POLL_SECONDS)
        return status

    def until_phase(
        self, phase: str, *, within_seconds: float = 30.0, name: str = AGENT
    ) -> AgentDeploymentStatus:
        """Wait until the operator says that phase about the spec as it is now."""
        return self.until(
            lambda status: (
                status.phase == phase
                and status.observed_generation == self.agent(name)["metadata"]["generation"]
            ),
            within_seconds=within_seconds,
            name=name,
        )

    def until_counted(self, *, after: float = 0.0) -> Counted:
        """Wait until a status holds counts of a moment after the given one."""
        status = self.until(lambda status: (found := Counted.of(status)) and found.at > after)
        counted = Counted.of(status)
        assert counted is not None
        return counted

    def served(self, revisions: Iterable[str], start: float, end: float) -> Mapping[str, int]:
        """Return the sessions that the pods of revisions really had between two moments."""
        started = self.counters.started
        return {one: started(one, end) - started(one, start) for one in revisions}

    def until_true(self, holds: Callable[[], object], *, within_seconds: float = 15.0) -> None:
        """Wait until anything holds."""
        deadline = time.monotonic() + within_seconds
        while not holds():
            assert time.monotonic() < deadline, self.operator.output[-4000:]
            time.sleep(POLL_SECONDS)

    def settle(self, spec: Mapping[str, Any] | None = None, *, name: str = AGENT) -> str:
        """Apply a first revision, wait until it serves, and return it."""
        self.apply(spec, name=name)
        stable = self.until_phase("Stable", name=name).stable_revision
        assert stable is not None
        return stable

    def roll_out(self, spec: Mapping[str, Any], *, name: str = AGENT) -> str:
        """Ask for another revision, wait until it gets sessions, and return it."""
        self.apply(spec, name=name)
        candidate = self.until(lambda status: _weight(status) > 0, name=name).candidate_revision
        assert candidate is not None
        return candidate

    def children(self, name: str = AGENT) -> set[tuple[str, str]]:
        """Return (resource, name) of everything the operator made for an agent, its Secret too."""
        return {
            (resource, child)
            for resource in OWNED
            for child in self._names(resource, f"{LABEL_NAME}={name}")
        }

    def events(self) -> list[tuple[str, str, str]]:
        """Return type, reason and note of the Events on AgentDeployments, oldest first."""
        found = [e for e in self.objects.every("events") if _is_about_an_agent(e)]
        found.sort(key=lambda event: event["eventTime"] or "")
        return [(each["type"], each["reason"], each["note"]) for each in found]

    def writes(self, since: AuditLog | None = None) -> list[str]:
        """Return the operator's writes in this namespace, as the API server counted them."""
        log = since or self.audit
        writes = log.writes(user=self.account.user, namespace=self.objects.namespace)
        return [
            f"{each.verb} {each.resource} {each.name}{' refused' if each.code >= 400 else ''}"
            for each in writes
        ]

    def _names(self, resource: str, selector: str) -> set[str]:
        try:
            return self.objects.names(resource, selector)
        except Refused as refusal:
            if refusal.code == 404:  # a kind that this cluster does not know
                return set()
            raise

    def _story(self, status: AgentDeploymentStatus) -> str:
        running = self.operators[-1].output[-4000:] if self.operators else "no operator"
        return f"still {status.to_manifest()}\n{running}"


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
        place = Site(objects, node, counters, account, audit)
        stack.callback(place.kill_operators)
        yield place


def _weight(status: AgentDeploymentStatus) -> int:
    return status.rollout.weight if status.rollout else 0


def _is_about_an_agent(event: Mapping[str, Any]) -> bool:
    return bool(event["regarding"]["kind"] == "AgentDeployment")
