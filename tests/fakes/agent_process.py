"""The runtime as the pod runs it: `python -m agent_runtime` in a process of its own."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.fakes.agent import judged, samples

START_SECONDS = 20.0
STOP_SECONDS = 20.0


@dataclass(slots=True)
class AgentProcess:
    """A started process; `lines` is what it has written so far."""

    process: asyncio.subprocess.Process
    http: httpx.AsyncClient = field(default_factory=httpx.AsyncClient)
    operations: httpx.AsyncClient = field(default_factory=httpx.AsyncClient)
    lines: list[str] = field(default_factory=list)

    @property
    def output(self) -> str:
        return "".join(self.lines)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Return the log; every line must be a JSON object."""
        return [json.loads(line) for line in self.lines]

    def event(self, name: str) -> dict[str, Any] | None:
        return next((event for event in self.events if event["event"] == name), None)

    def terminate(self) -> None:
        os.kill(self.process.pid, signal.SIGTERM)

    async def exit_code(self) -> int:
        async with asyncio.timeout(STOP_SECONDS):
            return await self.process.wait()

    async def until_event(self, name: str) -> dict[str, Any]:
        async with asyncio.timeout(START_SECONDS):
            while (event := self.event(name)) is None:
                assert self.process.returncode is None, self.output
                await asyncio.sleep(0.01)
        return event

    async def until_sample(self, name: str, value: float) -> None:
        async with asyncio.timeout(START_SECONDS):
            while True:
                if (await self.samples())[name] == value:
                    return
                await asyncio.sleep(0.01)

    async def samples(self) -> dict[str, float]:
        return samples((await self.operations.get("/metrics")).text)

    async def judged(self) -> dict[str, float]:
        return judged(await self.samples())


@asynccontextmanager
async def agent_process(environment: dict[str, str]) -> AsyncIterator[AgentProcess]:
    """Start the process with exactly this environment, on free ports, and wait until it listens."""
    ports = {"HOST": "127.0.0.1", "PORT": "0", "METRICS_PORT": "0"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent_runtime"),
        env=ports | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    agent = AgentProcess(process)
    reader = asyncio.create_task(_read(agent))
    try:
        listening = await agent.until_event("runtime.listening")
        agent.http.base_url = httpx.URL(f"http://127.0.0.1:{listening['port']}")
        agent.operations.base_url = httpx.URL(f"http://127.0.0.1:{listening['metrics_port']}")
        yield agent
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reader
        await agent.http.aclose()
        await agent.operations.aclose()


async def _read(agent: AgentProcess) -> None:
    assert agent.process.stdout
    while line := await agent.process.stdout.readline():
        agent.lines.append(line.decode())
