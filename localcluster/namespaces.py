"""The namespaces of a cluster: start them, find them again, run commands inside, end them.

Found by the command line of their first process, never by a file, so that nothing is lost when the
starter is killed or files are.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from localcluster.errors import LocalClusterError
from localcluster.folders import REPOSITORY, StateFolder, remove_tree
from localcluster.network import Network

MODULE = "localcluster.node"
NAMESPACES = ("--mount", "--net", "--pid", "--uts", "--ipc")
CGROUPS = Path("/sys/fs/cgroup")
END_SECONDS = 30.0
ENOUGH_LOOKS = 10


def processes(state: StateFolder) -> list[int]:
    """List the processes of this machine that were started as first process of this cluster."""
    wanted = [MODULE, str(state.path)]
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and _arguments(folder)[-2:] == wanted:
            found.append(int(folder.name))
    return sorted(found)


def _arguments(process: Path) -> list[str]:
    try:
        return (process / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def first_process(state: StateFolder) -> int | None:
    """Return the pid (in our own pid namespace) of pid 1 of the cluster; None when it is down."""
    return next((pid for pid in processes(state) if _is_first_of_namespace(pid)), None)


def _is_first_of_namespace(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()
    return len(numbers) > 2 and numbers[-1] == "1"


def start(state: StateFolder, network: Network, lock: int) -> None:
    """Start and connect the namespaces; they keep the file descriptor `lock` open for life."""
    # A session and a parent of its own: it outlives the caller and is nobody's zombie.
    command = ["setsid", "--fork", "unshare", *NAMESPACES, "--fork", "--kill-child", "--mount-proc"]
    python = [sys.executable, "-m", MODULE, str(state.path)]
    with (state.logs / "node.log").open("ab") as log:
        subprocess.run(
            [*command, *python],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=REPOSITORY,
            pass_fds=(lock,),
            check=True,
        )
    looks_without_any = (
        0  # one is no proof: a process has no command line while it executes another
    )
    while (first := first_process(state)) is None:
        looks_without_any = 0 if processes(state) else looks_without_any + 1
        if looks_without_any > ENOUGH_LOOKS:
            raise LocalClusterError(f"the namespaces cannot be made: {tail(state, 'node')}")
        time.sleep(0.02)
    _connect(state.node, network, first)


def _connect(node: str, network: Network, first: int) -> None:
    """Give the namespaces a link, through which this machine reaches pods and Services."""
    for command in (
        f"link add {node} type veth peer name eth0 netns {first}",
        f"addr add {network.host}/30 dev {node}",
        f"link set {node} up",
        f"route add {network.range} via {network.node}",
    ):
        done = subprocess.run(["ip", *command.split()], capture_output=True, text=True, check=False)
        if done.returncode:
            raise LocalClusterError(f"`ip {command}` failed: {done.stderr.strip()}")


def enter(state: StateFolder, command: Sequence[str]) -> list[str]:
    """Return the command line that runs `command` inside the namespaces of a running cluster."""
    first = first_process(state)
    if first is None:
        raise LocalClusterError(
            f"no cluster is up in {state.path}; `python -m localcluster up` first"
        )
    return ["nsenter", "-t", str(first), "-m", "-n", "-p", "-u", "-i", "--", *command]


def tail(state: StateFolder, *names: str, lines: int = 5) -> str:
    """Return the last lines of the logs of these servers (of all without names)."""
    paths = (
        sorted(state.logs.glob("*.log")) if not names else [state.logs / f"{n}.log" for n in names]
    )
    parts = []
    for path in paths:
        # Also the rotated audit-TIME.log.
        if path.exists() and not path.name.startswith("audit"):
            text = path.read_text(errors="replace").splitlines()[-lines:]
            parts.append("\n".join([f"--- {path}", *text]))
    return "\n".join(parts)


def end(state: StateFolder) -> None:
    """End every process of the cluster, then remove its link, cgroups and files (idempotent)."""
    deadline = time.monotonic() + END_SECONDS
    while running := processes(state) or processes(state):  # twice: see start
        first = first_process(state)
        if first is not None:
            _end_namespace(first, deadline)
        else:
            for pid in running:
                _kill(pid)
        if time.monotonic() > deadline:
            raise LocalClusterError(f"processes {running} of {state.path} do not end")
        time.sleep(0.02)
    _remove_link(state.node, deadline)
    _remove_cgroups(state.node, deadline)
    remove_tree(*(state.path / name for name in ("kubelet", "pki", "conf", "logs", "varlog")))
    state.kubeconfig.unlink(missing_ok=True)


def members(namespace: int) -> list[int]:
    """List the processes in a pid namespace, which is known by its inode."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and (folder / "ns" / "pid").stat().st_ino == namespace:
                found.append(int(folder.name))
        except OSError:
            continue  # it ended meanwhile
    return found


def _end_namespace(first: int, deadline: float) -> None:
    """Kill pid 1 of the namespaces and wait until the kernel has ended all others there."""
    try:
        # While it is open, no new namespace gets the same inode.
        namespace = os.open(f"/proc/{first}/ns/pid", os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        _kill(first)
        while (left := members(os.fstat(namespace).st_ino)) and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        os.close(namespace)
    if left:
        raise LocalClusterError(f"processes {left} of the cluster do not end")


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _remove_link(node: str, deadline: float) -> None:
    """Remove the link; the kernel does it too, a little after the namespaces ended."""
    while Path(f"/sys/class/net/{node}").exists():
        subprocess.run(["ip", "link", "delete", node], capture_output=True, check=False)
        if time.monotonic() > deadline:
            raise LocalClusterError(f"the link {node} cannot be removed")
        time.sleep(0.05)


def cgroups(node: str) -> list[Path]:
    """List the cgroups of a node: one per controller (v1) or one (v2)."""
    return [folder for folder in (CGROUPS / node, *CGROUPS.glob(f"*/{node}")) if folder.is_dir()]


def _remove_cgroups(node: str, deadline: float) -> None:
    while remaining := cgroups(node):
        for folder in remaining:
            for inner, _, _ in os.walk(folder, topdown=False):
                _remove_folder(Path(inner))
        if time.monotonic() > deadline:
            raise LocalClusterError(f"cgroups stay behind: {', '.join(map(str, remaining))}")
        time.sleep(0.05)


def _remove_folder(cgroup: Path) -> None:
    try:
        cgroup.rmdir()
    except OSError:
        return  # still has a process that is ending; the caller tries again
