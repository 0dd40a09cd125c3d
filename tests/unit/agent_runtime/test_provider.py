"""One call to a provider whose answers no honest one would give, over real HTTP."""

import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from agent_runtime.agent.bounded_client import MAX_RESPONSE_BYTES
from agent_runtime.agent.provider import MAX_ANSWER_BYTES, ChatModel, chat_models
from agent_runtime.errors import UnusableAnswerError
from agent_runtime.runtime import build_runtime
from agent_runtime.settings import Settings
from tests.fakes.agent import running
from tests.fakes.clock import VirtualClock

SettingsFactory = Callable[..., Settings]
Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]
HALF_A_CHARACTER = "\ud800"


@asynccontextmanager
async def provider(answering: Answering) -> AsyncIterator[str]:
    """Serve every request with the same handler and yield the base URL."""
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answering)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


def completion(text: str) -> bytes:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    body: dict[str, Any] = {"id": "1", "object": "chat.completion", "created": 1, "model": "m"}
    return json.dumps(body | {"choices": [choice]}).encode()


def answering(body: bytes, *, status: int = 200, **headers: str) -> Answering:
    async def answer(_: web.Request) -> web.Response:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(
            status=status, body=body, content_type="application/json", headers=given
        )

    return answer


@asynccontextmanager
async def model(settings: SettingsFactory, answer: Answering) -> AsyncIterator[ChatModel]:
    async with provider(answer) as url:
        primary, fallback = chat_models(settings(OPENAI_BASE_URL=url).model)
        yield primary
        await primary.close()
        await fallback.close()


async def ask(model: ChatModel) -> str:
    messages = [{"role": "user", "content": "hi"}]
    return (await model.complete(messages, timeout_seconds=10)).text  # type: ignore[arg-type]


async def test_an_endless_answer_is_given_up_after_a_mebibyte(settings: SettingsFactory) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"content-type": "application/json"})
        await response.prepare(request)
        while sent < 200 * MAX_RESPONSE_BYTES:
            await response.write(b" " * 65_536)
            sent += 65_536
        return response

    async with model(settings, endless) as asked:
        with pytest.raises(UnusableAnswerError, match="larger than 1048576 bytes"):
            await ask(asked)

    assert sent < 100 * MAX_RESPONSE_BYTES


@pytest.mark.parametrize("status", [200, 400, 503])
async def test_a_small_answer_that_unpacks_to_a_large_one_is_unusable(
    settings: SettingsFactory, status: int
) -> None:
    packed = gzip.compress(b" " * (MAX_RESPONSE_BYTES + 1))

    async with model(settings, answering(packed, status=status, content_encoding="gzip")) as asked:
        with pytest.raises(UnusableAnswerError):
            await ask(asked)


async def test_a_packed_answer_is_unpacked(settings: SettingsFactory) -> None:
    packed = gzip.compress(completion("fine"))

    async with model(settings, answering(packed, content_encoding="gzip")) as asked:
        assert await ask(asked) == "fine"


async def test_the_longest_text_is_an_answer_and_one_more_byte_is_none(
    settings: SettingsFactory,
) -> None:
    longest = "ü" * (MAX_ANSWER_BYTES // 2)
    async with model(settings, answering(completion(longest))) as asked:
        assert await ask(asked) == longest

    async with model(settings, answering(completion(f"{longest}x"))) as asked:
        with pytest.raises(UnusableAnswerError, match="text is larger"):
            await ask(asked)


async def test_half_a_character_is_unusable(settings: SettingsFactory) -> None:
    async with model(settings, answering(completion(HALF_A_CHARACTER))) as asked:
        with pytest.raises(UnusableAnswerError):
            await ask(asked)


async def test_a_redirect_does_not_take_the_prompt_elsewhere(settings: SettingsFactory) -> None:
    seen: list[str] = []

    async def redirecting(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(status=307, headers={"location": "/elsewhere"})

    async with (
        provider(redirecting) as url,
        running(build_runtime(settings(OPENAI_BASE_URL=url))) as agent,
    ):
        answer = await agent.chat()

    assert answer["layer"] == "static"
    assert set(seen) == {"/v1/chat/completions"}


async def test_the_fallback_model_answers_for_one_that_never_ends(
    settings: SettingsFactory, clock: VirtualClock
) -> None:
    async def long_winded(request: web.Request) -> web.Response:
        is_primary = (await request.json())["model"] == "gpt-4o-2024-08-06"
        body = completion("x" * (MAX_ANSWER_BYTES + 1) if is_primary else "short")
        return web.Response(body=body, content_type="application/json")

    async with provider(long_winded) as url:
        runtime = build_runtime(settings(OPENAI_BASE_URL=url), clock=clock.as_clock())
        async with running(runtime) as agent:
            answer = await agent.chat()

    assert (answer["layer"], answer["answer"]) == ("fallback", "short")
