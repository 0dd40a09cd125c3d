"""The gauge of open conversations."""

from agent_runtime.sessions.open import OpenSessions
from tests.fakes.clock import VirtualClock


def test_a_session_is_open_until_it_was_idle_too_long() -> None:
    clock = VirtualClock()
    sessions = OpenSessions(idle_seconds=10, now=clock.now)
    for clock.time, key in ((0, "a"), (5, "b"), (9, "a")):
        sessions.touch(key)

    counts = []
    for clock.time in (9, 15, 18.9, 19):
        counts.append(len(sessions))

    assert counts == [2, 1, 1, 0]


def test_a_session_is_counted_once_and_closed_once() -> None:
    sessions = OpenSessions(idle_seconds=10)
    sessions.touch("a")
    sessions.touch("a")
    assert len(sessions) == 1

    sessions.close("a")
    sessions.close("a")

    assert len(sessions) == 0
