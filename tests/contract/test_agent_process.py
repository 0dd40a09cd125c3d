"""The runtime as a process: start, refusal to start, drain, clients that leave, what it logs."""

import asyncio
import errno
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from llmock.pytest_plugin import LLMock

from tests.fakes.agent_process import agent_process
from tests.fakes.redis_server import RedisServer

KEY = "sk-never-to-be-seen-1234567890"
Environment = Callable[..., dict[str, str]]
# After which servers close idle connections by default; a gateway may send just then.
COMMON_IDLE_SECONDS = 5


@pytest.fixture
def environment(llmock: LLMock, tmp_path: Path) -> Environment:
    prompt = tmp_path / "prompt"
    prompt.mkdir()
    (prompt / "system.md").write_text("You are a test.")
    least = {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": llmock.base_url("openai"),
        "PROMPT_DIR": str(prompt),
        "POLICY_FILE": str(tmp_path / "policy.json"),
    }
    return lambda **values: least | values


async def test_it_serves_and_leaves_with_0_on_sigterm(environment: Environment) -> None:
    async with agent_process(environment()) as agent:
        await agent.until_event("runtime.ready")
        ready = await agent.http.get("/ready")
        chat = await agent.http.post("/v1/chat", json={"message": "hello"})
        agent.terminate()
        code = await agent.exit_code()

    assert (ready.status_code, chat.status_code, code) == (200, 200, 0)


async def test_sigterm_lets_requests_in_flight_finish_with_the_listener_open(
    environment: Environment, llmock: LLMock
) -> None:
    llmock.delay(1.5).reply("still here")
    async with agent_process(environment()) as agent:
        chat = asyncio.create_task(agent.http.post("/v1/chat", json={"message": "hello"}))
        await agent.until_sample("active_agent_sessions", 1)
        agent.terminate()
        await agent.until_event("drain.started")

        async with httpx.AsyncClient(base_url=agent.http.base_url) as newcomer:
            ready = await newcomer.get("/ready")
            health = await newcomer.get("/health")
        answer = await chat
        code = await agent.exit_code()

    assert (ready.status_code, ready.json()) == (503, {"status": "draining"})
    assert health.status_code == 200
    assert (answer.status_code, answer.json()["answer"]) == (200, "still here")
    assert code == 0


async def test_an_idle_connection_stays_open_for_its_gateway(environment: Environment) -> None:
    async with agent_process(environment()) as agent:
        reader, writer = await asyncio.open_connection("127.0.0.1", agent.http.base_url.port)
        writer.write(b"GET /health HTTP/1.1\r\nHost: agent\r\n\r\n")
        answer = await reader.readuntil(b"}")  # head and body may come apart
        try:
            with pytest.raises(TimeoutError):  # an end of file would come at once
                await asyncio.wait_for(reader.read(1), timeout=COMMON_IDLE_SECONDS + 1)
        finally:
            writer.close()
            await writer.wait_closed()

    assert answer.startswith(b"HTTP/1.1 200")


async def test_a_second_sigterm_ends_it_at_once(environment: Environment, llmock: LLMock) -> None:
    llmock.delay(5)
    async with agent_process(environment()) as agent:
        chat = asyncio.create_task(agent.http.post("/v1/chat", json={"message": "hello"}))
        await agent.until_sample("active_agent_sessions", 1)
        agent.terminate()
        await agent.until_event("drain.started")
        started = time.monotonic()
        agent.terminate()
        code = await agent.exit_code()
        with pytest.raises(httpx.RemoteProtocolError):
            await chat

    assert code == 143
    assert time.monotonic() - started < 2


async def test_a_drain_takes_no_longer_than_the_policy_allows(
    environment: Environment, llmock: LLMock, tmp_path: Path
) -> None:
    llmock.delay(5)
    (tmp_path / "policy.json").write_text('{"maxSessionSeconds": 1}')
    async with agent_process(environment()) as agent:
        chat = asyncio.create_task(agent.http.post("/v1/chat", json={"message": "hello"}))
        await agent.until_sample("active_agent_sessions", 1)
        started = time.monotonic()
        agent.terminate()
        answer = await chat
        code = await agent.exit_code()

    assert answer.status_code == 503
    assert code == 0
    assert 1 <= time.monotonic() - started < 4
    finished = agent.event("drain.finished")
    assert finished
    assert finished["abandoned"] == 1


