"""A world for the state machine: pods and traffic follow its decisions; the clock is virtual."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from agent_operator.domain.observation import (
    Measured,
    NotMeasured,
    Observation,
    Problem,
    TrackObservation,
    TrafficObservation,
)
from agent_operator.domain.rollout.machine import decide
from agent_operator.domain.rollout.rules import RolloutRules, StepRule
from agent_operator.domain.rollout.state import Decision, RolloutState, State
from agent_operator.domain.rollout.traffic import effective_weight
from agent_operator.domain.verdict.readings import NOTHING, TrackDelta
from agent_operator.domain.verdict.rules import AnalysisRules
from agent_operator.domain.verdict.signals import Signal

SIGNALS = (Signal.ERROR_RATE, Signal.FALLBACK_RATE)


def rules(
    *weights: int,
    min_sessions: int = 20,
    min_step_seconds: float = 0.0,
    has_gateway: bool = True,
    is_paused: bool = False,
) -> RolloutRules:
    """Rules with these steps and two signals."""
    return RolloutRules(
        steps=tuple(StepRule(w, min_sessions, min_step_seconds) for w in weights or (5, 50)),
        analysis=AnalysisRules(
            interval_seconds=15,
            min_sessions=min_sessions,
            min_sessions_to_fail=5,
            min_step_seconds=min_step_seconds,
            alpha=0.05,
            min_increase=0.02,
            maxima={Signal.ERROR_RATE: 0.05, Signal.FALLBACK_RATE: 0.2},
        ),
        drain_seconds=60,
        progress_deadline_seconds=600,
        min_replicas=2,
        max_replicas=20,
        has_gateway=has_gateway,
        is_paused=is_paused,
    )


def counted(sessions: int, bad: int = 0, signal: Signal = Signal.FALLBACK_RATE) -> TrackDelta:
    """Sessions of one request each, so many of them bad by one signal."""
    by_signal = {each: bad if each is signal else 0 for each in SIGNALS}
    return TrackDelta(sessions, by_signal, sessions, by_signal)


@dataclass
class World:
    """Everything around the state machine; `turn` is one pass, its decision carried out."""

    rules: RolloutRules = field(default_factory=rules)
    state: RolloutState = field(default_factory=RolloutState)
    wanted: str | None = "one"
    now: float = 1000.0
    pods: dict[str, TrackObservation] = field(default_factory=dict)
    weights: Mapping[str, int] | None = None
    route_problem: Problem | None = None
    evaluation: Measured | NotMeasured | None = None
    starts_pods: bool = True
    known: dict[str, int] = field(default_factory=dict)

    def turn(self) -> Decision:
        decision = decide(self.rules, self.state, self.seen(), self.now)
        self.state = decision.state
        self.evaluation = None if isinstance(self.evaluation, Measured) else self.evaluation
        self.follow()
        return decision

    def seen(self) -> Observation:
        return Observation(
            wanted=self.wanted,
            problem=None if self.wanted else Problem("PromptNotFound", "no prompt"),
            tracks=dict(self.pods),
            traffic=TrafficObservation(self.weights, self.route_problem),
            evaluation=self.evaluation,
            known=dict(self.known),
            generation=1,
        )

    def settle(self, passes: int = 20) -> Decision:
        """Pass until nothing changes any more."""
        decision = self.turn()
        for _ in range(passes):
            before = self.state
            decision = self.turn()
            if self.state == before:
                break
        return decision

    def measure(
        self, canary: TrackDelta = NOTHING, stable: TrackDelta = NOTHING, seconds: float = 15
    ) -> Decision:
        """Let time pass, count, and do one pass."""
        self.now += seconds
        self.evaluation = Measured(self.now, seconds, canary, stable, epoch=self.state.epoch)
        return self.turn()

    def roll_out(self, revision: str) -> None:
        """Ask for another revision and bring it to its first step."""
        self.wanted = revision
        for _ in range(6):
            self.turn()
        assert self.state.state is State.STEPPING

    def follow(self) -> None:
        named = [name for name in (self.state.stable, self.state.candidate) if name]
        for revision in named:
            if revision not in self.pods:
                ready = 4 if self.starts_pods else 0
                self.pods[revision] = TrackObservation(4, ready, ready, is_observed=True)
        weight = effective_weight(self.state, self.seen())
        if self.state.stable is not None:
            shares = {self.state.stable: 100 - weight}
            if self.state.candidate is not None:
                shares[self.state.candidate] = weight
            self.weights = shares

    def lose_pods(self, revision: str) -> None:
        """Make all pods of a revision unready."""
        self.pods[revision] = replace(self.pods[revision], ready=0, available=0)
