"""POST /v1/chat against a real provider stand-in: layers, conversations, what the counters say."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from llmock.pytest_plugin import LLMock
from llmock.scenarios import Delay, Match
from structlog.testing import capture_logs

from agent_runtime.agent.failure import STATIC_TEXTS, Failure
from agent_runtime.runtime import build_runtime
from agent_runtime.settings import Settings
from tests.fakes.agent import RunningAgent, running
from tests.fakes.clock import VirtualClock

PRIMARY = "gpt-4o-2024-08-06"
FALLBACK = "gpt-4o-mini-2024-07-18"
SettingsFactory = Callable[..., Settings]


async def test_the_primary_model_answers(agent: RunningAgent, llmock: LLMock) -> None:
    llmock.reply("You get your money back.")

    answer = await agent.chat("Refund?")

    assert answer["answer"] == "You get your money back."
    assert (answer["layer"], answer["degraded"]) == ("primary", False)
    assert (answer["chain_length"], answer["warnings"]) == (1, [])
    assert [request.model for request in llmock.requests] == [PRIMARY]


async def test_a_call_carries_model_settings_and_prompt(
    agent: RunningAgent, llmock: LLMock
) -> None:
    await agent.chat("Refund?")

    body = llmock.last_request.body
    assert (body["temperature"], body["max_completion_tokens"]) == (0.1, 4096)
    assert body["messages"] == [
        {"role": "system", "content": "You are a test."},
        {"role": "user", "content": "Refund?"},
    ]


async def test_a_conversation_goes_on_with_its_id(agent: RunningAgent, llmock: LLMock) -> None:
    llmock.reply("Which booking?")
    first = await agent.chat("Refund?")

    second = await agent.chat("AB12", str(first["session_id"]))

    assert second["session_id"] == first["session_id"]
    assert [m["content"] for m in llmock.last_request.body["messages"][1:]] == [
        "Refund?",
        "Which booking?",
        "AB12",
    ]


async def test_an_id_that_was_not_issued_here_starts_a_new_session(agent: RunningAgent) -> None:
    answer = await agent.chat("Refund?", "s-someone-elses")

    assert answer["session_id"] != "s-someone-elses"


async def test_after_retries_the_fallback_model_answers(
    agent: RunningAgent, llmock: LLMock
) -> None:
    llmock.fail(503, times=None, model=PRIMARY)

    answer = await agent.chat()

    assert (answer["layer"], answer["degraded"]) == ("fallback", True)
    assert [request.model for request in llmock.requests] == [PRIMARY] * 3 + [FALLBACK]


async def test_nobody_but_the_retry_owner_retries(agent: RunningAgent, llmock: LLMock) -> None:
    """The SDK's own retries would multiply the calls: 3 x 3 per model."""
    llmock.outage()

    await agent.chat()

    assert len(llmock.requests) == 6


async def test_an_error_of_the_request_goes_to_the_fallback_at_once(
    agent: RunningAgent, llmock: LLMock, clock: VirtualClock
) -> None:
    llmock.fail(400, model=PRIMARY)

    answer = await agent.chat()

    assert answer["layer"] == "fallback"
    assert clock.slept == []


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (503, Failure.UNAVAILABLE),
        (401, Failure.UNAVAILABLE),
        (429, Failure.RATE_LIMITED),
        (400, Failure.REFUSED),
    ],
)
async def test_without_any_model_a_text_says_what_happened(
    agent: RunningAgent, llmock: LLMock, status: int, failure: Failure
) -> None:
    llmock.fail(status, times=None)

    answer = await agent.chat()

    assert (answer["layer"], answer["degraded"]) == ("static", True)
    assert answer["answer"] == STATIC_TEXTS[failure]
    assert answer["chain_length"] == 0


async def test_a_slow_provider_is_given_up_within_the_deadline(
    settings: SettingsFactory, llmock: LLMock
) -> None:
    llmock.delay(5, times=None)
    loaded = settings(LLM_TIMEOUT_SECONDS="0.1", REQUEST_DEADLINE_SECONDS="0.4")

    async with asyncio.timeout(2), running(build_runtime(loaded)) as agent:
        answer = await agent.chat()

    assert answer["answer"] == STATIC_TEXTS[Failure.TIMED_OUT]


