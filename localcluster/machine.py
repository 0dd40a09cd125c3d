"""What a cluster needs of the machine: look for it (`doctor`), install it where possible."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from localcluster.errors import OTHER_CLUSTER, LocalClusterError
from localcluster.folders import cache_folder, locked
from localcluster.progress import step
from localcluster.toolchain import GO_PACKAGE, go_on_path

MINIMUM_FREE_GIB = 12
SEARCH = ("/usr/lib/cni", "/usr/sbin", "/sbin")


@dataclass(frozen=True)
class Requirement:
    """A program (or a file with an absolute path) and the Debian package that has it."""

    program: str
    package: str

    def is_met(self) -> bool:
        """Tell whether the program is there."""
        if self.program.startswith("/"):
            return Path(self.program).exists()
        path = os.pathsep.join((os.environ.get("PATH", ""), *SEARCH))
        return shutil.which(self.program, path=path) is not None


CONTROL_PLANE = (
    Requirement("unshare", "util-linux"),
    Requirement("mount", "mount"),
    Requirement("ip", "iproute2"),
    Requirement("openssl", "openssl"),
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


def refusal() -> str | None:
    """Say in one sentence why no cluster can run here at all; None when it can."""
    if platform.system() != "Linux":
        return f"a local cluster needs Linux, this is {platform.system()}; {OTHER_CLUSTER}"
    if os.geteuid() != 0:
        return f"a local cluster needs root (namespaces, mounts, cgroups); {OTHER_CLUSTER}"
    return None


def require(requirements: tuple[Requirement, ...]) -> None:
    """Make sure the machine has all of it; installs Debian packages when it can, else refuses."""
    problem = refusal()
    if problem is not None:
        raise LocalClusterError(problem)
    packages = missing(requirements)
    if packages:
        _install(packages)
        still = missing(requirements)
        if still:
            raise LocalClusterError(f"installed, but still not found: {', '.join(still)}")


def _install(packages: list[str]) -> None:
    names = " ".join(packages)
    if shutil.which("apt-get") is None:
        raise LocalClusterError(
            f"missing, by their Debian names: {names}; install them with this system's packages; "
            f"or {OTHER_CLUSTER}"
        )
    log = cache_folder() / "apt-get.log"
    with (
        locked(cache_folder() / "apt-get.lock", "it installs packages"),
        step(f"installing Debian packages {names}", expected="once, about a minute"),
    ):
        _apt_get(log, "update")
        _apt_get(log, "install", "--yes", "--no-install-recommends", *packages)


def _apt_get(log: Path, *arguments: str) -> None:
    """Run apt-get; RUNLEVEL keeps services of new packages (containerd) from starting."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
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
