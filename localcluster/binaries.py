"""Build from Go modules what no Debian package has, once per version, into the cache."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from localcluster.errors import LocalClusterError
from localcluster.folders import cache_folder, locked, scratch_folder
from localcluster.progress import step
from localcluster.toolchain import go, go_environment

SOURCES = Path(__file__).resolve().parent / "kubeall"
KUBERNETES = "1.36.3"
KUBECTL = "kubectl"
STRIP = ("-trimpath", "-ldflags", "-s -w")
# Without these tags Prometheus wants the modules of every cloud's service discovery.
PROMETHEUS_TAGS = ("-tags", "remove_all_sd,enable_kubernetes_sd,enable_file_sd")


@dataclass(frozen=True)
class Binary:
    """One program (or manifest) in the cache: `build(folder, log)` makes `folder/name`."""

    name: str
    version: str
    expected: str
    build: Callable[[Path, Path], None]
    sources: tuple[Path, ...] = ()

    @property
    def folder(self) -> Path:
        """Where it is cached: by version and by the content of our own sources."""
        digest = hashlib.sha256(b"".join(source.read_bytes() for source in self.sources))
        suffix = f"-{digest.hexdigest()[:12]}" if self.sources else ""
        return cache_folder() / "bin" / f"{self.name}-{self.version}{suffix}"


def run_logged(
    command: Sequence[str], *, log: Path, cwd: Path, env: dict[str, str], called: str = ""
) -> None:
    """Run a long command with its output in `log`; a failure shows the end of it.

    `called` names it in the error, by default its first words. The command is killed when this
    process is, so that nobody builds without holding the lock.
    """
    with log.open("a") as output:
        output.write(f"+ {' '.join(command)}\n")
        output.flush()
        done = subprocess.run(
            ["setpriv", "--pdeathsig", "KILL", "nice", *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=cwd,
            env=env,
            check=False,
        )
    if done.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-12:])
        name = called or " ".join(command[:3])
        raise LocalClusterError(f"`{name} ...` failed; log: {log}\n{tail}")


def _go_install(package: str, version: str, *flags: str) -> Callable[[Path, Path], None]:
    def build(folder: Path, log: Path) -> None:
        command = [go(), "install", *STRIP, *flags, f"{package}@{version}"]
        run_logged(command, log=log, cwd=folder, env=go_environment(GOBIN=str(folder)))

    return build


def staging_modules(go_mod: str) -> list[str]:
    """List the k8s.io modules that kubernetes' go.mod replaces by its own staging folders."""
    return re.findall(r"^\t(k8s\.io/\S+) => \./staging", go_mod, flags=re.MULTILINE)


def module(path: str, version: str, *, log: Path) -> dict[str, str]:
    """Download a Go module; returns what `go mod download -json` says (Dir, GoMod, ...)."""
    with scratch_folder() as folder:
        command = [go(), "mod", "download", "-json", f"{path}@{version}"]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=folder, env=go_environment(), check=False
        )
    log.write_text(done.stdout + done.stderr)
    found: dict[str, str] = json.loads(done.stdout or "{}")
    if done.returncode:
        why = found.get("Error") or done.stderr.strip()[-500:]
        raise LocalClusterError(f"the Go module {path}@{version} cannot be downloaded: {why}")
    return found


def _build_kube_all(folder: Path, log: Path) -> None:
    """Link every server of Kubernetes with etcd; staging modules are published as v0.x."""
    minor = KUBERNETES.split(".", 1)[1]
    with scratch_folder() as source:
        shutil.copy(SOURCES / "main.go", source)
        found = module("k8s.io/kubernetes", f"v{KUBERNETES}", log=log)
        replaced = staging_modules(Path(found["GoMod"]).read_text())
        edits = [f"-replace={name}={name}@v0.{minor}" for name in replaced]
        version = "k8s.io/component-base/version"
        flags = f"-s -w -X {version}.gitVersion=v{KUBERNETES} -X {version}.gitMajor=1"
        flags += f" -X {version}.gitMinor={minor.split('.', maxsplit=1)[0]}"
        target = str(folder / "kube-all")
        for command in (
            ["mod", "init", "localcluster.invalid/kube-all"],
            ["mod", "edit", f"-require=k8s.io/kubernetes@v{KUBERNETES}", *edits],
            ["build", "-mod=mod", "-trimpath", "-ldflags", flags, "-o", target, "."],
        ):
            run_logged([go(), *command], log=log, cwd=source, env=go_environment())
    (folder / KUBECTL).symlink_to("kube-all")


