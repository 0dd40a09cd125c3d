"""The local cluster itself: it starts, runs pods, and leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import localcluster
from localcluster import AnyCluster, LocalClusterError, addons, namespaces, pytest_plugin
from localcluster.api import Api
from localcluster.folders import REPOSITORY, StateFolder
from localcluster.images import image

pytestmark = pytest.mark.cluster

WAIT_SECONDS = 60.0


def eventually(what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {WAIT_SECONDS:.0f} s: {what}"
        time.sleep(0.05)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateFolder]:
    """A state folder of this test's own; whatever runs in it is ended."""
    made = StateFolder.at(tmp_path / "cluster")
    yield made
    localcluster.down(made.path, everything=True)


def traces(state: StateFolder, namespace: int) -> dict[str, list[str]]:
    """What a cluster has on this machine: processes, mounts, links, routes and cgroups."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    links = [path.name for path in Path("/sys/class/net").iterdir()]
    routes = subprocess.check_output(["ip", "route", "show", "table", "all"], text=True)
    return {
        "processes": [str(pid) for pid in namespaces.members(namespace)],
        "mounts": [line for line in mounts if str(state.path) in line or state.node in line],
        "links": [name for name in links if name == state.node],
        "routes": [line for line in routes.splitlines() if state.node in line],
        "cgroups": [str(folder) for folder in namespaces.cgroups(state.node)],
    }


@contextmanager
def pid_namespace(state: StateFolder) -> Iterator[int]:
    """Inode of the cluster's pid namespace; no other one gets it before the block ends."""
    opened = os.open(f"/proc/{namespaces.first_process(state)}/ns/pid", os.O_RDONLY)
    try:
        yield os.fstat(opened).st_ino
    finally:
        os.close(opened)


def run_up(state: StateFolder, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "localcluster", "up", "--dir", str(state.path), *options]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)


def test_a_second_up_finds_the_first_ones_control_plane(state: StateFolder) -> None:
    localcluster.up(state.path, control_plane_only=True)
    first = namespaces.first_process(state)
    again = localcluster.up(state.path, control_plane_only=True)
    assert namespaces.first_process(state) == first
    assert "default" in again.kubectl("get", "namespaces", "-o", "name")


def test_a_node_is_not_added_to_a_running_control_plane(state: StateFolder) -> None:
    localcluster.up(state.path, control_plane_only=True)
    with pytest.raises(LocalClusterError, match="a control plane without a node is up"):
        localcluster.up(state.path)


def test_two_control_planes_run_side_by_side(state: StateFolder, tmp_path: Path) -> None:
    one = localcluster.up(state.path, control_plane_only=True)
    two = localcluster.up(tmp_path / "two", control_plane_only=True)
    try:
        one.kubectl("create", "namespace", "only-in-one")
        assert "only-in-one" in one.kubectl("get", "namespaces", "-o", "name")
        assert "only-in-one" not in two.kubectl("get", "namespaces", "-o", "name")
    finally:
        two.down()
    assert "only-in-one" in one.kubectl("get", "namespaces", "-o", "name")


def test_two_at_once_bring_up_one_control_plane(state: StateFolder) -> None:
    starters = [run_up(state, "--control-plane-only") for _ in range(2)]
    assert [starter.wait(WAIT_SECONDS) for starter in starters] == [0, 0]
    holder_and_first = namespaces.processes(state)
    assert len(holder_and_first) == 2


def test_down_leaves_nothing_after_the_starter_was_killed_half_way(state: StateFolder) -> None:
    starter = run_up(state)
    # The kubelet's cgroups are among the last things made before the node is Ready.
    eventually(
        "pods have a cgroup",
        lambda: any((folder / "kubepods").exists() for folder in namespaces.cgroups(state.node)),
    )
    with pid_namespace(state) as namespace:
        starter.send_signal(signal.SIGKILL)
        starter.wait()
        before = traces(state, namespace)
        assert before["processes"]
        assert before["links"]
        assert before["routes"]

        localcluster.down(state.path)

        assert traces(state, namespace) == {name: [] for name in before}


