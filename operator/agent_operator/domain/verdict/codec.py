"""The state of an analysis as the JSON of `status.evidence`, and back: exact both ways."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from agent_operator.domain.verdict.counts import Block, TrackCounts
from agent_operator.domain.verdict.evidence import Limit, SignalEvidence, StablePrior
from agent_operator.domain.verdict.signals import Signal
from agent_operator.domain.verdict.state import AnalysisState
from agent_operator.domain.verdict.wealth import LIFTS, Wealth

_LARGEST: Final = 1e12  # of what we write; beyond it sums may overflow
_MOST_BUCKETS: Final = 16  # more than any window has; a status that says otherwise isn't ours


def to_dict(state: AnalysisState) -> dict[str, Any]:
    """Give the state as JSON values; logarithms only, since evidence itself may be e^20000."""
    return {
        "weight": state.weight,
        "stepSessions": state.step_sessions,
        "stepSeconds": state.step_seconds,
        "rolloutSeconds": state.rollout_seconds,
        "passesInRow": state.passes_in_row,
        "signals": {str(s): _evidence_to_dict(e) for s, e in state.signals.items()},
    }


def from_dict(data: Mapping[str, Any]) -> AnalysisState:
    """Read the state back. Raises ValueError if it isn't what `to_dict` wrote."""
    try:
        return AnalysisState(
            signals={Signal(s): _evidence(e) for s, e in data["signals"].items()},
            weight=_whole(data["weight"]),
            step_sessions=_whole(data["stepSessions"]),
            step_seconds=_number(data["stepSeconds"]),
            rollout_seconds=_number(data["rolloutSeconds"]),
            passes_in_row=_whole(data["passesInRow"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"evidence in status is unreadable: {error!r}") from error


def _evidence_to_dict(evidence: SignalEvidence) -> dict[str, Any]:
    limit, share = evidence.limit, evidence.stable_share
    # Absent, not null: the API server stores no nulls that arrive in a merge patch.
    optional: dict[str, Any] = {} if limit is None else {"limit": [limit.maximum, limit.share]}
    optional |= {} if share is None else {"stableShare": share}
    return optional | {
        "prior": [evidence.prior.bad, evidence.prior.sessions],
        "regression": _wealth_to_dict(evidence.regression),
        "breach": _wealth_to_dict(evidence.breach),
        "rollout": _block_to_list(evidence.rollout),
        "step": _block_to_list(evidence.step),
        "joined": _block_to_list(evidence.joined),
        "waiting": _counts_to_list(evidence.waiting),
        "carry": _block_to_list(evidence.carry),
        "recent": [_block_to_list(block) for block in evidence.recent],
        "recentStable": [_counts_to_list(counts) for counts in evidence.recent_stable],
        "sharedOutage": evidence.shared_outage,
    }


def _evidence(data: Mapping[str, Any]) -> SignalEvidence:
    limit, share = data.get("limit"), data.get("stableShare")
    evidence = SignalEvidence(
        limit=None if limit is None else Limit(*_shares(limit, length=2)),
        stable_share=None if share is None else _number(share),
        prior=StablePrior(*_numbers(data["prior"], length=2)),
        regression=_wealth(data["regression"]),
        breach=_wealth(data["breach"]),
        rollout=_block(data["rollout"]),
        step=_block(data["step"]),
        joined=_block(data["joined"]),
        waiting=_counts(data["waiting"]),
        carry=_block(data["carry"]),
        recent=tuple(_block(item) for item in _buckets(data["recent"])),
        recent_stable=tuple(_counts(item) for item in _buckets(data["recentStable"])),
        shared_outage=data["sharedOutage"] is True,
    )
    if evidence.joined.stable.sessions > evidence.rollout.stable.sessions:
        raise ValueError("evidence in status has more sessions waiting than started")
    return evidence


def _wealth_to_dict(wealth: Wealth) -> dict[str, Any]:
    return {"logs": list(wealth.logs), "sessions": wealth.sessions}


def _wealth(data: Mapping[str, Any]) -> Wealth:
    return Wealth(_numbers(data["logs"], length=len(LIFTS)), _whole(data["sessions"]))


def _counts_to_list(counts: TrackCounts) -> list[int]:
    return [counts.sessions, counts.bad, counts.requests, counts.bad_requests]


def _counts(values: Any) -> TrackCounts:
    return TrackCounts(*(_whole(value) for value in _items(values, length=4)))


def _block_to_list(block: Block) -> list[int]:
    return _counts_to_list(block.canary) + _counts_to_list(block.stable)


def _block(values: Any) -> Block:
    items = _items(values, length=8)
    return Block(_counts(items[:4]), _counts(items[4:]))


def _buckets(values: Any) -> Sequence[Any]:
    if len(values) > _MOST_BUCKETS:
        raise ValueError(f"evidence in status has {len(values)} buckets in a window")
    return tuple(values)


def _shares(values: Any, *, length: int) -> tuple[float, ...]:
    shares = _numbers(values, length=length)
    if not all(0 < share < 1 for share in shares):
        raise ValueError(f"evidence in status has shares {shares}, not between 0 and 1")
    return shares


def _numbers(values: Any, *, length: int) -> tuple[float, ...]:
    return tuple(_number(value) for value in _items(values, length=length))


def _items(values: Any, *, length: int) -> Sequence[Any]:
    if len(values) != length:
        raise ValueError(f"evidence in status has {len(values)} numbers where {length} belong")
    return tuple(values)


def _number(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not -_LARGEST < value < _LARGEST:  # never true of NaN
        raise ValueError(f"evidence in status has {value!r} where a number belongs")
    return float(value)


def _whole(value: Any) -> int:
    number = _number(value)  # API servers may write 3 as 3.0
    if number < 0 or not number.is_integer():
        raise ValueError(f"evidence in status has {value!r} where a count belongs")
    return int(number)
