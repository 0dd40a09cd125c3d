"""Following owned objects through every way a list or a watch can fail."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
from aiohttp import web

from agent_operator.adapters.apiserver import ApiServer
from agent_operator.adapters.informer import FOLLOWED, Informer, Scope, Timing
from agent_operator.domain.backoff import Backoff
from agent_operator.domain.manifest import Kind, Manifest, ObjectRef
from tests.fakes.http_api import Answer, HttpApi, hangs_up, http_api, refuses, says, streams

QUICK = Timing(
    idle_seconds=5.0,
    stream_seconds=600.0,
    absent_seconds=0.01,
    backoff=Backoff(base_seconds=0.002, cap_seconds=0.01),
)
RBAC = 'services is forbidden: User "x" cannot list resource "services"'


class Heard:
    """A listener that keeps what it was told, in order."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.changed = asyncio.Event()

    def observe(self, obj: Manifest) -> None:
        self._note(("observe", obj["metadata"]["name"]))

    def forget(self, ref: ObjectRef, uid: str) -> None:
        self._note(("forget", ref.name, uid))

    def replace(
        self, kind: Kind, objects: Sequence[Manifest], *, namespace: str | None = None
    ) -> None:
        names = [obj["metadata"]["name"] for obj in objects]
        self._note(("replace", names) if namespace is None else ("replace", names, namespace))

    async def until(self, *wanted: Any) -> None:
        """Wait until exactly this was told so far."""
        async with asyncio.timeout(5):
            while len(self.told) < len(wanted):
                self.changed.clear()
                await self.changed.wait()
        assert self.told == list(wanted)

    def _note(self, what: Any) -> None:
        self.told.append(what)
        self.changed.set()


def service(name: str, version: str = "1") -> dict[str, Any]:
    metadata = {"name": name, "namespace": "support", "uid": f"uid-{name}"}
    return {"metadata": {**metadata, "resourceVersion": version, "managedFields": [{}]}}


def listed(*names: str, version: str = "10", token: str = "") -> Answer:
    metadata = {"resourceVersion": version} | ({"continue": token} if token else {})
    return says(200, {"metadata": metadata, "items": [service(name) for name in names]})


def event(kind: str, name: str, version: str) -> dict[str, Any]:
    return {"type": kind, "object": service(name, version)}


BOOKMARK = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "15"}}}
GONE = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}
ERROR = {"type": "ERROR", "object": {"kind": "Status", "code": 500, "message": "etcd"}}
open_watch = streams(stays_open=True)

Follow = Callable[..., Awaitable[Informer]]


@pytest.fixture
async def api() -> AsyncIterator[HttpApi]:
    async with http_api() as running:
        yield running


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def follow(api: HttpApi, heard: Heard) -> AsyncIterator[Follow]:
    """Return a function that starts an informer of Services; it ends with the test."""
    async with _running() as start:

        async def started(
            *answers: Answer, timing: Timing = QUICK, kind: Kind = Kind.SERVICE, **scope: Any
        ) -> Informer:
            api.then(*answers)
            connection = api.connection()
            chosen = Scope(**{"kinds": (kind,), **scope})
            informer = Informer(ApiServer(connection), heard, scope=chosen, timing=timing)
            start(informer, connection)
            return informer

        yield started


@asynccontextmanager
async def _running() -> AsyncIterator[Callable[[Informer, Any], None]]:
    tasks: list[asyncio.Task[None]] = []
    connections: list[Any] = []

    def start(informer: Informer, connection: Any) -> None:
        connections.append(connection)
        tasks.append(asyncio.create_task(informer.run()))

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for connection in connections:
        await connection.close()


def versions(api: HttpApi) -> list[str]:
    """Return where each watch began."""
    return [seen.query["resourceVersion"] for seen in api.seen if "watch" in seen.query]


async def test_what_exists_is_told_then_what_changes(follow: Follow, heard: Heard) -> None:
    await follow(
        listed("a", "b"),
        streams(
            event("ADDED", "c", "11"),
            event("MODIFIED", "a", "12"),
            event("DELETED", "b", "13"),
            stays_open=True,
        ),
    )
    await heard.until(
        ("replace", ["a", "b"]), ("observe", "c"), ("observe", "a"), ("forget", "b", "uid-b")
    )


