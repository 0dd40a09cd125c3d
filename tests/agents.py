"""AgentDeployments of one namespace, as a person applies them and reads their status."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agent_operator.api.v1alpha1 import AgentDeploymentStatus
from agent_operator.domain.naming import LABEL_NAME
from tests.api_server import Objects, Refused
from tests.factories import merged

AGENT = "refunds"
POLL_SECONDS = 0.1
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
        if candidate is None or stable is None or not status.analysis:
            return None
        row = status.analysis[0]
        if not isinstance(at, int | float) or not row.canary.sessions:
            return None
        return Counted(at, {candidate: row.canary.sessions, stable: row.stable.sessions})

    def since(self, before: "Counted") -> Mapping[str, int]:
        """Return what was counted after another moment."""
        return {one: number - before.sessions[one] for one, number in self.sessions.items()}


def prompt(version: str) -> dict[str, Any]:
    """Return the part of a spec that asks for a prompt version: every version is a revision."""
    files = {"system.md": f"You decide on refunds, the {version} way.\n"}
    return {"prompt": {"version": version, "files": files}}


@dataclass
class Agents:
    """Applies specs, which are merge patches on `base_spec`, and waits for what becomes of them."""

    objects: Objects
    base_spec: Mapping[str, Any]

    def story(self) -> str:
        """Return what to say beside the status when something does not come, such as a log."""
        return ""

    def apply(self, spec: Mapping[str, Any] | None = None, *, name: str = AGENT) -> dict[str, Any]:
        """Apply an AgentDeployment; `spec` is a merge patch on a small one with a quick pace."""
        manifest = {
            "apiVersion": "agentdeploy.dev/v1alpha1",
            "kind": "AgentDeployment",
            "metadata": {"name": name},
            "spec": merged(self.base_spec, spec or {}),
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
            assert time.monotonic() < deadline, f"still {status.to_manifest()}\n{self.story()}"
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

    def until_true(self, holds: Callable[[], object], *, within_seconds: float = 15.0) -> None:
        """Wait until anything holds."""
        deadline = time.monotonic() + within_seconds
        while not holds():
            assert time.monotonic() < deadline, self.story()
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

    def _names(self, resource: str, selector: str) -> set[str]:
        try:
            return self.objects.names(resource, selector)
        except Refused as refusal:
            if refusal.code == 404:  # a kind that this cluster does not know
                return set()
            raise


def _weight(status: AgentDeploymentStatus) -> int:
    return status.rollout.weight if status.rollout else 0


def _is_about_an_agent(event: Mapping[str, Any]) -> bool:
    return bool(event["regarding"]["kind"] == "AgentDeployment")
