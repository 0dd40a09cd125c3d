"""The sequential test in numbers: what a block gains per lift, and the wealth of betting on it.

All in natural logarithms: evidence of a bad canary reaches e^20000. Sources: Turner, Ly and
Grünwald 2024 (two-sample e-variables), Ville's inequality, Ramdas et al. 2023 (survey).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

LIFTS: Final = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)  # in log-odds
SESSIONS_PER_STAKE: Final = 300
DIGITS: Final = 8  # wealth is rounded at every block, so that a restart from status changes nothing

Gains = tuple[float, ...]  # one per lift

_ODDS_RATIOS: Final = tuple(math.exp(lift) for lift in LIFTS)


def regression_gains(
    canary: tuple[int, int], stable: tuple[int, int], *, stable_rate: float
) -> Gains:
    """Weigh one block (sessions, bad) of both tracks against "both are equally bad", per lift.

    `stable_rate` is the estimate from stable's *earlier* blocks. Valid under any drift that is
    common to both tracks, so an outage of the provider is no evidence.
    """
    (n_canary, b_canary), (n_stable, b_stable) = canary, stable
    gains = []
    for lifted in _lifted(stable_rate):
        common = (n_canary * lifted + n_stable * stable_rate) / (n_canary + n_stable)
        gain_canary = _log_ratio(b_canary, n_canary, lifted, common)
        gains.append(gain_canary + _log_ratio(b_stable, n_stable, stable_rate, common))
    return tuple(gains)


def breach_gains(sessions: int, bad: float, *, limit: float) -> Gains:
    """Weigh one block of one track against "no more than the limit is bad", per lift."""
    return tuple(_log_ratio(bad, sessions, lifted, limit) for lifted in _lifted(limit))


def _lifted(rate: float) -> Iterable[float]:
    odds = rate / (1 - rate)
    return (odds * ratio / (1 + odds * ratio) for ratio in _ODDS_RATIOS)


def _log_ratio(bad: float, sessions: int, rate: float, reference: float) -> float:
    good = sessions - bad
    return bad * math.log(rate / reference) + good * math.log((1 - rate) / (1 - reference))


@dataclass(frozen=True, slots=True)
class Wealth:
    """What an e-process has made of its money, per lift: half of it is bet at the start.

    After every 300 sessions of the canary a fresh stake is bet, so that a long good canary builds
    up no debt that would hide it going wrong.
    """

    logs: tuple[float, ...] = (math.log(1 / 12),) * len(LIFTS)
    sessions: int = 0

    def after(self, gains: Gains, *, sessions: int) -> "Wealth":
        """Give the wealth after a block with so many canary sessions."""
        logs = [log + gain for log, gain in zip(self.logs, gains, strict=True)]
        stakes_before, stakes = (
            n // SESSIONS_PER_STAKE for n in (self.sessions, self.sessions + sessions)
        )
        if stakes > stakes_before:
            # A block may complete several stakes; the sum of (1/2)(1/j - 1/(j+1)) telescopes.
            fresh = _unused(stakes_before) - _unused(stakes)
            logs = [_log_sum((log, math.log(fresh / len(LIFTS)))) for log in logs]
        return Wealth(tuple(round(log, DIGITS) for log in logs), self.sessions + sessions)

    @property
    def log_evidence(self) -> float:
        """Natural logarithm of the evidence: wealth of all lifts and what has not been bet yet."""
        return _log_sum((*self.logs, math.log(_unused(self.sessions // SESSIONS_PER_STAKE))))


UNTOUCHED: Final = Wealth()


def _unused(stakes: int) -> float:
    return 0.5 / (stakes + 1)


def _log_sum(logs: Iterable[float]) -> float:
    values = tuple(logs)
    top = max(values)
    return top + math.log(math.fsum(math.exp(value - top) for value in values))
