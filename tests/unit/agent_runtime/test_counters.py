"""The contract with the operator: which request moves which counter, and by how much."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from llmock.pytest_plugin import LLMock
from redis.asyncio import Redis

from agent_runtime.policy import Policy
from agent_runtime.runtime import build_runtime
from agent_runtime.sessions.ids import SessionKeys
from agent_runtime.settings import Settings
from agent_runtime.telemetry.judging import Ending, bad_signals
from agent_runtime.telemetry.metrics import Outcome, Signal
from tests.fakes.agent import RunningAgent, running, serving
from tests.fakes.clock import VirtualClock
from tests.fakes.redis_server import RedisServer

NOBODY_LISTENS = "redis://127.0.0.1:1"
PIN = {"x-agent-revision": "local"}
SESSION_KEY = "k" * 32
SettingsFactory = Callable[..., Settings]


@pytest.fixture
def session_keys(tmp_path: Path) -> str:
    keys = tmp_path / "keys"
    keys.write_text(SESSION_KEY)
    return str(keys)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that the test starts and stops itself."""
    server = RedisServer(tmp_path)
    yield server
    server.stop()


async def test_every_series_of_the_contract_is_0_from_the_start(agent: RunningAgent) -> None:
    signals = ("error", "fallback", "latency", "chain", "cost", "tool", "escalation")
    outcomes = ("ok", "degraded", "failed", "rejected", "cancelled")
    expected = {
        'agent_sessions_started_total{segment=""}',
        "agent_sessions_pinned_total",
        "active_agent_sessions",
        "agent_open_sessions",
        "agent_chain_length_count",
        "agent_request_duration_seconds_count",
        *(f'agent_sessions_bad_total{{segment="",signal="{signal}"}}' for signal in signals),
        *(f'agent_requests_bad_total{{segment="",signal="{signal}"}}' for signal in signals),
        *(f'agent_requests_total{{outcome="{outcome}",segment=""}}' for outcome in outcomes),
        *(
            f'agent_fallback_total{{fallback_type="{kind}_fallback"}}'
            for kind in ("model", "cache", "static")
        ),
        *(
            f'llm_request_duration_seconds_count{{model="{model}",status="{status}"}}'
            for model in ("gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18")
            for status in ("success", "error", "cancelled")
        ),
        *(
            f'llm_tokens_total{{direction="{direction}",model="{model}"}}'
            for model in ("gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18")
            for direction in ("input", "output")
        ),
    }

    found = await agent.samples()

    assert {name: found.get(name) for name in expected} == dict.fromkeys(expected, 0.0)
    assert not [name for name in found if "_created" in name]


async def test_every_turn_is_a_request_and_the_first_one_starts_the_session(
    agent: RunningAgent,
) -> None:
    session_id = str((await agent.chat())["session_id"])
    await agent.chat("again", session_id)

    assert await agent.judged() == {"sessions_started": 1, "requests ok": 2}


async def test_a_fallback_is_degraded_and_bad_for_fallback(
    agent: RunningAgent, llmock: LLMock
) -> None:
    llmock.fail(400)

    await agent.chat()

    assert await agent.judged() == {
        "sessions_started": 1,
        "sessions_bad fallback": 1,
        "requests degraded": 1,
        "requests_bad fallback": 1,
    }
    found = await agent.samples()
    assert found['agent_fallback_total{fallback_type="model_fallback"}'] == 1


async def test_a_static_answer_is_failed_and_bad_for_error_and_fallback(
    agent: RunningAgent, llmock: LLMock
) -> None:
    llmock.fail(400, times=2)

    await agent.chat()

    assert await agent.judged() == {
        "sessions_started": 1,
        "sessions_bad error": 1,
        "sessions_bad fallback": 1,
        "requests failed": 1,
        "requests_bad error": 1,
        "requests_bad fallback": 1,
    }
    found = await agent.samples()
    assert found['agent_fallback_total{fallback_type="static_fallback"}'] == 1


