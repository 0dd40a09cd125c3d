"""The one owner of retries: which provider failures are tried again, when, and until when."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TypeVar

from openai import APIError, APIStatusError, RateLimitError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.stop import stop_base

from agent_runtime.errors import UnusableAnswerError

MAX_ATTEMPTS = 3
OTHER_ERROR_WAIT_SECONDS = 1.0
MAX_JITTER_SECONDS = 0.25
_RETRYABLE_4XX = frozenset({408, 409, 429})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Clock:
    """Monotonic seconds and a way to wait; tests bring a virtual one."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


SYSTEM_CLOCK = Clock()


async def call_with_retries(
    call: Callable[[], Awaitable[T]], *, deadline: float, clock: Clock
) -> T:
    """Await `call` up to three times, never waiting past `deadline` (on the clock given).

    The last error is raised as it came.
    """
    attempts = AsyncRetrying(
        retry=retry_if_exception(is_retryable),
        wait=_wait_seconds,
        stop=stop_after_attempt(MAX_ATTEMPTS) | _StopBefore(deadline, clock),
        sleep=clock.sleep,
        reraise=True,
    )
    return await attempts(call)


def is_retryable(error: BaseException) -> bool:
    """Tell passing provider trouble from a request that will fail the same way again."""
    if isinstance(error, APIStatusError):
        return error.status_code >= 500 or error.status_code in _RETRYABLE_4XX
    return isinstance(error, APIError | TimeoutError | UnusableAnswerError)


def retry_after_seconds(error: BaseException) -> float | None:
    """Return what a refusal asks to wait (seconds or an HTTP date), None if it does not say."""
    if not isinstance(error, APIStatusError):
        return None
    header = error.response.headers.get("retry-after", "")
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None


def _wait_seconds(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    wait = retry_after_seconds(error) if error else None
    if wait is None and not isinstance(error, RateLimitError):
        return OTHER_ERROR_WAIT_SECONDS
    if wait is None:
        wait = 2.0 ** (state.attempt_number - 1)
    return wait + random.uniform(0, MAX_JITTER_SECONDS)  # noqa: S311  spreads load, keeps no secret


class _StopBefore(stop_base):
    def __init__(self, deadline: float, clock: Clock) -> None:
        self._deadline = deadline
        self._clock = clock

    def __call__(self, retry_state: RetryCallState) -> bool:
        return self._clock.now() + retry_state.upcoming_sleep >= self._deadline
