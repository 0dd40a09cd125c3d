"""Counts of one signal: blocks of time with both tracks, their sums, windows of last sessions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from agent_operator.domain.verdict.readings import TrackDelta
from agent_operator.domain.verdict.signals import Signal


@dataclass(frozen=True, slots=True)
class TrackCounts:
    """One track's sessions started and gone bad, requests and bad requests, by one signal."""

    sessions: int = 0
    bad: int = 0
    requests: int = 0
    bad_requests: int = 0

    def __post_init__(self) -> None:
        if min(self.sessions, self.bad, self.requests, self.bad_requests) < 0:
            raise ValueError(f"counts are never negative: {self}")

    def __add__(self, other: "TrackCounts") -> "TrackCounts":
        return TrackCounts(
            self.sessions + other.sessions,
            self.bad + other.bad,
            self.requests + other.requests,
            self.bad_requests + other.bad_requests,
        )

    @property
    def bad_session_rate(self) -> float:
        """Share of sessions gone bad; 0 without sessions."""
        return self.bad / self.sessions if self.sessions else 0.0

    @property
    def bad_request_share(self) -> float:
        """Share of bad requests; 0 without requests."""
        return self.bad_requests / self.requests if self.requests else 0.0

    def with_carry(self, carry: "TrackCounts") -> tuple["TrackCounts", "TrackCounts"]:
        """Give (counts with bad <= started, what of the bad waits for the next block).

        A later turn may go bad in a block after the one its session started in; a scrape may catch
        a bad request before the request itself.
        """
        bad = min(self.bad + carry.bad, self.sessions)
        bad_requests = min(self.bad_requests + carry.bad_requests, self.requests)
        judged = TrackCounts(self.sessions, bad, self.requests, bad_requests)
        rest = TrackCounts(
            bad=self.bad + carry.bad - bad,
            bad_requests=self.bad_requests + carry.bad_requests - bad_requests,
        )
        return judged, rest


@dataclass(frozen=True, slots=True)
class Block:
    """Both tracks over the same stretch of time."""

    canary: TrackCounts = TrackCounts()
    stable: TrackCounts = TrackCounts()

    def __add__(self, other: "Block") -> "Block":
        return Block(self.canary + other.canary, self.stable + other.stable)

    @property
    def increase(self) -> float:
        """Canary's minus stable's bad-session rate."""
        return self.canary.bad_session_rate - self.stable.bad_session_rate

    @property
    def both_started(self) -> bool:
        """Whether both tracks have a session, so that they can be compared."""
        return self.canary.sessions > 0 and self.stable.sessions > 0


Counted = TypeVar("Counted", Block, TrackCounts)

NO_COUNTS: Final = TrackCounts()
EMPTY_BLOCK: Final = Block()


def track_counts(delta: TrackDelta, signal: Signal) -> TrackCounts:
    """Take one signal's counts out of a track's delta; a track without pods has none."""
    return TrackCounts(
        sessions=delta.sessions_started,
        bad=delta.sessions_bad.get(signal, 0),
        requests=delta.requests,
        bad_requests=delta.requests_bad.get(signal, 0),
    )


def slid(
    buckets: tuple[Counted, ...], newest: Counted, *, keep: int, sessions: Callable[[Counted], int]
) -> tuple[Counted, ...]:
    """Add the newest counts to a window over the last `keep` sessions, forget what it needn't hold.

    Counts are kept in buckets of a fifth of the window, because status is small: the window spans
    up to a fifth more than `keep`, and more only where one block alone does.
    """
    if newest == type(newest)():
        return buckets
    window = list(buckets)
    if window and sessions(window[-1]) < keep // 5:
        window[-1] += newest
    else:
        window.append(newest)
    while sum(sessions(bucket) for bucket in window[1:]) >= keep:
        del window[0]
    return tuple(window)
