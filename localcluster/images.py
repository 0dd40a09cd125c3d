"""Build container images with buildah, once per content, into archives in the cache.

There is no registry: a Dockerfile starts FROM ${BASE_IMAGE}, which is made here by debootstrap when
the caller names no other one, and clusters import the archives.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localcluster import machine
from localcluster.binaries import binary, run_logged
from localcluster.configuration import PAUSE_IMAGE
from localcluster.context import content_hash, stage
from localcluster.errors import LocalClusterError
from localcluster.folders import cache_folder, locked, remove_tree, scratch_folder
from localcluster.pip_settings import build_volumes
from localcluster.progress import step

SUITE = "bookworm"
BASE_REVISION = "1"
BASE_IMAGE = f"localhost/agentdeploy-base:{SUITE}-{BASE_REVISION}"
BASE_PACKAGES = "python3,python3-pip,python3-venv,python-is-python3,ca-certificates"
BASE_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
# Documentation and translations that no container reads.
BASE_REMOVED = (
    "var/cache/apt/archives",
    "var/lib/apt/lists",
    "var/cache/debconf",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
)
KEPT_ARCHIVES = 2
IN_USE_SECONDS = 3 * 3600.0  # another checkout may be about to load it


@dataclass(frozen=True)
class Archive:
    """A built image in the cache; pods use `name` with imagePullPolicy IfNotPresent or Never."""

    name: str
    digest: str

    @property
    def path(self) -> Path:
        """The docker-archive."""
        file = re.sub(r"[^A-Za-z0-9.]", "_", self.name.removesuffix(f":{self.digest}"))
        return cache_folder() / "images" / f"{file}-{self.digest}.tar"

    def use(self) -> bool:
        """Note that it is in use, which keeps it in the cache for hours; False when it is gone."""
        try:
            os.utime(self.path)
        except FileNotFoundError:
            return False
        return True


def buildah(*arguments: str) -> list[str]:
    """Return a buildah command line; its mounts and processes end with it."""
    storage = cache_folder() / "buildah"
    where = ["--root", str(storage / "root"), "--runroot", str(storage / "run")]
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command = ["buildah", *where, "--storage-driver", "overlay", *arguments]
    return [*namespaces, *command]


def image(
    name: str,
    folder: Path,
    *,
    dockerfile: Path | None = None,
    build_args: Mapping[str, str] | None = None,
) -> Archive:
    """Build `folder` as `name`, unless the same was built before.

    A name without a tag gets the hash of the content as its tag.
    """
    path = dockerfile or folder / "Dockerfile"
    if not path.is_file():
        raise LocalClusterError(f"there is no Dockerfile {path}")
    text = path.read_text()
    arguments = {"BASE_IMAGE": BASE_IMAGE, **(build_args or {})}
    with scratch_folder() as scratch:
        staged = scratch / "context"
        staged.mkdir()
        stage(folder, path, staged)
        digest = content_hash(staged, text, arguments)
        archive = Archive(name if has_tag(name) else f"{name}:{digest}", digest)
        if archive.use():
            return archive
        machine.require(machine.IMAGES, machine.BUILDING)
        (scratch / "Dockerfile").write_text(text)
        with locked(cache_folder() / "buildah.lock", "it builds an image"):
            if "BASE_IMAGE" in text and arguments["BASE_IMAGE"] == BASE_IMAGE:
                _make_base()
            if not archive.use():
                with step(f"building image {name}"):
                    _build(archive, scratch, arguments)
    return archive


def base_image() -> str:
    """Make the base image unless it is there; return its name."""
    machine.require(machine.IMAGES, machine.BUILDING)
    with locked(cache_folder() / "buildah.lock", "it builds an image"):
        _make_base()
    return BASE_IMAGE


def has_tag(name: str) -> bool:
    """Tell whether an image name ends in `:tag` (the colon of a registry's port is none)."""
    return ":" in name.rsplit("/", maxsplit=1)[-1]


def pause_image() -> Archive:
    """Build the image that holds the namespaces of every pod."""
    with scratch_folder() as scratch:
        shutil.copy(binary("pause"), scratch)
        dockerfile = 'FROM scratch\nCOPY pause /pause\nUSER 65535:65535\nENTRYPOINT ["/pause"]\n'
        (scratch / "Dockerfile").write_text(dockerfile)
        return image(PAUSE_IMAGE, scratch)


def _build(archive: Archive, scratch: Path, build_args: Mapping[str, str]) -> None:
    """Build the staged context and rename the finished archive into place."""
    archive.path.parent.mkdir(exist_ok=True)
    log = archive.path.with_suffix(".log")
    log.unlink(missing_ok=True)
    options = ["--isolation=chroot", "--layers", "--pull=false", *build_volumes(scratch)]
    options += [f"--build-arg={name}={value}" for name, value in build_args.items()]
    options += ["-f", str(scratch / "Dockerfile")]
    context, made = str(scratch / "context"), scratch / "image.tar"
    run_buildah("rm", "--all", log=log)  # working containers of a killed build keep images in use
    # Without a tag of its own the pruning below drops a stage, and what it installed.
    for stage_name in named_stages((scratch / "Dockerfile").read_text()):
        tag = stage_tag(archive.name, stage_name)
        run_buildah("bud", *options, "--target", stage_name, "-t", tag, context, log=log)
    run_buildah("bud", *options, "-t", archive.name, context, log=log)
    run_buildah("push", "--quiet", archive.name, f"docker-archive:{made}:{archive.name}", log=log)
    run_buildah("rmi", "--prune", log=log)
    made.rename(archive.path)
    forget_old(archive, log)


def named_stages(dockerfile: str) -> list[str]:
    """List the names of the stages (`FROM ... AS name`) of a Dockerfile, in order."""
    return re.findall(r"(?im)^\s*FROM\s.*\sAS\s+(\S+)\s*$", dockerfile)


def stage_tag(name: str, stage_name: str) -> str:
    """Return what a stage of an image is called; one per image, whatever the image's tag."""
    base = name.rpartition(":")[0] if has_tag(name) else name
    return f"{base}-stage:{stage_name}"


def run_buildah(*arguments: str, log: Path) -> None:
    """Run buildah with its output in `log`; a failure names the subcommand."""
    called = f"buildah {arguments[0]}"
    command = buildah(*arguments)
    run_logged(command, log=log, cwd=log.parent, env=dict(os.environ), called=called)


def forget_old(archive: Archive, log: Path) -> None:
    """Keep the newest archives of an image, each as large as all of it, and those in use."""
    same = archive.path.name.removesuffix(f"-{archive.digest}.tar")
    digests = "[0-9a-f]" * len(archive.digest)
    found = archive.path.parent.glob(f"{glob.escape(same)}-{digests}.tar")
    newest_first = sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)
    for path in newest_first[KEPT_ARCHIVES:]:
        if time.time() - path.stat().st_mtime < IN_USE_SECONDS:
            continue
        path.unlink()
        path.with_suffix(".log").unlink(missing_ok=True)
        # Where the tag is the content, no build reuses it.
        old = f"{archive.name.removesuffix(archive.digest)}{path.stem.rpartition('-')[2]}"
        if archive.name.endswith(f":{archive.digest}") and _is_stored(old):
            run_buildah("rmi", "--force", old, log=log)


