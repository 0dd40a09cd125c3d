"""Which file of the mounted folder is the system prompt."""

from pathlib import Path

import pytest

from agent_runtime.agent.prompt import MAX_PROMPT_BYTES, load_prompt
from agent_runtime.errors import InvalidContentError


def test_the_only_file_is_the_prompt(tmp_path: Path) -> None:
    (tmp_path / "refunds.txt").write_text("Be kind.")

    assert load_prompt(tmp_path) == "Be kind."


def test_system_md_is_the_prompt_among_several_files(tmp_path: Path) -> None:
    (tmp_path / "system.md").write_text("Be kind.")
    (tmp_path / "another.md").write_text("Be quick.")

    assert load_prompt(tmp_path) == "Be kind."


def test_the_links_of_a_mounted_configmap_are_no_prompts(tmp_path: Path) -> None:
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "refunds.txt").write_text("Be kind.")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "refunds.txt").symlink_to("..data/refunds.txt")

    assert load_prompt(tmp_path) == "Be kind."


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "has nothing"),
        ({"a.md": b"A", "b.md": b"B"}, "has a.md, b.md"),
        ({"system.md": b"\xff\xfe"}, "not UTF-8"),
        ({"system.md": b" \n"}, "is empty"),
        ({"system.md": b"x" * (MAX_PROMPT_BYTES + 1)}, "larger than"),
    ],
)
def test_a_folder_without_one_usable_prompt_is_refused(
    tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)

    with pytest.raises(InvalidContentError, match=message):
        load_prompt(tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidContentError, match="No such file"):
        load_prompt(tmp_path / "absent")
