"""What counts as a failure, and as a conversation that changed its revision."""

from demo.tally import Answer, Switch, Tally

GOOD, BAD = "1f0c000000", "9ab2000000"


def talked(*turns: tuple[str, str]) -> Tally:
    """One conversation whose answers came from these (revision, layer)."""
    tally = Tally()
    before = None
    for revision, layer in turns:
        tally.record(Answer("session", revision, layer), before=before)
        before = revision
    return tally


def moved(*switches: Switch) -> Tally:
    return Tally(switches=list(switches))


def test_a_conversation_that_stays_switches_nothing() -> None:
    assert talked((GOOD, "primary"), (GOOD, "primary")).switches == []


def test_every_change_of_revision_within_a_conversation_is_a_switch() -> None:
    tally = talked((GOOD, "primary"), (BAD, "primary"), (GOOD, "primary"))
    assert [(s.before, s.after) for s in tally.switches] == [(GOOD, BAD), (BAD, GOOD)]


def test_a_conversation_that_leaves_the_rolled_back_revision_is_explained() -> None:
    tally = moved(Switch(101.0, BAD, GOOD))
    assert tally.unexplained_switches(evicted=BAD, since=100.0) == []


def test_a_conversation_that_left_the_bad_revision_before_the_rollback_is_not_explained() -> None:
    early = Switch(99.0, BAD, GOOD)
    assert moved(early).unexplained_switches(evicted=BAD, since=100.0) == [early]


def test_a_conversation_that_leaves_a_healthy_revision_is_not_explained() -> None:
    lost = Switch(101.0, GOOD, BAD)
    assert moved(lost).unexplained_switches(evicted=BAD, since=100.0) == [lost]


def test_without_a_rollback_no_switch_is_explained() -> None:
    lost = Switch(101.0, GOOD, BAD)
    assert moved(lost).unexplained_switches(evicted=None, since=0.0) == [lost]


def test_answers_are_counted_by_revision_and_by_who_gave_them() -> None:
    tally = talked((GOOD, "primary"), (BAD, "fallback"), (BAD, "static"), (BAD, "primary"))
    assert tally.requests == 4
    assert tally.by_revision == {GOOD: 1, BAD: 3}
    assert (tally.degraded(GOOD), tally.degraded(BAD)) == (0, 2)


def test_the_first_degraded_answer_of_a_revision_is_remembered() -> None:
    tally = talked((BAD, "fallback"))
    first = tally.first_degraded[BAD]
    tally.record(Answer("session", BAD, "fallback"), before=BAD)
    assert tally.first_degraded == {BAD: first}


def test_a_failure_is_a_request_too() -> None:
    tally = talked((GOOD, "primary"))
    tally.record_failure("HTTP 503", before=GOOD)
    assert tally.requests == 2
    assert [(f.reason, f.revision) for f in tally.failures] == [("HTTP 503", GOOD)]
