"""The rest of the HTTP interface: problems, headers, bounded bodies, probes."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from llmock.pytest_plugin import LLMock
from pydantic import ValidationError

from agent_runtime.runtime import build_runtime
from agent_runtime.settings import Settings
from agent_runtime.web.schema import MAX_REPORTED_ERRORS, ChatRequest
from tests.fakes.agent import RunningAgent, running, serving

JSON = {"content-type": "application/json"}


async def test_a_problem_names_field_and_reason_but_never_the_value(agent: RunningAgent) -> None:
    answer = await agent.http.post("/v1/chat", json={"message": "", "colour": "secret-red"})

    assert answer.status_code == 422
    problem = answer.json()
    assert (problem["type"], problem["title"], problem["status"]) == (
        "about:blank",
        "Unprocessable Entity",
        422,
    )
    assert [error["field"] for error in problem["errors"]] == ["body.message", "body.colour"]
    assert "secret-red" not in answer.text


async def test_a_problem_names_few_fields_and_no_long_one(agent: RunningAgent) -> None:
    keys = {f"{number}{'k' * 100}": 1 for number in range(2000)}

    answer = await agent.http.post("/v1/chat", json={"message": ""} | keys)

    fields = [error["field"] for error in answer.json()["errors"]]
    assert answer.status_code == 422
    assert fields[:2] == ["body.message", f"body.0{'k' * 63}"]
    assert len(fields) == 10


async def test_a_body_of_30_000_unknown_keys_costs_hardly_more_than_reading_it() -> None:
    body = {"message": "x"} | {f"k{number}": 1 for number in range(30_000)}

    with pytest.raises(ValidationError) as caught:
        ChatRequest.model_validate(body)

    assert caught.value.error_count() <= MAX_REPORTED_ERRORS


@pytest.mark.parametrize("key", ["\\ud800", "\\u0000", "a\\nb"])
async def test_a_key_that_no_text_can_hold_is_422(agent: RunningAgent, key: str) -> None:
    content = f'{{"message": "x", "{key}": 1}}'.encode()

    answer = await agent.http.post("/v1/chat", content=content, headers=JSON)

    assert answer.status_code == 422


@pytest.mark.parametrize(
    "body", [[], "text", {"message": 1}, {"message": "x", "session_id": "y" * 300}, {}]
)
async def test_a_body_of_another_form_is_422(agent: RunningAgent, body: object) -> None:
    assert (await agent.http.post("/v1/chat", json=body)).status_code == 422


async def test_half_a_character_is_422(agent: RunningAgent) -> None:
    answer = await agent.http.post("/v1/chat", content=b'{"message": "\\ud800"}', headers=JSON)

    assert answer.status_code == 422


async def test_a_message_of_64_kib_is_answered_however_it_is_escaped(agent: RunningAgent) -> None:
    body = b'{"message": "' + b"\\u0001" * 65_536 + b'"}'

    answer = await agent.http.post("/v1/chat", content=body, headers=JSON)

    assert answer.status_code == 200


async def test_a_body_without_announced_length_is_cut_off_while_it_is_read(
    agent: RunningAgent,
) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100_000_000:
            sent += 65_536
            yield b" " * 65_536

    answer = await agent.http.post("/v1/chat", content=endless(), headers=JSON)

    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"
    assert sent < 1_000_000


async def test_a_body_that_does_not_arrive_is_408(
    agent: RunningAgent, monkeypatch: pytest.MonkeyPatch, settings: Callable[..., Settings]
) -> None:
    # The bound is 30 s; nobody wants to wait for it here.
    monkeypatch.setattr("agent_runtime.web.app.MAX_BODY_SECONDS", 0.01)
    async with running(build_runtime(settings())) as impatient:
        answer = await impatient.http.post("/v1/chat", content=_never(), headers=JSON)

    assert answer.status_code == 408


async def _never() -> AsyncIterator[bytes]:
    yield b"{"
    await asyncio.Event().wait()


@pytest.mark.parametrize("path", ["/v1/chat", "/v1/nothing"])
async def test_every_answer_below_v1_names_the_revision(agent: RunningAgent, path: str) -> None:
    answers = [await agent.http.post(path, content=b"{", headers=JSON), await agent.http.put(path)]

    assert [answer.headers["x-agent-revision"] for answer in answers] == ["local", "local"]


async def test_a_proxys_request_id_is_taken_over(agent: RunningAgent) -> None:
    answer = await agent.http.post(
        "/v1/chat", json={"message": "hi"}, headers={"x-request-id": "abc-1.2_3"}
    )

    assert answer.json()["request_id"] == "abc-1.2_3"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, '{"level":"fake"}'])
async def test_a_request_id_that_could_forge_log_lines_is_replaced(
    agent: RunningAgent, given: str
) -> None:
    answer = await agent.http.post(
        "/v1/chat", json={"message": "hi"}, headers={"x-request-id": given}
    )

    assert answer.json()["request_id"] != given
    assert len(answer.json()["request_id"]) == 32


async def test_liveness_says_how_long_the_process_is_up(agent: RunningAgent) -> None:
    answer = (await agent.http.get("/health")).json()

    assert answer["status"] == "alive"
    assert answer["uptime_seconds"] >= 0


async def test_readiness_waits_for_the_store(settings: Callable[..., Settings]) -> None:
    runtime = build_runtime(settings(REDIS_URL="redis://127.0.0.1:1"))
    async with serving(runtime) as agent:
        answer = await agent.http.get("/ready")

    assert answer.status_code == 503
    assert answer.json() == {"status": "initialization_in_progress"}


async def test_a_draining_pod_is_not_ready_but_answers_and_lets_connections_go(
    agent: RunningAgent,
) -> None:
    agent.runtime.readiness.is_draining = True

    ready = await agent.http.get("/ready")
    chat = await agent.http.post("/v1/chat", json={"message": "hi"})

    assert (ready.status_code, ready.json()) == (503, {"status": "draining"})
    assert (chat.status_code, chat.headers["connection"]) == (200, "close")


async def test_a_store_that_is_away_costs_the_history_but_not_the_answer(
    settings: Callable[..., Settings], llmock: LLMock
) -> None:
    runtime = build_runtime(settings(REDIS_URL="redis://127.0.0.1:1"))
    async with serving(runtime) as agent:
        first = await agent.chat("one")
        second = await agent.chat("two", str(first["session_id"]))

    assert (first["warnings"], second["warnings"]) == (["session_store_unavailable"],) * 2
    assert (second["layer"], second["session_id"]) == ("primary", first["session_id"])
    assert [m["content"] for m in llmock.last_request.body["messages"][1:]] == ["two"]


async def test_the_detailed_page_names_what_runs(agent: RunningAgent) -> None:
    page = (await agent.operations.get("/health/detailed")).json()

    assert page["ready"] is True
    assert page["memory_rss_mb"] > 1
    assert page["cpu_percent"] >= 0
    assert (page["session_store"], page["revision"]) == ("process", "local")
    assert (page["model"], page["fallback_model"]) == (
        "gpt-4o-2024-08-06",
        "gpt-4o-mini-2024-07-18",
    )


async def test_metrics_and_details_are_not_on_the_agents_port(agent: RunningAgent) -> None:
    for path in ("/metrics", "/health/detailed", "/docs"):
        assert (await agent.http.get(path)).status_code == 404