async def test_a_session_is_bad_once_per_signal_whichever_turn_was_first(
    agent: RunningAgent, llmock: LLMock
) -> None:
    session_id = str((await agent.chat())["session_id"])
    for _ in range(2):
        llmock.fail(400)
        await agent.chat("again", session_id)

    assert await agent.judged() == {
        "sessions_started": 1,
        "sessions_bad fallback": 1,
        "requests ok": 1,
        "requests degraded": 2,
        "requests_bad fallback": 2,
    }


async def test_a_session_is_counted_once_on_every_revision_it_meets(
    settings: SettingsFactory, llmock: LLMock, redis_url: str, session_keys: str
) -> None:
    shared = {"REDIS_URL": redis_url, "SESSION_KEYS_FILE": session_keys}
    stable_settings = settings(AGENT_REVISION="1f0c", **shared)
    canary_settings = settings(AGENT_REVISION="9ab2", **shared)
    async with (
        running(build_runtime(stable_settings)) as stable,
        running(build_runtime(canary_settings)) as canary,
    ):
        session_id = str((await stable.chat())["session_id"])
        for _ in range(2):
            llmock.fail(400)
            await canary.chat("again", session_id)

        assert await stable.judged() == {"sessions_started": 1, "requests ok": 1}
        assert await canary.judged() == {
            "sessions_started": 1,
            "sessions_bad fallback": 1,
            "requests degraded": 2,
            "requests_bad fallback": 2,
        }


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 400),
        (b'{"message": "x", "temperature": 2}', 422),
        (b'{"message": ""}', 422),
        (b'{"message": "' + b"x" * 65_537 + b'"}', 413),
        (b" " * 500_000, 413),
    ],
)
async def test_a_refused_request_is_rejected_and_neither_started_nor_bad(
    agent: RunningAgent, content: bytes, status: int
) -> None:
    answer = await agent.http.post(
        "/v1/chat", content=content, headers={"content-type": "application/json"}
    )

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert await agent.judged() == {"requests rejected": 1}
    assert (await agent.samples())["agent_open_sessions"] == 0


async def test_a_conversation_that_begins_with_a_pin_is_in_no_judged_counter(
    agent: RunningAgent, llmock: LLMock
) -> None:
    agent.http.headers.update(PIN)
    session_id = str((await agent.chat())["session_id"])
    llmock.fail(400, times=2)
    await agent.chat("again", session_id)
    await agent.http.post("/v1/chat", content=b"{", headers={"content-type": "application/json"})

    assert await agent.judged() == {"sessions_pinned": 1}


async def test_a_cookie_pins_as_the_header_does(agent: RunningAgent) -> None:
    agent.http.cookies = httpx.Cookies(PIN)
    await agent.chat()

    assert await agent.judged() == {"sessions_pinned": 1}


async def test_a_pin_that_comes_with_later_requests_changes_nothing(agent: RunningAgent) -> None:
    """Clients echo the header of the first answer: that is stickiness, not a choice."""
    session_id = str((await agent.chat())["session_id"])
    agent.http.headers.update(PIN)
    await agent.chat("again", session_id)

    assert await agent.judged() == {"sessions_started": 1, "requests ok": 2}


async def test_a_pinned_conversation_stays_pinned_when_the_header_is_gone(
    agent: RunningAgent,
) -> None:
    agent.http.headers.update(PIN)
    session_id = str((await agent.chat())["session_id"])
    del agent.http.headers["x-agent-revision"]
    await agent.chat("again", session_id)

    assert await agent.judged() == {"sessions_pinned": 1}


async def test_an_endless_session_weighs_no_more_than_20_requests(agent: RunningAgent) -> None:
    session_id = str((await agent.chat())["session_id"])
    for _ in range(24):
        await agent.chat("again", session_id)

    assert await agent.judged() == {"sessions_started": 1, "requests ok": 20}


async def test_the_21st_request_can_still_make_its_session_bad(
    agent: RunningAgent, llmock: LLMock
) -> None:
    session_id = str((await agent.chat())["session_id"])
    for _ in range(19):
        await agent.chat("again", session_id)
    llmock.fail(400)
    await agent.chat("again", session_id)

    assert await agent.judged() == {
        "sessions_started": 1,
        "sessions_bad fallback": 1,
        "requests ok": 20,
    }


