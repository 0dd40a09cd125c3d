"""What one reconcile pass sees: the state machine's only input beside spec, state and time."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent_operator.domain.verdict.readings import TrackDelta


@dataclass(frozen=True, slots=True)
class Problem:
    """Something the user can fix: a CamelCase reason and a message with the next step."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class TrackObservation:
    """Pods of one revision, from its Deployment.

    `is_observed`: the Deployment controller has seen the latest generation; other numbers are
    only about the wanted pods then.
    """

    replicas: int = 0  # asked for
    ready: int = 0
    available: int = 0
    is_observed: bool = False

    def serves(self, replicas: int) -> bool:
        """Whether at least so many pods of the latest generation are available."""
        return self.is_observed and self.available >= replicas


ABSENT = TrackObservation()


@dataclass(frozen=True, slots=True)
class TrafficObservation:
    """Where new sessions go, read back from the route (gateway) or the Service (replica ratio).

    `weights`: percent by revision, None while there is nothing to read.
    """

    weights: Mapping[str, int] | None = None
    problem: Problem | None = None  # not accepted by a gateway

    def gives(self, revision: str, weight: int) -> bool:
        """Whether the revision has exactly this weight in force."""
        return (
            self.weights is not None
            and self.problem is None
            and self.weights.get(revision, 0) == weight
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """Counts of both tracks over one block of time.

    `seconds`: since the last good reading; `at`: Unix seconds the block ends. `epoch`: the stretch
    of constant weight that was measured, see `RolloutState.epoch`.
    """

    at: float
    seconds: float
    canary: TrackDelta
    stable: TrackDelta
    epoch: str


@dataclass(frozen=True, slots=True)
class NotMeasured:
    """No counts could be had, and why: never evidence for or against a revision."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class Observation:
    """Children, sources, traffic and evidence of one AgentDeployment at one moment.

    `wanted`: the revision the spec asks for, None while a source is missing (`problem` says
    which). `known`: numbers of our ControllerRevisions by revision, 0 = never was stable.
    """

    wanted: str | None
    problem: Problem | None = None
    tracks: Mapping[str, TrackObservation] = field(default_factory=dict)
    traffic: TrafficObservation = TrafficObservation()
    evaluation: Measured | NotMeasured | None = None
    known: Mapping[str, int] = field(default_factory=dict)
    generation: int = 0

    def track(self, revision: str | None) -> TrackObservation:
        """Return what is known of a revision's pods."""
        return self.tracks.get(revision, ABSENT) if revision else ABSENT
