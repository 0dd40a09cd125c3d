"""How binaries are cached and what a failed build says."""

import os
import threading
from pathlib import Path

import pytest

from localcluster import binaries, images
from localcluster.binaries import Binary, binary, run_logged, staging_modules
from localcluster.errors import LocalClusterError


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def registered(monkeypatch: pytest.MonkeyPatch, build: Binary) -> None:
    monkeypatch.setitem(binaries.BINARIES, build.name, build)


def test_a_binary_is_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    builds = []

    def build(folder: Path, _log: Path) -> None:
        builds.append(folder)
        (folder / "tool").write_text("x")

    registered(monkeypatch, Binary("tool", "v1", "", build))
    paths = {binary("tool") for _ in range(3)}
    assert len(builds) == 1
    assert len(paths) == 1
    assert paths.pop().read_text() == "x"


def test_builders_at_the_same_time_build_once(monkeypatch: pytest.MonkeyPatch) -> None:
    builds = []
    first_builds = threading.Event()
    second_waits = threading.Event()

    def build(folder: Path, _log: Path) -> None:
        builds.append(folder)
        first_builds.set()
        assert second_waits.wait(10)
        (folder / "tool").write_text("x")

    registered(monkeypatch, Binary("tool", "v1", "", build))
    first = threading.Thread(target=binary, args=("tool",))
    first.start()
    assert first_builds.wait(10)
    second = threading.Thread(target=binary, args=("tool",))
    monkeypatch.setattr("localcluster.folders.say", lambda _: second_waits.set())
    second.start()
    first.join(10)
    second.join(10)
    assert len(builds) == 1


def test_a_build_that_fails_leaves_nothing_that_looks_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def build(folder: Path, _log: Path) -> None:
        (folder / "tool").write_text("half")
        raise LocalClusterError("broken")

    failing = Binary("tool", "v1", "", build)
    registered(monkeypatch, failing)
    with pytest.raises(LocalClusterError, match="broken"):
        binary("tool")
    assert not failing.folder.exists()


def test_changed_sources_are_another_binary(tmp_path: Path) -> None:
    source = tmp_path / "main.go"
    source.write_text("package main")
    tool = Binary("tool", "v1", "", lambda _folder, _log: None, (source,))
    before = tool.folder
    source.write_text("package main // changed")
    assert tool.folder != before


def test_a_failed_command_shows_the_end_of_its_log_and_where_it_is(tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    command = ["sh", "-c", "seq 100; echo no space left >&2; exit 1"]
    with pytest.raises(LocalClusterError) as caught:
        run_logged(command, log=log, cwd=tmp_path, env=dict(os.environ))
    assert str(log) in str(caught.value)
    assert "no space left" in str(caught.value)
    assert "\n42\n" not in str(caught.value)


def test_a_failed_image_build_names_the_subcommand_of_buildah(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "buildah", lambda *_: ["unshare", "--no-such-option"])
    with pytest.raises(LocalClusterError, match=r"`buildah inspect \.\.\.` failed; log: "):
        images.run_buildah("inspect", "x", log=tmp_path / "log")


def test_modules_that_kubernetes_replaces_by_its_own_folders_are_listed() -> None:
    text = "replace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n\tother.io/x => ../x\n)\n"
    assert staging_modules(text) == ["k8s.io/api"]