async def test_with_unit_request_every_request_stands_for_itself(
    agent: RunningAgent, tmp_path: Path
) -> None:
    (tmp_path / "policy.json").write_text('{"unit": "Request"}')
    agent.runtime.policy.reload()
    session_id = str((await agent.chat())["session_id"])
    for _ in range(24):
        await agent.chat("again", session_id)

    assert (await agent.judged())["requests ok"] == 25


async def test_a_session_that_goes_on_after_its_end_is_not_counted_again(
    agent: RunningAgent, llmock: LLMock
) -> None:
    session_id = str((await agent.chat())["session_id"])
    await agent.http.post(f"/v1/sessions/{session_id}/end")
    llmock.fail(400)
    await agent.chat("again", session_id)

    assert await agent.judged() == {
        "sessions_started": 1,
        "requests ok": 1,
        "requests degraded": 1,
        "requests_bad fallback": 1,
    }


def id_of_yesterday() -> str:
    day_seconds = 24 * 3600
    keys = SessionKeys([SESSION_KEY], now=lambda: time.time() - day_seconds)
    return keys.issue(pinned=False).text


async def test_concurrent_requests_of_a_session_that_comes_back_after_a_day_start_it_once(
    settings: SettingsFactory, llmock: LLMock, redis_server: RedisServer, session_keys: str
) -> None:
    llmock.fail(400, times=None, model="gpt-4o-2024-08-06")
    # The mark of a store that has lost nothing for long.
    async with Redis.from_url(redis_server.url) as redis:
        await redis.set("agentdeploy:/agent:complete-since", 1)
    loaded = settings(REDIS_URL=redis_server.url, SESSION_KEYS_FILE=session_keys)
    session_id = id_of_yesterday()
    async with running(build_runtime(loaded)) as agent:
        await asyncio.gather(*(agent.chat("again", session_id) for _ in range(10)))

        assert await agent.judged() == {
            "sessions_started": 1,
            "sessions_bad fallback": 1,
            "requests degraded": 10,
            "requests_bad fallback": 10,
        }


@pytest.mark.parametrize("store", ["in process", "redis"])
async def test_a_session_of_yesterday_is_not_counted_by_a_store_that_has_just_begun(
    settings: SettingsFactory, own_redis: RedisServer, session_keys: str, store: str
) -> None:
    """It may have been in use until a minute ago, and counted."""
    own_redis.start()
    url = own_redis.url if store == "redis" else ""
    loaded = settings(REDIS_URL=url, SESSION_KEYS_FILE=session_keys)
    async with running(build_runtime(loaded)) as agent:
        await agent.chat("again", id_of_yesterday())

        assert await agent.judged() == {"requests ok": 1}


async def test_an_open_session_is_counted_until_it_ends(agent: RunningAgent) -> None:
    session_id = str((await agent.chat())["session_id"])
    assert (await agent.samples())["agent_open_sessions"] == 1

    await agent.http.post(f"/v1/sessions/{session_id}/end")

    assert (await agent.samples())["agent_open_sessions"] == 0


async def test_tokens_and_calls_are_counted_per_model(
    agent: RunningAgent, llmock: LLMock, clock: VirtualClock
) -> None:
    llmock.fail(503, times=3, model="gpt-4o-2024-08-06")
    await agent.chat()

    found = await agent.samples()
    calls = "llm_request_duration_seconds_count"
    assert found[f'{calls}{{model="gpt-4o-2024-08-06",status="error"}}'] == 3
    assert found[f'{calls}{{model="gpt-4o-mini-2024-07-18",status="success"}}'] == 1
    assert found['llm_tokens_total{direction="output",model="gpt-4o-mini-2024-07-18"}'] > 0
    assert found['agent_chain_length_bucket{le="1.0"}'] == 1


