"""One level-triggered pass for one key: observe, decide, record, act.

The status is written before the children follow from it, so a crash between any two writes loses
nothing and repeats nothing. One order is the other way round: a new revision is frozen before the
status names it.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

from agent_operator.api.v1alpha1 import AgentDeployment
from agent_operator.controller.cache import Cache
from agent_operator.controller.evaluation import Evaluation, Watched
from agent_operator.controller.executor import AgentGone, Executor
from agent_operator.controller.observe import frozen_revisions, observe
from agent_operator.controller.recorder import Recorder
from agent_operator.controller.sources import read_sources
from agent_operator.controller.turn import Memory, Outside, Turn
from agent_operator.domain.canonical import content_hash
from agent_operator.domain.desired import desired_objects
from agent_operator.domain.manifest import Kind, Manifest, ObjectKey, ObjectRef
from agent_operator.domain.naming import child_name
from agent_operator.domain.observation import Problem
from agent_operator.domain.plan import Apply, writes
from agent_operator.domain.resources.configmap import revision_configmap
from agent_operator.domain.resources.controller_revision import controller_revision
from agent_operator.domain.revision import snapshot
from agent_operator.domain.rollout.codec import state_of
from agent_operator.domain.rollout.context import hold
from agent_operator.domain.rollout.machine import decide
from agent_operator.domain.rollout.rules import rollout_rules
from agent_operator.domain.rollout.state import LIVE, RolloutState, State
from agent_operator.domain.rollout.traffic import effective_weight, serving_plan
from agent_operator.domain.serving import ServingPlan, Snapshot
from agent_operator.errors import InvalidSpec, NamespaceTerminating

_ASK_AGAIN_SECONDS = 10.0  # for something a person has to fix and no watch tells about


class Reconciler:
    """Brings AgentDeployments and what they own together, one pass at a time."""

    def __init__(
        self,
        outside: Outside,
        *,
        cache: Cache,
        executor: Executor,
        evaluation: Evaluation,
        shortest_interval_seconds: float = 0.0,
    ) -> None:
        self._outside = outside
        self._cache = cache
        self._executor = executor
        self._evaluation = evaluation
        self._shortest_interval = shortest_interval_seconds
        self._recorder = Recorder(outside, cache)
        self._memories: dict[ObjectKey, Memory] = {}

    async def reconcile(self, key: ObjectKey) -> float | None:
        """Do one pass; return the seconds until time alone may change something."""
        manifest = self._cache.agent(key)
        if manifest is None or manifest["metadata"].get("deletionTimestamp"):
            self._forget(key)
            return None
        now = float(math.floor(self._outside.clock.now()))
        try:
            agent = AgentDeployment.parse(manifest)
        except InvalidSpec as error:
            self._evaluation.forget(key)
            await self._recorder.report_invalid(manifest, error, now=now)
            return None
        try:
            return await self._pass(await self._decide(key, manifest, agent, now=now))
        except AgentGone:
            self._forget(key)
            self._cache.drop_agent(key, agent.metadata.uid)
            return None
        except NamespaceTerminating:
            return None  # everything in it is going; its DELETED event ends the matter

    async def _pass(self, turn: Turn) -> float | None:
        await self._recorder.report_unreadable(turn)
        turn, trouble = await self._freeze(turn)
        if trouble is not None:
            return await self._wait_for(turn, trouble)
        if turn.changes_state:
            turn = await self._recorder.record(turn)
        turn.memory.trouble = await self._act(turn)
        turn = await self._recorder.record(turn)
        self._evaluation.taken(turn.key, turn.decision.state.measured_at)
        self._measure(turn)
        return _come_back(turn)

    async def _wait_for(self, turn: Turn, trouble: Problem) -> float:
        """Stay where the status says it is, and say what keeps the next revision from starting."""
        turn.memory.trouble = trouble
        await self._recorder.record(replace(turn, decision=hold(turn.state, trouble)))
        return _ASK_AGAIN_SECONDS

    async def _decide(
        self, key: ObjectKey, manifest: Manifest, agent: AgentDeployment, *, now: float
    ) -> Turn:
        rules = rollout_rules(agent.spec, shortest_interval_seconds=self._shortest_interval)
        state = state_of(agent.status, rules)
        memory = self._memory(key, agent)
        records = self._cache.children(key)
        snapshots = _with_remembered(frozen_revisions(records, agent), memory, state)
        sources = await read_sources(self._outside.cluster, agent, snapshots)
        seen = observe(
            agent,
            state,
            records=records,
            sources=sources,
            evaluation=self._evaluation.latest(key, after=state.measured_at),
        )
        decision = decide(rules, state, seen, now)
        return Turn(
            manifest, agent, rules, sources, snapshots, seen, state, decision, memory, now=now
        )

    async def _freeze(self, turn: Turn) -> tuple[Turn, Problem | None]:
        """Write the snapshot of a revision before the status names it for the first time."""
        missing = _named(turn.decision.state) - turn.snapshots.keys()
        if not missing:
            return turn, None
        if missing != {turn.sources.wanted}:
            return turn, _snapshot_lost(missing - {turn.sources.wanted})
        try:
            frozen = snapshot(turn.agent, turn.sources.files)
        except ValueError as error:
            return turn, Problem("InvalidPrompt", f"spec.prompt: {error}")
        manifests = [controller_revision(turn.agent, frozen)]
        if frozen.files:
            manifests.append(revision_configmap(turn.agent, frozen))
        applies = [Apply(manifest, content_hash(manifest)) for manifest in manifests]
        trouble = await self._executor.carry_out(turn.agent, applies)
        turn.memory.frozen[frozen.revision] = frozen
        snapshots = {**turn.snapshots, frozen.revision: frozen}
        return replace(turn, snapshots=snapshots), trouble

    async def _act(self, turn: Turn) -> Problem | None:
        """Make the children follow; when going back nothing comes before the traffic."""
        if turn.decision.state.state is State.ROLLING_BACK:
            return await self._write_children(turn) or await self._executor.ensure_keys(turn.agent)
        trouble = await self._executor.ensure_keys(turn.agent)
        return await self._write_children(turn) or trouble

    async def _write_children(self, turn: Turn) -> Problem | None:
        state = turn.decision.state
        if state.stable is None:
            return None
        is_stable = state.state is not State.INITIALIZING
        plan = serving_plan(
            turn.rules,
            state,
            turn.seen,
            snapshots=numbered(turn.snapshots, state.stable, is_stable=is_stable),
            history=turn.agent.spec.rollout.history_limit,
        )
        desired = desired_objects(turn.agent, plan)
        records = self._cache.children(turn.key)
        for manifest in desired:
            record = records.get(ObjectRef.of(manifest))
            if record is not None:
                record.compare(manifest)
        todo = writes(
            desired,
            {ref: record.child() for ref, record in records.items()},
            replicas=_replicas(turn, plan),
            shared=ObjectRef(Kind.SERVICE, turn.key.namespace, turn.key.name),
            traffic_first=state.state is State.ROLLING_BACK,
        )
        return await self._executor.carry_out(turn.agent, todo)

    def _measure(self, turn: Turn) -> None:
        """Have the candidate measured while exactly its weight is in force."""
        state = turn.decision.state
        if state.state not in LIVE or state.candidate is None or state.stable is None:
            self._evaluation.forget(turn.key)
            return
        is_in_force = effective_weight(state, turn.seen) > 0 and turn.seen.traffic.gives(
            state.candidate, state.weight
        )
        if not is_in_force:
            self._evaluation.unwatch(turn.key)
            return
        began, measured_at = state.step_started_at or 0.0, state.measured_at
        self._evaluation.watch(
            turn.key,
            Watched(
                candidate=state.candidate,
                stable=state.stable,
                interval_seconds=turn.rules.analysis.interval_seconds,
                epoch=state.epoch,
                measured_at=measured_at if measured_at and measured_at >= began else None,
            ),
        )

    def _memory(self, key: ObjectKey, agent: AgentDeployment) -> Memory:
        known = self._memories.get(key)
        if known is None or known.uid != agent.metadata.uid:
            known = self._memories[key] = Memory(agent.metadata.uid)
        return known

    def _forget(self, key: ObjectKey) -> None:
        self._evaluation.forget(key)
        self._memories.pop(key, None)


def numbered(
    snapshots: Mapping[str, Snapshot], stable: str, *, is_stable: bool
) -> dict[str, Snapshot]:
    """Give the stable revision the highest number once it is one: lost status finds it by that."""
    highest = max((snapshot.number for snapshot in snapshots.values()), default=0)
    current = snapshots[stable]
    if not is_stable or (current.number == highest and highest > 0):
        return dict(snapshots)
    return {**snapshots, stable: replace(current, number=highest + 1)}


def _with_remembered(
    seen: Mapping[str, Snapshot], memory: Memory, state: RolloutState
) -> dict[str, Snapshot]:
    """Add snapshots of revisions in use whose ControllerRevision somebody deleted."""
    in_use = _named(state) | {entry.revision for entry in state.draining}
    known = {**memory.frozen, **seen}
    memory.frozen = {name: frozen for name, frozen in known.items() if name in in_use}
    return {**memory.frozen, **seen}


def _named(state: RolloutState) -> set[str]:
    return {revision for revision in (state.stable, state.candidate) if revision}


def _replicas(turn: Turn, plan: ServingPlan) -> dict[ObjectRef, int]:
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


def _snapshot_lost(revisions: set[str]) -> Problem:
    names = ", ".join(sorted(revisions))
    message = (
        f"the ControllerRevision of {names} is gone: its pods stay as they are; set the spec back "
        "to that revision once, and it is frozen again"
    )
    return Problem("SnapshotLost", message)


def _come_back(turn: Turn) -> float | None:
    again = turn.decision.again_in
    if turn.memory.trouble is None and turn.seen.problem is None:
        return again
    return _ASK_AGAIN_SECONDS if again is None else min(again, _ASK_AGAIN_SECONDS)
