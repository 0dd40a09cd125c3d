"""A clock that passes only when somebody sleeps."""

import asyncio

from agent_runtime.agent.retry import Clock


class VirtualClock:
    """Time as a number; `slept` lists every wait in seconds."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)

    def as_clock(self) -> Clock:
        return Clock(now=self.now, sleep=self.sleep)