async def test_only_objects_with_our_label_are_asked_for(api: HttpApi, follow: Follow) -> None:
    await follow(listed(), open_watch)
    await api.until_seen(2)
    selectors = {seen.query["labelSelector"] for seen in api.seen}
    assert selectors == {"app.kubernetes.io/managed-by=agent-operator"}


def test_secrets_are_never_followed() -> None:
    assert set(FOLLOWED) == set(Kind) - {Kind.SECRET}


async def test_pages_are_told_as_one_list(api: HttpApi, follow: Follow, heard: Heard) -> None:
    await follow(listed("a", token="next"), listed("b"), open_watch)
    await heard.until(("replace", ["a", "b"]))
    assert api.seen[1].query["continue"] == "next"


async def test_objects_carry_their_kind_and_no_managed_fields(
    api: HttpApi, follow: Follow, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Manifest] = []
    monkeypatch.setattr(heard, "observe", told.append)
    await follow(listed(), streams(event("ADDED", "a", "11")), open_watch)
    await api.until_seen(3)
    assert (told[0]["apiVersion"], told[0]["kind"]) == ("v1", "Service")
    assert "managedFields" not in told[0]["metadata"]


async def test_a_watch_goes_on_where_the_last_one_ended(
    api: HttpApi, follow: Follow, heard: Heard
) -> None:
    await follow(
        listed(),
        streams(event("ADDED", "a", "11"), BOOKMARK),
        streams(event("ADDED", "b", "16"), stays_open=True),
    )
    await heard.until(("replace", []), ("observe", "a"), ("observe", "b"))
    assert versions(api) == ["10", "15"]


BROKEN_WATCHES: dict[str, Answer] = {
    "gone event": streams(GONE),
    "gone answer": refuses(410, "Expired"),
    "error event": streams(ERROR),
    "line that is no JSON": streams(ending=b"<html>\n"),
    "event of an unknown form": streams({"no": "event"}),
}


@pytest.mark.parametrize("case", BROKEN_WATCHES)
async def test_a_watch_that_cannot_go_on_lists_again(
    case: str, follow: Follow, heard: Heard
) -> None:
    await follow(listed("a"), BROKEN_WATCHES[case], listed("b", version="20"), open_watch)
    await heard.until(("replace", ["a"]), ("replace", ["b"]))


LOST_WATCHES: dict[str, Answer] = {
    "hung up": hangs_up,
    "server error": refuses(500, "InternalError"),
    "throttled": refuses(429, retryAfterSeconds=0.001),
    "line cut in the middle": streams(ending=b'{"type": "ADDED", "obj'),
}


@pytest.mark.parametrize("case", LOST_WATCHES)
async def test_a_lost_watch_is_opened_again_without_a_list(
    case: str, api: HttpApi, follow: Follow, heard: Heard
) -> None:
    await follow(
        listed("a"), LOST_WATCHES[case], streams(event("ADDED", "b", "11"), stays_open=True)
    )
    await heard.until(("replace", ["a"]), ("observe", "b"))
    assert versions(api) == ["10", "10"]


async def test_a_silent_watch_is_opened_again(api: HttpApi, follow: Follow, heard: Heard) -> None:
    silent_soon = Timing(idle_seconds=0.05, backoff=QUICK.backoff)
    await follow(
        listed("a"),
        open_watch,
        streams(event("ADDED", "b", "11"), stays_open=True),
        timing=silent_soon,
    )
    await heard.until(("replace", ["a"]), ("observe", "b"))


async def test_a_list_that_fails_is_tried_again(follow: Follow, heard: Heard) -> None:
    informer = await follow(
        refuses(503), hangs_up, says(200, "<html>"), says(200, {}), listed("a"), open_watch
    )
    await heard.until(("replace", ["a"]))
    assert informer.synced.is_set()


async def test_a_continue_token_that_expires_starts_the_list_anew(
    follow: Follow, heard: Heard
) -> None:
    await follow(listed("a", token="old"), refuses(410, "Expired"), listed("a", "b"), open_watch)
    await heard.until(("replace", ["a", "b"]))


async def test_a_kind_without_api_is_empty_and_looked_for_again(
    follow: Follow, heard: Heard
) -> None:
    informer = await follow(
        says(404, "404 page not found"), listed("a"), open_watch, kind=Kind.ROUTE
    )
    await informer.synced.wait()
    await heard.until(("replace", []), ("replace", ["a"]))
    assert informer.problems == {}


