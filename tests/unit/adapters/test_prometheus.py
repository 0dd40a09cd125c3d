"""Readings from Prometheus over real HTTP: counted right, or a reason, never a guess."""

import asyncio
import base64
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent_operator.adapters.prometheus import Prometheus
from agent_operator.domain.manifest import ObjectKey
from agent_operator.domain.verdict.readings import PodReading, Reading
from agent_operator.domain.verdict.signals import Signal
from agent_operator.errors import MetricsUnavailable
from agent_operator.settings import Settings
from tests.fakes.prometheus_server import (
    PrometheusServer,
    answering,
    cutting,
    dripping,
    hanging_up,
    prometheus_server,
    silent,
    success,
)

AGENT = ObjectKey("support", "refunds")
TRACK = (AGENT, "1f0c")
NOW = 1_790_000_000.0
WINDOW = 37.5
COUNTED = PodReading(
    sessions_started=10,
    sessions_bad={Signal.ERROR_RATE: 1, Signal.FALLBACK_RATE: 2},
    requests=20,
    requests_bad={Signal.ERROR_RATE: 1, Signal.FALLBACK_RATE: 2},
)


@pytest.fixture
def server() -> Iterator[PrometheusServer]:
    with prometheus_server() as running:
        yield running


def source(server: PrometheusServer, **settings: Any) -> Prometheus:
    given: dict[str, Any] = {"prometheus_url": server.url, "prometheus_timeout_seconds": 5.0}
    given |= settings
    return Prometheus.of(Settings(**given))


async def read(server: PrometheusServer, **settings: Any) -> dict[tuple[ObjectKey, str], Reading]:
    prometheus = source(server, **settings)
    try:
        return dict(await prometheus.readings([AGENT], at=NOW, window_seconds=WINDOW))
    finally:
        prometheus.close()


async def reason(server: PrometheusServer, **settings: Any) -> str:
    with pytest.raises(MetricsUnavailable) as caught:
        await read(server, **settings)
    assert len(str(caught.value)) < 200
    assert "hunter2" not in str(caught.value)
    return caught.value.reason


async def test_counters_are_read_per_pod(server: PrometheusServer) -> None:
    server.scrape_pod("a", at=NOW - 3)
    server.scrape_pod("b", at=NOW - 12, started=4, requests=5, error=0, fallback=0)
    readings = await read(server)
    assert readings[TRACK].time == NOW
    assert readings[TRACK].pods["a"] == COUNTED
    assert readings[TRACK].pods["b"].sessions_started == 4


async def test_revisions_are_read_apart(server: PrometheusServer) -> None:
    server.scrape_pod("a", at=NOW)
    server.scrape_pod("b", at=NOW, revision="9ab2", started=7)
    readings = await read(server)
    assert set(readings) == {TRACK, (AGENT, "9ab2")}
    assert readings[AGENT, "9ab2"].pods["b"].sessions_started == 7


async def test_two_scrape_jobs_do_not_count_twice(server: PrometheusServer) -> None:
    server.scrape_pod("a", at=NOW, job="agents")
    server.scrape_pod("a", at=NOW, job="also-agents", instance="other")
    assert (await read(server))[TRACK].pods == {"a": COUNTED}


async def test_segments_and_outcomes_add_up_without_rejected(server: PrometheusServer) -> None:
    server.scrape_pod("a", at=NOW)
    pod = {"namespace": "support", "agent": "refunds", "revision": "1f0c", "pod": "a"}
    for outcome, value in (("cancelled", 3), ("rejected", 100)):
        server.scrape("agent_requests_total", pod | {"outcome": outcome}, value, at=NOW)
    server.scrape("agent_sessions_started_total", pod | {"segment": "gold"}, 5, at=NOW)
    counted = (await read(server))[TRACK].pods["a"]
    assert (counted.requests, counted.sessions_started) == (23, 15)


async def test_signals_of_the_application_do_not_disturb(server: PrometheusServer) -> None:
    server.scrape_pod("a", at=NOW)
    pod = {"namespace": "support", "agent": "refunds", "revision": "1f0c", "pod": "a"}
    server.scrape("agent_sessions_bad_total", pod | {"signal": "refusals"}, 9, at=NOW)
    assert (await read(server))[TRACK].pods == {"a": COUNTED}


async def test_samples_older_than_the_window_are_left_out(server: PrometheusServer) -> None:
    server.scrape_pod("a", at=NOW - WINDOW - 1)
    assert await read(server) == {}


async def test_a_failed_scrape_within_the_window_is_no_loss(server: PrometheusServer) -> None:
    server.scrape_pod("a", at=NOW - 16)
    server.series = [replace(one, is_gone=True) for one in server.series]
    assert (await read(server))[TRACK].pods == {"a": COUNTED}


