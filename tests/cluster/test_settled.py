"""A settled fleet costs nothing: no writes, whatever the operator lives through."""

import time

import pytest

from tests.site import SettledSite

pytestmark = pytest.mark.cluster

QUIET_SECONDS = 60.0


def test_a_settled_fleet_makes_no_write_in_a_minute_nor_after_a_restart(
    settled: SettledSite,
) -> None:
    place, log = settled.place, settled.log
    time.sleep(max(0.0, settled.since + QUIET_SECONDS - time.monotonic()))
    assert place.writes(log) == []
    assert place.operator.stop() == 0
    operator = place.start_operator()
    time.sleep(5)
    assert place.writes(log) == []
    assert operator.decisions() == []
