"""One level-triggered pass for one key: observe, decide, record, act.

The status is written before the children follow from it, so a crash between any two writes loses
nothing and repeats nothing. One order is the other way round: a new revision is frozen before the
status names it.
"""

import math
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import structlog

from agent_operator.api.conditions import Condition, ConditionStatus, ConditionType, set_condition
from agent_operator.api.v1alpha1 import AgentDeployment, AgentDeploymentStatus, Phase
from agent_operator.controller.cache import Cache
from agent_operator.controller.evaluation import Evaluation, Watched
from agent_operator.controller.executor import AgentGone, Executor, foreign
from agent_operator.controller.observe import frozen_revisions, observe
from agent_operator.controller.sources import Sources, read_sources
from agent_operator.domain.canonical import content_hash
from agent_operator.domain.conditions import Situation
from agent_operator.domain.desired import desired_objects
from agent_operator.domain.manifest import Kind, Manifest, ObjectKey, ObjectRef
from agent_operator.domain.naming import child_name, keys_name
from agent_operator.domain.observation import Observation, Problem
from agent_operator.domain.plan import Apply, writes
from agent_operator.domain.resources.configmap import revision_configmap
from agent_operator.domain.resources.controller_revision import controller_revision
from agent_operator.domain.resources.secret import KEY_BYTES, keys_secret
from agent_operator.domain.revision import snapshot
from agent_operator.domain.rollout.codec import evidence_problem, state_of, timestamp
from agent_operator.domain.rollout.context import hold
from agent_operator.domain.rollout.machine import decide
from agent_operator.domain.rollout.rules import RolloutRules, rollout_rules
from agent_operator.domain.rollout.state import LIVE, Action, Decision, State
from agent_operator.domain.rollout.traffic import effective_weight, serving_plan
from agent_operator.domain.serving import ServingPlan, Snapshot
from agent_operator.domain.status import TRANSIENT, StatusInput, status_of
from agent_operator.errors import Conflict, InvalidSpec, NamespaceTerminating
from agent_operator.ports import AgentApi, Clock, ClusterApi, EventRecorder

log = structlog.get_logger(__name__)

_ASK_AGAIN_SECONDS = 10.0  # for something a person has to fix and no watch tells about


@dataclass(frozen=True, slots=True)
class _Turn:
    """What one pass works with, once observed."""

    manifest: Manifest
    agent: AgentDeployment
    rules: RolloutRules
    sources: Sources
    snapshots: Mapping[str, Snapshot]
    seen: Observation
    decision: Decision
    now: float

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(self.agent.metadata.namespace, self.agent.metadata.name)


@dataclass(frozen=True, slots=True)
class Outside:
    """What passes reach outside this process, as ports."""

    cluster: ClusterApi
    agents: AgentApi
    events: EventRecorder
    clock: Clock
    observe_decision: Callable[[str, str], None] = lambda action, reason: None


