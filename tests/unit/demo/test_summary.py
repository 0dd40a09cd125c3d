"""The summary file: its keys, and that it is there whole or not at all."""

import json
from dataclasses import replace
from pathlib import Path

from demo.summary import Summary, write

BOTH = Summary(
    promoted_revision="9ab2000000",
    rolled_back_revision="77de000000",
    rollback_reason="FallbackRateRegression",
    requests_total=4142,
    requests_failed=0,
    session_switches=0,
    bad_start_to_weight_zero_seconds=21.5,
    total_seconds=171.0,
)


def test_the_file_has_exactly_the_promised_keys(tmp_path: Path) -> None:
    file = tmp_path / "demo" / "summary.json"
    write(BOTH, file)
    assert json.loads(file.read_text()) == {
        "promoted_revision": "9ab2000000",
        "rolled_back_revision": "77de000000",
        "rollback_reason": "FallbackRateRegression",
        "requests_total": 4142,
        "requests_failed": 0,
        "session_switches": 0,
        "bad_start_to_weight_zero_seconds": 21.5,
        "total_seconds": 171.0,
    }


def test_writing_leaves_nothing_beside_the_file(tmp_path: Path) -> None:
    write(BOTH, tmp_path / "summary.json")
    write(replace(BOTH, requests_total=1), tmp_path / "summary.json")
    assert [file.name for file in tmp_path.iterdir()] == ["summary.json"]
    assert json.loads((tmp_path / "summary.json").read_text())["requests_total"] == 1


def test_only_both_outcomes_together_are_a_success() -> None:
    assert BOTH.is_success
    assert not replace(BOTH, promoted_revision=None).is_success
    assert not replace(BOTH, rolled_back_revision=None).is_success
