"""Serves both ports from one event loop and leaves without dropping a request.

SIGTERM: /ready says `draining` at once, the listener stays open, requests in flight finish or
maxSessionSeconds pass, exit 0. A second SIGTERM exits at once.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Iterator

import structlog
import uvicorn
from fastapi import FastAPI

from agent_runtime.runtime import Runtime
from agent_runtime.web.app import create_app
from agent_runtime.web.operations import create_operations_app

BACKLOG = 2048
# For what is still being written when the drain is over.
LAST_WORDS_SECONDS = 5
# Longer than gateways keep idle connections (Envoy one hour): who closes first while the other one
# sends makes that request fail, and only the gateway knows what it is about to send.
IDLE_CONNECTION_SECONDS = 3660
EXIT_BY_SECOND_SIGNAL = 128 + signal.SIGTERM

log = structlog.get_logger(__name__)


class _Server(uvicorn.Server):
    """uvicorn without its signal handling: that would close the listener first."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Drain:
    """Turns signals into an orderly end."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._asked = asyncio.Event()

    def install(self) -> None:
        """Take over SIGTERM and SIGINT of the running loop's process."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.ask)

    def ask(self) -> None:
        """Start draining; asked again, leave at once."""
        if self._asked.is_set():
            log.warning("drain.aborted")
            os._exit(EXIT_BY_SECOND_SIGNAL)
        self._runtime.readiness.is_draining = True
        self._asked.set()
        log.info("drain.started", in_flight=len(self._runtime.active_sessions))

    async def finished(self) -> None:
        """Return once asked to drain and nothing is in flight, or the time for it is over."""
        await self._asked.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._runtime.policy.current.max_session_seconds):
                await self._runtime.active_sessions.idle()
        log.info("drain.finished", abandoned=len(self._runtime.active_sessions))
        self._runtime.active_sessions.cancel()


async def serve(runtime: Runtime) -> None:
    """Run until drained; raises OSError if a port cannot be bound."""
    infra = runtime.settings.infra
    drain = Drain(runtime)
    drain.install()
    agent = _listener(infra.host, infra.port)
    operations = _listener(infra.host, infra.metrics_port)
    servers = {
        _server(create_app(runtime)): agent,
        _server(create_operations_app(runtime)): operations,
    }
    async with asyncio.TaskGroup() as tasks:
        for server, listener in servers.items():
            tasks.create_task(server.serve(sockets=[listener]))
        background = [
            tasks.create_task(runtime.initialize()),
            tasks.create_task(runtime.policy.watch()),
        ]
        log.info(
            "runtime.listening",
            port=agent.getsockname()[1],
            metrics_port=operations.getsockname()[1],
        )
        await drain.finished()
        for task in background:
            task.cancel()
        for server in servers:
            server.should_exit = True
    await runtime.close()


def _listener(host: str, port: int) -> socket.socket:
    return socket.create_server((host, port), backlog=BACKLOG)


def _server(app: FastAPI) -> _Server:
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=IDLE_CONNECTION_SECONDS,
        timeout_graceful_shutdown=LAST_WORDS_SECONDS,
    )
    return _Server(config)
