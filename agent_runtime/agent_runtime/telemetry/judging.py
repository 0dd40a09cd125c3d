"""Turns finished requests into the counters on which the operator judges a revision.

- Sessions are counted per (session, revision): started when their first request there is finished,
  well or badly; bad once per signal, at the first bad request, whichever turn that is.
- A session that goes on without a record, because the store was away or lost it, is counted neither
  again as started nor as bad; its requests are.
- Requests are counted up to the first 20 of a session, so that an endless one weighs no more than
  others; with unit `Request` each one stands for itself and all are counted.
- The fallback model answered: outcome degraded, bad for `fallback`. The static text answered:
  outcome failed, bad for `error` and for `fallback` too, since it is the last fallback layer.
- cancelled (the client left) is started, and bad only for `latency`, if it had already run too
  long. rejected (400, 413, 422) is neither started nor bad: no session was spoken to.
- A conversation whose very first request carried a pin is in none of these, its requests neither;
  it counts once per revision in `agent_sessions_pinned_total`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from agent_runtime.agent.history import Turn
from agent_runtime.policy import Policy
from agent_runtime.sessions.conversations import Conversation, Conversations
from agent_runtime.sessions.store import Finished, Tally
from agent_runtime.telemetry.metrics import SEGMENT, Metrics, Outcome, Signal

MAX_COUNTED_REQUESTS = 20


@dataclass(frozen=True, slots=True)
class Ending:
    """How one request ended; `seconds` up to the end of the answer."""

    outcome: Outcome
    seconds: float
    chain_length: int = 0
    turn: Turn | None = None


def bad_signals(ending: Ending, policy: Policy) -> frozenset[Signal]:
    """Return what was bad about a request."""
    signals = set()
    if ending.outcome is Outcome.FAILED:
        signals |= {Signal.ERROR, Signal.FALLBACK}
    if ending.outcome is Outcome.DEGRADED:
        signals.add(Signal.FALLBACK)
    if ending.seconds > policy.latency_seconds:
        signals.add(Signal.LATENCY)
    if ending.chain_length > policy.max_chain_length:
        signals.add(Signal.CHAIN)
    return frozenset(signals)


class Judge:
    """Counts every request exactly once, after its session was told."""

    def __init__(
        self,
        metrics: Metrics,
        conversations: Conversations,
        *,
        policy: Callable[[], Policy],
        revision: str,
    ) -> None:
        self._metrics = metrics
        self._conversations = conversations
        self._policy = policy
        self._revision = revision

    async def settle(self, conversation: Conversation, ending: Ending) -> None:
        """Write a finished request into its session and count what is new."""
        policy = self._policy()
        signals = bad_signals(ending, policy)
        finished = Finished(self._revision, frozenset(map(str, signals)), ending.turn)
        tally = await self._conversations.finish(conversation, finished)
        if conversation.id.pinned:
            if tally.first:
                self._metrics.sessions_pinned.inc()
            return
        self._count_session(tally)
        if policy.unit == "Request" or tally.requests <= MAX_COUNTED_REQUESTS:
            self._metrics.requests.labels(ending.outcome, SEGMENT).inc()
            for signal in signals:
                self._metrics.requests_bad.labels(signal, SEGMENT).inc()

    def reject(self, *, has_pin: bool) -> None:
        """Count a request that was refused before it reached a session."""
        if not has_pin:
            self._metrics.requests.labels(Outcome.REJECTED, SEGMENT).inc()

    def _count_session(self, tally: Tally) -> None:
        if tally.first:
            self._metrics.sessions_started.labels(SEGMENT).inc()
        for signal in tally.new_signals:
            self._metrics.sessions_bad.labels(signal, SEGMENT).inc()
