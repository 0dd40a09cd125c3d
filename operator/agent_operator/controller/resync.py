"""The safety net: looks at everything slowly, so that a missed event is only a delay."""

import asyncio
import random
from collections.abc import Mapping
from typing import Any

import structlog

from agent_operator.controller.cache import Cache, key_of
from agent_operator.domain.manifest import Manifest, ObjectKey
from agent_operator.errors import OperatorError
from agent_operator.ports import AgentApi, Enqueue

log = structlog.get_logger(__name__)


class Resync:
    """Re-enqueues all keys, and drops those whose object vanished unseen between two lists."""

    def __init__(self, agents: AgentApi, cache: Cache, enqueue: Enqueue) -> None:
        self._agents = agents
        self._cache = cache
        self._enqueue = enqueue

    async def run(self, interval_seconds: float) -> None:
        """Look at everything once per interval, with jitter, for ever."""
        while True:
            await asyncio.sleep(interval_seconds * random.uniform(0.9, 1.1))  # noqa: S311
            try:
                await self.look(spread_seconds=interval_seconds / 2)
            except OperatorError as error:
                log.warning("resync.failed", error=str(error))

    async def look(self, *, spread_seconds: float = 0.0) -> None:
        """Catch up with changes that no watch event told, then enqueue all keys, spread in time."""
        listed = {key_of(agent): agent["metadata"] for agent in await self._agents.list_agents()}
        for key in {*listed, *self._cache.agents()}:
            known = self._cache.agent(key)
            if known is None or key not in listed or _differ(known["metadata"], listed[key]):
                await self._catch_up(key, known)
        keys = self._cache.agents()
        for key in keys:
            self._enqueue(key)
            await asyncio.sleep(spread_seconds / len(keys))

    async def _catch_up(self, key: ObjectKey, known: Manifest | None) -> None:
        """Read one AgentDeployment whose watch event did not come, or comes right now."""
        found = await self._agents.read_agent(key)
        if found is not None:
            self._cache.observe_agent(None, found)
        elif known is not None:
            self._cache.drop_agent(key, known["metadata"]["uid"])


def _differ(known: Mapping[str, Any], listed: Mapping[str, Any]) -> bool:
    return any(known[name] != listed[name] for name in ("uid", "resourceVersion"))