@pytest.mark.parametrize(
    ("ending", "signals"),
    [
        (Ending(Outcome.OK, 15.0, 10), set()),
        (Ending(Outcome.OK, 15.1, 1), {Signal.LATENCY}),
        (Ending(Outcome.OK, 1.0, 11), {Signal.CHAIN}),
        (Ending(Outcome.DEGRADED, 20.0, 1), {Signal.FALLBACK, Signal.LATENCY}),
        (Ending(Outcome.FAILED, 1.0), {Signal.ERROR, Signal.FALLBACK}),
        (Ending(Outcome.CANCELLED, 1.0), set()),
        (Ending(Outcome.CANCELLED, 15.1), {Signal.LATENCY}),
    ],
)
def test_what_makes_a_request_bad(ending: Ending, signals: set[Signal]) -> None:
    assert bad_signals(ending, Policy()) == signals


async def test_without_the_store_a_pod_still_counts_each_session_once(
    settings: SettingsFactory, llmock: LLMock
) -> None:
    runtime = build_runtime(settings(REDIS_URL=NOBODY_LISTENS))
    async with serving(runtime) as agent:
        llmock.fail(400, times=None, model="gpt-4o-2024-08-06")
        session_id = str((await agent.chat())["session_id"])
        await agent.chat("again", session_id)

        assert await agent.judged() == {
            "sessions_started": 1,
            "sessions_bad fallback": 1,
            "requests degraded": 2,
            "requests_bad fallback": 2,
        }


async def test_without_the_store_a_session_that_began_elsewhere_is_not_judged_here(
    settings: SettingsFactory, llmock: LLMock, session_keys: str
) -> None:
    loaded = settings(REDIS_URL=NOBODY_LISTENS, SESSION_KEYS_FILE=session_keys)
    async with serving(build_runtime(loaded)) as one, serving(build_runtime(loaded)) as other:
        session_id = str((await one.chat())["session_id"])
        llmock.fail(400)
        await other.chat("again", session_id)

        assert await one.judged() == {"sessions_started": 1, "requests ok": 1}
        assert await other.judged() == {"requests degraded": 1, "requests_bad fallback": 1}


async def test_a_session_that_began_in_an_outage_is_counted_once_however_it_goes_on(
    settings: SettingsFactory, llmock: LLMock, own_redis: RedisServer, session_keys: str
) -> None:
    llmock.fail(400, times=None, model="gpt-4o-2024-08-06")
    loaded = settings(REDIS_URL=own_redis.url, SESSION_KEYS_FILE=session_keys)
    async with serving(build_runtime(loaded)) as one, serving(build_runtime(loaded)) as other:
        session_id = str((await one.chat())["session_id"])
        own_redis.start()
        await one.chat("again", session_id)
        await other.chat("again", session_id)
        own_redis.stop()
        await one.chat("again", session_id)

        sessions = {"sessions_started": 1, "sessions_bad fallback": 1}
        assert await one.judged() == sessions | {"requests degraded": 3, "requests_bad fallback": 3}
        assert await other.judged() == {"requests degraded": 1, "requests_bad fallback": 1}


async def test_a_session_that_was_bad_is_not_bad_again_in_an_outage_nor_after_a_loss(
    settings: SettingsFactory, llmock: LLMock, own_redis: RedisServer
) -> None:
    llmock.fail(400, times=None, model="gpt-4o-2024-08-06")
    own_redis.start()
    async with running(build_runtime(settings(REDIS_URL=own_redis.url))) as agent:
        session_id = str((await agent.chat())["session_id"])
        own_redis.stop()
        await agent.chat("in the outage", session_id)
        own_redis.start()  # it kept nothing
        await agent.chat("after the loss", session_id)
        await agent.chat("later", session_id)
        sessions_before_another = await agent.judged()
        await agent.chat()

        assert sessions_before_another == {
            "sessions_started": 1,
            "sessions_bad fallback": 1,
            "requests degraded": 4,
            "requests_bad fallback": 4,
        }
        assert (await agent.judged())["sessions_started"] == 2
