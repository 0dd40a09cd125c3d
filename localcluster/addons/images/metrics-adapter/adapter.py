"""Answer the autoscaler's questions from Prometheus: custom.metrics.k8s.io and metrics.k8s.io.

An aggregated API behind two APIServices, for pods only. Clients are API servers: they show a
certificate of the front proxy's authority, and have authorised the user before.
"""

import json
import re
import ssl
import urllib.parse
import urllib.request
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
KUBERNETES = "https://kubernetes.default.svc"
PROMETHEUS = "http://prometheus.monitoring:9090"
TIMEOUT_SECONDS = 5
MAXIMUM_BYTES = 8 * 1024 * 1024
WINDOW_SECONDS = 60
CUSTOM = "custom.metrics.k8s.io/v1beta2"
RESOURCE = "metrics.k8s.io/v1beta1"
CUSTOM_PATH = re.compile(
    rf"/apis/{CUSTOM}/namespaces/([a-z0-9-]+)/pods/\*/([a-zA-Z_][a-zA-Z0-9_]*)"
)
RESOURCE_PATH = re.compile(rf"/apis/{RESOURCE}/namespaces/([a-z0-9-]+)/pods")


def fetch(url: str) -> Any:
    """Read JSON from the API server (with this pod's token) or from Prometheus."""
    request = urllib.request.Request(url)  # noqa: S310 - one of the two addresses above
    context = None
    if url.startswith(KUBERNETES):
        request.add_header("Authorization", f"Bearer {(ACCOUNT / 'token').read_text()}")
        context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(  # noqa: S310
        request, timeout=TIMEOUT_SECONDS, context=context
    ) as answer:
        return json.loads(answer.read(MAXIMUM_BYTES))


def pod_names(namespace: str, selector: str) -> list[str]:
    """List the pods that a label selector chooses."""
    query = urllib.parse.urlencode({"labelSelector": selector})
    pods = fetch(f"{KUBERNETES}/api/v1/namespaces/{namespace}/pods?{query}")["items"]
    return [pod["metadata"]["name"] for pod in pods]


def samples(expression: str) -> list[tuple[dict[str, str], str]]:
    """Ask Prometheus; returns (labels, value) of each series."""
    query = urllib.parse.urlencode({"query": expression})
    result = fetch(f"{PROMETHEUS}/api/v1/query?{query}")["data"]["result"]
    return [(series["metric"], series["value"][1]) for series in result]


def chosen(namespace: str, pods: list[str]) -> str:
    """Return the matchers for these pods; names of pods have dots and dashes at most."""
    return f'namespace="{namespace}",pod=~"{"|".join(name.replace(".", "[.]") for name in pods)}"'


def custom_metrics(namespace: str, metric: str, selector: str) -> dict[str, Any]:
    """Return one value of the metric per pod that has it."""
    pods = pod_names(namespace, selector)
    found = samples(f"sum by (pod) ({metric}{{{chosen(namespace, pods)}}})") if pods else []
    items = [
        {
            "describedObject": {
                "kind": "Pod",
                "namespace": namespace,
                "name": labels["pod"],
                "apiVersion": "v1",
            },
            "metric": {"name": metric},
            "timestamp": timestamp(),
            "value": quantity(value),
        }
        for labels, value in found
    ]
    return {"kind": "MetricValueList", "apiVersion": CUSTOM, "metadata": {}, "items": items}