def _custom_resource_definitions(
    path: str, version: str, pattern: str, *, only: str = ""
) -> Callable[[Path, Path], None]:
    """Collect custom resource definitions of a Go module; `only` chooses by plural."""

    def build(folder: Path, log: Path) -> None:
        found = module(path, version, log=log)
        texts = [file.read_text() for file in sorted(Path(found["Dir"]).glob(pattern))]
        documents = [doc for text in texts for doc in re.split(r"^---$", text, flags=re.MULTILINE)]
        wanted = [
            doc for doc in documents if re.search(rf"^  name: \w*({only})", doc, re.MULTILINE)
        ]
        if not wanted:
            raise LocalClusterError(f"no definitions match {pattern} in {path}@{version}")
        (folder / folder_file(path)).write_text("\n---\n".join(doc.strip() for doc in wanted))

    return build


def folder_file(path: str) -> str:
    """Name of the file that holds the definitions of a module."""
    return f"{path.rsplit('/', maxsplit=1)[-1]}-crds.yaml"


def _build_pause(folder: Path, log: Path) -> None:
    command = ["gcc", "-Os", "-static", "-s", "-o", str(folder / "pause"), str(SOURCES / "pause.c")]
    run_logged(command, log=log, cwd=folder, env=dict(os.environ))


_BINARIES = (
    Binary(
        "kube-all",
        KUBERNETES,
        "once, 5 to 8 min on two cores",
        _build_kube_all,
        (SOURCES / "main.go",),
    ),
    Binary(
        "coredns",
        "v1.15.0",
        "once, about 2 min",
        _go_install("github.com/coredns/coredns", "v1.15.0"),
    ),
    Binary("pause", "1", "once", _build_pause, (SOURCES / "pause.c",)),
    Binary(
        "helm",
        "v3.22.0",
        "once, about 2 min",
        _go_install("helm.sh/helm/v3/cmd/helm", "v3.22.0"),
    ),
    Binary(
        "contour",
        "v1.33.8",
        "once, about 2 min",
        _go_install("github.com/projectcontour/contour/cmd/contour", "v1.33.8"),
    ),
    Binary(
        "prometheus",
        "v0.316.0",
        "once, about 4 min",
        _go_install(
            "github.com/prometheus/prometheus/cmd/prometheus", "v0.316.0", *PROMETHEUS_TAGS
        ),
    ),
    Binary(
        "gateway-api-crds.yaml",
        "v1.3.0",
        "once",
        _custom_resource_definitions(
            "sigs.k8s.io/gateway-api", "v1.3.0", "config/crd/standard/*.yaml"
        ),
    ),
    Binary(
        "contour-crds.yaml",
        "v1.33.8",
        "once",
        _custom_resource_definitions(
            "github.com/projectcontour/contour",
            "v1.33.8",
            "examples/contour/01-crds.yaml",
            only="httpproxies|tlscertificatedelegations",
        ),
    ),
)
BINARIES = {binary.name: binary for binary in _BINARIES}


def binary(name: str) -> Path:
    """Return the path of a program in the cache; builds it first when it is not there."""
    wanted = BINARIES[name]
    target = wanted.folder / name
    if target.exists():
        return target
    folder = wanted.folder
    with locked(folder.with_name(f"{folder.name}.lock"), f"it builds {name}"):
        if not target.exists():
            with step(f"building {name} {wanted.version}", expected=wanted.expected):
                _build(wanted)
    return target


def _build(wanted: Binary) -> None:
    """Build beside the final place and rename: a killed build leaves nothing half done."""
    folder = wanted.folder
    with scratch_folder() as scratch:
        made = scratch / "made"
        made.mkdir()
        wanted.build(made, folder.with_name(f"{folder.name}.log"))
        made.rename(folder)


def kubectl() -> Path:
    """Return kubectl of the cluster's own version."""
    return binary("kube-all").with_name(KUBECTL)
