"""A Prometheus that answers the operator's queries over real HTTP, and every way it can fail.

It evaluates exactly the two shapes of query the operator sends; anything else is a 400, as from
the real one, so that a change of the queries shows.
"""

import json
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qs

Labels = Mapping[str, str]
Answer = Callable[["_Handler"], None]

_VALUES = re.compile(
    r"sum by \((?P<by>[\w, ]+)\) \(max without \((?P<without>[\w, ]+)\) "
    r"\(last_over_time\((?P<metric>\w+)\{(?P<matchers>.*)\}\[(?P<window>\d+)ms\]\)\)\)"
)
_TIMES = re.compile(
    r"min by \((?P<by>[\w, ]+)\) \(timestamp\((?P<metric>\w+)\{(?P<matchers>.*)\}\)\)"
)
_MATCHER = re.compile(r'(?P<label>\w+)=~"(?P<pattern>(?:[^"\\]|\\.)*)",?')
_LOOKBACK_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Scraped:
    """One series: its labels, and its last sample."""

    metric: str
    labels: Labels
    value: float
    at: float
    is_gone: bool = False  # marked stale: the target vanished or its scrape failed


@dataclass
class PrometheusServer:
    """Series to answer from, the queries that came, and what to answer instead."""

    url: str = ""
    series: list[Scraped] = field(default_factory=list)
    instead: Answer | None = None
    queries: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    stopping: Event = field(default_factory=Event)

    def scrape(self, metric: str, labels: Labels, value: float, *, at: float) -> None:
        """Add a series."""
        self.series.append(Scraped(metric, labels, value, at))

    def scrape_pod(self, pod: str, *, at: float, **more: Any) -> None:
        """Add all contract counters of a pod; `more` overrides values and target labels.

        Values: started, requests, error and fallback (bad sessions and bad requests alike).
        """
        counts = {"started": 10, "requests": 20, "error": 1, "fallback": 2} | {
            name: more.pop(name) for name in list(more) if name in _COUNTS
        }
        target = {"namespace": "support", "agent": "refunds", "revision": "1f0c", "pod": pod}
        target |= {"job": "agents", "instance": f"{pod}:9090"} | more
        self.scrape("agent_sessions_started_total", target, counts["started"], at=at)
        self.scrape("agent_requests_total", target | {"outcome": "ok"}, counts["requests"], at=at)
        for signal in ("error", "fallback"):
            for metric in ("agent_sessions_bad_total", "agent_requests_bad_total"):
                self.scrape(metric, target | {"signal": signal}, counts[signal], at=at)

    def evaluate(self, query: str, at: float) -> list[dict[str, Any]] | None:
        """Return the vector, None for a query of another shape."""
        if match := _VALUES.fullmatch(query):
            window = int(match["window"]) / 1000
            chosen = [one for one in self._selected(match) if at - window < one.at <= at]
            without = _names(match["without"])
            highest = _grouped(
                [
                    ({k: v for k, v in one.labels.items() if k not in without}, one.value)
                    for one in chosen
                ],
                max,
            )
            result = _grouped([(_only(labels, match["by"]), v) for labels, v in highest], _add)
        elif match := _TIMES.fullmatch(query):
            fresh = [one for one in self._selected(match) if at - _LOOKBACK_SECONDS < one.at <= at]
            live = [(_only(one.labels, match["by"]), one.at) for one in fresh if not one.is_gone]
            result = _grouped(live, min)
        else:
            return None
        return [{"metric": labels, "value": [at, _text(value)]} for labels, value in result]

    def _selected(self, match: re.Match[str]) -> Iterator[Scraped]:
        patterns = {
            one["label"]: re.compile(json.loads(f'"{one["pattern"]}"'))
            for one in _MATCHER.finditer(match["matchers"])
        }
        for one in self.series:
            if one.metric == match["metric"] and all(
                pattern.fullmatch(one.labels.get(label, "")) for label, pattern in patterns.items()
            ):
                yield one


_COUNTS = ("started", "requests", "error", "fallback")


def _names(text: str) -> set[str]:
    return {name.strip() for name in text.split(",")}


def _only(labels: Labels, by: str) -> dict[str, str]:
    names = _names(by)
    return {name: value for name, value in labels.items() if name in names}


def _add(one: float, other: float) -> float:
    return one + other


def _grouped(
    rows: list[tuple[dict[str, str], float]], fold: Callable[[float, float], float]
) -> list[tuple[dict[str, str], float]]:
    groups: dict[frozenset[tuple[str, str]], float] = {}
    for labels, value in rows:
        group = frozenset(labels.items())
        groups[group] = fold(groups[group], value) if group in groups else value
    return [(dict(group), value) for group, value in groups.items()]


def _text(value: float) -> str:
    return {float("inf"): "+Inf", float("-inf"): "-Inf"}.get(value) or (
        "NaN" if value != value else f"{value:.17g}"  # noqa: PLR0124 - only NaN differs from itself
    )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    state: PrometheusServer


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        state = self.server.state
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        query, at = form["query"][0], float(form["time"][0])
        state.queries.append(query)
        state.headers.append(dict(self.headers.items()))
        if state.instead is not None:
            state.instead(self)
            return
        result = state.evaluate(query, at)
        if result is None:
            self.send(400, {"status": "error", "errorType": "bad_data", "error": "parse error"})
        else:
            self.send(200, success("vector", result))

    def send(self, status: int, body: Any, **headers: str) -> None:
        """Answer with JSON, or with bytes as they are."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *args: Any) -> None:
        pass


def success(result_type: str, result: Any, **more: Any) -> dict[str, Any]:
    """Return the body of a successful answer."""
    return {"status": "success", "data": {"resultType": result_type, "result": result}, **more}


def answering(status: int, body: Any, **headers: str) -> Answer:
    """Answer every query so; `_` in names of headers stands for `-`."""
    return lambda handler: handler.send(status, body, **headers)


def hanging_up(handler: _Handler) -> None:
    """Close the connection without an answer."""
    handler.close_connection = True


def cutting(handler: _Handler) -> None:
    """Promise more than is sent, then close the connection."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"status": "success", "data"')
    handler.close_connection = True


def silent(handler: _Handler) -> None:
    """Answer nothing until the server stops."""
    handler.server.state.stopping.wait()
    handler.close_connection = True


def dripping(handler: _Handler) -> None:
    """Send one byte after the other, slowly, for ever."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    handler.close_connection = True
    try:
        while not handler.server.state.stopping.is_set():
            handler.wfile.write(b" ")
            time.sleep(0.02)
    except OSError:
        pass  # the client has had enough, which is what the test is about


@contextmanager
def prometheus_server(
    state: PrometheusServer | None = None, *, certificate: Path | None = None
) -> Iterator[PrometheusServer]:
    """Run the server on a free port of loopback; `state` may have answers of its own.

    `certificate`: a file with certificate and key, to speak TLS.
    """
    server = _Server(("127.0.0.1", 0), _Handler)
    scheme = "http" if certificate is None else "https"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.state = state or PrometheusServer()
    server.state.url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.state
    finally:
        server.state.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()
