"""`python -m demo` as a person runs it: one promotion, one rollback, no customer lost."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from localcluster import AnyCluster, Cluster, ForeignCluster, down
from localcluster.folders import REPOSITORY, StateFolder
from localcluster.pytest_plugin import KUBECONFIG_VARIABLE, own_state

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

DEMO_SECONDS = 840  # images may have to be built first


@dataclass(frozen=True)
class Run:
    """A finished demo whose cluster is still up."""

    exit_code: int
    output: str
    summary: dict[str, Any]
    status: dict[str, Any]

    def ending(self, prompt: str) -> dict[str, Any]:
        """Return the last entry of the agent's history for a prompt version."""
        found = [each for each in self.status["history"] if each["promptVersion"] == prompt]
        return dict(found[-1])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder, named = own_state("demo"), os.environ.get(KUBECONFIG_VARIABLE)
    file = tmp_path_factory.mktemp("demo") / "summary.json"
    where = ["--dir", str(folder), *(["--kubeconfig", named] if named else [])]
    command = [sys.executable, "-m", "demo", "--keep", "--json", str(file), *where]
    cluster: AnyCluster = Cluster(StateFolder.at(folder))
    try:
        done = subprocess.run(
            command,
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEMO_SECONDS,
            check=False,
        )
        if named:
            cluster = ForeignCluster(Path(named), folder)
        assert file.exists(), done.stdout
        agent = cluster.kubectl("-n", "support", "get", "agentdeployment", "refunds", "-o", "json")
        summary, status = json.loads(file.read_text()), json.loads(agent)["status"]
        yield Run(done.returncode, done.stdout, summary, status)
    finally:
        if not named:
            down(folder, everything=True)


def test_the_demo_ends_well(run: Run) -> None:
    assert run.exit_code == 0, run.output


def test_the_good_prompt_was_promoted(run: Run) -> None:
    good = run.ending("v2")
    assert (good["result"], good["revision"]) == ("Promoted", run.summary["promoted_revision"])
    assert run.status["stableRevision"] == run.summary["promoted_revision"]


def test_the_bad_prompt_was_rolled_back_for_its_fallbacks(run: Run) -> None:
    bad = run.ending("v3")
    assert (bad["result"], bad["revision"]) == ("RolledBack", run.summary["rolled_back_revision"])
    assert run.summary["rollback_reason"] in ("FallbackRateRegression", "FallbackRateAboveMax")


def test_no_request_failed_and_no_conversation_changed_sides(run: Run) -> None:
    assert run.summary["requests_total"] > 1000
    assert (run.summary["requests_failed"], run.summary["session_switches"]) == (0, 0), run.output


def test_the_bad_revision_lost_its_traffic_within_a_minute(run: Run) -> None:
    assert 0 < run.summary["bad_start_to_weight_zero_seconds"] < 60


def test_the_last_line_is_the_sentence_of_the_decision(run: Run) -> None:
    sentence = run.output.rstrip().splitlines()[-1]
    assert sentence == run.status["rejected"]["message"]
    assert "fallbackRate" in sentence
