"""Stage what a Dockerfile can COPY, and hash exactly that: the same hash means the same build."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from localcluster.errors import LocalClusterError

NEVER_COPIED = ("__pycache__", ".git", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".venv")
MAXIMUM_BYTES = 2 * 2**30


def copied_sources(dockerfile: str) -> list[str]:
    """List the source patterns of COPY and ADD that come from the context, in order."""
    text = re.sub(r"\\[ \t]*\n", " ", dockerfile)
    sources: list[str] = []
    for line in text.splitlines():
        match = re.match(r"\s*(?:COPY|ADD)\s+(.*)", line, flags=re.IGNORECASE)
        if match is None or "--from=" in match[1]:
            continue
        arguments = re.sub(r"^(--\S+\s+)*", "", match[1]).strip()
        words = json.loads(arguments) if arguments.startswith("[") else shlex.split(arguments)
        sources += [word for word in words[:-1] if "://" not in word]
    return sources


def stage(folder: Path, dockerfile: Path, target: Path) -> None:
    """Copy the files of `folder` that `dockerfile` names to `target`, without caches of tools."""
    for pattern in copied_sources(dockerfile.read_text()):
        relative = pattern.strip("/") or "."
        found = [folder] if relative == "." else sorted(folder.glob(relative))
        if not found:
            raise LocalClusterError(f"COPY {pattern}: there is no such file in {folder}")
        for source in found:
            _copy(source, target / source.relative_to(folder))
    for ignored in (
        dockerfile.with_name(f"{dockerfile.name}.dockerignore"),
        folder / ".dockerignore",
    ):
        if ignored.exists():
            shutil.copy2(ignored, target / ".dockerignore")
            return


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not source.is_dir():
        shutil.copy2(source, target)
        return
    ignore = shutil.ignore_patterns(*NEVER_COPIED, "*.pyc", ".local", "*.egg-info")
    shutil.copytree(source, target, symlinks=True, ignore=ignore, dirs_exist_ok=True)


def content_hash(staged: Path, dockerfile: str, build_args: Mapping[str, str]) -> str:
    """Hash names, modes and content of the staged files, the Dockerfile and the build arguments."""
    digest = hashlib.sha256(json.dumps([dockerfile, sorted(build_args.items())]).encode())
    total = 0
    for path in _files(staged):
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        total += len(content)
        if total > MAXIMUM_BYTES:
            raise LocalClusterError(
                f"the files to copy into the image exceed {MAXIMUM_BYTES} bytes"
            )
        executable = path.lstat().st_mode & 0o111 != 0
        name = [str(path.relative_to(staged)), executable, len(content)]
        digest.update(json.dumps(name).encode() + content)
    return digest.hexdigest()[:16]


def _files(folder: Path) -> Iterator[Path]:
    yield from (path for path in sorted(folder.rglob("*")) if path.is_symlink() or path.is_file())
