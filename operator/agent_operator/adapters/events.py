"""Kubernetes Events on AgentDeployments: `ports.EventRecorder`, best effort."""

import asyncio
import socket
import uuid
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any

import structlog

from agent_operator.adapters.apiserver import ApiServer, Call
from agent_operator.adapters.listing import AGENTS, collection_path
from agent_operator.domain.manifest import KindInfo, Manifest
from agent_operator.domain.naming import MANAGED_BY
from agent_operator.ports import Clock

log = structlog.get_logger(__name__)

EVENTS = KindInfo("events.k8s.io/v1", "Event", "events")
REPEAT_SECONDS = 600.0
NOTE_BYTES = 1024  # the API server's own limit
REMEMBERED = 10_000
POST_SECONDS = 5.0

_Said = tuple[str, str, str]


class Events:
    """Posts Events; the same one about the same object at most once in ten minutes."""

    def __init__(self, server: ApiServer, clock: Clock) -> None:
        self._server = server
        self._clock = clock
        self._instance = socket.gethostname()[:128]  # the pod's name
        self._said: OrderedDict[_Said, float] = OrderedDict()

    async def record(
        self, agent: Manifest, *, reason: str, message: str, warning: bool = False
    ) -> None:
        """Post one Event; `reason` is CamelCase, `message` is cut at 1024 bytes."""
        said = (agent["metadata"]["uid"], reason, message)
        if self._is_repeated(said):
            return
        event = self._event(agent, reason, message) | {"type": "Warning" if warning else "Normal"}
        path = collection_path(EVENTS, agent["metadata"]["namespace"])
        try:
            async with asyncio.timeout(POST_SECONDS):
                await self._server.request(Call("POST", path, body=event))
        except Exception as error:  # telling must never stop the doing
            self._said.pop(said, None)
            log.warning("event.lost", reason=reason, error=f"{type(error).__name__}: {error}")

    def _is_repeated(self, said: _Said) -> bool:
        now = self._clock.monotonic()
        while self._said and (
            len(self._said) > REMEMBERED or now - next(iter(self._said.values())) >= REPEAT_SECONDS
        ):
            self._said.popitem(last=False)
        if said in self._said:
            return True
        self._said[said] = now
        return False

    def _event(self, agent: Manifest, reason: str, message: str) -> dict[str, Any]:
        metadata = agent["metadata"]
        moment = datetime.fromtimestamp(self._clock.now(), UTC)
        return {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {
                "name": f"{metadata['name']}.{uuid.uuid4().hex[:16]}",
                "namespace": metadata["namespace"],
            },
            "eventTime": moment.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "reportingController": f"{AGENTS.api_version.partition('/')[0]}/{MANAGED_BY}",
            "reportingInstance": self._instance,
            "action": reason,
            "reason": reason,
            "note": note(message),
            "regarding": {
                "apiVersion": AGENTS.api_version,
                "kind": AGENTS.kind,
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
        }


def note(message: str) -> str:
    """Return the message cut to what an Event takes."""
    raw = message.encode(errors="replace")
    if len(raw) <= NOTE_BYTES:
        return message
    return raw[: NOTE_BYTES - len("…".encode())].decode(errors="ignore") + "…"
