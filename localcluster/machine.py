"""What a cluster needs of the machine: look for it (`doctor`), install it where possible."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from localcluster.errors import OTHER_BUILDER, OTHER_CLUSTER, LocalClusterError
from localcluster.folders import cache_folder, locked
from localcluster.progress import step
from localcluster.toolchain import GO_PACKAGE, go_on_path

MINIMUM_FREE_GIB = 12
SEARCH = ("/usr/lib/cni", "/usr/sbin", "/sbin")
# invoke-rc.d asks this program whether it may start a service; 101 is no.
SERVICE_POLICY = Path("/usr/sbin/policy-rc.d")
NO_SERVICES = "#!/bin/sh\n# Written by localcluster while it installs packages.\nexit 101\n"


@dataclass(frozen=True)
class Requirement:
    """A program (or a file with an absolute path) and the Debian package that has it."""

    program: str
    package: str

    def is_met(self) -> bool:
        """Tell whether the program is there."""
        if self.program.startswith("/"):
            return Path(self.program).exists()
        return shutil.which(self.program) is not None


@dataclass(frozen=True)
class Purpose:
    """What something of the machine is needed for, and what else does when it cannot be had."""

    what: str
    otherwise: str


CLUSTER = Purpose("a local cluster", OTHER_CLUSTER)
BUILDING = Purpose("building an image here", OTHER_BUILDER)

CONTROL_PLANE = (
    Requirement("unshare", "util-linux"),
    Requirement("mount", "mount"),
    Requirement("ip", "iproute2"),
    Requirement("openssl", "openssl"),
    Requirement("/etc/ssl/certs/ca-certificates.crt", "ca-certificates"),
    Requirement("gcc", "gcc"),
    Requirement("/usr/include/stdlib.h", "libc6-dev"),
)
NODE = (
    *CONTROL_PLANE,
    Requirement("containerd", "containerd"),
    Requirement("runc", "runc"),
    Requirement("ptp", "containernetworking-plugins"),
    Requirement("iptables", "iptables"),
    Requirement("nft", "nftables"),
    Requirement("conntrack", "conntrack"),
    Requirement("socat", "socat"),
)
IMAGES = (
    Requirement("buildah", "buildah"),
    Requirement("debootstrap", "debootstrap"),
    Requirement("/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring"),
)


def missing(requirements: tuple[Requirement, ...]) -> list[str]:
    """List the Debian packages that these requirements lack."""
    return sorted({wanted.package for wanted in requirements if not wanted.is_met()})


def search_system_folders() -> None:
    """Let PATH end with the folders of system programs, which a user's PATH often lacks."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    lacking = [folder for folder in SEARCH if folder not in folders]
    os.environ["PATH"] = os.pathsep.join([*folders, *lacking])


def refusal(purpose: Purpose = CLUSTER) -> str | None:
    """Say in one sentence why this cannot be done here at all; None when it can."""
    if platform.system() != "Linux":
        return f"{purpose.what} needs Linux, this is {platform.system()}; {purpose.otherwise}"
    if os.geteuid() != 0:
        return f"{purpose.what} needs root (namespaces, mounts, cgroups); {purpose.otherwise}"
    return None


def require(requirements: tuple[Requirement, ...], purpose: Purpose = CLUSTER) -> None:
    """Make sure the machine has all of it; installs Debian packages when it can, else refuses."""
    problem = refusal(purpose)
    if problem is not None:
        raise LocalClusterError(problem)
    search_system_folders()
    packages = missing(requirements)
    if packages:
        _install(packages, purpose)
        still = missing(requirements)
        if still:
            raise LocalClusterError(f"installed, but still not found: {', '.join(still)}")


def _install(packages: list[str], purpose: Purpose) -> None:
    names = " ".join(packages)
    if shutil.which("apt-get") is None:
        raise LocalClusterError(
            f"missing, by their Debian names: {names}; install them with this system's packages; "
            f"{purpose.otherwise}"
        )
    log = cache_folder() / "apt-get.log"
    with (
        locked(cache_folder() / "apt-get.lock", "it installs packages"),
        step(f"installing Debian packages {names}", expected="once, about a minute"),
        _services_stay_down(),
    ):
        _apt_get(log, "update")
        _apt_get(log, "install", "--yes", "--no-install-recommends", *packages)


@contextmanager
def _services_stay_down() -> Iterator[None]:
    """Keep the services of new packages (containerd, redis) from starting.

    A policy of the machine's own stays in force; one that a killed process of ours left goes.
    """
    if SERVICE_POLICY.exists() and SERVICE_POLICY.read_text() != NO_SERVICES:
        yield
        return
    try:
        SERVICE_POLICY.write_text(NO_SERVICES)
        SERVICE_POLICY.chmod(0o755)
        yield
    finally:
        SERVICE_POLICY.unlink(missing_ok=True)


def _apt_get(log: Path, *arguments: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "--quiet", "-o", "DPkg::Lock::Timeout=120", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    log.write_text(done.stdout + done.stderr)
    if done.returncode:
        tail = "\n".join(done.stderr.splitlines()[-5:])
        raise LocalClusterError(
            f"apt-get {arguments[0]} failed; log: {log}\n{tail}\nby hand: apt-get install "
            f"{' '.join(name for name in arguments[1:] if not name.startswith('-'))}"
        )


def findings() -> list[tuple[str, str | None]]:
    """List what `doctor` looks at: (what, None when fine, else what to do)."""
    search_system_folders()
    results: list[tuple[str, str | None]] = [("Linux and root", refusal())]
    for wanted in (*NODE, *IMAGES):
        advice = f"apt-get install {wanted.package} (`up` does it)"
        results.append((wanted.program, None if wanted.is_met() else advice))
    advice = f"`up` installs {GO_PACKAGE} into its cache"
    results.append(("go 1.26 or newer", None if go_on_path() else advice))
    free = shutil.disk_usage(cache_folder()).free / 2**30
    advice = f"{free:.0f} GiB free under {cache_folder()}; a first build needs {MINIMUM_FREE_GIB}"
    results.append(("disk space", None if free >= MINIMUM_FREE_GIB else advice))
    return results
