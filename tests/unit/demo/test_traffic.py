"""The driver against a real HTTP server: what it sends, and what it takes for a failure."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from demo.tally import Tally
from demo.traffic import CHAT_PATH, REVISION_HEADER, Pace, Traffic

NO_TIME = (0.0, 0.0)
FAST = Pace(
    customers=1, start_seconds=NO_TIME, turns=(3, 3), gap_seconds=NO_TIME, pause_seconds=NO_TIME
)
TURNS = 3
ENOUGH_SECONDS = 10.0


@dataclass(slots=True)
class Seen:
    """One request as the agent got it."""

    session_id: str | None
    revision: str | None


@dataclass(slots=True)
class FakeAgent:
    """Answers chats by `reply`, which gets the number of the request; ends the test when full."""

    reply: Callable[[int], Response]
    wanted: int
    seen: list[Seen] = field(default_factory=list)
    has_enough: asyncio.Event = field(default_factory=asyncio.Event)

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        self.seen.append(Seen(body.get("session_id"), request.headers.get(REVISION_HEADER)))
        if len(self.seen) >= self.wanted:
            self.has_enough.set()
        return self.reply(len(self.seen))


def answer(revision: str, session: str = "s-1", layer: str = "primary") -> Response:
    return JSONResponse(
        {"session_id": session, "layer": layer}, headers={REVISION_HEADER: revision}
    )


@asynccontextmanager
async def serving(agent: FakeAgent) -> AsyncIterator[str]:
    app = FastAPI()
    app.add_api_route(CHAT_PATH, agent.chat, methods=["POST"])
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None))
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells nobody
        await asyncio.sleep(0.01)
    host, port = server.servers[0].sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        await task


async def talk(reply: Callable[[int], Response], *, wanted: int) -> tuple[FakeAgent, Tally]:
    """Let one customer talk until the agent has seen so many requests."""
    agent = FakeAgent(reply, wanted)
    async with serving(agent) as url:
        traffic = Traffic(url, FAST)
        driver = asyncio.create_task(traffic.run())
        async with asyncio.timeout(ENOUGH_SECONDS):
            await agent.has_enough.wait()
        driver.cancel()
        with suppress(asyncio.CancelledError):
            await driver
    return agent, traffic.tally


async def test_only_later_turns_carry_session_and_revision_of_the_last_answer() -> None:
    agent, _ = await talk(lambda n: answer(f"rev{n}", f"s-{n}"), wanted=2 * TURNS)
    first, second, third, next_first = agent.seen[:4]
    assert first == Seen(None, None)
    assert second == Seen("s-1", "rev1")
    assert third == Seen("s-2", "rev2")
    assert next_first == Seen(None, None)


async def test_answers_of_two_revisions_in_one_conversation_are_a_switch() -> None:
    _, tally = await talk(lambda n: answer("old" if n == 1 else "new"), wanted=TURNS + 1)
    assert [(s.before, s.after) for s in tally.switches] == [("old", "new")]


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (Response(status_code=503), "HTTP 503"),
        (Response(status_code=404), "HTTP 404"),
        (Response("<html>", headers={REVISION_HEADER: "rev"}), "no chat answer"),
        (JSONResponse([1], headers={REVISION_HEADER: "rev"}), "no chat answer"),
        (JSONResponse({"session_id": "s", "layer": "primary"}), "no chat answer"),
    ],
    ids=["server error", "not found", "no JSON", "another JSON", "no revision"],
)
async def test_an_unusable_answer_is_a_failure_and_ends_the_conversation(
    refusal: Response, reason: str
) -> None:
    agent, tally = await talk(lambda n: refusal if n == 2 else answer("rev"), wanted=4)
    assert [(f.reason, f.revision) for f in tally.failures] == [(reason, "rev")]
    assert agent.seen[2] == Seen(None, None)


async def test_nobody_at_the_other_end_is_a_failure_not_a_crash() -> None:
    traffic = Traffic("http://127.0.0.1:9", FAST)
    driver = asyncio.create_task(traffic.run())
    async with asyncio.timeout(ENOUGH_SECONDS):
        while not traffic.tally.failures:  # noqa: ASYNC110 - a tally tells nobody
            await asyncio.sleep(0.01)
    driver.cancel()
    with suppress(asyncio.CancelledError):
        await driver
    assert {failure.reason for failure in traffic.tally.failures} == {"ConnectError"}


async def test_asking_whether_the_agent_answers_counts_nothing() -> None:
    agent = FakeAgent(lambda n: answer("rev") if n == 2 else Response(status_code=503), 2)
    async with serving(agent) as url:
        traffic = Traffic(url, FAST)
        assert await traffic.is_answered(within_seconds=ENOUGH_SECONDS)
        assert (len(agent.seen), traffic.tally.requests) == (2, 0)
        await traffic.close()
