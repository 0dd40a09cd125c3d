"""Evidence survives a restart through status, and a damaged status is refused."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from agent_operator.domain.verdict.codec import from_dict, to_dict
from agent_operator.domain.verdict.counts import TrackCounts
from agent_operator.domain.verdict.state import AnalysisState, fresh
from agent_operator.domain.verdict.verdict import judge, with_verdict
from tests.unit.domain.verdict.samples import ERRORS, FALLBACKS, analysed, delta, rules

BY = rules(maxima={ERRORS: 0.05, FALLBACKS: None})
Damage = Callable[[dict[str, Any]], object]


def long_state() -> AnalysisState:
    """Two thousand canary sessions, late bad turns, an outage of both tracks."""
    past = delta(4000, errors=300, fallbacks=40)
    blocks = [(delta(10, errors=i % 3, fallbacks=1), delta(93, errors=i % 5)) for i in range(200)]
    blocks += [(delta(3, errors=9), delta(40, errors=60))] * 3
    state = analysed(blocks, by=BY, baseline=past)
    return with_verdict(state, judge(state, BY))


@pytest.mark.parametrize("state", [fresh(BY), long_state()], ids=["fresh", "long"])
def test_a_state_comes_back_from_json_exactly(state: AnalysisState) -> None:
    assert from_dict(json.loads(json.dumps(to_dict(state), allow_nan=False))) == state


def test_nothing_in_evidence_is_null() -> None:
    # A merge patch takes null for "remove": what was written would not be what is read.
    assert "null" not in json.dumps(to_dict(fresh(BY)))


def test_whole_numbers_may_come_back_as_floats_and_the_other_way_round() -> None:
    as_floats = json.loads(json.dumps(to_dict(long_state())), parse_int=float)
    assert from_dict(as_floats) == long_state()
    data = to_dict(fresh(BY))
    data["signals"]["errorRate"]["breach"]["logs"] = [-2] * 6
    assert from_dict(data).signals[ERRORS].breach.logs == (-2.0,) * 6


def test_a_row_of_a_long_rollout_is_small_enough_for_status() -> None:
    row = to_dict(long_state())["signals"]["errorRate"]
    assert len(json.dumps(row, separators=(",", ":"))) < 720


def at(*path: Any, value: object) -> Damage:
    def damage(data: dict[str, Any]) -> None:
        target: Any = data
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = value

    return damage


ROW = ("signals", "errorRate")
DAMAGES: dict[str, Damage] = {
    "field missing": lambda data: data.pop("weight"),
    "no mapping": at("signals", value=3),
    "unknown signal": at("signals", "moodRate", value={}),
    "row is a list": at(*ROW, value=[]),
    "text for a number": at("stepSeconds", value="9"),
    "truth for a number": at("stepSeconds", value=True),
    "not a number": at(*ROW, "regression", "logs", 0, value=float("nan")),
    "infinite": at(*ROW, "breach", "logs", 0, value=float("inf")),
    "too few lifts": at(*ROW, "breach", "logs", value=[0.0]),
    "half a session": at("stepSessions", value=1.5),
    "negative count": at(*ROW, "rollout", 0, value=-1),
    "too few counts": at(*ROW, "rollout", value=[1, 2, 3]),
    "limit of zero": at(*ROW, "limit", value=[0.05, 0.0]),
    "limit of one": at(*ROW, "limit", value=[1.0, 0.5]),
    "endless window": at(*ROW, "recent", value=[[0] * 8] * 17),
    "prior of no sessions": at(*ROW, "prior", value=[0, 0]),
    "prior with more bad than sessions": at(*ROW, "prior", value=[5, 4]),
    "too large to sum": at("stepSessions", value=10**13),
    "more waits than started": at(*ROW, "joined", 4, value=10**9),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_status_is_refused(damage: Damage) -> None:
    data = copy.deepcopy(to_dict(long_state()))
    damage(data)
    with pytest.raises(ValueError, match=r"status|Signal|never negative|past"):
        from_dict(data)


def test_windows_and_carry_are_kept() -> None:
    back = from_dict(to_dict(long_state())).signals[ERRORS]
    assert back.carry.canary.bad > 0
    assert back.last_stable.sessions >= 50
    assert back.last_canary.canary != TrackCounts()