def _is_stored(name: str) -> bool:
    """Tell whether buildah itself has an image; its folder may have been removed."""
    inspect = buildah("inspect", "--type", "image", name)
    return subprocess.run(inspect, capture_output=True, check=False).returncode == 0


def _make_base() -> None:
    """Make the base image once: a minimal Debian with Python, pip and venv."""
    if _is_stored(BASE_IMAGE):
        return
    log = cache_folder() / "base-image.log"
    log.unlink(missing_ok=True)
    with scratch_folder() as scratch, step("building the base image", expected="once, 40 s"):
        root = scratch / "root"
        bootstrap = ["debootstrap", "--variant=minbase", f"--include={BASE_PACKAGES}", SUITE]
        run_logged([*bootstrap, str(root)], log=log, cwd=scratch, env=dict(os.environ))
        _slim(root)
        (scratch / "Dockerfile").write_text(
            f'FROM scratch\nCOPY root /\nENV PATH={BASE_PATH} PYTHONUNBUFFERED=1\nCMD ["python3"]\n'
        )
        run_buildah("bud", "--isolation=chroot", "-t", BASE_IMAGE, str(scratch), log=log)
        remove_tree(root)


def _slim(root: Path) -> None:
    """Empty folders that no container reads, and let pip install outside of an environment."""
    for name in BASE_REMOVED:
        folder = root / name
        remove_tree(*folder.iterdir())
    for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        marker.unlink()
