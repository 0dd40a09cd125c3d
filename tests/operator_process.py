"""The operator as people run it from a shell: a process of its own, to kill, stop and read."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

START_SECONDS = 30.0
STOP_SECONDS = 10.0


@dataclass(frozen=True)
class OperatorCommand:
    """What the operator is started with; `flags` are settings by their name, as in tick_seconds."""

    kubeconfig: Path
    prometheus_url: str
    namespace: str
    flags: Mapping[str, object] = field(default_factory=dict)

    @property
    def arguments(self) -> list[str]:
        """Return the command line."""
        settings = {
            "kubeconfig": self.kubeconfig,
            "prometheus_url": self.prometheus_url,
            "namespace": self.namespace,
            "health_port": 0,
            "log_format": "json",
            **self.flags,
        }
        pairs = ((f"--{name.replace('_', '-')}", str(value)) for name, value in settings.items())
        return [sys.executable, "-m", "agent_operator", *(part for pair in pairs for part in pair)]


class OperatorProcess:
    """A started operator; `lines` is what it has written so far."""

    def __init__(self, command: OperatorCommand) -> None:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("AGENT_")
        }
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            command.arguments,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        """Return everything it has written."""
        return "".join(self.lines)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Return the log; a line that is no JSON object is a ValueError, as is a traceback."""
        return [json.loads(line) for line in list(self.lines)]

    def decisions(self) -> list[tuple[str, str]]:
        """Return action and reason of every decision it announced."""
        return [
            (event["action"], event["reason"])
            for event in self.events
            if event["event"] == "decision.made"
        ]

    def is_running(self) -> bool:
        """Tell whether the process is alive."""
        return self._process.poll() is None

    def until_started(self) -> "OperatorProcess":
        """Wait until owned objects are listed and work begins."""
        deadline = time.monotonic() + START_SECONDS
        while not any('"operator.started"' in line for line in list(self.lines)):
            assert self.is_running(), f"the operator ended by itself:\n{self.output}"
            assert time.monotonic() < deadline, f"the operator did not start:\n{self.output}"
            time.sleep(0.02)
        return self

    def kill(self) -> None:
        """End it at once, as a lost machine does: no chance to finish anything."""
        self._process.kill()
        self._process.wait()
        self._close()

    def stop(self) -> int:
        """Ask it to end and return its exit code."""
        self._process.terminate()
        try:
            return self._process.wait(STOP_SECONDS)
        finally:
            self.kill()

    def _close(self) -> None:
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line)


@contextmanager
def running(command: OperatorCommand) -> Iterator[OperatorProcess]:
    """Run the operator for a while; whatever still runs at the end is killed."""
    process = OperatorProcess(command)
    try:
        yield process.until_started()
    finally:
        process.kill()
