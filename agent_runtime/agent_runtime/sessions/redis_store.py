"""Sessions in Redis, shared by all pods of an agent and kept across revisions.

A session is a hash (schema version, requests and signals per revision, whether it is judged) and a
list of turns, both in one hash slot; one script changes them, so concurrent requests of one session
count each thing once. One more key per agent says since when no session was lost.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from agent_runtime.agent.history import Turn
from agent_runtime.errors import StoreUnavailableError
from agent_runtime.sessions.store import MAX_TURNS, Finished, Tally

SCHEMA_VERSION = "1"
TIMEOUT_SECONDS = 1.0

# KEYS session hash, turns; ARGV version, idle seconds, revision, turn or "", turns kept, whether a
# missing record means a new session (1, 0), signals...; gives requests, judged (1, 0), new signals.
_FINISH = """
local session, turns = KEYS[1], KEYS[2]
local version = redis.call('HGET', session, 'version')
if version ~= ARGV[1] then
  redis.call('DEL', session, turns)
  redis.call('HSET', session, 'version', ARGV[1])
  if not version and ARGV[6] == '0' then
    redis.call('HSET', session, 'unjudged', 1)
  end
end
local judged = 1 - redis.call('HEXISTS', session, 'unjudged')
local changed = {redis.call('HINCRBY', session, 'requests:' .. ARGV[3], 1), judged}
for i = 7, judged == 1 and #ARGV or 0 do
  if redis.call('HSETNX', session, 'bad:' .. ARGV[3] .. ':' .. ARGV[i], 1) == 1 then
    changed[#changed + 1] = ARGV[i]
  end
end
if ARGV[4] ~= '' then
  redis.call('RPUSH', turns, ARGV[4])
  redis.call('LTRIM', turns, -tonumber(ARGV[5]), -1)
end
redis.call('EXPIRE', session, ARGV[2])
redis.call('EXPIRE', turns, ARGV[2])
return changed
"""

log = structlog.get_logger(__name__)


class RedisStore:
    """Every operation is one round trip and takes at most TIMEOUT_SECONDS."""

    def __init__(self, url: str, *, agent: str, idle_seconds: int) -> None:
        # No retries: `finish` is not idempotent, and a caller is waiting.
        self._redis = Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._finish = self._redis.register_script(_FINISH)
        self._agent = agent
        self._idle_seconds = idle_seconds

    async def history(self, key: str) -> list[Turn]:
        """Return the turns so far; none of a session with a schema this version does not know."""
        session, turns = self._keys(key)
        async with _reached(), self._redis.pipeline(transaction=False) as pipe:
            pipe.hget(session, "version")
            pipe.lrange(turns, 0, -1)
            version, stored = await pipe.execute()
        if version is None:
            return []
        if version != SCHEMA_VERSION:
            log.warning("session.unknown_schema", version=version)
            return []
        return [Turn(*json.loads(turn)) for turn in stored]

    async def finish(self, key: str, finished: Finished) -> Tally:
        """Write down a finished request and return what it changed."""
        turn = finished.turn
        stored = json.dumps([turn.question, turn.answer]) if turn else ""
        fixed = (SCHEMA_VERSION, self._idle_seconds, finished.revision, stored, MAX_TURNS)
        async with _reached():
            requests, judged, *new = await self._finish(
                keys=self._keys(key),
                args=[*fixed, int(finished.begins), *sorted(finished.signals)],
            )
        return Tally(bool(judged) and requests == 1, frozenset(new), int(requests))

    async def is_complete(self) -> bool:
        """Tell whether Redis has kept a mark for the idle time; it goes when all else is lost."""
        now = int(time.time())
        mark = f"agentdeploy:{self._agent}:complete-since"
        async with _reached(), self._redis.pipeline(transaction=False) as pipe:
            pipe.set(mark, now, nx=True)
            pipe.get(mark)
            _, since = await pipe.execute()
        return since is not None and now - int(since) >= self._idle_seconds

    async def end(self, key: str) -> bool:
        """Forget the session; False if it was not known."""
        async with _reached():
            return await self._redis.delete(*self._keys(key)) > 0

    async def ping(self) -> None:
        """Reach Redis once."""
        async with _reached():
            await self._redis.ping()

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    def _keys(self, key: str) -> list[str]:
        # Keyed by agent, not by revision: a session goes on wherever it is sent. Braces: one slot.
        session = f"agentdeploy:{self._agent}:session:{{{key}}}"
        return [session, f"{session}:turns"]


@asynccontextmanager
async def _reached() -> AsyncIterator[None]:
    """Raise StoreUnavailableError for all trouble with Redis, without the URL's password."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            yield
    except (RedisError, OSError, TimeoutError) as error:
        raise StoreUnavailableError(type(error).__name__) from error
