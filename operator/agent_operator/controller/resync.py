"""The safety net: looks at everything slowly, so that a missed event is only a delay."""

import asyncio
import random

import structlog

from agent_operator.controller.cache import Cache, key_of
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
        """Drop keys whose object is gone, then enqueue the rest, spread over the seconds given."""
        listed = {key_of(agent) for agent in await self._agents.list_agents()}
        for key in self._cache.agents():
            if key not in listed and await self._agents.read_agent(key) is None:
                self._cache.drop_agent(key)  # its DELETED event was missed
        keys = self._cache.agents()
        for key in keys:
            self._enqueue(key)
            await asyncio.sleep(spread_seconds / len(keys))
