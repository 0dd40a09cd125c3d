"""Complete objects, compared with files that people have read."""

import pytest
import yaml

from tests.golden import to_yaml
from tests.unit.domain.golden_cases import CASES, DIRECTORY


@pytest.mark.parametrize("name", CASES)
def test_manifests_are_as_reviewed(name: str) -> None:
    assert to_yaml(CASES[name]()) == (DIRECTORY / f"{name}.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_golden_files_hold_the_objects_and_not_only_their_text(name: str) -> None:
    text = (DIRECTORY / f"{name}.yaml").read_text(encoding="utf-8")
    assert list(yaml.safe_load_all(text)) == list(CASES[name]())


def test_no_golden_file_is_left_over() -> None:
    assert {path.stem for path in DIRECTORY.iterdir()} == set(CASES)
