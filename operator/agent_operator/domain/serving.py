"""Which revisions serve and how: the bridge between the state machine and the manifests."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent_operator.domain.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A frozen revision, as its ControllerRevision holds it.

    `axes` is canonical JSON data (image, model, prompt, pod), `template` the rendered pod template,
    `files` the prompt's files by name (empty when the prompt is in the image).
    """

    revision: str
    axes: Mapping[str, Any]
    template: Manifest
    files: Mapping[str, str]
    number: int = 0  # `.revision` of the ControllerRevision: 0 until it was stable, then rising


@dataclass(frozen=True, slots=True)
class ServingRevision:
    """One revision whose objects exist."""

    snapshot: Snapshot
    weight: int  # percent of new sessions
    min_replicas: int  # of its autoscaler, already clamped to maxReplicas
    fixed_replicas: int | None = None  # set: no autoscaler, exactly so many (ratio-mode candidate)
    scale_down: bool = True  # False: its autoscaler only scales up (stable during a canary)
    pinned: bool = False  # the route sends `x-agent-revision: <revision>` here


@dataclass(frozen=True, slots=True)
class ServingPlan:
    """Everything `desired_objects` needs beside the AgentDeployment itself."""

    revisions: tuple[ServingRevision, ...]  # stable first, then candidate, then draining
    service_revision: str | None  # Service <name> selects this revision; None: the shared ones
    retained: tuple[Snapshot, ...] = ()  # history: only their ControllerRevisions stay
