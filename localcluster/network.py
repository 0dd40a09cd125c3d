"""Choose the /16 of a cluster: free of the machine's routes and of other clusters of this user.

Inside the range: .0.1 this machine, .0.2 the node, .64.0/18 pods, .128.0/17 Services.
"""

from __future__ import annotations

import fcntl
import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import IO

from localcluster.errors import LocalClusterError
from localcluster.folders import cache_folder

CANDIDATES = tuple(IPv4Network(f"10.{second}.0.0/16") for second in range(64, 128))


@dataclass(frozen=True)
class Network:
    """Addresses of one cluster, all inside `range`."""

    range: IPv4Network

    @property
    def host(self) -> str:
        """Address of this machine, as pods see it."""
        return str(self.range[1])

    @property
    def node(self) -> str:
        """Address of the node: API server on port 6443, NodePorts, DNS on port 53."""
        return str(self.range[2])

    @property
    def pods(self) -> str:
        """Range of the pods."""
        return f"{self.range[64 * 256]}/18"

    @property
    def services(self) -> str:
        """Range of the Services."""
        return f"{self.range[128 * 256]}/17"

    @property
    def api_service(self) -> str:
        """ClusterIP of Service default/kubernetes."""
        return str(self.range[128 * 256 + 1])


def is_free(candidate: IPv4Network, taken: Iterable[IPv4Network]) -> bool:
    """Tell whether no taken network overlaps the candidate; the default route does not count."""
    return not any(network.prefixlen and network.overlaps(candidate) for network in taken)


def machine_networks() -> list[IPv4Network]:
    """List what the machine routes or has addresses in."""
    command = ["ip", "-json", "-4", "route", "show", "table", "all"]
    routes = json.loads(subprocess.run(command, check=True, capture_output=True).stdout or "[]")
    texts = [route["dst"] for route in routes if route.get("dst", "default") != "default"]
    return [IPv4Network(text, strict=False) for text in texts]


@dataclass(frozen=True)
class Slot:
    """A network and a containerd store, reserved for as long as the lock file stays open."""

    network: Network
    store: Path
    lock: IO[str]


def reserve_slot(*, control_plane_only: bool) -> Slot:
    """Reserve a free slot: nodes count upwards (to meet warm stores), control planes down."""
    folder = cache_folder() / "slots"
    folder.mkdir(exist_ok=True)
    taken = machine_networks()
    for candidate in reversed(CANDIDATES) if control_plane_only else CANDIDATES:
        name = str(candidate[0])
        lock = (folder / f"{name}.lock").open("w")
        if is_free(candidate, taken) and _try_lock(lock):
            return Slot(Network(candidate), folder / name, lock)
        lock.close()
    raise LocalClusterError(
        f"no free network: all of {CANDIDATES[0]} to {CANDIDATES[-1]} overlap routes of this "
        "machine or belong to running clusters; take one down"
    )


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
