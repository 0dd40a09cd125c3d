"""From records of owned objects to the observation that the state machine decides on."""

from collections.abc import Mapping

from agent_operator.api.v1alpha1 import AgentDeployment
from agent_operator.controller.records import Record
from agent_operator.controller.sources import Sources
from agent_operator.domain.manifest import Kind, ObjectRef
from agent_operator.domain.observation import (
    Measured,
    NotMeasured,
    Observation,
    TrackObservation,
    TrafficObservation,
)
from agent_operator.domain.rollout.state import RolloutState
from agent_operator.domain.serving import Snapshot

Records = Mapping[ObjectRef, Record]


def frozen_revisions(records: Records, agent: AgentDeployment) -> dict[str, Snapshot]:
    """Return the snapshots of all our ControllerRevisions by revision."""
    uid = agent.metadata.uid
    return {
        record.facts.revision: record.facts
        for record in records.values()
        if isinstance(record.facts, Snapshot) and record.owner_uid in (None, uid)
    }


def observe(
    agent: AgentDeployment,
    state: RolloutState,
    *,
    records: Records,
    sources: Sources,
    evaluation: Measured | NotMeasured | None,
) -> Observation:
    """Return what a pass sees; objects of another AgentDeployment of this name do not count."""
    own = {r: rec for r, rec in records.items() if rec.owner_uid in (None, agent.metadata.uid)}
    return Observation(
        wanted=sources.wanted,
        problem=sources.problem,
        tracks={
            record.revision: record.facts
            for record in own.values()
            if isinstance(record.facts, TrackObservation) and record.revision
        },
        traffic=_traffic(agent, state, own),
        evaluation=evaluation,
        known={r: snapshot.number for r, snapshot in frozen_revisions(own, agent).items()},
        generation=agent.metadata.generation,
    )


def _traffic(agent: AgentDeployment, state: RolloutState, records: Records) -> TrafficObservation:
    namespace, name = agent.metadata.namespace, agent.metadata.name
    if agent.spec.traffic is not None:
        route = records.get(ObjectRef(Kind.ROUTE, namespace, name))
        facts = None if route is None else route.facts
        return facts if isinstance(facts, TrafficObservation) else TrafficObservation()
    service = records.get(ObjectRef(Kind.SERVICE, namespace, name))
    if service is None or not isinstance(service.facts, str):
        return TrafficObservation()
    if service.facts:
        return TrafficObservation({service.facts: 100})
    # Shared: both revisions' pods get sessions, in the ratio that the asked weight was turned into;
    # never none, even when the weight asked for is 0 by now and the selector still has to follow.
    weight = max(1, state.weight)
    shares = {state.stable: 100 - weight, state.candidate: weight}
    return TrafficObservation({revision: share for revision, share in shares.items() if revision})