def resource_metrics(namespace: str, selector: str) -> dict[str, Any]:
    """Return CPU (cores) and memory (bytes) of each container, as the kubelet measured them."""
    pods = pod_names(namespace, selector)
    usage: dict[str, dict[str, dict[str, str]]] = {}
    for name, expression in (
        ("cpu", "rate(container_cpu_usage_seconds_total{%s}[60s])"),
        ("memory", "container_memory_working_set_bytes{%s}"),
    ):
        for labels, value in samples(expression % chosen(namespace, pods)) if pods else []:
            containers = usage.setdefault(labels["pod"], {})
            containers.setdefault(labels["container"], {})[name] = quantity(value)
    items = [
        {
            "metadata": {"name": pod, "namespace": namespace},
            "timestamp": timestamp(),
            "window": f"{WINDOW_SECONDS}s",
            "containers": [
                {"name": container, "usage": measured}
                for container, measured in containers.items()
                if len(measured) == 2
            ],
        }
        for pod, containers in usage.items()
    ]
    return {"kind": "PodMetricsList", "apiVersion": RESOURCE, "metadata": {}, "items": items}


def quantity(value: str) -> str:
    """Write a number as a Kubernetes quantity in thousandths."""
    return f"{round(float(value) * 1000)}m"


def timestamp() -> str:
    """Return the time of day as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def resources(version: str) -> dict[str, Any]:
    """Return what discovery says about one of the two groups."""
    kind = "MetricValueList" if version == CUSTOM else "PodMetrics"
    name = "pods/active_agent_sessions" if version == CUSTOM else "pods"
    verbs = ["get"] if version == CUSTOM else ["get", "list"]
    entry = {"name": name, "singularName": "", "namespaced": True, "kind": kind, "verbs": verbs}
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": version,
        "resources": [entry],
    }


def answer(path: str, query: dict[str, str]) -> dict[str, Any] | None:
    """Return the object at a path, None when there is none."""
    selector = query.get("labelSelector", "")
    for version in (CUSTOM, RESOURCE):
        if path == f"/apis/{version}":
            return resources(version)
    if (match := CUSTOM_PATH.fullmatch(path)) and "metricLabelSelector" not in query:
        return custom_metrics(match[1], match[2], selector)
    if match := RESOURCE_PATH.fullmatch(path):
        return resource_metrics(match[1], selector)
    return None


class Handler(BaseHTTPRequestHandler):
    """One request of the API server."""

    server: "Server"
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        """Answer, or say 404; when Prometheus or the API server fail, 503."""
        if not self.is_front_proxy():
            self.send_error(403)
            return
        url = urllib.parse.urlsplit(self.path)
        code: int = 200
        try:
            found = answer(urllib.parse.unquote(url.path), dict(urllib.parse.parse_qsl(url.query)))
        except (OSError, ValueError, KeyError) as problem:
            code, found = 503, status(503, f"{type(problem).__name__}: {problem}")
        if found is None:
            code, found = 404, status(404, f"{url.path} is not served here")
        body = json.dumps(found).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def is_front_proxy(self) -> bool:
        """Tell whether the client's certificate has a name the API server proxies under."""
        subject = self.connection.getpeercert().get("subject", ())
        names = {value for part in subject for key, value in part if key == "commonName"}
        return bool(names & self.server.allowed_names)

    def log_request(self, *_: Any) -> None:
        """Stay silent: the autoscaler asks every few seconds."""


def status(code: int, message: str) -> dict[str, Any]:
    """Return the error object of the Kubernetes API."""
    fields = {"status": "Failure", "code": code, "message": message}
    return {"kind": "Status", "apiVersion": "v1", **fields}


class Server(ThreadingHTTPServer):
    """HTTPS for clients of the front proxy's authority only."""

    daemon_threads = True

    def __init__(self) -> None:
        """Read who may ask from the API server, then listen."""
        path = "api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
        trusted = fetch(f"{KUBERNETES}/{path}")["data"]
        self.allowed_names = set(json.loads(trusted["requestheader-allowed-names"]))
        authority = trusted["requestheader-client-ca-file"]
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain("/certificate/tls.crt", "/certificate/tls.key")
        super().__init__(("", 6443), Handler)
        # Each connection's own thread shakes hands, so that a silent client holds up nobody.
        self.socket = context.wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )


if __name__ == "__main__":
    Server().serve_forever()