async def test_a_client_that_leaves_stops_the_work_and_counts_as_cancelled(
    environment: Environment, llmock: LLMock
) -> None:
    llmock.delay(5)
    async with agent_process(environment()) as agent:
        with pytest.raises(httpx.ReadTimeout):
            await agent.http.post("/v1/chat", json={"message": "hello"}, timeout=0.5)

        await agent.until_sample("active_agent_sessions", 0)
        judged = await agent.judged()
        found = await agent.samples()

    assert judged == {"sessions_started": 1, "requests cancelled": 1}
    calls = 'llm_request_duration_seconds_count{model="gpt-4o-2024-08-06",status="cancelled"}'
    assert found[calls] == 1
    assert found["agent_open_sessions"] == 0


async def test_a_client_that_leaves_while_its_session_is_written_leaves_no_session_open(
    environment: Environment, redis_server: RedisServer
) -> None:
    async with agent_process(environment(REDIS_URL=redis_server.url)) as agent:
        await agent.until_event("runtime.ready")
        redis_server.freeze()
        try:
            with pytest.raises(httpx.ReadTimeout):
                await agent.http.post("/v1/chat", json={"message": "hello"}, timeout=0.5)
            await agent.until_sample("active_agent_sessions", 0)
            found = await agent.samples()
        finally:
            redis_server.thaw()

    assert agent.event("request_complete"), "the client left before there was an answer"
    assert found["agent_open_sessions"] == 0


async def test_leaving_after_the_latency_limit_is_bad_for_latency(
    environment: Environment, llmock: LLMock, tmp_path: Path
) -> None:
    llmock.delay(5)
    (tmp_path / "policy.json").write_text('{"latencySeconds": 0.1}')
    async with agent_process(environment()) as agent:
        with pytest.raises(httpx.ReadTimeout):
            await agent.http.post("/v1/chat", json={"message": "hello"}, timeout=0.5)

        await agent.until_sample("active_agent_sessions", 0)
        judged = await agent.judged()

    assert judged == {
        "sessions_started": 1,
        "sessions_bad latency": 1,
        "requests cancelled": 1,
        "requests_bad latency": 1,
    }


async def test_the_gauge_is_0_after_answers_failures_refusals_and_hang_ups(
    environment: Environment, llmock: LLMock
) -> None:
    async with agent_process(environment(LLM_TIMEOUT_SECONDS="1")) as agent:
        await agent.http.post("/v1/chat", json={"message": "fine"})
        llmock.fail(400, times=2)
        await agent.http.post("/v1/chat", json={"message": "fails"})
        await agent.http.post("/v1/chat", content=b"{")
        llmock.delay(5, times=None)
        hung_up = [
            agent.http.post("/v1/chat", json={"message": "slow"}, timeout=0.3) for _ in range(20)
        ]
        await asyncio.gather(*hung_up, return_exceptions=True)
        await agent.until_sample("active_agent_sessions", 0)
        found = await agent.samples()

    assert found['agent_requests_total{outcome="cancelled",segment=""}'] == 20


async def test_the_provider_is_retried_as_it_asks(environment: Environment, llmock: LLMock) -> None:
    llmock.rate_limit(times=2, retry_after=0.3)
    async with agent_process(environment()) as agent:
        answer = await agent.http.post("/v1/chat", json={"message": "hello"}, timeout=20)

    assert answer.json()["layer"] == "primary"
    assert len(llmock.requests) == 3
    llmock.assert_resilient(strict=True)


