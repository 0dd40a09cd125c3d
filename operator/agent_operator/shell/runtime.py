"""kopf's settings and the operator's life: start, signals, stop."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import kopf
import structlog

from agent_operator.adapters.connection import Connection
from agent_operator.api.v1alpha1 import GROUP
from agent_operator.domain.naming import FIELD_MANAGER
from agent_operator.shell.handlers import OnAgentEvent, registry
from agent_operator.shell.storage import NoDiffBase, NoProgress

log = structlog.get_logger(__name__)

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
CLEANUP_SECONDS = 3.0


def kopf_settings() -> kopf.OperatorSettings:
    """Return kopf's settings: nothing written to objects, nothing watched but AgentDeployments."""
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True
    settings.scanning.disabled = True  # no watches of all CRDs and namespaces
    settings.posting.enabled = False
    settings.persistence.finalizer = f"{GROUP}/unused"
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.persistence.progress_storage = NoProgress()
    settings.queueing.worker_limit = None  # idle workers would hold their slots
    settings.queueing.idle_timeout = 0.2
    settings.queueing.exit_timeout = 0.5
    settings.execution.max_workers = 4
    settings.watching.inactivity_timeout = 70
    settings.watching.server_timeout = 600
    settings.watching.client_timeout = 660
    settings.watching.connect_timeout = 10
    settings.watching.reconnect_backoff = 0.5
    settings.watching.chunk_size = 500
    settings.networking.connect_timeout = 10
    settings.networking.request_timeout = 30
    settings.networking.error_backoffs = (1, 2, 4, 8, 15)  # 403 is among them: not for minutes
    return settings


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the operator does with kopf's life; `stop` is called once in any case, for 3 seconds.

    Tasks started in `start` are left alone by kopf, so `stop` must end them.
    """

    on_agent_event: OnAgentEvent
    start: Callable[[], Coroutine[Any, Any, None]]
    stop: Callable[[], Awaitable[None]]


async def run(
    connection: Connection,
    hooks: Hooks,
    *,
    namespaces: Sequence[str] = (),
    stop_flag: asyncio.Event,
) -> None:
    """Run until SIGTERM, SIGINT or `stop_flag`; raise when kopf cannot go on."""
    stop = _once(hooks.stop)
    with _signals_raising(stop_flag):
        try:
            if await _unless_raised(stop_flag, hooks.start()):
                handlers = registry(connection, hooks.on_agent_event, on_cleanup=stop)
                await _run_kopf(handlers, namespaces, stop_flag)
        finally:
            await stop()


async def _run_kopf(
    handlers: kopf.OperatorRegistry, namespaces: Sequence[str], stop_flag: asyncio.Event
) -> None:
    existing = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=handlers,
        settings=kopf_settings(),
        standalone=True,
        # kopf's own default asks for the name of the user, and a container's user has none.
        identity=cast(Any, FIELD_MANAGER),  # of a type that kopf does not export
        clusterwide=not namespaces,
        namespaces=namespaces,
        stop_flag=stop_flag,
    )
    _raise_at_signals(stop_flag)  # kopf has put its own handlers there, which fail at a second one
    await kopf.run_tasks(tasks, ignored=existing)


def _once(action: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """Return the action bounded in time and without effect from its second call on."""
    called = False

    async def run_once() -> None:
        nonlocal called
        if called:
            return
        called = True
        try:
            async with asyncio.timeout(CLEANUP_SECONDS):
                await action()
        except Exception as error:  # the process ends either way; the reason must not be lost
            log.exception("cleanup.failed", error=f"{type(error).__name__}: {error}")

    return run_once


async def _unless_raised(flag: asyncio.Event, action: Coroutine[Any, Any, None]) -> bool:
    """Run the action to its end, or cancel it when the flag is raised; return whether it ended."""
    working = asyncio.create_task(action)
    waiting = asyncio.create_task(flag.wait())
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        working.cancel()  # without effect on an action that has ended
    with contextlib.suppress(asyncio.CancelledError):
        await working
    return not working.cancelled() and not flag.is_set()


@contextlib.contextmanager
def _signals_raising(flag: asyncio.Event) -> Iterator[None]:
    """Raise the flag at SIGTERM and SIGINT."""
    loop = asyncio.get_running_loop()
    _raise_at_signals(flag)
    try:
        yield
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)


def _raise_at_signals(flag: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, flag.set)
