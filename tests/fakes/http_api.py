"""An HTTP server whose answers a test writes itself: the API server's faults, over real HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration

from agent_operator.adapters.connection import Connection

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Seen:
    """One request that came."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


@dataclass
class HttpApi:
    """Answers from a script, first come first served; the last answer stays."""

    url: str = ""
    script: list[Answer] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    token: str = "one"
    logins: int = 0
    came: asyncio.Event = field(default_factory=asyncio.Event)

    def then(self, *answers: Answer) -> None:
        """Add answers to the script."""
        self.script.extend(answers)

    async def until_seen(self, count: int) -> None:
        """Wait until so many requests have come."""
        async with asyncio.timeout(5):
            while len(self.seen) < count:
                self.came.clear()
                await self.came.wait()

    def connection(self) -> Connection:
        """Return a connection that sends `token` as it was at the last login."""
        configuration = Configuration(
            host=self.url,
            connection_pool_maxsize=0,
            client_session_kwargs={"trust_env": False},
        )
        configuration.api_key["BearerToken"] = f"Bearer {self.token}"

        async def reload() -> None:
            self.logins += 1
            configuration.api_key["BearerToken"] = f"Bearer {self.token}"

        return Connection(ApiClient(configuration), reload)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        self.seen.append(
            Seen(
                request.method,
                request.path,
                dict(request.query),
                request.headers.copy(),
                json.loads(raw) if raw else None,
            )
        )
        self.came.set()
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return await answer(request)


def says(status: int, body: Any, **headers: str) -> Answer:
    """Answer with JSON, or with text as it is; `_` in names of headers stands for `-`."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        text = body if isinstance(body, str) else json.dumps(body)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, text=text, headers=names)

    return answer


def refuses(status: int, reason: str = "", message: str = "no", **details: Any) -> Answer:
    """Answer with a Status object, as the API server does."""
    return says(
        status,
        {"kind": "Status", "reason": reason, "message": message, "details": details},
    )


def streams(*lines: Any, stays_open: bool = False, ending: bytes = b"") -> Answer:
    """Answer with lines of JSON, then end, or stay open until the client goes."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for line in lines:
            await response.write(json.dumps(line).encode() + b"\n")
        await response.write(ending)
        if stays_open:
            await asyncio.Event().wait()
        return response

    return answer


async def hangs(_request: web.Request) -> web.StreamResponse:
    """Never answer."""
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def hangs_up(request: web.Request) -> web.StreamResponse:
    """Close the connection without an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@asynccontextmanager
async def http_api() -> AsyncIterator[HttpApi]:
    """Run the server on a free port of loopback."""
    api = HttpApi()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", api.answer)
    runner = web.AppRunner(
        application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
    )
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield api
    finally:
        await runner.cleanup()
