"""Requests to an API server that misbehaves: every answer becomes one of our errors."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from agent_operator.adapters import apiserver
from agent_operator.adapters.apiserver import AnswerTooLarge, ApiServer, Call, StreamIdle
from agent_operator.adapters.cluster import Cluster
from agent_operator.adapters.refusal import Expired, api_of
from agent_operator.domain.manifest import Kind, ObjectRef
from agent_operator.errors import (
    AccessDenied,
    ApiUnavailable,
    Conflict,
    InvalidObject,
    MissingApi,
    NamespaceTerminating,
    NotFound,
    OperatorError,
    Throttled,
)
from tests.fakes.http_api import (
    Answer,
    HttpApi,
    hangs,
    hangs_up,
    http_api,
    refuses,
    says,
    streams,
)

SERVICES = "/api/v1/namespaces/support/services"
SERVICE = Call("GET", f"{SERVICES}/refunds")
RBAC = 'services "refunds" is forbidden: User "x" cannot get resource "services"'
TERMINATING = [{"reason": "NamespaceTerminating"}]


@pytest.fixture
async def api() -> AsyncIterator[HttpApi]:
    async with http_api() as running:
        yield running


@pytest.fixture
async def server(api: HttpApi) -> AsyncIterator[ApiServer]:
    connection = api.connection()
    yield ApiServer(connection)
    await connection.close()


REFUSALS: dict[str, tuple[Answer, type[OperatorError]]] = {
    "conflict": (refuses(409, "Conflict", name="refunds"), Conflict),
    "name taken": (refuses(409, "AlreadyExists", name="refunds"), Conflict),
    "absent object": (refuses(404, "NotFound", name="refunds", kind="services"), NotFound),
    "absent namespace": (
        refuses(404, "NotFound", name="support", kind="namespaces"),
        NamespaceTerminating,
    ),
    "terminating namespace": (
        refuses(403, "Forbidden", causes=TERMINATING),
        NamespaceTerminating,
    ),
    "absent API": (says(404, "404 page not found\n"), MissingApi),
    "absent resource": (refuses(404, "NotFound", "could not find the resource"), MissingApi),
    "no permission": (refuses(403, "Forbidden", RBAC), AccessDenied),
    "proxy says 403": (says(403, "<html>"), AccessDenied),
    "quota": (refuses(403, "Forbidden", 'services "a" is forbidden: quota'), InvalidObject),
    "not authenticated": (refuses(401, "Unauthorized"), AccessDenied),
    "invalid": (refuses(422, "Invalid"), InvalidObject),
    "other uid": (refuses(422, "Invalid", causes=[{"field": "metadata.uid"}]), Conflict),
    "bad request": (refuses(400, "BadRequest"), InvalidObject),
    "too large": (refuses(413, "RequestEntityTooLarge"), InvalidObject),
    "unknown field": (refuses(500, "", "failed to create typed patch object: .x"), InvalidObject),
    "too old": (refuses(410, "Expired"), Expired),
    "throttled": (refuses(429, "TooManyRequests"), Throttled),
    "server error": (refuses(500, "InternalError"), ApiUnavailable),
    "bad gateway": (says(502, "<html>"), ApiUnavailable),
    "unavailable": (refuses(503, "ServiceUnavailable"), ApiUnavailable),
    "timeout": (refuses(504, "Timeout"), ApiUnavailable),
    "hung up": (hangs_up, ApiUnavailable),
    "not JSON": (says(200, "<html>"), ApiUnavailable),
    "not an object": (says(200, []), ApiUnavailable),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_refusal_becomes_the_error_that_says_what_to_do(
    api: HttpApi, server: ApiServer, case: str
) -> None:
    answer, wanted = REFUSALS[case]
    api.then(answer)
    with pytest.raises(OperatorError) as caught:
        await server.request(SERVICE)
    assert type(caught.value) is wanted


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (says(429, "", Retry_After="7"), 7.0),
        (refuses(429, retryAfterSeconds=4), 4.0),
        (refuses(429), 1.0),
        (says(429, "", Retry_After="Wed, 21 Oct 2026 07:28:00 GMT"), 1.0),
    ],
)
async def test_throttling_says_how_long(
    api: HttpApi, server: ApiServer, answer: Answer, seconds: float
) -> None:
    api.then(answer)
    with pytest.raises(Throttled) as caught:
        await server.request(SERVICE)
    assert caught.value.retry_after == seconds


async def test_a_missing_api_is_named(api: HttpApi, server: ApiServer) -> None:
    api.then(says(404, "404 page not found\n"))
    path = "/apis/gateway.networking.k8s.io/v1/namespaces/support/httproutes/refunds"
    with pytest.raises(MissingApi) as caught:
        await server.request(Call("GET", path))
    assert caught.value.api == "httproutes.gateway.networking.k8s.io/v1"


@pytest.mark.parametrize(
    ("path", "api"),
    [
        ("/api/v1/namespaces/a/services/b", "services/v1"),
        ("/api/v1/namespaces", "namespaces/v1"),
        ("/apis/apps/v1/deployments", "deployments.apps/v1"),
        ("/apis/apps/v1/namespaces/a/deployments/b/scale", "deployments.apps/v1"),
    ],
)
def test_an_api_is_named_as_kubectl_names_it(path: str, api: str) -> None:
    assert api_of(path) == api


async def test_what_the_server_quotes_of_a_secret_is_not_repeated(
    api: HttpApi, server: ApiServer
) -> None:
    api.then(refuses(422, "Invalid", 'Invalid value: "hunter2"'))
    with pytest.raises(InvalidObject) as caught:
        await server.request(Call("POST", "/api/v1/namespaces/support/secrets", body={}))
    assert "hunter2" not in str(caught.value)
    assert "Invalid" in str(caught.value)


async def test_long_messages_are_cut(api: HttpApi, server: ApiServer) -> None:
    api.then(refuses(422, "Invalid", "x" * 10_000))
    with pytest.raises(InvalidObject) as caught:
        await server.request(SERVICE)
    assert len(str(caught.value)) == 500


async def test_a_rotated_token_is_read_again_once(api: HttpApi, server: ApiServer) -> None:
    api.token = "two"
    api.then(refuses(401), says(200, {}))
    await server.request(SERVICE)
    sent = [seen.headers["authorization"] for seen in api.seen]
    assert (sent, api.logins) == (["Bearer one", "Bearer two"], 1)


async def test_requests_refused_together_log_in_once(api: HttpApi, server: ApiServer) -> None:
    api.token = "two"
    api.then(*[refuses(401)] * 4, says(200, {}))
    await asyncio.gather(*(server.request(SERVICE) for _ in range(4)))
    assert api.logins == 1


async def test_a_request_that_hangs_is_given_up(
    api: HttpApi, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apiserver, "REQUEST_SECONDS", 0.1)
    api.then(hangs)
    with pytest.raises(ApiUnavailable):
        await server.request(SERVICE)


async def test_an_answer_beyond_its_limit_is_not_read(api: HttpApi, server: ApiServer) -> None:
    api.then(says(200, {"x": "y" * 1000}))
    with pytest.raises(AnswerTooLarge):
        await server.request(Call("GET", SERVICES, limit_bytes=100))


async def test_no_more_than_32_requests_are_under_way(api: HttpApi, server: ApiServer) -> None:
    now, most = 0, 0

    async def count(_request: web.Request) -> web.StreamResponse:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1
        return web.json_response({})

    api.then(count)
    await asyncio.gather(*(server.request(SERVICE) for _ in range(80)))
    assert most == 32


async def test_every_request_is_counted(api: HttpApi) -> None:
    counted: list[tuple[str, int]] = []
    connection = api.connection()
    server = ApiServer(connection, observe=lambda verb, code: counted.append((verb, code)))
    api.then(says(200, {}), hangs_up)
    await server.request(SERVICE)
    with pytest.raises(ApiUnavailable):
        await server.request(SERVICE)
    await connection.close()
    assert counted == [("GET", 200), ("GET", 0)]


async def lines(server: ApiServer, *, idle_seconds: float = 5.0) -> list[bytes]:
    stream = server.lines(SERVICE, total_seconds=10.0, idle_seconds=idle_seconds)
    return [line async for line in stream]


async def test_a_stream_gives_whole_lines_only(api: HttpApi, server: ApiServer) -> None:
    api.then(streams({"a": 1}, {"b": "x" * 200_000}, ending=b'{"cut'))
    received = await lines(server)
    assert [line[:4] for line in received] == [b'{"a"', b'{"b"']


async def test_a_silent_stream_is_given_up(api: HttpApi, server: ApiServer) -> None:
    api.then(streams({"a": 1}, stays_open=True))
    with pytest.raises(StreamIdle):
        await lines(server, idle_seconds=0.1)


async def test_a_line_without_end_is_not_collected(
    api: HttpApi, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apiserver, "LINE_BYTES", 1000)
    api.then(streams(ending=b"x" * 5000))
    with pytest.raises(AnswerTooLarge):
        await lines(server)


async def test_a_stream_that_is_refused_is_an_error(api: HttpApi, server: ApiServer) -> None:
    api.then(refuses(410, "Expired"))
    with pytest.raises(Expired):
        await lines(server)


async def test_a_list_too_large_is_asked_for_in_smaller_pages(api: HttpApi) -> None:
    connection = api.connection()
    cluster = Cluster(ApiServer(connection))
    metadata = {"name": "refunds", "namespace": "support"}
    page = {"metadata": {"resourceVersion": "7"}, "items": [{"metadata": metadata}]}
    more = {**page, "metadata": {"resourceVersion": "7", "continue": "next"}}

    def large_beyond(limit: int, answer: Any) -> Answer:
        async def choose(request: Any) -> Any:
            too_large = int(request.query["limit"]) > limit
            return await says(200, "x" * (65 * 1024 * 1024) if too_large else answer)(request)

        return choose

    api.then(large_beyond(100, more), large_beyond(100, more), says(200, page))
    agents = await cluster.list_agents()
    await connection.close()
    assert [agent["kind"] for agent in agents] == ["AgentDeployment"] * 2
    assert [seen.query["limit"] for seen in api.seen] == ["500", "62", "62"]
    assert api.seen[-1].query["continue"] == "next"


async def test_reading_a_secret_asks_for_metadata_only(api: HttpApi) -> None:
    connection = api.connection()
    api.then(says(200, {"kind": "PartialObjectMetadata", "metadata": {"name": "refunds-keys"}}))
    secret = await Cluster(ApiServer(connection)).read(
        ObjectRef(Kind.SECRET, "support", "refunds-keys")
    )
    await connection.close()
    assert api.seen[0].headers["Accept"].startswith("application/json;as=PartialObjectMetadata")
    assert secret is not None
    assert secret["kind"] == "Secret"