async def test_a_pod_that_says_it_was_scraped_in_the_future_is_left_out(
    server: PrometheusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.scrape_pod("a", at=NOW)
    honest = server.evaluate

    def ahead(query: str, at: float) -> list[dict[str, Any]] | None:
        result = honest(query, at)
        if result is not None and "timestamp" in query:
            return [{**one, "value": [at, f"{at + 3600}"]} for one in result]
        return result

    monkeypatch.setattr(server, "evaluate", ahead)
    assert await read(server) == {}


@pytest.mark.parametrize(
    "missing",
    [
        "agent_sessions_started_total",
        "agent_sessions_bad_total",
        "agent_requests_total",
        "agent_requests_bad_total",
    ],
)
async def test_a_pod_without_one_of_the_counters_is_left_out(
    server: PrometheusServer, missing: str
) -> None:
    server.scrape_pod("a", at=NOW)
    server.series = [one for one in server.series if one.metric != missing]
    assert await read(server) == {}


async def test_a_pod_without_a_signal_of_the_contract_is_left_out(
    server: PrometheusServer,
) -> None:
    server.scrape_pod("a", at=NOW)
    server.series = [one for one in server.series if one.labels.get("signal") != "fallback"]
    assert await read(server) == {}


@pytest.mark.parametrize("label", ["namespace", "agent", "revision", "pod"])
async def test_series_without_a_target_label_are_nobodys(
    server: PrometheusServer, label: str
) -> None:
    server.scrape_pod("a", at=NOW)
    server.series = [replace(one, labels={**one.labels, label: ""}) for one in server.series]
    assert await read(server) == {}


async def test_agents_of_the_same_name_elsewhere_are_not_read(server: PrometheusServer) -> None:
    server.scrape_pod("a", at=NOW, namespace="billing")
    prometheus = source(server)
    wanted = [AGENT, ObjectKey("billing", "invoices")]
    assert await prometheus.readings(wanted, at=NOW, window_seconds=WINDOW) == {}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -1.0, 1.5, 1e300])
async def test_a_value_no_counter_has_takes_its_revision_out_and_no_other(
    server: PrometheusServer, value: float
) -> None:
    server.scrape_pod("a", at=NOW, started=value)
    server.scrape_pod("b", at=NOW)
    server.scrape_pod("c", at=NOW, revision="9ab2")
    assert set(await read(server)) == {(AGENT, "9ab2")}


async def test_nothing_scraped_is_no_reading(server: PrometheusServer) -> None:
    assert await read(server) == {}


async def test_no_agents_are_no_query(server: PrometheusServer) -> None:
    assert await source(server).readings([], at=NOW, window_seconds=WINDOW) == {}
    assert server.queries == []


async def test_a_hundred_agents_share_a_query(server: PrometheusServer) -> None:
    agents = [ObjectKey("support", f"agent-{number}") for number in range(101)]
    await source(server).readings(agents, at=NOW, window_seconds=WINDOW)
    assert len(server.queries) == 2 * 5


VECTOR = success("vector", [])
SAMPLE = {"metric": {"pod": "a"}, "value": [NOW, "1"]}
BROKEN_ANSWERS: dict[str, tuple[str, Any]] = {
    "HTML with 200": ("NotJson", answering(200, b"<html>Sign in, hunter2</html>")),
    "JSON that is no object": ("NotJson", answering(200, ["hunter2"])),
    "too deep JSON": ("NotJson", answering(200, b"[" * 100_000)),
    "cut body": ("Unreachable", cutting),
    "closed connection": ("Unreachable", hanging_up),
    "redirect": ("Redirected", answering(302, b"", Location="http://127.0.0.1:1/")),
    "401": ("Unauthorized", answering(401, b"hunter2")),
    "403": ("Unauthorized", answering(403, b"")),
    "404": ("NotPrometheus", answering(404, b"not here")),
    "400": ("QueryRefused", answering(400, {"status": "error", "errorType": "bad_data"})),
    "422": ("QueryRefused", answering(422, {"status": "error", "errorType": "execution"})),
    "429": ("Overloaded", answering(429, b"")),
    "500": ("ServerError", answering(500, b"hunter2")),
    "503": ("Overloaded", answering(503, b"starting up")),
    "204": ("UnexpectedStatus", answering(204, b"")),
    "warnings": ("PartialAnswer", answering(200, VECTOR | {"warnings": ["store down: hunter2"]})),
    "error with 200": ("UnexpectedResult", answering(200, {"status": "error", "data": {}})),
    "matrix": ("UnexpectedResult", answering(200, success("matrix", []))),
    "scalar": ("UnexpectedResult", answering(200, success("scalar", [NOW, "1"]))),
    "string": ("UnexpectedResult", answering(200, success("string", [NOW, "x"]))),
    "result that is no list": ("UnexpectedResult", answering(200, success("vector", {}))),
    "value that is no text": (
        "UnexpectedResult",
        answering(200, success("vector", [{**SAMPLE, "value": [NOW, 1]}])),
    ),
    "value that is no number": (
        "UnexpectedResult",
        answering(200, success("vector", [{**SAMPLE, "value": [NOW, "1_0"]}])),
    ),
    "answer for another time": (
        "UnexpectedResult",
        answering(200, success("vector", [{**SAMPLE, "value": [NOW - 60, "1"]}])),
    ),
    "label that is no text": (
        "UnexpectedResult",
        answering(200, success("vector", [{**SAMPLE, "metric": {"pod": 1}}])),
    ),
    "series twice": ("DuplicateSeries", answering(200, success("vector", [SAMPLE, SAMPLE]))),
    "too many series": ("TooManySeries", answering(200, success("vector", [SAMPLE] * 50_001))),
    "huge body": ("AnswerTooLarge", answering(200, b" " * (10 * 1024 * 1024 + 1))),
}


