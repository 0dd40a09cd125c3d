"""Images as they are built with buildah: what a change builds again, and what it does not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from localcluster.folders import REPOSITORY
from localcluster.images import Archive, forget_old, image

pytestmark = pytest.mark.cluster

TWO_STAGES = """\
ARG BASE_IMAGE=python:3.12-slim
FROM ${BASE_IMAGE} AS dependencies
COPY requirements.txt /requirements.txt
RUN echo "installing" "dependencies" && cp /requirements.txt /installed
FROM ${BASE_IMAGE}
COPY --from=dependencies /installed /installed
COPY main.py /main.py
"""


def built(project: Path) -> str:
    """Build the project's image; return the log of that build."""
    archive = image("localhost/agentdeploy-test-stages", project, dockerfile=project / "Dockerfile")
    return archive.path.with_suffix(".log").read_text()


def test_changed_code_does_not_install_the_dependencies_again(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(TWO_STAGES)
    (tmp_path / "requirements.txt").write_text(f"{tmp_path}\n")  # never built before
    main = tmp_path / "main.py"
    main.write_text("print(1)\n")
    assert "installing dependencies\n" in built(tmp_path)
    main.write_text("print(2)\n")
    os.utime(tmp_path / "requirements.txt", (0, 0))  # as in another checkout
    log = built(tmp_path)
    assert "COPY main.py" in log
    assert "installing dependencies\n" not in log


def test_old_archives_go_also_when_buildahs_own_folder_was_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    archives = [Archive(f"a/b:{digest}", digest) for digest in ("1" * 16, "2" * 16, "3" * 16)]
    archives[0].path.parent.mkdir(parents=True)
    for used, archive in enumerate(archives):
        archive.path.touch()
        os.utime(archive.path, (used, used))
    forget_old(archives[2], tmp_path / "log")
    assert [archive.path.exists() for archive in archives] == [False, True, True]


def test_what_was_built_ahead_is_found_again() -> None:
    command = [sys.executable, "-m", "localcluster", "build", "--images"]

    def run() -> str:
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
        return done.stderr

    assert "images of operator and agent: done" in run()
    assert "building" not in run()
