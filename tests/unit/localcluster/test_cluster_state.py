"""Names, plans and images of clusters, without starting any."""

import json
from pathlib import Path

import pytest

from localcluster import __main__ as command_line
from localcluster import loading, namespaces
from localcluster.addons import ADDONS
from localcluster.addons.registry import chosen
from localcluster.any_cluster import loader, registry_name
from localcluster.api import is_node_ready
from localcluster.errors import LocalClusterError
from localcluster.folders import StateFolder, write_whole
from localcluster.images import Archive


def test_the_nodes_name_follows_from_the_folder_and_fits_a_link(tmp_path: Path) -> None:
    first, second = StateFolder.at(tmp_path / "a"), StateFolder.at(tmp_path / "b")
    assert first.node == StateFolder.at(tmp_path / "b" / ".." / "a").node
    assert first.node != second.node
    assert len(first.node) <= 15


def test_a_folder_without_a_cluster_has_no_processes(tmp_path: Path) -> None:
    state = StateFolder.at(tmp_path / "none")
    assert namespaces.processes(state) == []
    with pytest.raises(LocalClusterError, match="no cluster is up"):
        namespaces.enter(state, ["true"])


def test_the_end_of_each_log_is_shown_but_never_the_audit_log(tmp_path: Path) -> None:
    state = StateFolder.at(tmp_path)
    state.logs.mkdir()
    (state.logs / "etcd.log").write_text("one\ntwo\nthree\n")
    (state.logs / "audit.log").write_text("secret\n")
    (state.logs / "audit-2026-01-02T03-04-05.678.log").write_text("rotated\n")
    text = namespaces.tail(state, lines=2)
    assert text.splitlines()[1:] == ["two", "three"]


def test_images_for_the_next_up_are_remembered_by_name(tmp_path: Path) -> None:
    state = StateFolder.at(tmp_path)
    loading.keep(state, Archive("a/b:dev", "1" * 16))
    loading.keep(state, Archive("a/b:dev", "2" * 16))
    assert json.loads(state.pending_images.read_text()) == {"a/b:dev": "2" * 16}


@pytest.mark.parametrize("content", ['{"a/b:dev": "111', "\udcff", "[]"])
def test_a_cut_list_of_images_is_no_list_and_is_written_anew(tmp_path: Path, content: str) -> None:
    state = StateFolder.at(tmp_path)
    state.pending_images.write_bytes(content.encode(errors="surrogateescape"))
    loading.keep(state, Archive("a/b:dev", "2" * 16))
    assert json.loads(state.pending_images.read_text()) == {"a/b:dev": "2" * 16}


def test_a_list_of_images_that_cannot_be_written_whole_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "images.json"
    write_whole(path, "whole")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "half\udcff")
    assert path.read_text() == "whole"


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("a/b:1.0", "docker.io/a/b:1.0"),
        ("redis:7", "docker.io/library/redis:7"),
        ("localhost/a:dev", "localhost/a:dev"),
        ("registry.example.com:5000/a", "registry.example.com:5000/a"),
    ],
)
def test_a_name_without_a_registry_is_completed(name: str, full: str) -> None:
    assert loading.full_name(name) == full


def test_an_image_that_the_cache_dropped_is_not_loaded_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    state = StateFolder.at(tmp_path / "cluster")
    state.configuration.mkdir(parents=True)
    state.plan.write_text(json.dumps({"store": str(tmp_path / "store")}))
    with pytest.raises(LocalClusterError, match="build a/b:dev again"):
        loading.load(state, Archive("a/b:dev", "1" * 16))


def test_images_go_to_a_foreign_cluster_by_the_tool_that_made_it() -> None:
    archive = Archive("a/b:dev", "1" * 16)
    assert loader("kind-my-cluster", archive) == [
        *("kind", "load", "image-archive", str(archive.path), "--name", "my-cluster")
    ]
    assert loader("k3d-x", archive) == [
        *("k3d", "image", "import", str(archive.path), "--cluster", "x")
    ]
    assert loader("gke_project_zone", archive) is None


def test_an_image_keeps_its_name_in_a_registry_but_for_our_own_host() -> None:
    ours, named = Archive("localhost/agent:1", "1" * 16), Archive("a/b:dev", "1" * 16)
    assert registry_name(ours, "registry.example.com/team/") == "registry.example.com/team/agent:1"
    assert registry_name(named, "localhost:5000") == "localhost:5000/a/b:dev"


def test_an_addon_brings_what_it_needs_and_no_names_mean_all() -> None:
    assert [addon.name for addon in chosen(["metrics-adapter"])] == [
        "prometheus",
        "metrics-adapter",
    ]
    assert [addon.name for addon in chosen([])] == list(ADDONS)


def test_an_unknown_addon_is_refused_with_the_list_of_those_there_are() -> None:
    with pytest.raises(LocalClusterError, match=r"called kafka; there are: gateway, prometheus"):
        chosen(["redis", "kafka"])


@pytest.mark.parametrize(("status", "ready"), [("True", True), ("False", False)])
def test_a_node_is_ready_when_its_condition_says_so(status: str, *, ready: bool) -> None:
    node = {"status": {"conditions": [{"type": "Ready", "status": status}]}}
    assert is_node_ready(node) is ready


def test_a_node_that_is_not_there_is_not_ready() -> None:
    assert not is_node_ready(None)


def test_the_command_line_says_what_is_wrong_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["localcluster", "kubeconfig", "--dir", str(tmp_path)])
    assert command_line.main() == 1
    error = capsys.readouterr().err
    assert error.startswith("localcluster: no cluster is up in")
    assert error.count("\n") == 1


def test_the_status_of_no_cluster_is_down_and_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["localcluster", "status", "--dir", str(tmp_path)])
    assert command_line.main() == 1
    assert capsys.readouterr().out == f"down ({tmp_path})\n"


def test_a_build_argument_without_a_value_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["localcluster", "image", "a:b", ".", "--build-arg", "X"])
    with pytest.raises(SystemExit):
        command_line.main()
    assert "'X' is not NAME=VALUE" in capsys.readouterr().err
