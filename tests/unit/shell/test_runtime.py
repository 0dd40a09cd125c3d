"""Start, signals and stop around kopf; kopf itself runs in tests/contract/test_shell.py."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import pytest

from agent_operator.adapters.connection import Connection
from agent_operator.errors import ApiUnavailable
from agent_operator.shell import runtime
from agent_operator.shell.runtime import Hooks, run
from tests.fakes.http_api import http_api, refuses

Step = Callable[[], Coroutine[Any, Any, None]]


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    """Return a connection to a server that refuses everything: kopf cannot start."""
    async with http_api() as api:
        api.then(refuses(404))
        connection = api.connection()
        yield connection
        await connection.close()


class Life:
    """Hooks that note what was called."""

    def __init__(self, start: Step | None = None, stop: Step | None = None) -> None:
        self.calls: list[str] = []
        self.started = asyncio.Event()
        self._steps = {"start": start, "stop": stop}

    @property
    def hooks(self) -> Hooks:
        return Hooks(lambda event: None, self._start, self._stop)

    async def _start(self) -> None:
        await self._step("start")

    async def _stop(self) -> None:
        await self._step("stop")

    async def _step(self, name: str) -> None:
        self.calls.append(name)
        self.started.set()
        step = self._steps[name]
        if step is not None:
            await step()


async def never_ends() -> None:
    await asyncio.Event().wait()


async def fails() -> None:
    raise ApiUnavailable("no")


async def ended(running: Awaitable[None]) -> None:
    async with asyncio.timeout(5):
        await running


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_even_a_start_that_hangs(
    connection: Connection, number: signal.Signals
) -> None:
    life, flag = Life(start=never_ends), asyncio.Event()
    running = asyncio.create_task(run(connection, life.hooks, stop_flag=flag))
    await life.started.wait()
    os.kill(os.getpid(), number)
    await ended(running)
    assert life.calls == ["start", "stop"]
    assert flag.is_set()


async def test_a_start_that_fails_is_raised_after_the_stop(connection: Connection) -> None:
    life = Life(start=fails)
    with pytest.raises(ApiUnavailable):
        await ended(run(connection, life.hooks, stop_flag=asyncio.Event()))
    assert life.calls == ["start", "stop"]


async def test_a_stop_that_hangs_is_given_up(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "CLEANUP_SECONDS", 0.05)
    life, flag = Life(stop=never_ends), asyncio.Event()
    flag.set()
    await ended(run(connection, life.hooks, stop_flag=flag))
    assert life.calls[-1] == "stop"


async def test_a_stop_that_fails_does_not_hide_why_the_start_did(connection: Connection) -> None:
    async def fails_too() -> None:
        raise RuntimeError("stop")

    life = Life(start=fails, stop=fails_too)
    with pytest.raises(ApiUnavailable):
        await ended(run(connection, life.hooks, stop_flag=asyncio.Event()))


async def test_signals_are_nobodys_after_the_end(connection: Connection) -> None:
    flag = asyncio.Event()
    flag.set()
    await ended(run(connection, Life().hooks, stop_flag=flag))
    loop = asyncio.get_running_loop()
    assert not any(loop.remove_signal_handler(number) for number in runtime.STOP_SIGNALS)


def test_kopf_is_told_to_write_nothing_and_watch_nothing_else() -> None:
    settings = runtime.kopf_settings()
    assert settings.peering.standalone
    assert settings.scanning.disabled
    assert not settings.posting.enabled
    assert settings.queueing.worker_limit is None
