"""Events: posted once, cut to size, and never in the way."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_operator.adapters import events as events_module
from agent_operator.adapters.apiserver import ApiServer
from agent_operator.adapters.events import Events, note
from tests.factories import agent_manifest
from tests.fakes.http_api import HttpApi, hangs, http_api, refuses, says
from tests.fakes.manual_clock import ManualClock

AGENT = agent_manifest()


@pytest.fixture
async def api() -> AsyncIterator[HttpApi]:
    async with http_api() as running:
        yield running


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def events(api: HttpApi, clock: ManualClock) -> AsyncIterator[Events]:
    connection = api.connection()
    yield Events(ApiServer(connection), clock)
    await connection.close()


async def test_an_event_is_about_the_agent(api: HttpApi, events: Events) -> None:
    api.then(says(201, {}))
    await events.record(AGENT, reason="RolledBack", message="to 1f0c", warning=True)
    (seen,) = api.seen
    assert (seen.method, seen.path) == ("POST", "/apis/events.k8s.io/v1/namespaces/support/events")
    said = {name: seen.body[name] for name in ("type", "reason", "note", "eventTime")}
    assert said == {
        "type": "Warning",
        "reason": "RolledBack",
        "note": "to 1f0c",
        "eventTime": "2026-09-21T14:13:20.000000Z",
    }
    assert seen.body["regarding"]["uid"] == AGENT["metadata"]["uid"]


async def test_the_same_event_is_posted_once_in_ten_minutes(
    api: HttpApi, events: Events, clock: ManualClock
) -> None:
    api.then(says(201, {}))
    for seconds in (0, 599, 1):
        clock.advance(seconds)
        await events.record(AGENT, reason="Held", message="no metrics")
    assert len(api.seen) == 2


async def test_other_words_or_another_object_are_another_event(
    api: HttpApi, events: Events
) -> None:
    api.then(says(201, {}))
    await events.record(AGENT, reason="Held", message="no metrics")
    await events.record(AGENT, reason="Held", message="no pods")
    await events.record(agent_manifest(uid="other"), reason="Held", message="no metrics")
    assert len(api.seen) == 3


async def test_an_event_that_could_not_be_posted_raises_nothing_and_may_come_again(
    api: HttpApi, events: Events
) -> None:
    api.then(refuses(403, "Forbidden"), says(201, {}))
    await events.record(AGENT, reason="Held", message="no metrics")
    await events.record(AGENT, reason="Held", message="no metrics")
    assert len(api.seen) == 2


async def test_a_server_that_hangs_is_not_waited_for(
    api: HttpApi, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "POST_SECONDS", 0.05)
    api.then(hangs)
    await events.record(AGENT, reason="Held", message="no metrics")
    assert len(api.seen) == 1


async def test_what_was_said_is_not_remembered_without_end(
    api: HttpApi, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "REMEMBERED", 2)
    api.then(says(201, {}))
    for message in ("a", "b", "c", "d", "a"):
        await events.record(AGENT, reason="Held", message=message)
    assert len(api.seen) == 5


@given(st.text(max_size=3000))
def test_a_note_fits_into_an_event_and_loses_nothing_that_fits(message: str) -> None:
    cut = note(message)
    assert len(cut.encode(errors="surrogatepass")) <= 1024
    assert cut == message or message.startswith(cut.removesuffix("…"))
