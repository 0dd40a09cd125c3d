"""Trouble with Prometheus holds a canary where it is: it never promotes and never rolls back."""

from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.agents import Counted, prompt
from tests.factories import GATEWAY_TRAFFIC, merged
from tests.fakes.prometheus_server import answering, hanging_up, success
from tests.fakes.session_counters import SessionCounters
from tests.site import QUICK_ROLLOUT, Furnish, Site

pytestmark = pytest.mark.cluster

# More sessions than the tests last for: only trouble and its end change anything.
ENDLESS = merged(QUICK_ROLLOUT, {"analysis": {"minSessions": 100_000}})
SPEC = merged(GATEWAY_TRAFFIC, {"rollout": ENDLESS})
Trouble = Callable[[SessionCounters], None]


def _down(counters: SessionCounters) -> None:
    counters.instead = hanging_up


def _overloaded(counters: SessionCounters) -> None:
    body = {"status": "error", "errorType": "unavailable", "error": "too much"}
    counters.instead = answering(503, body)


def _empty(counters: SessionCounters) -> None:
    counters.instead = answering(200, success("vector", []))


def _not_a_number(counters: SessionCounters) -> None:
    counters.spoiled_values["v2"] = float("nan")


def _stable_unseen(counters: SessionCounters) -> None:
    counters.unseen_prompts.add("v1")


# What happens, the reason that is given, and words of the message.
TROUBLES: Mapping[str, tuple[Trouble, str, str]] = {
    "nobody answers": (_down, "MetricsUnavailable", "Prometheus cannot be reached"),
    "an overloaded server": (_overloaded, "MetricsUnavailable", "answered with HTTP 503"),
    "an empty answer": (_empty, "ContractNotMet", "no complete agent_sessions"),
    "a candidate that counts NaN": (_not_a_number, "ContractNotMet", "no complete agent_sessions"),
    "an unseen stable revision": (_stable_unseen, "StableUnmeasured", "nothing to compare with"),
}


@pytest.fixture(scope="module")
def shared(furnish: Furnish) -> Iterator[Site]:
    with furnish() as place:
        place.settle(SPEC)
        place.roll_out(merged(SPEC, prompt("v2")))
        yield place


@pytest.fixture
def canary(shared: Site) -> Iterator[tuple[Site, Counted]]:
    """Give a canary in its step that is measured, and what was counted so far."""
    _end_trouble(shared.counters)
    shared.until(lambda _: shared.condition("MetricsAvailable") == ("True", "Measured"))
    yield shared, shared.until_counted()
    _end_trouble(shared.counters)


def _end_trouble(counters: SessionCounters) -> None:
    counters.instead = None
    counters.spoiled_values.clear()
    counters.unseen_prompts.clear()


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_canary_is_held_where_it_is_and_goes_on_afterwards(
    canary: tuple[Site, Counted], trouble: str
) -> None:
    place, before = canary
    make_trouble, reason, words = TROUBLES[trouble]
    since = place.audit.from_now()
    make_trouble(place.counters)
    held = place.until_phase("Held")
    assert place.condition("MetricsAvailable") == ("False", reason)
    assert held.rollout is not None
    assert (held.rollout.state, held.rollout.weight, held.rejected) == ("Stepping", 50, None)
    decision = held.last_decision
    assert decision is not None
    assert (decision.action, decision.reason) == ("Hold", reason)
    assert words in decision.message
    place.until_true(lambda: ("Warning", reason, decision.message) in place.events())
    _end_trouble(place.counters)
    after = place.until_counted(after=before.at + 1)
    assert place.status().phase == "Canary"
    assert after.since(before) == place.served(after.sessions, before.at, after.at)
    assert {write.split()[1] for write in place.writes(since)} - {"events"} == {
        "agentdeployments/status"
    }