async def test_the_fallback_gets_time_when_the_primary_used_up_its_own(
    settings: SettingsFactory, llmock: LLMock
) -> None:
    llmock.add(Delay(5, times=None, match=Match(model=PRIMARY)))
    loaded = settings(LLM_TIMEOUT_SECONDS="5", REQUEST_DEADLINE_SECONDS="2")

    async with running(build_runtime(loaded)) as agent:
        answer = await agent.chat()

    assert answer["layer"] == "fallback"


async def test_without_a_fallback_model_the_text_comes_next(
    settings: SettingsFactory, llmock: LLMock, clock: VirtualClock
) -> None:
    llmock.outage()

    async with running(build_runtime(settings(FALLBACK_MODEL=""), clock=clock.as_clock())) as agent:
        answer = await agent.chat()

    assert answer["layer"] == "static"
    assert len(llmock.requests) == 3


async def test_another_provider_is_asked_with_its_own_key(
    settings: SettingsFactory, llmock: LLMock, clock: VirtualClock
) -> None:
    """The stand-in serves a second provider below another path."""
    llmock.fail(401, provider="openai", times=None)
    loaded = settings(FALLBACK_BASE_URL=llmock.base_url("mistral"), FALLBACK_API_KEY="sk-other")

    async with running(build_runtime(loaded, clock=clock.as_clock())) as agent:
        answer = await agent.chat()

    assert answer["layer"] == "fallback"
    assert [request.provider for request in llmock.requests] == ["openai", "mistral"]


async def test_an_answer_without_text_is_no_answer(agent: RunningAgent, llmock: LLMock) -> None:
    llmock.reply("", times=3)

    assert (await agent.chat())["layer"] == "fallback"


async def test_a_static_text_is_not_remembered(agent: RunningAgent, llmock: LLMock) -> None:
    llmock.fail(400, times=2)
    first = await agent.chat("one")

    await agent.chat("two", str(first["session_id"]))

    assert [m["content"] for m in llmock.last_request.body["messages"][1:]] == ["two"]


async def test_an_ended_session_is_forgotten(agent: RunningAgent, llmock: LLMock) -> None:
    session_id = str((await agent.chat("one"))["session_id"])

    ended = await agent.http.post(f"/v1/sessions/{session_id}/end")
    await agent.chat("two", session_id)

    assert ended.status_code == 204
    assert [m["content"] for m in llmock.last_request.body["messages"][1:]] == ["two"]


async def test_a_session_id_that_was_not_issued_cannot_be_ended(agent: RunningAgent) -> None:
    ended = await agent.http.post("/v1/sessions/unknown/end")

    assert ended.status_code == 404
    assert ended.headers["content-type"] == "application/problem+json"


async def test_a_defect_of_ours_becomes_a_static_answer(
    agent: RunningAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    # Stands for any defect between request and model; there is no input that causes one.
    monkeypatch.setattr("agent_runtime.agent.layers.call_messages", broken)

    answer = await agent.chat()

    assert answer["answer"] == STATIC_TEXTS[Failure.UNEXPECTED]
    assert (await agent.judged())["requests failed"] == 1


async def test_neither_prompt_nor_message_nor_answer_is_logged(
    agent: RunningAgent, llmock: LLMock
) -> None:
    llmock.fail(400, times=None, message="bad: my card is 4111")

    with capture_logs() as logs:
        await agent.chat("my card is 4111")

    assert {"llm_call", "fallback_triggered", "request_complete"} <= {e["event"] for e in logs}
    assert "4111" not in json.dumps(logs)
    assert "You are a test." not in json.dumps(logs)


async def test_a_hot_policy_changes_what_counts_as_slow(
    agent: RunningAgent, tmp_path: Path
) -> None:
    (tmp_path / "policy.json").write_text('{"latencySeconds": 0.000001}')
    agent.runtime.policy.reload()

    await agent.chat()

    assert (await agent.judged())["sessions_bad latency"] == 1