async def test_a_conversation_goes_on_in_another_pod_of_another_revision(
    environment: Environment, llmock: LLMock, redis_server: RedisServer, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text("k" * 40)
    shared = environment(REDIS_URL=redis_server.url, SESSION_KEYS_FILE=str(keys))
    async with (
        agent_process(shared | {"AGENT_REVISION": "1f0c"}) as stable,
        agent_process(shared | {"AGENT_REVISION": "9ab2"}) as canary,
    ):
        first = await canary.http.post("/v1/chat", json={"message": "one"})
        body = {"message": "two", "session_id": first.json()["session_id"]}
        second = await stable.http.post("/v1/chat", json=body)

    assert first.headers["x-agent-revision"] == "9ab2"
    assert second.headers["x-agent-revision"] == "1f0c"
    assert second.json()["session_id"] == first.json()["session_id"]
    assert [m["content"] for m in llmock.last_request.body["messages"][1::2]] == ["one", "two"]


async def test_it_becomes_ready_when_its_store_does(
    environment: Environment, tmp_path_factory: pytest.TempPathFactory
) -> None:
    redis = RedisServer(tmp_path_factory.mktemp("late"))
    async with agent_process(environment(REDIS_URL=redis.url)) as agent:
        await agent.until_event("session_store.not_reached")
        early = await agent.http.get("/ready")
        redis.start()
        await agent.until_event("runtime.ready")
        late = await agent.http.get("/ready")
    redis.stop()

    assert (early.status_code, early.json()) == (503, {"status": "initialization_in_progress"})
    assert late.status_code == 200


@pytest.mark.parametrize("level", ["DEBUG", "INFO"])
async def test_every_line_is_json_and_tells_neither_key_nor_text(
    environment: Environment, llmock: LLMock, level: str
) -> None:
    llmock.fail(401, message=f"Incorrect API key provided: {KEY}").fail(
        400, message="card 4111-0000-1111"
    )
    async with agent_process(environment(LOG_LEVEL=level, AGENT_REVISION="9ab2")) as agent:
        await agent.http.post("/v1/chat", json={"message": "my card is 4111-0000-1111"})
        await agent.http.post("/v1/chat", json={"message": "my card is 4111-0000-1111"})
        agent.terminate()
        await agent.exit_code()

    assert {event["revision"] for event in agent.events} == {"9ab2"}
    calls = [event for event in agent.events if event["event"] == "llm_call"]
    assert all(call["request_id"] and call["session_id"] for call in calls)
    assert len(calls) == 3
    for forbidden in (KEY, "4111-0000-1111", "You are a test.", "LLMock says"):
        assert forbidden not in agent.output


async def test_health_answers_while_many_chats_wait(
    environment: Environment, llmock: LLMock
) -> None:
    llmock.delay(1, times=None)
    async with agent_process(environment()) as agent:
        chats = [agent.http.post("/v1/chat", json={"message": "hello"}) for _ in range(50)]
        waiting = asyncio.gather(*chats)
        await agent.until_sample("active_agent_sessions", 50)
        started = time.monotonic()
        health = await agent.http.get("/health")
        seconds = time.monotonic() - started
        answers = await waiting

    assert health.json()["status"] == "alive"
    assert seconds < 0.5
    assert {answer.status_code for answer in answers} == {200}


def run(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agent_runtime"]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=30, check=False
    )


def test_invalid_settings_end_with_2_and_every_name_at_once(environment: Environment) -> None:
    wrong = {"MODEL_NAME": "gpt-4o", "PORT": "http", "REDIS_URL": f"http://{KEY}", "LOG_LEVEL": "x"}

    ended = run(environment(**wrong) | {"OPENAI_API_KEY": "", "OPENAI_BASE_URL": ""})

    assert ended.returncode == 2
    names = [line.partition(":")[0] for line in ended.stderr.splitlines()]
    assert sorted(names) == ["LOG_LEVEL", "MODEL_NAME", "OPENAI_API_KEY", "PORT", "REDIS_URL"]
    assert KEY not in ended.stderr + ended.stdout


def test_a_password_that_is_not_percent_encoded_is_refused_without_being_told(
    environment: Environment,
) -> None:
    ended = run(environment(REDIS_URL="redis://:s3cr3t/x@redis:6379/0"))

    assert ended.returncode == 2
    assert ended.stderr.startswith("REDIS_URL: must be redis://")
    assert "s3cr3t" not in ended.stderr + ended.stdout


def test_a_folder_without_a_prompt_ends_it_with_2(environment: Environment, tmp_path: Path) -> None:
    ended = run(environment(PROMPT_DIR=str(tmp_path / "absent")))

    assert ended.returncode == 2
    assert "prompt directory" in ended.stdout


async def until_read(pipe: Path) -> int:
    """Open a named pipe for writing once somebody reads it."""
    while True:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
        await asyncio.sleep(0.01)


async def test_sigterm_before_it_is_up_ends_it_at_once(
    environment: Environment, tmp_path: Path
) -> None:
    """The kernel ignores signals that the first process of a container has no handler for."""
    keys = tmp_path / "keys"
    os.mkfifo(keys)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent_runtime"),
        env=environment(SESSION_KEYS_FILE=str(keys)),
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(20):
            # The process waits for its keys until the file is closed.
            writer = await until_read(keys)
            process.terminate()
            code = await process.wait()
            os.close(writer)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert code == 143


def test_its_signal_handler_does_not_wait_for_slow_imports() -> None:
    slow = "{'asyncio', 'fastapi', 'openai', 'pydantic', 'redis', 'structlog', 'uvicorn'}"
    code = f"import sys, agent_runtime.__main__; print(sorted({slow} & sys.modules.keys()))"

    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )

    assert ended.stdout == "[]\n"


def test_a_port_in_use_ends_it_with_1(environment: Environment) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run(environment(HOST="127.0.0.1", PORT=str(port), METRICS_PORT="0"))

    assert ended.returncode == 1
    assert "runtime.cannot_listen" in ended.stdout


def test_importing_reads_no_settings() -> None:
    command = [sys.executable, "-c", "import agent_runtime.process"]

    ended = subprocess.run(command, env={"PORT": "http"}, timeout=30, check=False)

    assert ended.returncode == 0