async def test_a_kind_that_vanishes_while_watched_is_empty(
    api: HttpApi, follow: Follow, heard: Heard
) -> None:
    informer = await follow(
        listed("a"), says(404, "404 page not found"), says(404, ""), kind=Kind.ROUTE
    )
    await api.until_seen(4)
    assert heard.told[:2] == [("replace", ["a"]), ("replace", [])]
    assert "httproutes" in str(informer.problems)


async def test_a_missing_permission_is_a_problem_and_never_an_empty_list(
    api: HttpApi, follow: Follow, heard: Heard
) -> None:
    informer = await follow(refuses(403, "Forbidden", RBAC))
    await api.until_seen(2)
    assert "grant it" in informer.problems["/api/v1/services"]
    assert heard.told == []
    assert not informer.has_synced(Kind.SERVICE)


async def test_a_missing_permission_for_routes_holds_up_nobody(
    follow: Follow, heard: Heard
) -> None:
    informer = await follow(refuses(403, "Forbidden", RBAC), kind=Kind.ROUTE)
    async with asyncio.timeout(5):
        await informer.synced.wait()
    assert heard.told[0] == ("replace", [])


async def test_after_an_outage_an_expired_watch_lists_again_soon(
    follow: Follow, heard: Heard
) -> None:
    growing = Timing(backoff=Backoff(base_seconds=0.001, cap_seconds=30.0))
    outage = [refuses(503)] * 10  # by now the pause after another failure is half a second or more
    await follow(
        listed("a"), *outage, refuses(410, "Expired"), listed("b"), open_watch, timing=growing
    )
    async with asyncio.timeout(5):
        await heard.until(("replace", ["a"]), ("replace", ["b"]))


async def test_an_outage_is_said_once_and_its_end_too(follow: Follow, heard: Heard) -> None:
    with structlog.testing.capture_logs() as lines:
        await follow(
            listed("a"),
            *[refuses(503)] * 5,
            streams(event("ADDED", "b", "11"), event("ADDED", "c", "12"), stays_open=True),
        )
        await heard.until(("replace", ["a"]), ("observe", "b"), ("observe", "c"))
    assert [line["event"] for line in lines] == ["watch.failed", "watch.resumed"]


async def test_a_server_that_hangs_up_at_once_is_not_called_in_a_loop(
    api: HttpApi, follow: Follow, heard: Heard
) -> None:
    slowly = Timing(backoff=Backoff(base_seconds=30, cap_seconds=30))
    await follow(listed(), streams(), timing=slowly)
    await heard.until(("replace", []))
    await asyncio.sleep(0.1)
    assert len(versions(api)) == 1


async def test_lists_of_several_namespaces_are_told_apart(heard: Heard, follow: Follow) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        namespace = request.path.split("/")[4]
        chosen = open_watch if "watch" in request.query else listed(f"in-{namespace}")
        return await chosen(request)

    informer = await follow(answer, namespaces=("billing", "support"))
    async with asyncio.timeout(5):
        await informer.synced.wait()
    assert sorted(heard.told) == [
        ("replace", ["in-billing"], "billing"),
        ("replace", ["in-support"], "support"),
    ]


async def test_metadata_is_enough_for_the_kinds_that_say_so(
    api: HttpApi, follow: Follow, heard: Heard
) -> None:
    await follow(listed("a"), open_watch, metadata_only={Kind.SERVICE})
    await heard.until(("replace", ["a"]))
    assert "PartialObjectMetadataList" in api.seen[0].headers["Accept"]


async def test_a_listener_that_fails_is_told_again(
    follow: Follow, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(_obj: Manifest) -> None:
        monkeypatch.undo()
        raise KeyError("spec")

    monkeypatch.setattr(heard, "observe", stumble)
    await follow(
        listed(), streams(event("ADDED", "a", "11"), stays_open=True), listed("a"), open_watch
    )
    await heard.until(("replace", []), ("replace", ["a"]))


async def test_signs_of_life_are_counted(follow: Follow, heard: Heard) -> None:
    informer = await follow(listed(), open_watch)
    await heard.until(("replace", []))
    assert informer.stalest_seconds() < 5
