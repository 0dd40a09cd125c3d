"""The runtime inside the test's own event loop, reached over HTTP as ASGI, and its counters."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from agent_runtime.runtime import Runtime
from agent_runtime.web.app import create_app
from agent_runtime.web.operations import create_operations_app


@dataclass(frozen=True, slots=True)
class RunningAgent:
    """Both ports of one runtime."""

    runtime: Runtime
    http: httpx.AsyncClient
    operations: httpx.AsyncClient

    async def chat(
        self, message: str = "hello", session_id: str | None = None
    ) -> dict[str, object]:
        body = {"message": message} | ({"session_id": session_id} if session_id else {})
        answer = await self.http.post("/v1/chat", json=body)
        assert answer.status_code == 200, answer.text
        result = answer.json()
        assert isinstance(result, dict)
        return result

    async def samples(self) -> dict[str, float]:
        """Return every sample by name and labels, `_created` and buckets included."""
        return samples((await self.operations.get("/metrics")).text)

    async def judged(self) -> dict[str, float]:
        """Return the judged counters and the gauges that are not 0, by name and first label."""
        return judged(await self.samples())


def samples(exposition: str) -> dict[str, float]:
    """Parse the text format; keys look like `name{signal="error",segment=""}`, labels sorted."""
    found = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            labels = ",".join(f'{key}="{value}"' for key, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


JUDGED = (
    "agent_sessions_started_total",
    "agent_sessions_bad_total",
    "agent_requests_total",
    "agent_requests_bad_total",
    "agent_sessions_pinned_total",
)


def judged(found: dict[str, float]) -> dict[str, float]:
    """Keep what the operator judges and is not 0, with names as short as they stay clear."""
    result = {}
    for key, value in found.items():
        name, _, labels = key.partition("{")
        if name in JUDGED and value:
            label = labels.replace('segment=""', "").strip(",}").partition("=")[2].strip('",')
            short = name.removeprefix("agent_").removesuffix("_total")
            result[f"{short} {label}".strip()] = value
    return result


@asynccontextmanager
async def running(runtime: Runtime) -> AsyncIterator[RunningAgent]:
    """Wait until the runtime is ready, as a pod's traffic does."""
    await runtime.initialize()
    async with serving(runtime) as agent:
        yield agent


@asynccontextmanager
async def serving(runtime: Runtime) -> AsyncIterator[RunningAgent]:
    """Serve at once, ready or not."""
    async with client(create_app(runtime)) as http, client(create_operations_app(runtime)) as ops:
        yield RunningAgent(runtime, http, ops)
    await runtime.close()


def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://agent")
