"""What the traffic driver saw: answers, failures, and conversations that changed their revision."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

PRIMARY = "primary"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the agent; `layer` says who gave it: primary, fallback or static."""

    session_id: str
    revision: str
    layer: str


@dataclass(frozen=True, slots=True)
class Switch:
    """A conversation whose next answer came from another revision; `at` in Unix seconds."""

    at: float
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A request without a usable answer; `revision` is the one its conversation was on, if any."""

    at: float
    reason: str
    revision: str | None


@dataclass(slots=True)
class Tally:
    """Counts of one run; everything in here was measured at the client."""

    sessions: int = 0
    requests: int = 0
    failures: list[Failure] = field(default_factory=list)
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    switches: list[Switch] = field(default_factory=list)
    first_degraded: dict[str, float] = field(default_factory=dict)

    @property
    def by_revision(self) -> dict[str, int]:
        """Answers by the revision that gave them."""
        counts: Counter[str] = Counter()
        for (revision, _), number in self.answers.items():
            counts[revision] += number
        return dict(counts)

    def degraded(self, revision: str) -> int:
        """Answers of a revision that its primary model did not give."""
        pairs = self.answers.items()
        return sum(n for (name, layer), n in pairs if name == revision and layer != PRIMARY)

    def record(self, answer: Answer, *, before: str | None) -> None:
        """Count an answer; `before` is the revision of the conversation's last answer, if any."""
        now = time.time()
        self.requests += 1
        self.answers[answer.revision, answer.layer] += 1
        if answer.layer != PRIMARY:
            self.first_degraded.setdefault(answer.revision, now)
        if before is not None and before != answer.revision:
            self.switches.append(Switch(now, before, answer.revision))

    def record_failure(self, reason: str, *, before: str | None) -> None:
        """Count a request that got no usable answer."""
        self.requests += 1
        self.failures.append(Failure(time.time(), reason, before))

    def unexplained_switches(self, *, evicted: str | None, since: float) -> list[Switch]:
        """Return switches that the rollback of revision `evicted` at `since` does not explain.

        A rollback moves the conversations of the revision it takes back; nothing else may.
        """
        return [s for s in self.switches if s.before != evicted or s.at < since]
