"""Everything around a Reconciler in memory: cluster, counters, clock; pods play along at once."""

from collections.abc import Mapping, Sequence
from typing import Any

from agent_operator.api.v1alpha1 import AgentDeploymentStatus
from agent_operator.controller.cache import Cache
from agent_operator.controller.evaluation import Evaluation
from agent_operator.controller.executor import Executor
from agent_operator.controller.reconciler import Reconciler
from agent_operator.controller.turn import Outside
from agent_operator.domain.manifest import Kind, Manifest, ObjectKey, ObjectRef
from agent_operator.domain.naming import LABEL_REVISION
from agent_operator.domain.verdict.readings import PodReading, Reading
from agent_operator.domain.verdict.signals import Signal
from agent_operator.errors import MetricsUnavailable, OperatorError
from tests.factories import agent_manifest
from tests.fakes.cluster import FakeCluster
from tests.fakes.manual_clock import ManualClock

KEY = ObjectKey("support", "refunds")
QUICK = {
    "rollout": {
        "steps": [{"weight": 50}],
        "analysis": {"minSessions": 10, "minStepSeconds": 0},
        "drain": {"seconds": 0},
    }
}


class RefusingCluster(FakeCluster):
    """A FakeCluster that can refuse one kind for good."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: dict[tuple[str, Kind], OperatorError] = {}

    async def read(self, ref: ObjectRef) -> Manifest | None:
        self._refuse("read", ref.kind)
        return await super().read(ref)

    async def apply(self, manifest: Manifest, *, uid: str | None) -> Manifest:
        self._refuse("apply", Kind.of(manifest))
        return await super().apply(manifest, uid=uid)

    def _refuse(self, verb: str, kind: Kind) -> None:
        if (verb, kind) in self.refused:
            raise self.refused[verb, kind]


class Counters:
    """`ports.MetricsSource` over numbers that a test sets: sessions and bad ones by revision."""

    def __init__(self) -> None:
        self.sessions: dict[str, int] = {}
        self.bad: dict[str, int] = {}
        self.is_down = False

    async def readings(
        self, agents: Sequence[ObjectKey], *, at: float, window_seconds: float
    ) -> Mapping[tuple[ObjectKey, str], Reading]:
        if self.is_down:
            raise MetricsUnavailable("ConnectionFailed", "connection refused")
        return {
            (KEY, revision): Reading(at, {f"{revision}-pod": self._pod(revision)})
            for revision in self.sessions
        }

    def _pod(self, revision: str) -> PodReading:
        sessions, bad = self.sessions[revision], self.bad.get(revision, 0)
        by_signal = {signal: bad if signal is Signal.ERROR_RATE else 0 for signal in Signal}
        return PodReading(sessions, by_signal, sessions, by_signal)


class Events:
    """`ports.EventRecorder` that remembers reasons."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    async def record(
        self, agent: Manifest, *, reason: str, message: str, warning: bool = False
    ) -> None:
        self.reasons.append(reason)


class Site:
    """A reconciler and its world; `settle` passes until nothing is to be done at once."""

    def __init__(self, spec: Mapping[str, Any] | None = None) -> None:
        self.cluster, self.clock = RefusingCluster(), ManualClock()
        self.counters, self.events = Counters(), Events()
        self.cache = Cache(lambda key: None)
        self.cluster.follow(self.cache)
        self.start()
        self.spec: dict[str, Any] = {}
        self.apply(QUICK if spec is None else spec)

    def start(self) -> None:
        """Start the operator, or start it again with nothing but the cluster."""
        self.evaluation = Evaluation(
            self.counters,
            self.clock,
            lambda key: None,
            query_lag_seconds=1,
            scrape_interval_seconds=5,
        )
        executor = Executor(self.cluster, self.cluster, self.cluster, self.cache)
        self.reconciler = Reconciler(
            Outside(self.cluster, self.cluster, self.events, self.clock),
            cache=self.cache,
            executor=executor,
            evaluation=self.evaluation,
        )

    def apply(self, spec: Mapping[str, Any]) -> None:
        """Change the spec, as a user does."""
        self.spec = {**self.spec, **spec}
        agent = self.cluster.put_agent(agent_manifest(self.spec))
        self.cache.observe_agent("MODIFIED", agent)

    async def secret(self) -> None:
        """Create the Secret that the spec names."""
        metadata = {"name": "agent-secrets", "namespace": KEY.namespace}
        await self.cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata})

    async def turn(self) -> float | None:
        """Do one pass and let pods follow."""
        again = await self.reconciler.reconcile(KEY)
        self._play_pods()
        return again

    async def settle(self, passes: int = 8) -> AgentDeploymentStatus:
        """Do passes until all is done that needs no time."""
        for _ in range(passes):
            await self.turn()
        return self.status

    async def measure(self, seconds: float = 15.0) -> AgentDeploymentStatus:
        """Let time pass, measure, and do the passes that follow."""
        self.clock.advance(seconds)
        await self.evaluation.tick()
        return await self.settle(3)

    @property
    def status(self) -> AgentDeploymentStatus:
        agent = self.cache.agent(KEY)
        assert agent is not None
        return AgentDeploymentStatus.parse(agent.get("status") or {})[0]

    def condition(self, kind: str) -> tuple[str, str]:
        found = {each.type: each for each in self.status.conditions}[kind]
        return found.status.value, found.reason

    def ref(self, kind: Kind, revision: str | None = None) -> ObjectRef:
        name = KEY.name if revision is None else f"{KEY.name}-{revision}"
        return ObjectRef(kind, KEY.namespace, name)

    def exists(self, ref: ObjectRef) -> bool:
        return ref in dict(self.cluster.objects())

    def found(self, ref: ObjectRef) -> dict[str, Any]:
        return dict(self.cluster.objects())[ref]

    def _play_pods(self) -> None:
        for ref, obj in self.cluster.objects():
            if ref.kind is Kind.DEPLOYMENT:
                replicas = obj["spec"].get("replicas", 1)
                status = {
                    "observedGeneration": obj["metadata"]["generation"],
                    "readyReplicas": replicas,
                    "availableReplicas": replicas,
                }
                self.cluster.change(ref, {"status": status})
                self.counters.sessions.setdefault(obj["metadata"]["labels"][LABEL_REVISION], 0)