class Reconciler:
    """Brings AgentDeployments and what they own together, one pass at a time."""

    def __init__(
        self, outside: Outside, *, cache: Cache, executor: Executor, evaluation: Evaluation
    ) -> None:
        self._outside = outside
        self._cache = cache
        self._executor = executor
        self._evaluation = evaluation
        self._troubles: dict[ObjectKey, Problem] = {}

    async def reconcile(self, key: ObjectKey) -> float | None:
        """Do one pass; return the seconds until time alone may change something."""
        manifest = self._cache.agent(key)
        if manifest is None or manifest["metadata"].get("deletionTimestamp"):
            self._forget(key)
            return None
        try:
            agent = AgentDeployment.parse(manifest)
        except InvalidSpec as error:
            await self._report_invalid(manifest, error)
            return None
        try:
            return await self._pass(manifest, agent)
        except AgentGone:
            self._forget(key)
            self._cache.drop_agent(key)
            return None
        except NamespaceTerminating:
            return None  # everything in it is going; its DELETED event ends the matter

    async def _pass(self, manifest: Manifest, agent: AgentDeployment) -> float | None:
        turn = await self._decide(manifest, agent)
        turn, trouble = await self._freeze(turn)
        if trouble is not None:
            return await self._wait_for(turn, trouble)
        turn = await self._record(turn)
        trouble = await self._act(turn)
        if trouble != self._troubles.get(turn.key):
            self._set_trouble(turn.key, trouble)
            turn = await self._record(turn)
        self._measure(turn)
        return _come_back(turn, trouble)

    async def _wait_for(self, turn: _Turn, trouble: Problem) -> float:
        """Stay where the status says it is, and say what keeps the next revision from starting."""
        self._set_trouble(turn.key, trouble)
        state = state_of(turn.agent.status, turn.rules)
        await self._record(replace(turn, decision=hold(state, trouble)))
        return _ASK_AGAIN_SECONDS

    async def _decide(self, manifest: Manifest, agent: AgentDeployment) -> _Turn:
        key = ObjectKey(agent.metadata.namespace, agent.metadata.name)
        records = self._cache.children(key)
        snapshots = frozen_revisions(records, agent)
        sources = await read_sources(self._outside.cluster, agent, snapshots)
        rules = rollout_rules(agent.spec)
        state = state_of(agent.status, rules)
        lost = evidence_problem(agent.status)
        if lost is not None:
            log.warning("evidence.lost", object=f"{key.namespace}/{key.name}", problem=lost)
            await self._outside.events.record(
                manifest, reason="EvidenceLost", message=lost, warning=True
            )
        seen = observe(
            agent,
            state,
            records=records,
            sources=sources,
            evaluation=self._evaluation.latest(key),
        )
        now = float(math.floor(self._outside.clock.now()))
        decision = decide(rules, state, seen, now)
        return _Turn(manifest, agent, rules, sources, snapshots, seen, decision, now)

    async def _freeze(self, turn: _Turn) -> tuple[_Turn, Problem | None]:
        """Write the snapshot of a revision before the status names it for the first time."""
        state = turn.decision.state
        named = {revision for revision in (state.stable, state.candidate) if revision}
        missing = named - turn.snapshots.keys()
        if not missing:
            return turn, None
        if missing != {turn.sources.wanted}:
            return turn, _snapshot_lost(missing - {turn.sources.wanted})
        frozen = snapshot(turn.agent, turn.sources.files)
        manifests = [controller_revision(turn.agent, frozen)]
        if frozen.files:
            manifests.append(revision_configmap(turn.agent, frozen))
        applies = [Apply(manifest, content_hash(manifest)) for manifest in manifests]
        trouble = await self._executor.carry_out(turn.agent, applies)
        snapshots = {**turn.snapshots, frozen.revision: frozen}
        return replace(turn, snapshots=snapshots), trouble

    async def _record(self, turn: _Turn) -> _Turn:
        """Write the status if it differs; tell people once what was decided."""
        previous = turn.agent.status or AgentDeploymentStatus()
        situation = Situation(
            decision=turn.decision,
            seen=turn.seen,
            now=turn.now,
            has_gateway=turn.rules.has_gateway,
            deadline_seconds=turn.rules.progress_deadline_seconds,
            trouble=self._troubles.get(turn.key),
            drift=turn.sources.drift,
            previous=previous.conditions,
        )
        status = status_of(StatusInput(situation, turn.rules, turn.snapshots, previous))
        wire = status.to_manifest()
        if wire != turn.manifest.get("status"):
            written = await self._outside.agents.write_status(turn.manifest, wire)
            self._cache.agent_written(written)
            turn = replace(turn, manifest=written, agent=AgentDeployment.parse(written))
            await self._announce(turn, previous)
        self._evaluation.taken(turn.key, turn.decision.state.measured_at)
        return turn

    async def _announce(self, turn: _Turn, previous: AgentDeploymentStatus) -> None:
        decision, last = turn.decision, previous.last_decision
        is_news = last is None or (last.action, last.reason) != (decision.action, decision.reason)
        if not is_news or decision.action is Action.NONE or decision.reason in TRANSIENT:
            return
        log.info(
            "decision.made",
            object=f"{turn.key.namespace}/{turn.key.name}",
            action=decision.action.value,
            reason=decision.reason,
            message=decision.message,
        )
        self._outside.observe_decision(decision.action.value, decision.reason)
        await self._outside.events.record(
            turn.manifest,
            reason=decision.reason,
            message=decision.message,
            warning=decision.action in (Action.ROLL_BACK, Action.HOLD),
        )

    async def _act(self, turn: _Turn) -> Problem | None:
        trouble = await self._ensure_keys(turn)
        state = turn.decision.state
        if state.stable is None:
            return trouble
        plan = serving_plan(
            turn.rules,
            state,
            turn.seen,
            snapshots=numbered(turn.snapshots, state.stable, is_stable=_has_settled(state.state)),
            history=turn.agent.spec.rollout.history_limit,
        )
        desired = desired_objects(turn.agent, plan)
        records = self._cache.children(turn.key)
        for manifest in desired:
            record = records.get(ObjectRef.of(manifest))
            if record is not None:
                record.compare(manifest, content_hash(manifest))
        todo = writes(
            desired,
            {ref: record.child() for ref, record in records.items()},
            replicas=self._replicas(turn, plan),
            shared=ObjectRef(Kind.SERVICE, turn.key.namespace, turn.key.name),
            traffic_first=state.state is State.ROLLING_BACK,
        )
        return await self._executor.carry_out(turn.agent, todo) or trouble

    def _replicas(self, turn: _Turn, plan: ServingPlan) -> dict[ObjectRef, int]:
        """Return the Deployments whose replicas no autoscaler sets: new, at 0, or fixed."""
        wanted = {}
        for serving in plan.revisions:
            name = child_name(turn.agent, serving.snapshot.revision)
            ref = ObjectRef(Kind.DEPLOYMENT, turn.key.namespace, name)
            track = turn.seen.tracks.get(serving.snapshot.revision)
            replicas = serving.fixed_replicas or serving.min_replicas
            is_ours_to_set = track is None or track.replicas == 0 or serving.fixed_replicas
            if is_ours_to_set and (track is None or track.replicas != replicas):
                wanted[ref] = replicas
        return wanted

    async def _ensure_keys(self, turn: _Turn) -> Problem | None:
        """Create the Secret that signs session ids once; its content is never read or rewritten."""
        name = keys_name(turn.agent)
        ref = ObjectRef(Kind.SECRET, turn.key.namespace, name)
        found = await self._outside.cluster.read(ref)
        if found is not None:
            return foreign(turn.agent, ref, found)
        try:
            key = secrets.token_bytes(KEY_BYTES)
            await self._outside.cluster.create(keys_secret(turn.agent, key))
        except Conflict:
            return None  # another pass was first
        log.info("child.applied", kind="Secret", name=name, created=True)
        return None

    def _measure(self, turn: _Turn) -> None:
        """Have the candidate measured while exactly its weight is in force."""
        state = turn.decision.state
        is_in_force = (
            state.state in LIVE
            and state.candidate is not None
            and state.stable is not None
            and effective_weight(state, turn.seen) > 0
            and turn.seen.traffic.gives(state.candidate, state.weight)
        )
        if not is_in_force or state.candidate is None or state.stable is None:
            if state.state not in LIVE:
                self._evaluation.unwatch(turn.key)
            return
        began = state.step_started_at or 0.0
        measured_at = state.measured_at
        self._evaluation.watch(
            turn.key,
            Watched(
                candidate=state.candidate,
                stable=state.stable,
                interval_seconds=turn.rules.analysis.interval_seconds,
                epoch=f"{state.candidate}/{state.stable}/{began}/{state.weight}",
                measured_at=measured_at if measured_at and measured_at >= began else None,
            ),
        )

    async def _report_invalid(self, manifest: Manifest, error: InvalidSpec) -> None:
        """Say what is wrong with a spec that passed an older CRD; children stay as they are."""
        previous, _ = AgentDeploymentStatus.parse(manifest.get("status") or {})
        generation = int(manifest["metadata"].get("generation", 0))
        conditions = previous.conditions
        for kind, status in (
            (ConditionType.READY, ConditionStatus.FALSE),
            (ConditionType.STALLED, ConditionStatus.TRUE),
        ):
            new = Condition(
                type=kind,
                status=status,
                reason="InvalidSpec",
                message=f"{error}; fix the named fields",
                last_transition_time=timestamp(math.floor(self._outside.clock.now())),
                observed_generation=generation,
            )
            conditions = set_condition(conditions, new)
        changes = {
            "observed_generation": generation,
            "phase": Phase.STALLED,
            "conditions": conditions,
        }
        wire = previous.model_copy(update=changes).to_manifest()
        if wire != manifest.get("status"):
            self._cache.agent_written(await self._outside.agents.write_status(manifest, wire))

    def _set_trouble(self, key: ObjectKey, trouble: Problem | None) -> None:
        if trouble is None:
            self._troubles.pop(key, None)
            return
        self._troubles[key] = trouble

    def _forget(self, key: ObjectKey) -> None:
        self._evaluation.unwatch(key)
        self._troubles.pop(key, None)


def numbered(
    snapshots: Mapping[str, Snapshot], stable: str, *, is_stable: bool
) -> dict[str, Snapshot]:
    """Give the stable revision the highest number once it is one: lost status finds it by that."""
    highest = max((snapshot.number for snapshot in snapshots.values()), default=0)
    current = snapshots[stable]
    if not is_stable or (current.number == highest and highest > 0):
        return dict(snapshots)
    return {**snapshots, stable: replace(current, number=highest + 1)}


def _snapshot_lost(revisions: set[str]) -> Problem:
    names = ", ".join(sorted(revisions))
    message = (
        f"the ControllerRevision of {names} is gone: its pods stay as they are; set the spec back "
        "to that revision once, and it is frozen again"
    )
    return Problem("SnapshotLost", message)


def _has_settled(state: State) -> bool:
    return state is not State.INITIALIZING


def _come_back(turn: _Turn, trouble: Problem | None) -> float | None:
    again = turn.decision.again_in
    if trouble is None and turn.seen.problem is None:
        return again
    return _ASK_AGAIN_SECONDS if again is None else min(again, _ASK_AGAIN_SECONDS)
