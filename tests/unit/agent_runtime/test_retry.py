"""The retry owner, in virtual time, on errors as the SDK raises them."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import openai
import pytest

from agent_runtime.agent.retry import MAX_JITTER_SECONDS, call_with_retries
from agent_runtime.errors import UnusableAnswerError
from tests.fakes.clock import VirtualClock

REQUEST = httpx2.Request("POST", "http://provider/v1/chat/completions")
FAR_AWAY = 1000.0


def refusal(status: int, retry_after: str | None = None) -> openai.APIStatusError:
    headers = {} if retry_after is None else {"retry-after": retry_after}
    response = httpx2.Response(status, headers=headers, request=REQUEST)
    kind = openai.RateLimitError if status == 429 else openai.APIStatusError
    return kind("refused", response=response, body=None)


def failing(error: BaseException, calls: list[int]) -> Callable[[], Awaitable[str]]:
    async def call() -> str:
        calls.append(1)
        raise error

    return call


async def attempts(error: BaseException, clock: VirtualClock, deadline: float = FAR_AWAY) -> int:
    calls: list[int] = []
    with pytest.raises(type(error)):
        await call_with_retries(failing(error, calls), deadline=deadline, clock=clock.as_clock())
    return len(calls)


@pytest.mark.parametrize(
    "error",
    [
        refusal(500),
        refusal(503),
        refusal(408),
        openai.APIConnectionError(request=REQUEST),
        openai.APITimeoutError(request=REQUEST),
        TimeoutError(),
        UnusableAnswerError("empty"),
    ],
)
async def test_passing_trouble_is_tried_three_times_a_second_apart(
    clock: VirtualClock, error: BaseException
) -> None:
    assert await attempts(error, clock) == 3
    assert clock.slept == [1.0, 1.0]


@pytest.mark.parametrize(
    "error", [refusal(400), refusal(401), refusal(404), refusal(422), KeyError("x"), ValueError()]
)
async def test_what_would_fail_again_is_tried_once(
    clock: VirtualClock, error: BaseException
) -> None:
    assert await attempts(error, clock) == 1
    assert clock.slept == []


async def test_an_overloaded_provider_is_left_alone_for_twice_as_long_each_time(
    clock: VirtualClock,
) -> None:
    await attempts(refusal(429), clock)

    for waited, least in zip(clock.slept, (1.0, 2.0), strict=True):
        assert least <= waited <= least + MAX_JITTER_SECONDS


@pytest.mark.parametrize("header", ["7", "7.0"])
@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_honoured(clock: VirtualClock, status: int, header: str) -> None:
    await attempts(refusal(status, header), clock)

    assert all(7.0 <= waited <= 7.0 + MAX_JITTER_SECONDS for waited in clock.slept)
    assert len(clock.slept) == 2


async def test_retry_after_may_be_a_date(clock: VirtualClock) -> None:
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)

    await attempts(refusal(429, in_a_minute), clock)

    assert all(55.0 <= waited <= 61.0 for waited in clock.slept)


@pytest.mark.parametrize("header", ["soon", "-5", "nan", ""])
async def test_a_strange_retry_after_does_no_harm(clock: VirtualClock, header: str) -> None:
    assert await attempts(refusal(429, header), clock) == 3
    assert all(0.0 <= waited <= 2.0 + MAX_JITTER_SECONDS for waited in clock.slept)


@pytest.mark.parametrize("header", ["100", "inf"])
async def test_nobody_waits_past_the_deadline(clock: VirtualClock, header: str) -> None:
    assert await attempts(refusal(429, header), clock, deadline=90.0) == 1
    assert clock.slept == []


async def test_the_third_attempt_is_dropped_when_the_deadline_comes_first(
    clock: VirtualClock,
) -> None:
    assert await attempts(refusal(500), clock, deadline=1.5) == 2
