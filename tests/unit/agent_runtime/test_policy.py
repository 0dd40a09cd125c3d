"""The hot policy: followed while it is good, kept while it is broken."""

import json
import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent_runtime.policy import MAX_POLICY_BYTES, Policy, PolicyFile

DEFAULTS = Policy(max_session_seconds=900)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "policy.json"


def test_without_a_file_the_defaults_hold(path: Path) -> None:
    policy = PolicyFile(path, DEFAULTS)

    with capture_logs() as logs:
        policy.reload()

    assert policy.current == DEFAULTS
    assert logs == []


def test_the_file_wins_over_the_defaults_field_by_field(path: Path) -> None:
    path.write_text(json.dumps({"latencySeconds": 3, "unit": "Request"}))
    policy = PolicyFile(path, DEFAULTS)

    policy.reload()

    assert policy.current == Policy(latency_seconds=3, unit="Request", max_session_seconds=900)


def test_a_swapped_volume_is_taken_over(path: Path, tmp_path: Path) -> None:
    """A ConfigMap volume changes by pointing a link to another folder."""
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "policy.json").write_text(f'{{"maxChainLength": {number}}}')
    link = tmp_path / "data"
    link.symlink_to("1")
    policy = PolicyFile(link / "policy.json", DEFAULTS)
    policy.reload()

    (tmp_path / "next").symlink_to("2")
    os.replace(tmp_path / "next", link)
    policy.reload()

    assert policy.current.max_chain_length == 2


@pytest.mark.parametrize(
    "broken",
    [
        "{",
        "[]",
        '{"latencySeconds": 0}',
        '{"latencySeconds": "soon"}',
        '{"unit": "Day"}',
        '{"maxChainLength": null}',
        " " * (MAX_POLICY_BYTES + 1),
    ],
)
def test_a_broken_file_keeps_the_last_good_policy_and_is_logged_once(
    path: Path, broken: str
) -> None:
    path.write_text('{"latencySeconds": 7}')
    policy = PolicyFile(path, DEFAULTS)
    policy.reload()
    path.write_text(broken)

    with capture_logs() as logs:
        policy.reload()
        policy.reload()

    assert policy.current.latency_seconds == 7
    assert [entry["event"] for entry in logs] == ["policy.invalid"]


def test_a_repaired_file_is_taken_over(path: Path) -> None:
    path.write_text("{")
    policy = PolicyFile(path, DEFAULTS)
    policy.reload()
    path.write_text('{"latencySeconds": 4}')

    policy.reload()

    assert policy.current.latency_seconds == 4


def test_a_vanished_file_keeps_the_last_good_policy(path: Path) -> None:
    path.write_text('{"latencySeconds": 7}')
    policy = PolicyFile(path, DEFAULTS)
    policy.reload()
    path.unlink()

    with capture_logs() as logs:
        policy.reload()
        policy.reload()

    assert policy.current.latency_seconds == 7
    assert [entry["event"] for entry in logs] == ["policy.missing"]


def test_keys_of_a_newer_operator_are_ignored_with_a_warning(path: Path) -> None:
    path.write_text('{"latencySeconds": 7, "weather": "fine"}')
    policy = PolicyFile(path, DEFAULTS)

    with capture_logs() as logs:
        policy.reload()

    assert policy.current.latency_seconds == 7
    assert logs[0] == {
        "event": "policy.unknown_keys",
        "keys": ["weather"],
        "log_level": "warning",
    }
