"""What every session store must do, asked of each of them; Redis is a real one."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from agent_runtime.agent.history import Turn
from agent_runtime.errors import StoreUnavailableError
from agent_runtime.sessions.ids import SessionKeys
from agent_runtime.sessions.memory import InProcessStore
from agent_runtime.sessions.redis_store import RedisStore
from agent_runtime.sessions.store import MAX_TURNS, Finished, SessionStore, Tally
from tests.fakes.clock import VirtualClock
from tests.fakes.redis_server import RedisServer

NOTHING: frozenset[str] = frozenset()
IDLE_SECONDS = 60


@pytest.fixture(params=["in process", "redis"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[SessionStore]:
    made: SessionStore
    if request.param == "redis":
        redis: RedisServer = request.getfixturevalue("redis_server")
        made = redis_store(redis)
    else:
        made = InProcessStore(idle_seconds=IDLE_SECONDS)
    await made.ping()
    yield made
    await made.close()


def redis_store(redis: RedisServer, *, agent: str = "support/refunds") -> RedisStore:
    return RedisStore(redis.url, agent=agent, idle_seconds=IDLE_SECONDS)


@pytest.fixture
def key() -> str:
    return SessionKeys(["k" * 32]).issue(pinned=False).key


async def test_an_unknown_session_has_no_history(store: SessionStore, key: str) -> None:
    assert await store.history(key) == []


async def test_turns_come_back_in_order(store: SessionStore, key: str) -> None:
    turns = [Turn("Grüße \x00 \u2028", "1"), Turn('"2"', "[2]"), Turn("3" * 70_000, "3")]
    for turn in turns:
        await store.finish(key, Finished("r1", NOTHING, turn))

    assert await store.history(key) == turns


async def test_only_the_latest_turns_are_kept(store: SessionStore, key: str) -> None:
    for number in range(MAX_TURNS + 5):
        await store.finish(key, Finished("r1", NOTHING, Turn(str(number), "a")))

    questions = [turn.question for turn in await store.history(key)]
    assert questions == [str(number) for number in range(5, MAX_TURNS + 5)]


async def test_a_request_without_an_answer_leaves_the_history_alone(
    store: SessionStore, key: str
) -> None:
    await store.finish(key, Finished("r1", frozenset({"error"})))

    assert await store.history(key) == []


async def test_the_first_request_and_each_signal_are_new_once_per_revision(
    store: SessionStore, key: str
) -> None:
    bad = frozenset({"error", "fallback"})

    tallies = [
        await store.finish(key, Finished("r1", frozenset({"fallback"}))),
        await store.finish(key, Finished("r1", bad)),
        await store.finish(key, Finished("r1", bad)),
        await store.finish(key, Finished("r2", frozenset({"error"}))),
        await store.finish(key, Finished("r1", NOTHING)),
    ]

    assert tallies == [
        Tally(first=True, new_signals=frozenset({"fallback"}), requests=1),
        Tally(first=False, new_signals=frozenset({"error"}), requests=2),
        Tally(first=False, new_signals=NOTHING, requests=3),
        Tally(first=True, new_signals=frozenset({"error"}), requests=1),
        Tally(first=False, new_signals=NOTHING, requests=4),
    ]


async def test_a_session_whose_record_was_lost_is_remembered_but_judged_on_no_revision(
    store: SessionStore, key: str
) -> None:
    bad = frozenset({"error"})
    turn = Turn("q", "a")

    tallies = [
        await store.finish(key, Finished("r1", bad, turn, begins=False)),
        await store.finish(key, Finished("r1", bad, turn, begins=True)),
        await store.finish(key, Finished("r2", bad, turn, begins=False)),
    ]

    assert tallies == [
        Tally(first=False, new_signals=NOTHING, requests=1),
        Tally(first=False, new_signals=NOTHING, requests=2),
        Tally(first=False, new_signals=NOTHING, requests=1),
    ]
    assert await store.history(key) == [turn] * 3


async def test_a_session_that_has_a_record_is_judged_whatever_a_missing_one_would_mean(
    store: SessionStore, key: str
) -> None:
    bad = frozenset({"error"})
    await store.finish(key, Finished("r1", NOTHING))

    same = await store.finish(key, Finished("r1", bad, begins=False))
    other = await store.finish(key, Finished("r2", bad, begins=False))

    assert same == Tally(first=False, new_signals=bad, requests=2)
    assert other == Tally(first=True, new_signals=bad, requests=1)


async def test_concurrent_requests_count_each_thing_once(store: SessionStore, key: str) -> None:
    finished = Finished("r1", frozenset({"latency"}), Turn("q", "a"))

    tallies = await asyncio.gather(*(store.finish(key, finished) for _ in range(30)))

    assert sorted(tally.requests for tally in tallies) == list(range(1, 31))
    assert [tally.first for tally in tallies].count(True) == 1
    assert [tally.new_signals for tally in tallies].count(frozenset({"latency"})) == 1
    assert len(await store.history(key)) == 30


async def test_sessions_do_not_know_each_other(store: SessionStore, key: str) -> None:
    other = SessionKeys(["k" * 32]).issue(pinned=True).key
    await store.finish(key, Finished("r1", frozenset({"error"}), Turn("q", "a")))

    assert await store.history(other) == []
    assert (await store.finish(other, Finished("r1", frozenset({"error"})))).first


async def test_an_ended_session_is_forgotten_completely(store: SessionStore, key: str) -> None:
    await store.finish(key, Finished("r1", frozenset({"error"}), Turn("q", "a")))

    ends = [await store.end(key), await store.end(key)]

    assert ends == [True, False]
    assert await store.history(key) == []
    assert (await store.finish(key, Finished("r1", frozenset({"error"})))).first


class TestInProcess:
    """What only a store in this process can be asked."""

    async def test_a_session_is_forgotten_after_its_idle_time(self, key: str) -> None:
        now = 0.0
        store = InProcessStore(idle_seconds=10, now=lambda: now)
        await store.finish(key, Finished("r1", NOTHING, Turn("1", "a")))
        now = 9
        await store.finish(key, Finished("r1", NOTHING, Turn("2", "a")))
        now = 18
        assert len(await store.history(key)) == 2
        now = 19
        assert await store.history(key) == []
        assert not await store.end(key)

    async def test_the_session_idle_for_longest_makes_room(self) -> None:
        store = InProcessStore(idle_seconds=10, max_sessions=2)
        for key in ("a", "b", "a", "c"):
            await store.finish(key, Finished("r1", NOTHING, Turn(key, "answer")))

        kept = [key for key in ("a", "b", "c") if await store.history(key)]

        assert kept == ["a", "c"]

    async def test_it_is_complete_an_idle_time_after_it_last_lost_something(self) -> None:
        clock = VirtualClock()
        store = InProcessStore(idle_seconds=10, max_sessions=1, now=clock.now)
        complete = []
        for clock.time in (9, 10):
            complete.append(await store.is_complete())
        await store.finish("a", Finished("r1", NOTHING))
        await store.finish("b", Finished("r1", NOTHING))
        for clock.time in (19, 20):
            complete.append(await store.is_complete())

        assert complete == [False, True, False, True]


class TestRedis:
    """What only Redis can be asked."""

    async def test_another_pod_sees_the_same_session(
        self, redis_server: RedisServer, key: str
    ) -> None:
        one, other = redis_store(redis_server), redis_store(redis_server)
        await one.finish(key, Finished("r1", NOTHING, Turn("q", "a")))

        assert await other.history(key) == [Turn("q", "a")]
        assert not (await other.finish(key, Finished("r1", NOTHING))).first
        await one.close()
        await other.close()

    async def test_another_agent_sees_nothing(self, redis_server: RedisServer, key: str) -> None:
        one, other = redis_store(redis_server), redis_store(redis_server, agent="support/other")
        await one.finish(key, Finished("r1", NOTHING, Turn("q", "a")))

        assert await other.history(key) == []
        await one.close()
        await other.close()

    async def test_everything_written_expires_with_the_idle_time(
        self, redis_server: RedisServer, key: str
    ) -> None:
        store = redis_store(redis_server)
        await store.finish(key, Finished("r1", NOTHING, Turn("q", "a")))

        async with Redis.from_url(redis_server.url) as redis:
            keys = [name async for name in redis.scan_iter(f"*{key}*")]
            lives = [await redis.ttl(name) for name in keys]
        await store.close()

        assert len(keys) == 2
        assert all(IDLE_SECONDS - 5 <= life <= IDLE_SECONDS for life in lives)

    async def test_it_is_complete_once_its_mark_is_as_old_as_the_idle_time(
        self, redis_server: RedisServer
    ) -> None:
        mark = "agentdeploy:support/marked:complete-since"
        store = redis_store(redis_server, agent="support/marked")
        complete = [await store.is_complete()]
        async with Redis.from_url(redis_server.url) as redis:
            for age in (IDLE_SECONDS - 5, IDLE_SECONDS):
                await redis.set(mark, int(time.time()) - age)
                complete.append(await store.is_complete())
            await redis.delete(mark)
        complete.append(await store.is_complete())
        await store.close()

        assert complete == [False, False, True, False]

    async def test_a_record_of_an_unknown_schema_starts_afresh_with_a_warning(
        self, redis_server: RedisServer, key: str
    ) -> None:
        store = redis_store(redis_server)
        await store.finish(key, Finished("r1", frozenset({"error"}), Turn("q", "a")))
        async with Redis.from_url(redis_server.url) as redis:
            await redis.hset(f"agentdeploy:support/refunds:session:{{{key}}}", "version", "99")

        with capture_logs() as logs:
            history = await store.history(key)
        tally = await store.finish(key, Finished("r1", frozenset({"error"}), Turn("q2", "a2")))
        remembered = await store.history(key)
        await store.close()

        assert history == []
        assert [entry["event"] for entry in logs] == ["session.unknown_schema"]
        assert tally == Tally(first=True, new_signals=frozenset({"error"}), requests=1)
        assert remembered == [Turn("q2", "a2")]

    async def test_a_redis_that_hangs_costs_about_a_second_and_one_kind_of_error(
        self, redis_server: RedisServer, key: str
    ) -> None:
        store = redis_store(redis_server)
        await store.ping()
        redis_server.freeze()
        try:
            async with asyncio.timeout(2):
                with pytest.raises(StoreUnavailableError):
                    await store.finish(key, Finished("r1", NOTHING))
        finally:
            redis_server.thaw()
        assert (await store.finish(key, Finished("r1", NOTHING))).requests >= 1
        await store.close()

    async def test_a_restarted_redis_is_used_again_at_once(
        self, tmp_path_factory: pytest.TempPathFactory, key: str
    ) -> None:
        server = RedisServer(tmp_path_factory.mktemp("restarted"))
        server.start()
        store = redis_store(server)
        await store.finish(key, Finished("r1", NOTHING))
        server.stop()
        with pytest.raises(StoreUnavailableError):
            await store.history(key)

        server.start()

        assert (await store.finish(key, Finished("r1", NOTHING))).first
        await store.close()
        server.stop()

    async def test_an_error_does_not_tell_the_password(self) -> None:
        store = RedisStore("redis://:hunter2@127.0.0.1:1", agent="a/b", idle_seconds=1)

        with pytest.raises(StoreUnavailableError) as caught:
            await store.ping()
        await store.close()

        assert "hunter2" not in str(caught.value)