def test_up_starts_afresh_after_the_starter_was_killed_half_way(state: StateFolder) -> None:
    starter = run_up(state, "--control-plane-only")
    eventually("namespaces", lambda: namespaces.first_process(state) is not None)
    killed = namespaces.processes(state)
    starter.send_signal(signal.SIGKILL)
    starter.wait()

    started = localcluster.up(state.path, control_plane_only=True)

    assert killed
    assert not set(killed) & set(namespaces.processes(state))
    assert "default" in started.kubectl("get", "namespaces", "-o", "name")


def test_down_twice_and_down_of_nothing_do_no_harm(state: StateFolder) -> None:
    localcluster.down(state.path)
    localcluster.up(state.path, control_plane_only=True).down()
    localcluster.down(state.path)
    assert namespaces.processes(state) == []
    with pytest.raises(LocalClusterError, match="no cluster is up"):
        localcluster.running(state.path)


def test_a_server_that_was_killed_is_started_again(state: StateFolder) -> None:
    started = localcluster.up(state.path, control_plane_only=True)
    api = Api(started.kubeconfig)
    with pid_namespace(state) as namespace:
        for pid in namespaces.members(namespace):
            if b"kube-apiserver" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
    assert not api.is_ready()
    eventually("the API server answers again", api.is_ready)


def test_the_audit_log_names_writes_of_people_and_not_of_the_node(state: StateFolder) -> None:
    started = localcluster.up(state.path, control_plane_only=True)
    started.kubectl("create", "namespace", "audited")
    entries = [json.loads(line) for line in started.audit_log.read_text().splitlines()]
    created = [entry for entry in entries if entry["verb"] == "create"]
    assert [entry["objectRef"]["name"] for entry in created] == ["audited"]
    assert created[0]["user"]["username"] == "admin"
    assert not [entry for entry in entries if entry["user"]["username"].startswith("system:kube")]


def test_a_cluster_of_a_killed_test_process_is_ended_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pytest_plugin, "STATES", tmp_path)
    with subprocess.Popen(["true"]) as ended:
        left = StateFolder.at(tmp_path / f"control-plane-{ended.pid}")
    localcluster.up(left.path, control_plane_only=True)

    own = pytest_plugin.own_state("control-plane")

    assert own == tmp_path / f"control-plane-{os.getpid()}"
    assert namespaces.processes(left) == []
    assert not left.path.exists()


def test_a_build_ends_with_its_killed_caller(tmp_path: Path) -> None:
    call = "from localcluster.binaries import run_logged; from pathlib import Path; import os, sys;"
    call += (
        "run_logged(['sleep', '60'], log=Path(sys.argv[1]), cwd=Path('/'), env=dict(os.environ))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", call, str(tmp_path / "log")], cwd=REPOSITORY
    ) as it:
        children = Path(f"/proc/{it.pid}/task/{it.pid}/children")
        eventually("the build runs", lambda: b"sleep" in _command(children.read_text()))
        build = Path("/proc") / children.read_text().strip()
        it.kill()
    eventually("the build has ended", lambda: not build.exists())


def _command(pid: str) -> bytes:
    """First word of a process that may not be there yet."""
    return Path(f"/proc/{pid.strip()}/cmdline").read_bytes().split(b"\0")[0] if pid.strip() else b""


DOCKERFILE = """\
ARG BASE_IMAGE=python:3.12-slim
FROM ${BASE_IMAGE}
COPY page.html /www/index.html
USER 65532:65532
CMD ["python3", "-m", "http.server", "8000", "--directory", "/www"]
"""

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: NAMESPACE, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: web
      image: IMAGE
      readinessProbe: {httpGet: {path: /, port: 8000}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NAMESPACE}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8000}]}
