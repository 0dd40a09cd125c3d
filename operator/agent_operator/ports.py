"""What the controller needs from the outside, as protocols of one to four methods.

Adapters implement them over real servers, `tests/fakes` in memory; one contract suite in
`tests/contract` runs against both.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from agent_operator.domain.manifest import Kind, Manifest, ObjectKey, ObjectRef
from agent_operator.domain.verdict.readings import Reading


class ClusterApi(Protocol):
    """Objects of the closed list of kinds in `domain.manifest.Kind`, in one namespace each.

    Every method raises `errors.ApiUnavailable` (retry), `errors.Throttled` (retry after) or
    `errors.InvalidObject` (the server refused the content; the message is safe to show).
    """

    async def read(self, ref: ObjectRef) -> Manifest | None:
        """Return the object, None when it does not exist; Secrets as metadata only."""
        ...

    async def apply(self, manifest: Manifest, *, uid: str | None) -> Manifest:
        """Server-side apply with force; `uid` fences against a re-created object (Conflict)."""
        ...

    async def create(self, manifest: Manifest) -> Manifest:
        """Create the object; raise Conflict when the name is taken."""
        ...

    async def delete(self, ref: ObjectRef, *, uid: str, resource_version: str | None) -> None:
        """Delete in the background; an absent object is success, a changed one is Conflict."""
        ...


class ScaleApi(Protocol):
    """The only way replicas are written: the scale subresource of a Deployment."""

    async def scale(self, ref: ObjectRef, replicas: int, *, resource_version: str | None) -> None:
        """Set replicas; a stale `resource_version` is Conflict."""
        ...


class AgentApi(Protocol):
    """AgentDeployments themselves: read, list, and write of the status subresource only."""

    async def read_agent(self, key: ObjectKey) -> Manifest | None:
        """Return the AgentDeployment, None when it does not exist."""
        ...

    async def list_agents(self) -> Sequence[Manifest]:
        """Return all AgentDeployments in the watched namespaces (paged, metadata only)."""
        ...

    async def write_status(self, agent: Manifest, status: Mapping[str, Any]) -> Manifest:
        """Replace `.status`, fenced by uid and resourceVersion of `agent`; Conflict when stale."""
        ...


class MetricsSource(Protocol):
    """Counters of agent pods by namespace, agent and revision."""

    async def readings(
        self, agents: Sequence[ObjectKey], *, at: float, window_seconds: float
    ) -> Mapping[tuple[ObjectKey, str], Reading]:
        """Return one reading per (agent, revision) that has all contract series.

        `at`: Unix seconds; `window_seconds`: samples older than that are stale and left out.
        Raises `errors.MetricsUnavailable` when the answer cannot be trusted as a whole.
        """
        ...


class EventRecorder(Protocol):
    """Kubernetes Events on an AgentDeployment; best effort, never raises."""

    async def record(
        self, agent: Manifest, *, reason: str, message: str, warning: bool = False
    ) -> None:
        """Post one Event; `reason` is CamelCase, `message` at most 1024 characters."""
        ...


class Clock(Protocol):
    """Wall clock and monotonic clock, in seconds."""

    def now(self) -> float:
        """Return Unix seconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        ...


class ChildListener(Protocol):
    """Who hears of owned objects; called by the informer for every change."""

    def observe(self, obj: Manifest) -> None:
        """Take an added or changed object."""
        ...

    def forget(self, ref: ObjectRef, uid: str) -> None:
        """Take the disappearance of an object."""
        ...

    def replace(
        self, kind: Kind, objects: Sequence[Manifest], *, namespace: str | None = None
    ) -> None:
        """Take a complete list of one kind; whatever else was known of it is gone.

        `namespace`: the list is of this namespace only (several are watched one by one).
        """
        ...


Enqueue = Callable[[ObjectKey], None]
