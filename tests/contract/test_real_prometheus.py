"""The operator's queries as the real Prometheus understands them."""

import asyncio
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from agent_operator.adapters.prometheus import Prometheus
from agent_operator.domain.manifest import ObjectKey
from agent_operator.domain.verdict.readings import PodReading, Reading
from agent_operator.domain.verdict.signals import Signal
from agent_operator.settings import Settings
from localcluster.binaries import binary

pytestmark = pytest.mark.cluster

AGENT = ObjectKey("support", "refunds")
START_SECONDS = 30.0
SCRAPE_SECONDS = 0.25
WINDOW_SECONDS = 2.0
TEXT = """
agent_sessions_started_total{segment=""} 7
agent_sessions_bad_total{signal="error",segment=""} 1
agent_sessions_bad_total{signal="fallback",segment=""} 2
agent_requests_total{outcome="ok",segment=""} 11
agent_requests_total{outcome="failed",segment=""} 1
agent_requests_total{outcome="rejected",segment=""} 50
agent_requests_bad_total{signal="error",segment=""} 1
agent_requests_bad_total{signal="fallback",segment=""} 3
"""
COUNTED = PodReading(
    sessions_started=7,
    sessions_bad={Signal.ERROR_RATE: 1, Signal.FALLBACK_RATE: 2},
    requests=12,
    requests_bad={Signal.ERROR_RATE: 1, Signal.FALLBACK_RATE: 3},
)


@dataclass
class Pod:
    """What a pod's metrics port answers; None: nothing, the scrape fails."""

    text: str | None = TEXT
    port: int = 0


@dataclass
class RealPrometheus:
    url: str
    pods: dict[str, Pod] = field(default_factory=dict)

    async def readings(self, *agents: ObjectKey) -> dict[tuple[ObjectKey, str], Reading]:
        prometheus = Prometheus.of(Settings(prometheus_url=self.url))
        try:
            found = await prometheus.readings(
                agents or (AGENT,), at=time.time() - 0.1, window_seconds=WINDOW_SECONDS
            )
        finally:
            prometheus.close()
        return dict(found)

    async def until(self, **pods: PodReading) -> None:
        """Wait until exactly this is read of revision 1f0c, and nothing of any other."""
        wanted = {(AGENT, "1f0c"): pods} if pods else {}
        async with asyncio.timeout(START_SECONDS):
            while {key: one.pods for key, one in (await self.readings()).items()} != wanted:  # noqa: ASYNC110 - Prometheus tells nobody
                await asyncio.sleep(SCRAPE_SECONDS)


@pytest.fixture(scope="module")
def pods() -> Iterator[dict[str, Pod]]:
    """Serve the metrics ports of two pods."""
    served = {"a": Pod(), "b": Pod()}
    servers = []
    for pod in served.values():

        class Metrics(BaseHTTPRequestHandler):
            answer = pod

            def do_GET(self) -> None:
                body = (self.answer.text or "").encode()
                self.send_response(200 if self.answer.text is not None else 503)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
        pod.port = int(server.server_address[1])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
    yield served
    for server in servers:
        server.shutdown()
        server.server_close()


def targets(pods: dict[str, Pod]) -> list[dict[str, object]]:
    labels = {"namespace": AGENT.namespace, "agent": AGENT.name, "revision": "1f0c"}
    return [
        {"targets": [f"127.0.0.1:{pod.port}"], "labels": {**labels, "pod": name}}
        for name, pod in pods.items()
    ]


@pytest.fixture(scope="module")
def prometheus(
    pods: dict[str, Pod], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealPrometheus]:
    """Run Prometheus with two jobs that scrape the same pods: nothing must count twice."""
    folder = tmp_path_factory.mktemp("prometheus")
    interval = f"{int(SCRAPE_SECONDS * 1000)}ms"
    jobs = [
        {"job_name": name, "scrape_interval": interval, "scrape_timeout": interval}
        | {"static_configs": targets(pods)}
        for name in ("agents", "agents-again")
    ]
    config = folder / "prometheus.yml"
    config.write_text(json.dumps({"scrape_configs": jobs}))
    port = _free_port()
    command = [
        str(binary("prometheus")),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    with subprocess.Popen(command) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(url)
            yield RealPrometheus(url, pods)
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    with httpx.Client(trust_env=False) as client:
        while time.monotonic() < deadline:
            try:
                if client.get(f"{url}/-/ready").status_code == 200:
                    return
            except httpx.TransportError:
                pass  # not listening yet
            time.sleep(0.05)
    raise AssertionError(f"Prometheus is not ready after {START_SECONDS} s")


@pytest.fixture(autouse=True)
async def fresh(prometheus: RealPrometheus) -> None:
    """Begin every test with both pods as they were at first."""
    for pod in prometheus.pods.values():
        pod.text = TEXT
    await prometheus.until(a=COUNTED, b=COUNTED)


async def test_pods_that_are_not_scraped_any_more_are_left_out_after_the_window(
    prometheus: RealPrometheus,
) -> None:
    prometheus.pods["a"].text = None
    await prometheus.until(b=COUNTED)


async def test_a_restarted_pod_is_read_from_its_new_start(prometheus: RealPrometheus) -> None:
    prometheus.pods["a"].text = TEXT.replace('{segment=""} 7', '{segment=""} 1')
    await prometheus.until(a=replace(COUNTED, sessions_started=1), b=COUNTED)


async def test_a_value_that_is_no_count_takes_the_revision_out(prometheus: RealPrometheus) -> None:
    prometheus.pods["a"].text = TEXT.replace('{segment=""} 7', '{segment=""} NaN')
    await prometheus.until()


async def test_names_that_look_like_queries_ask_for_nothing_else(
    prometheus: RealPrometheus,
) -> None:
    odd = [ObjectKey("support", name) for name in ('"} or vector(1)', ".*", "a|refunds", "é\n")]
    assert await prometheus.readings(*odd) == {}
