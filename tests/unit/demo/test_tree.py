"""The tree of objects that were recorded in a run of the demo, as text."""

import json
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from demo.reading import PODS, Picture, picture, weights
from demo.tally import Answer, Tally
from demo.tree import Margin, frame

RECORDED = Path(__file__).parent / "recorded"
STABLE, CANARY = "e6a3b8ca83", "b95f86a1a4"
WIDTH = 100


class Recorded:
    """Objects of one moment, from a file."""

    def __init__(self, name: str) -> None:
        self.objects: dict[str, list[dict[str, Any]]] = json.loads(
            (RECORDED / f"{name}.json").read_text()
        )

    def all(self, kind: str) -> Sequence[Mapping[str, Any]]:
        return self.objects[kind]

    def picture(self) -> Picture:
        seen = picture(self)
        assert seen is not None
        return seen


def drawn(seen: Picture, tally: Tally, *, is_narrow: bool = False) -> str:
    margin = Margin({STABLE: "v1", CANARY: "v2"}, 99.6, is_narrow)
    file = StringIO()
    Console(file=file, width=WIDTH).print(frame(seen, tally, margin))
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


@pytest.fixture
def tally() -> Tally:
    tally = Tally(sessions=2)
    tally.record(Answer("s-1", STABLE, "primary"), before=None)
    tally.record(Answer("s-2", CANARY, "fallback"), before=None)
    return tally


@pytest.mark.parametrize("name", ["canary", "rolled_back"])
def test_a_recorded_moment_is_drawn_as_it_was_approved(name: str, tally: Tally) -> None:
    assert drawn(Recorded(name).picture(), tally) == (RECORDED / f"{name}.txt").read_text()


def test_shares_of_new_conversations_come_from_the_stored_route() -> None:
    assert weights(Recorded("canary")) == {STABLE: 50, CANARY: 50}


def test_revisions_are_ordered_by_role_and_have_their_own_pods() -> None:
    seen = Recorded("canary").picture()
    assert [(each.revision, each.role, len(each.pods)) for each in seen.revisions] == [
        (STABLE, "stable", 2),
        (CANARY, "candidate", 1),
    ]


def test_a_pod_that_is_going_says_so_although_it_still_runs() -> None:
    recorded = Recorded("canary")
    recorded.objects[PODS][0]["metadata"]["deletionTimestamp"] = "2026-11-22T23:31:00Z"
    states = [pod.state for each in recorded.picture().revisions for pod in each.pods]
    assert sorted(states) == ["Leaving", "Ready", "Ready"]


def test_a_restarted_pod_says_how_often(tally: Tally) -> None:
    recorded = Recorded("canary")
    recorded.objects[PODS][0]["status"]["containerStatuses"][0]["restartCount"] = 3
    assert "3 restarts" in drawn(recorded.picture(), tally)


def test_on_few_lines_pods_are_marks_behind_their_deployment(tally: Tally) -> None:
    text = drawn(Recorded("canary").picture(), tally, is_narrow=True)
    assert "2/2 ready ● ●  HPA 2-4, 2 sessions/pod\n" in text
    assert "54855f77df" not in text


def test_before_the_first_status_there_is_a_tree_without_analysis(tally: Tally) -> None:
    recorded = Recorded("canary")
    recorded.objects["agentdeployments.agentdeploy.dev"][0].pop("status")
    text = drawn(recorded.picture(), tally)
    assert text.startswith("support/refunds  Pending")
    assert "evidence" not in text


def test_without_an_agent_there_is_no_picture() -> None:
    recorded = Recorded("canary")
    recorded.objects["agentdeployments.agentdeploy.dev"].clear()
    assert picture(recorded) is None
