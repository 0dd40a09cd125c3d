"""Which files an image is built from, and when two builds are the same."""

import os
import time
from pathlib import Path

import pytest

from localcluster.context import content_hash, copied_sources, stage
from localcluster.errors import LocalClusterError
from localcluster.images import (
    BASE_IMAGE,
    Archive,
    forget_old,
    has_tag,
    image,
    named_stages,
    stage_tag,
)

DOCKERFILE = """\
FROM base AS build
COPY requirements.txt /build/
RUN pip install -r /build/requirements.txt
FROM base
COPY --from=build /venv /venv
COPY --chown=1:1 app \\
     prompts/ /app/
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "app" / "__pycache__").mkdir(parents=True)
    (folder / "prompts").mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "requirements.txt").write_text("httpx\n")
    (folder / "app" / "main.py").write_text("print(1)\n")
    (folder / "app" / "__pycache__" / "main.pyc").write_text("x")
    (folder / "prompts" / "v1.md").write_text("be kind\n")
    (folder / "notes.txt").write_text("not copied\n")
    return folder


def staged(project: Path, target: Path) -> Path:
    target.mkdir()
    stage(project, project / "Dockerfile", target)
    return target


def hash_of(project: Path, target: Path, **build_args: str) -> str:
    return content_hash(staged(project, target), DOCKERFILE, build_args)


def test_sources_of_copy_are_found_without_stages_flags_and_targets() -> None:
    assert copied_sources(DOCKERFILE) == ["requirements.txt", "app", "prompts/"]


def test_sources_in_json_form_and_addresses_are_told_apart() -> None:
    text = 'COPY ["a b.txt", "c", "/x/"]\nADD https://example.com/f.tgz local.tgz /y/\n'
    assert copied_sources(text) == ["a b.txt", "c", "local.tgz"]


def test_only_what_is_copied_is_staged(project: Path, tmp_path: Path) -> None:
    target = staged(project, tmp_path / "staged")
    found = {str(p.relative_to(target)) for p in target.rglob("*") if p.is_file()}
    assert found == {"requirements.txt", "app/main.py", "prompts/v1.md"}


def test_the_dockerfiles_own_ignore_file_wins(project: Path, tmp_path: Path) -> None:
    (project / ".dockerignore").write_text("general\n")
    (project / "Dockerfile.dockerignore").write_text("own\n")
    assert (staged(project, tmp_path / "staged") / ".dockerignore").read_text() == "own\n"


def test_a_missing_source_is_named(project: Path, tmp_path: Path) -> None:
    (project / "requirements.txt").unlink()
    with pytest.raises(LocalClusterError, match=r"COPY requirements\.txt"):
        staged(project, tmp_path / "staged")


def test_files_that_are_not_copied_do_not_change_the_hash(project: Path, tmp_path: Path) -> None:
    before = hash_of(project, tmp_path / "before")
    (project / "notes.txt").write_text("changed\n")
    (project / "app" / "__pycache__" / "main.pyc").write_text("changed")
    assert hash_of(project, tmp_path / "after") == before


def test_content_name_mode_and_build_arguments_change_the_hash(
    project: Path, tmp_path: Path
) -> None:
    seen = [hash_of(project, tmp_path / "0"), hash_of(project, tmp_path / "1", VERSION="2")]
    main = project / "app" / "main.py"
    main.write_text("print(2)\n")
    seen.append(hash_of(project, tmp_path / "2"))
    main.chmod(0o755)
    seen.append(hash_of(project, tmp_path / "3"))
    main.rename(project / "app" / "other.py")
    seen.append(hash_of(project, tmp_path / "4"))
    assert len(set(seen)) == 5


def test_moving_bytes_between_files_changes_the_hash(project: Path, tmp_path: Path) -> None:
    (project / "app" / "a").write_text("12")
    (project / "app" / "b").write_text("3")
    before = hash_of(project, tmp_path / "before")
    (project / "app" / "a").write_text("1")
    (project / "app" / "b").write_text("23")
    assert hash_of(project, tmp_path / "after") != before


def test_the_colon_of_a_registrys_port_is_no_tag() -> None:
    assert has_tag("agentdeploy/operator:dev")
    assert not has_tag("localhost:5000/operator")


def test_archives_of_one_image_are_told_apart_by_content() -> None:
    names = {Archive("a/b:dev", digest).path.name for digest in ("0" * 16, "1" * 16)}
    assert names == {f"a_b_dev-{'0' * 16}.tar", f"a_b_dev-{'1' * 16}.tar"}


def test_named_stages_are_found_whatever_their_case_and_the_rest_is_not() -> None:
    text = (
        "ARG B=x AS y\nFROM $B AS one\n  from --platform=linux $B as two  \nFROM one\nRUN a AS b\n"
    )
    assert named_stages(text) == ["one", "two"]


@pytest.mark.parametrize("name", ["localhost:5000/agent", "localhost:5000/agent:dev"])
def test_a_stage_is_tagged_for_the_image_whatever_its_tag(name: str) -> None:
    assert stage_tag(name, "build") == "localhost:5000/agent-stage:build"


@pytest.fixture
def five_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Archive]:
    """Five archives of an image, last used 5, 4, 3, 2 and 1 hours ago."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    archives = [Archive("a/b:dev", str(number) * 16) for number in range(5)]
    archives[0].path.parent.mkdir(parents=True)
    for number, archive in enumerate(archives):
        archive.path.touch()
        used = time.time() - 3600 * (5 - number)
        os.utime(archive.path, (used, used))
    return archives


def test_archives_go_but_for_the_newest_and_those_of_the_last_hours(
    five_archives: list[Archive], tmp_path: Path
) -> None:
    forget_old(five_archives[4], tmp_path / "log")
    assert [one.path.exists() for one in five_archives] == [False, False, False, True, True]


def test_an_archive_that_is_used_again_stays(five_archives: list[Archive], tmp_path: Path) -> None:
    assert five_archives[0].use()
    forget_old(five_archives[4], tmp_path / "log")
    assert [one.path.exists() for one in five_archives] == [True, False, False, True, True]


def test_an_archive_that_is_gone_cannot_be_used(five_archives: list[Archive]) -> None:
    five_archives[0].path.unlink()
    assert not five_archives[0].use()


def test_a_build_that_was_done_before_counts_as_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    digest = content_hash(tmp_path / "none", "FROM scratch\n", {"BASE_IMAGE": BASE_IMAGE})
    archive = Archive("a/b:dev", digest)
    archive.path.parent.mkdir(parents=True)
    archive.path.touch()
    os.utime(archive.path, (0, 0))
    assert image("a/b:dev", tmp_path) == archive
    assert time.time() - archive.path.stat().st_mtime < 60


def test_a_tag_that_is_the_content_is_not_repeated_in_the_archives_name() -> None:
    digest = "0123456789abcdef"
    assert Archive(f"a/b:{digest}", digest).path.name == f"a_b-{digest}.tar"
