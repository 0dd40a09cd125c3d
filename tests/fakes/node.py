"""Plays what a control plane without a node lacks: pods that become Ready, a gateway that answers.

Deployments, ReplicaSets and pods are real; only the kubelet's and the gateway's words are ours.
"""

import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from agent_operator.domain.naming import LABEL_NAME, LABEL_REVISION
from tests.api_server import Objects, Refused

Split = dict[str, int]  # percent by backend; those without sessions are left out
LOOK_SECONDS = 0.1
CONTROLLER = "example.com/gateway"


@dataclass(slots=True)
class Pod:
    """A pod that became Ready; times in Unix seconds."""

    name: str
    agent: str
    revision: str
    prompt_version: str
    ready_at: float
    gone_at: float | None = None

    def serves_at(self, time: float) -> bool:
        """Tell whether the pod was there at that time."""
        return self.ready_at <= time and (self.gone_at is None or time < self.gone_at)


class FakeNode:
    """Makes the pods of one namespace Ready and answers its routes, in a thread of its own.

    `failing_prompts`: prompt versions whose pods never get Ready. `accepts_routes`: what the
    gateway says; None: nothing at all. `splits`: how each route's last rule splits sessions over
    its backends, one entry per change.
    """

    def __init__(self, objects: Objects) -> None:
        self.failing_prompts: set[str] = set()
        self.accepts_routes: bool | None = True
        self.failure: BaseException | None = None
        self.splits: dict[str, list[Split]] = defaultdict(list)
        self._objects = objects
        self._pods: dict[str, Pod] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="node", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; what went wrong in the thread is raised here."""
        self._stopped.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    def pods(self) -> list[Pod]:
        """Return all pods that ever became Ready."""
        with self._lock:
            return list(self._pods.values())

    def _run(self) -> None:
        try:
            while not self._stopped.wait(LOOK_SECONDS):
                self._look()
        except BaseException as failure:
            self.failure = failure

    def _look(self) -> None:
        pods = {pod["metadata"]["name"]: pod for pod in self._objects.every("pods")}
        with self._lock:
            for name, known in self._pods.items():
                if name not in pods and known.gone_at is None:
                    known.gone_at = time.time()
        for name, pod in pods.items():
            if name not in self._pods and _prompt_version(pod) not in self.failing_prompts:
                self._make_ready(pod)
        for route in self._routes():
            self._remember(route)
            self._answer(route)

    def _make_ready(self, pod: dict[str, Any]) -> None:
        labels, name = pod["metadata"]["labels"], pod["metadata"]["name"]
        ready = [{"type": "Ready", "status": "True"}]
        status = {"status": {"phase": "Running", "conditions": ready}}
        if self._patched("pods", name, status):
            found = Pod(
                name, labels[LABEL_NAME], labels[LABEL_REVISION], _prompt_version(pod), time.time()
            )
            with self._lock:
                self._pods[name] = found

    def _routes(self) -> list[dict[str, Any]]:
        if self.accepts_routes is None:
            return []
        try:
            return self._objects.every("httproutes")
        except Refused as refusal:
            if refusal.code == 404:  # a cluster without the Gateway API
                return []
            raise

    def _remember(self, route: dict[str, Any]) -> None:
        known = self.splits[route["metadata"]["name"]]
        rules = route["spec"].get("rules", ())
        backends = [each for rule in rules[-1:] for each in rule.get("backendRefs", ())]
        split = {each["name"]: each["weight"] for each in backends if each["weight"]}
        if known[-1:] != [split]:
            known.append(split)

    def _answer(self, route: dict[str, Any]) -> None:
        generation = route["metadata"]["generation"]
        verdict = "True" if self.accepts_routes else "False"
        conditions = [
            {
                "type": kind,
                "status": verdict,
                "reason": kind if self.accepts_routes else "NoMatchingListener",
                "message": "",
                "observedGeneration": generation,
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
            for kind in ("Accepted", "ResolvedRefs")
        ]
        parents = [
            {"parentRef": parent, "controllerName": CONTROLLER, "conditions": conditions}
            for parent in route["spec"].get("parentRefs", ())
        ]
        if (route.get("status") or {}).get("parents") != parents:
            self._patched("httproutes", route["metadata"]["name"], {"status": {"parents": parents}})

    def _patched(self, resource: str, name: str, change: dict[str, Any]) -> bool:
        try:
            self._objects.merge(resource, name, change, subresource="status")
        except Refused as refusal:
            if refusal.code in (404, 409):  # gone, or changed meanwhile: seen again at next look
                return False
            raise
        return True


def _prompt_version(pod: dict[str, Any]) -> str:
    for container in pod["spec"]["containers"]:
        for variable in container.get("env", ()):
            if variable["name"] == "PROMPT_VERSION":
                return str(variable.get("value", ""))
    return ""
