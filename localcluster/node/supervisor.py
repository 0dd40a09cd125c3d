"""Start the servers of a plan in stages and keep them running, as an init system would."""

from __future__ import annotations

import os
import subprocess
import time

from localcluster.api import Api
from localcluster.configuration import CONTAINERD_SOCKET
from localcluster.node.preparation import Plan

RESTART_SECONDS = 1.0
REST_SECONDS = 0.1
CTR = ("ctr", "-a", CONTAINERD_SOCKET, "-n", "k8s.io")


class Supervisor:
    """The only parent in the namespaces: every process that ends is reaped here."""

    def __init__(self, plan: Plan) -> None:
        """Take the plan; nothing runs yet."""
        self._plan = plan
        self._running: dict[int, str] = {}
        self._argv = {name: argv for name, argv, _ in plan.servers}
        self._restart_at: dict[str, float] = {}

    def run(self) -> None:
        """Start all stages, then supervise for ever."""
        self._start_stage(0)
        if "containerd" in self._argv:
            self._wait_for_containerd()
            self._start_stage(1)
        api = Api(self._plan.kubeconfig)
        while not api.is_ready():
            self._supervise()
        self._start_stage(2)
        while True:
            self._supervise()

    def _start_stage(self, stage: int) -> None:
        for name, _, of_stage in self._plan.servers:
            if of_stage == stage:
                self._start(name)

    def _start(self, name: str) -> None:
        with (self._plan.logs / f"{name}.log").open("ab") as log:
            server = subprocess.Popen(
                self._argv[name], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        server.returncode = 0  # reaped by _supervise, never through this object
        self._running[server.pid] = name

    def _supervise(self) -> None:
        """Reap what ended, start servers again whose pause is over, then rest for a moment."""
        while (ended := self._ended()) is not None:
            name = self._running.pop(ended, None)
            if name is not None:
                self._restart_at[name] = time.monotonic() + RESTART_SECONDS
        for name, due in list(self._restart_at.items()):
            if time.monotonic() >= due:
                del self._restart_at[name]
                self._start(name)
        time.sleep(REST_SECONDS)

    def _ended(self) -> int | None:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        return pid or None

    def _wait_for_containerd(self) -> None:
        """Wait until it answers, then forget containers of an earlier cluster (tasks are gone)."""
        while subprocess.run([*CTR, "version"], capture_output=True, check=False).returncode:
            self._supervise()
        listed = subprocess.run([*CTR, "containers", "ls", "-q"], capture_output=True, check=True)
        left = listed.stdout.decode().split()
        if left:
            subprocess.run([*CTR, "containers", "rm", *left], capture_output=True, check=True)
