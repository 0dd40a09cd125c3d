"""Blocking calls of libraries, away from the event loop."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


class Threads:
    """At most `count` calls at once, each in a daemon thread.

    An executor's threads would hold up the end of the process until their last call returns.
    A call that was given up keeps its place until it really ends.
    """

    def __init__(self, count: int) -> None:
        self._places = asyncio.Semaphore(count)

    async def call(self, function: Callable[..., T], *args: Any, seconds: float) -> T:
        """Return what the function returns; TimeoutError when that takes longer."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()

        def work() -> None:
            try:
                settle = partial(outcome.set_result, function(*args))
            except Exception as error:
                settle = partial(outcome.set_exception, error)
            with contextlib.suppress(RuntimeError):  # the loop has ended, nobody waits
                loop.call_soon_threadsafe(self._end, outcome, settle)

        async with asyncio.timeout(seconds):
            await self._places.acquire()
            threading.Thread(target=work, daemon=True, name=function.__name__).start()
            return await outcome

    def _end(self, outcome: asyncio.Future[Any], settle: Callable[[], None]) -> None:
        self._places.release()
        if not outcome.done():
            settle()
