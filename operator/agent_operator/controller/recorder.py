"""Writes down what was decided: status first, then, once, Event and log line in its words."""

from dataclasses import replace

import structlog

from agent_operator.api.conditions import (
    Condition,
    ConditionStatus,
    ConditionType,
    find_condition,
    set_condition,
)
from agent_operator.api.v1alpha1 import AgentDeployment, AgentDeploymentStatus, Phase
from agent_operator.controller.cache import Cache
from agent_operator.controller.turn import Outside, Turn
from agent_operator.domain.conditions import Situation
from agent_operator.domain.manifest import Manifest
from agent_operator.domain.rollout.codec import evidence_problem, timestamp
from agent_operator.domain.rollout.state import Action, State
from agent_operator.domain.status import TRANSIENT, StatusInput, status_of
from agent_operator.errors import InvalidSpec

log = structlog.get_logger(__name__)

_ASKED_FOR = frozenset({"Paused", "SpecChanged", "SpecReverted"})  # by the user: no warning


class Recorder:
    """The only one who writes status, Events and decisions into the log."""

    def __init__(self, outside: Outside, cache: Cache) -> None:
        self._outside = outside
        self._cache = cache

    async def record(self, turn: Turn) -> Turn:
        """Write the status if it differs; return the turn with what is stored now."""
        previous = turn.agent.status or AgentDeploymentStatus()
        turn.memory.meet(turn.memory.trouble or turn.seen.problem, now=turn.now)
        situation = Situation(
            decision=turn.decision,
            seen=turn.seen,
            now=turn.now,
            has_gateway=turn.rules.has_gateway,
            deadline_seconds=turn.rules.progress_deadline_seconds,
            trouble=turn.memory.trouble,
            obstacle_since=turn.memory.obstacle_since,
            drift=turn.sources.drift,
            previous=previous.conditions,
        )
        status = status_of(StatusInput(situation, turn.rules, turn.snapshots, previous))
        wire = status.to_manifest()
        if wire == turn.manifest.get("status"):
            return turn
        written = await self._outside.agents.write_status(turn.manifest, wire)
        self._cache.agent_written(written)
        turn = replace(turn, manifest=written, agent=AgentDeployment.parse(written))
        await self._announce(turn, previous, status)
        await self._announce_drift(turn, previous)
        return turn

    async def _announce_drift(self, turn: Turn, previous: AgentDeploymentStatus) -> None:
        known = find_condition(previous.conditions, ConditionType.PROMPT_DRIFT)
        is_known = known is not None and known.status is ConditionStatus.TRUE
        if turn.sources.drift is not None and not is_known:
            await self._outside.events.record(
                turn.manifest,
                reason="PromptDrift",
                message=turn.sources.drift.message,
                warning=True,
            )

    async def report_unreadable(self, turn: Turn) -> None:
        """Say which parts of the stored status could not be read and start afresh."""
        problems = list(turn.agent.status_problems)
        lost = evidence_problem(turn.agent.status)
        if lost is not None:
            problems.append(lost)
        if problems:
            log.warning("status.unreadable", object=_name(turn), problems=problems)
            await self._outside.events.record(
                turn.manifest, reason="StatusUnreadable", message="; ".join(problems), warning=True
            )

    async def report_invalid(self, manifest: Manifest, error: InvalidSpec, *, now: float) -> None:
        """Say what is wrong with a spec that passed an older CRD; children stay as they are."""
        previous, _ = AgentDeploymentStatus.parse(manifest.get("status") or {})
        generation = int(manifest["metadata"].get("generation", 0))
        conditions = previous.conditions
        for kind, status in (
            (ConditionType.READY, ConditionStatus.FALSE),
            (ConditionType.RECONCILING, ConditionStatus.FALSE),
            (ConditionType.STALLED, ConditionStatus.TRUE),
        ):
            new = Condition(
                type=kind,
                status=status,
                reason="InvalidSpec",
                message=f"{error}; fix the named fields",
                last_transition_time=timestamp(now),
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

    async def _announce(
        self, turn: Turn, previous: AgentDeploymentStatus, status: AgentDeploymentStatus
    ) -> None:
        decision, last = turn.decision, previous.last_decision
        was = None if previous.rollout is None else previous.rollout.state.value
        if was == State.ROLLING_BACK and decision.state.state is State.STABLE:
            rejected = decision.state.rejected
            if rejected is not None:
                self._outside.observe_rollback(turn.now - rejected.time)
        is_news = last is None or (last.action, last.reason) != (decision.action, decision.reason)
        if not is_news or decision.action is Action.NONE or decision.reason in TRANSIENT:
            return
        action, reason, message = decision.action.value, decision.reason, decision.message
        log.info("decision.made", object=_name(turn), action=action, reason=reason, message=message)
        self._outside.observe_decision(action, reason)
        await self._outside.events.record(
            turn.manifest,
            reason=reason,
            message=message,
            warning=decision.action in (Action.ROLL_BACK, Action.HOLD) and reason not in _ASKED_FOR,
        )
        if decision.action is Action.START and len(status.changed_axes) > 1:
            axes = ", ".join(status.changed_axes)
            message = f"{axes} change together: a regression cannot be put down to one of them"
            await self._outside.events.record(
                turn.manifest, reason="SeveralAxesChanged", message=message, warning=True
            )


def _name(turn: Turn) -> str:
    return f"{turn.key.namespace}/{turn.key.name}"