@pytest.mark.parametrize("case", BROKEN_ANSWERS)
async def test_an_answer_that_cannot_be_trusted_gives_a_reason(
    server: PrometheusServer, case: str
) -> None:
    wanted, server.instead = BROKEN_ANSWERS[case]
    assert await reason(server) == wanted


@pytest.mark.parametrize("fault", [silent, dripping])
async def test_a_slow_answer_is_not_waited_for(server: PrometheusServer, fault: Any) -> None:
    server.instead = fault
    began = asyncio.get_running_loop().time()
    assert await reason(server, prometheus_timeout_seconds=0.3) == "TimedOut"
    assert asyncio.get_running_loop().time() - began < 2.0


async def test_a_redirect_is_not_followed(server: PrometheusServer) -> None:
    server.instead = answering(307, b"", Location=f"{server.url}/api/v1/query")
    assert await reason(server) == "Redirected"
    assert len(server.queries) == 1


async def test_a_failed_query_is_not_repeated(server: PrometheusServer) -> None:
    server.instead = answering(503, b"")
    await reason(server)
    assert len(server.queries) == 1


async def test_a_closed_port_is_unreachable(server: PrometheusServer) -> None:
    assert await reason(server, prometheus_url="http://127.0.0.1:1") == "Unreachable"


async def test_a_name_that_does_not_resolve_is_unreachable(server: PrometheusServer) -> None:
    assert await reason(server, prometheus_url="http://prometheus.invalid") == "Unreachable"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a self-signed certificate of 127.0.0.1 and its key."""
    both = tmp_path_factory.mktemp("tls") / "both.pem"
    request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=server"
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(both), "-out", str(both.with_suffix(".crt"))]
    subprocess.run(["openssl", *request.split(), *names, *files], check=True, capture_output=True)
    both.write_text(both.read_text() + both.with_suffix(".crt").read_text())
    return both


async def test_an_unknown_certificate_is_not_trusted(certificate: Path) -> None:
    with prometheus_server(certificate=certificate) as server:
        assert await reason(server) == "TlsFailed"


async def test_a_certificate_of_the_given_authority_is_trusted(certificate: Path) -> None:
    authority = str(certificate.with_suffix(".crt"))
    with prometheus_server(certificate=certificate) as server:
        server.scrape_pod("a", at=NOW)
        assert set(await read(server, prometheus_ca_file=authority)) == {TRACK}


async def test_the_token_is_read_anew_for_every_query(
    server: PrometheusServer, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("one\n")
    prometheus = source(server, prometheus_token_file=str(token))
    await prometheus.readings([AGENT], at=NOW, window_seconds=WINDOW)
    token.write_text("two\n")
    await prometheus.readings([AGENT], at=NOW, window_seconds=WINDOW)
    sent = [headers["Authorization"] for headers in server.headers]
    assert (sent[0], sent[-1]) == ("Bearer one", "Bearer two")


async def test_a_user_logs_in_with_the_password_from_the_environment(
    server: PrometheusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_OPERATOR_PROMETHEUS_PASSWORD", "hunter2")
    await read(server, prometheus_username="operator")
    wanted = base64.b64encode(b"operator:hunter2").decode()
    assert server.headers[0]["Authorization"] == f"Basic {wanted}"


async def test_more_headers_are_sent(server: PrometheusServer) -> None:
    await read(server, prometheus_headers=("X-Scope-OrgID=support",))
    assert server.headers[0]["X-Scope-OrgID"] == "support"


@pytest.mark.parametrize("content", [None, "", "two\nlines"])
async def test_a_useless_credentials_file_is_a_reason(
    server: PrometheusServer, tmp_path: Path, content: str | None
) -> None:
    token = tmp_path / "token"
    if content is not None:
        token.write_text(content)
    assert await reason(server, prometheus_token_file=str(token)) == "BadCredentials"
    assert server.queries == []
