"""Mounts, network and cgroups of the node, made inside its namespaces before any server starts."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from localcluster.folders import REPOSITORY, StateFolder, cache_folder

PRIVATE_FOLDERS = ("/run", "/var/lib")
CGROUPS = Path("/sys/fs/cgroup")
# The kubelet insists on these and would write them for the whole machine; it is shown them instead.
KERNEL_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


@dataclass(frozen=True)
class Plan:
    """What `servers.write_plan` wrote."""

    node: str
    host: str
    address: str
    logs: Path
    resolv_conf: str
    kubeconfig: Path
    store: str
    keep: list[str]
    binds: dict[str, str]
    servers: list[tuple[str, list[str], int]]

    @classmethod
    def read(cls, path: Path) -> Plan:
        """Read the plan from its JSON file."""
        raw = json.loads(path.read_text())
        raw["logs"], raw["kubeconfig"] = Path(raw["logs"]), Path(raw["kubeconfig"])
        raw["servers"] = [(s["name"], s["argv"], s["stage"]) for s in raw["servers"]]
        return cls(**raw)


def prepare(state: StateFolder) -> Plan:
    """Turn the fresh namespaces into a node; returns the plan."""
    plan = Plan.read(state.plan)
    _mount_folders(plan)
    _show_kernel_settings()
    _mount(
        "--bind", plan.resolv_conf, "/etc/resolv.conf"
    )  # a pull of an unknown image fails at once
    socket.sethostname(plan.node)
    _bring_up_network(plan)
    make_cgroups(plan.node)
    return plan


def _mount(*arguments: str, pass_fds: tuple[int, ...] = ()) -> None:
    subprocess.run(["mount", *arguments], check=True, pass_fds=pass_fds)


def _mount_folders(plan: Plan) -> None:
    """Give the node its own /run and /var/lib, with what it needs of the machine's."""
    # A peer group of our own: mounts spread between pods, nothing reaches the machine.
    _mount("--make-rshared", "/")
    needed = {*plan.keep, *plan.binds, str(REPOSITORY), str(cache_folder()), sys.prefix}
    hidden = [
        path for path in sorted(needed) if path.startswith(tuple(f"{p}/" for p in PRIVATE_FOLDERS))
    ]
    opened = {path: os.open(path, os.O_PATH) for path in [*hidden, *plan.binds]}
    for folder in PRIVATE_FOLDERS:
        _mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", folder)
    for path in hidden:
        _bind(opened[path], path)
    for source, target in plan.binds.items():
        _bind(opened[source], target)
    for number in opened.values():
        os.close(number)


def _bind(source: int, target: str) -> None:
    Path(target).mkdir(parents=True, exist_ok=True)
    _mount("--no-canonicalize", "--bind", f"/proc/self/fd/{source}", target, pass_fds=(source,))


def _show_kernel_settings() -> None:
    masks = Path("/run/masks")
    masks.mkdir()
    for name, value in KERNEL_SETTINGS.items():
        mask = masks / name.replace("/", ".")
        mask.write_text(f"{value}\n")
        _mount("--bind", str(mask), f"/proc/sys/{name}")


def _bring_up_network(plan: Plan) -> None:
    """Wait for the link that the starter hands in, then address it."""
    while "eth0" not in (name for _, name in socket.if_nameindex()):
        time.sleep(0.02)
    for command in (
        "link set lo up",
        f"addr add {plan.address}/30 dev eth0",
        "link set eth0 up",
        f"route add default via {plan.host}",
    ):
        subprocess.run(["ip", *command.split()], check=True)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")  # of this network namespace only


def make_cgroups(node: str) -> None:
    """Make the node's cgroup: one per controller (v1), or one with all controllers on (v2)."""
    if (CGROUPS / "cgroup.controllers").exists():
        _make_unified_cgroup(node)
        return
    for controller in CGROUPS.iterdir():
        if not controller.is_dir() or controller.is_symlink() or controller.name == "unified":
            continue
        folder = controller / node
        folder.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):  # empty in a new cpuset, and then unusable
            if (controller / name).exists():
                (folder / name).write_text((controller / name).read_text())


def _make_unified_cgroup(node: str) -> None:
    folder = CGROUPS / node
    folder.mkdir(exist_ok=True)
    for parent in (CGROUPS, folder):
        for controller in (parent / "cgroup.controllers").read_text().split():
            (parent / "cgroup.subtree_control").write_text(f"+{controller}")
