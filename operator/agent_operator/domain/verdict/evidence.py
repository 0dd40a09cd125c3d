"""Evidence about one signal: both processes, the sums and windows that explain it, what waits.

One value per signal, replaced at every block and kept in `status.evidence` (codec.py), so that a
restart of the operator continues.
"""

from dataclasses import dataclass, replace

from agent_operator.domain.verdict.counts import (
    EMPTY_BLOCK,
    NO_COUNTS,
    Block,
    TrackCounts,
    slid,
)
from agent_operator.domain.verdict.wealth import UNTOUCHED, Wealth, breach_gains, regression_gains


@dataclass(frozen=True, slots=True)
class StablePrior:
    """Where the estimate of stable's bad-session rate starts; pseudo-counts included."""

    bad: float = 0.5
    sessions: float = 10.0

    def __post_init__(self) -> None:
        if not 0 <= self.bad <= self.sessions or not self.sessions:
            raise ValueError(f"impossible past of stable: {self}")


@dataclass(frozen=True, slots=True)
class Limit:
    """The share of bad requests that a signal may have, fixed when the canary starts."""

    maximum: float  # what the spec says; another one there sets the limit anew
    share: float

    @property
    def is_raised(self) -> bool:
        """Whether stable itself was above the maximum, so that the limit had to be set above it."""
        return self.share > self.maximum


@dataclass(frozen=True, slots=True)
class SignalEvidence:
    """Everything known about one signal of one candidate."""

    limit: Limit | None = None
    stable_share: float | None = (
        None  # stable's bad-request share of 24 h, if it had enough sessions
    )
    prior: StablePrior = StablePrior()
    regression: Wealth = UNTOUCHED
    breach: Wealth = UNTOUCHED
    rollout: Block = EMPTY_BLOCK  # sums since the evidence began
    step: Block = EMPTY_BLOCK  # sums at this weight
    joined: Block = EMPTY_BLOCK  # waits until both tracks have a session
    waiting: TrackCounts = NO_COUNTS  # canary's requests of blocks without a started session
    carry: Block = EMPTY_BLOCK  # bad beyond what was started
    recent: tuple[Block, ...] = ()  # while the canary started its last 100 sessions
    recent_stable: tuple[TrackCounts, ...] = ()  # stable's last 50 sessions
    shared_outage: bool = False  # the last verdict was that both tracks are above the limit

    def absorb(self, block: Block) -> "SignalEvidence":
        """Take in the counts of one stretch of time; blocks must tile time without overlap."""
        canary, canary_rest = block.canary.with_carry(self.carry.canary)
        stable, stable_rest = block.stable.with_carry(self.carry.stable)
        judged = Block(canary, stable)
        after = replace(
            self,
            rollout=self.rollout + judged,
            step=self.step + judged,
            joined=self.joined + judged,
            waiting=self.waiting + canary,
            carry=Block(canary_rest, stable_rest),
            recent=slid(self.recent, judged, keep=100, sessions=_canary_sessions),
            recent_stable=slid(self.recent_stable, stable, keep=50, sessions=_sessions),
        )
        return after._with_regression()._with_breach()._with_outage_over()

    def at_new_weight(self, *, weight_fell: bool) -> "SignalEvidence":
        """Start the step's sums again; evidence stays.

        Less weight brings fewer new sessions beside the late turns of old ones, which would look
        bad: what was carried or waits to be joined is dropped then.
        """
        if not weight_fell:
            return replace(self, step=EMPTY_BLOCK)
        return replace(self, step=EMPTY_BLOCK, joined=EMPTY_BLOCK, carry=EMPTY_BLOCK)

    def with_limit(self, limit: Limit | None) -> "SignalEvidence":
        """Set another limit: what was gathered against the old one is worth nothing."""
        return replace(self, limit=limit, breach=UNTOUCHED, shared_outage=False)

    @property
    def stable_rate(self) -> float:
        """Estimate of stable's bad-session rate, from all blocks but those that still wait."""
        bad = self.rollout.stable.bad - self.joined.stable.bad
        sessions = self.rollout.stable.sessions - self.joined.stable.sessions
        rate = (self.prior.bad + bad) / (self.prior.sessions + sessions)
        return min(max(rate, 0.001), 0.95)

    @property
    def last_canary(self) -> Block:
        """Both tracks while the canary started its last 100 sessions."""
        return sum(self.recent, EMPTY_BLOCK)

    @property
    def last_stable(self) -> TrackCounts:
        """Stable's last 50 sessions."""
        return sum(self.recent_stable, NO_COUNTS)

    def _with_regression(self) -> "SignalEvidence":
        if not self.joined.both_started:
            return self
        canary, stable = self.joined.canary, self.joined.stable
        gains = regression_gains(
            (canary.sessions, canary.bad),
            (stable.sessions, stable.bad),
            stable_rate=self.stable_rate,
        )
        return replace(
            self,
            regression=self.regression.after(gains, sessions=canary.sessions),
            joined=EMPTY_BLOCK,
        )

    def _with_breach(self) -> "SignalEvidence":
        block = self.waiting
        if not (block.sessions and block.requests):
            return self
        if self.limit is None:
            return replace(self, waiting=NO_COUNTS)
        bad = block.sessions * block.bad_request_share
        gains = breach_gains(block.sessions, bad, limit=self.limit.share)
        breach = self.breach.after(gains, sessions=block.sessions)
        return replace(self, breach=breach, waiting=NO_COUNTS)

    def _with_outage_over(self) -> "SignalEvidence":
        # What both tracks suffered together says nothing of the candidate, but the breach process
        # would remember it for thousands of sessions, so it and the step start anew.
        if not self.shared_outage or self.is_stable_above_limit:
            return self
        return replace(self, breach=UNTOUCHED, step=EMPTY_BLOCK, shared_outage=False)

    @property
    def is_stable_above_limit(self) -> bool:
        """Whether stable's last 50 sessions are above the limit too."""
        return self.limit is not None and self.last_stable.bad_request_share > self.limit.share


def _canary_sessions(block: Block) -> int:
    return block.canary.sessions


def _sessions(counts: TrackCounts) -> int:
    return counts.sessions
