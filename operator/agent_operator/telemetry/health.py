"""HTTP for probes and scrapes: /healthz, /readyz and /metrics."""

import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest


class Check(NamedTuple):
    """One thing that must be well; `problem` returns "" when it is."""

    name: str
    problem: Callable[[], str]


class HealthServer:
    """Answers 200 while all checks are well, else 503 and what is not.

    It runs on the operator's own event loop: a loop that hangs answers nothing, which fails
    the probe as it should.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        live: Sequence[Check],
        ready: Sequence[Check],
        port: int,
    ) -> None:
        self._port = port
        self._registry = registry
        application = web.Application()
        application.router.add_get("/healthz", _answering(live))
        application.router.add_get("/readyz", _answering(ready))
        application.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)

    @property
    def port(self) -> int:
        """Return the port that is listened on; the real one when any free one was asked for."""
        return int(self._runner.addresses[0][1])

    async def start(self) -> None:
        """Listen on all addresses; OSError when the port is taken."""
        await self._runner.setup()
        # One socket for both families: with port 0 they would get two different ports.
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        listener = socket.create_server(("", self._port), family=family, dualstack_ipv6=both)
        await web.SockSite(self._runner, listener).start()

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    async def _metrics(self, _request: web.Request) -> web.Response:
        body = generate_latest(self._registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _answering(checks: Sequence[Check]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_request: web.Request) -> web.Response:
        problems = [f"{check.name}: {said}" for check in checks if (said := check.problem())]
        return web.Response(status=503 if problems else 200, text="\n".join(problems) or "ok")

    return answer
