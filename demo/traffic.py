"""The traffic driver: customers who talk to the agent through the Gateway, several turns each.

It behaves as a client should: session id and x-agent-revision of the last answer go into the next
request, so a conversation stays on its revision; its first request carries neither.
"""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass

import httpx

from demo.tally import Answer, Tally

CHAT_PATH = "/v1/chat"
REVISION_HEADER = "x-agent-revision"
TIMEOUT_SECONDS = 30.0
RETRY_SECONDS = 0.2
MAX_ANSWER_BYTES = 1 << 20

OPENINGS = (
    "I want my money back for my flight to Lisbon.",
    "My flight was cancelled. What do I get?",
    "We cannot travel next week, our child is ill. Can we cancel?",
    "You charged me twice for one booking.",
    "The hotel was closed when we arrived.",
    "I booked the wrong date, can I still change that?",
)
TURNS = (
    "The booking number is QX7F2K.",
    "It was a flexible fare, I think.",
    "The airline told me to ask you.",
    "How long will it take?",
    "Would a voucher be faster?",
    "And what about the seat reservation?",
    "Can a person look at this?",
)


@dataclass(frozen=True, slots=True)
class Pace:
    """How many customers talk at the same time, how often, and for how long; seconds."""

    customers: int = 30
    start_seconds: tuple[float, float] = (0.0, 2.0)  # not all at once: they do not come in step
    turns: tuple[int, int] = (3, 5)
    gap_seconds: tuple[float, float] = (0.3, 0.7)
    pause_seconds: tuple[float, float] = (0.2, 0.8)


class Traffic:
    """Keeps customers talking until cancelled; `tally` has what they saw."""

    def __init__(self, url: str, pace: Pace) -> None:
        self.tally = Tally()
        self._pace = pace
        limits = httpx.Limits(max_connections=pace.customers + 4)
        self._client = httpx.AsyncClient(
            base_url=url, timeout=TIMEOUT_SECONDS, limits=limits, trust_env=False
        )

    async def run(self) -> None:
        """Let all customers talk, each one conversation after the other, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._pace.customers):
                    group.create_task(self._customer())
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the connections; `run` does it by itself."""
        await self._client.aclose()

    async def is_answered(self, *, within_seconds: float) -> bool:
        """Ask, uncounted, until the agent answers; False when it does not in time."""
        deadline = asyncio.get_running_loop().time() + within_seconds
        while isinstance(await self._ask(OPENINGS[0], last=None), str):
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(RETRY_SECONDS)
        return True

    async def _customer(self) -> None:
        await asyncio.sleep(_between(*self._pace.start_seconds))
        while True:
            await self._converse()
            await asyncio.sleep(_between(*self._pace.pause_seconds))

    async def _converse(self) -> None:
        turns = random.sample(TURNS, random.randint(*self._pace.turns) - 1)  # noqa: S311
        last: Answer | None = None
        self.tally.sessions += 1
        for message in (random.choice(OPENINGS), *turns):  # noqa: S311
            if last is not None:
                await asyncio.sleep(_between(*self._pace.gap_seconds))
            answer = await self._ask(message, last=last)
            before = last.revision if last else None
            if isinstance(answer, str):
                self.tally.record_failure(answer, before=before)
                return
            self.tally.record(answer, before=before)
            last = answer

    async def _ask(self, message: str, *, last: Answer | None) -> Answer | str:
        """Return the answer, or in a few words why there is none."""
        body = {"message": message}
        headers = {}
        if last is not None:
            body["session_id"] = last.session_id
            headers[REVISION_HEADER] = last.revision
        try:
            response = await self._client.post(CHAT_PATH, json=body, headers=headers)
        except httpx.HTTPError as error:
            return type(error).__name__
        return _answer(response)


def _answer(response: httpx.Response) -> Answer | str:
    if response.status_code != httpx.codes.OK:
        return f"HTTP {response.status_code}"
    try:
        content = json.loads(response.content[:MAX_ANSWER_BYTES])
        revision = response.headers[REVISION_HEADER]
        return Answer(str(content["session_id"]), revision, str(content["layer"]))
    except (ValueError, KeyError, TypeError):
        return "no chat answer"


def _between(low: float, high: float) -> float:
    return random.uniform(low, high)  # noqa: S311 - spreads load, keeps no secret