"""


def test_a_pod_of_a_built_image_answers_by_its_services_name(
    cluster: AnyCluster, namespace: str, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "page.html").write_text("it runs")
    archive = image("localhost/agentdeploy-test-web", tmp_path)
    cluster.load_image(archive)
    pod = POD.replace("NAMESPACE", namespace).replace("IMAGE", archive.name)
    cluster.kubectl("apply", "-f", "-", text=pod)
    cluster.kubectl("wait", "-n", namespace, "--for=condition=Ready", "pod/web", "--timeout=60s")

    read = f"import urllib.request as u; print(u.urlopen('http://web.{namespace}').read().decode())"
    answer = cluster.kubectl("exec", "-n", namespace, "web", "--", "python3", "-c", read)

    assert answer == "it runs\n"


def test_a_dockerfile_that_fails_shows_why(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nRUN echo no such wheel >&2 && false\n"
    )
    with pytest.raises(LocalClusterError, match=r"log: .*\.log\n(.*\n)*.*no such wheel"):
        image("localhost/agentdeploy-test-broken", tmp_path)


def post(url: str, body: object, *, host: str) -> int:
    headers = {"Content-Type": "application/json", "Host": host}
    request = urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code


ROUTE = """\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: llm, namespace: llm}
spec:
  parentRefs: [{name: public, namespace: gateways}]
  hostnames: [llm.example.com]
  rules: [{backendRefs: [{name: llm, port: 80}]}]
"""


def test_the_mock_llm_answers_through_the_gateway_and_one_model_always_fails(
    cluster: AnyCluster,
) -> None:
    addons.install(cluster, "gateway", "llm")
    cluster.kubectl("apply", "-f", "-", text=ROUTE)
    address = cluster.kubectl(
        *("get", "service", "-n", "gateways", "envoy", "-o", "jsonpath={.spec.clusterIP}")
    )
    url = f"http://{address}/v1/chat/completions"

    def code(model: str) -> int:
        body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
        return post(url, body, host="llm.example.com")

    eventually("the route is served", lambda: code("gpt-4o-2024-08-06") == 200)
    assert code("gpt-4o-mini-2024-07-18") == 200
    assert [code("gpt-4o-2024-11-20") for _ in range(5)] == [500] * 5


AUTOSCALED = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: agent, namespace: NAMESPACE}
spec:
  selector: {matchLabels: {agentdeploy.dev/revision: r1}}
  template:
    metadata: {labels: {agentdeploy.dev/revision: r1, agentdeploy.dev/name: agent}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: agent
          image: IMAGE
          resources: {requests: {cpu: 50m}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: agent, namespace: NAMESPACE}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: agent}
  maxReplicas: 3
  metrics:
    - type: Pods
      pods: {metric: {name: active_agent_sessions}, target: {type: AverageValue, averageValue: "8"}}
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}
"""

SERVE = """\
from http.server import BaseHTTPRequestHandler, HTTPServer


class Metrics(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(b"active_agent_sessions 20\\n")


HTTPServer(("", 9090), Metrics).serve_forever()
"""

METRICS = """\
ARG BASE_IMAGE=python:3.12-slim
FROM ${BASE_IMAGE}
COPY serve.py /serve.py
CMD ["python3", "/serve.py"]
"""


def test_an_autoscaler_scales_on_sessions_that_prometheus_scraped(
    cluster: AnyCluster, namespace: str, tmp_path: Path
) -> None:
    addons.install(cluster, "prometheus", "metrics-adapter")
    (tmp_path / "Dockerfile").write_text(METRICS)
    (tmp_path / "serve.py").write_text(SERVE)
    archive = image("localhost/agentdeploy-test-metrics", tmp_path)
    cluster.load_image(archive)
    manifest = AUTOSCALED.replace("NAMESPACE", namespace).replace("IMAGE", archive.name)
    cluster.kubectl("apply", "-f", "-", text=manifest)

    wanted = ("get", "deployment", "-n", namespace, "agent", "-o", "jsonpath={.spec.replicas}")
    eventually("three replicas", lambda: cluster.kubectl(*wanted) == "3")
