"""A settled fleet costs nothing: no writes, whatever the operator lives through."""

import time
from collections.abc import Iterator

import pytest

from tests.factories import GATEWAY_TRAFFIC
from tests.site import Furnish, Site, prompt

pytestmark = pytest.mark.cluster

QUIET_SECONDS = 60.0
AGENTS = {
    "by-gateway": GATEWAY_TRAFFIC,
    "by-replicas": {},
    "from-image": {"prompt": {"version": "v1", "files": None, "fromImage": True}},
}


@pytest.fixture(scope="module")
def settled(furnish: Furnish) -> Iterator[Site]:
    """Settle one agent of each mode, and one that was rolled back."""
    with furnish() as place:
        place.counters.bad_shares["bad"] = {"error": 0.6}
        for name, spec in AGENTS.items():
            place.apply(spec, name=name)
        place.settle(name="rolled-back")
        place.apply(prompt("bad"), name="rolled-back")
        for name in AGENTS:
            place.until_phase("Stable", name=name)
        place.until_phase("RolledBack", name="rolled-back")
        place.until_true(lambda: len(place.objects.every("deployments")) == len(AGENTS) + 1)
        yield place


def test_a_settled_fleet_makes_no_write_in_a_minute(settled: Site) -> None:
    time.sleep(1)  # the last echoes of settling
    since = settled.audit.from_now()
    time.sleep(QUIET_SECONDS)
    assert settled.writes(since) == []


def test_a_restarted_operator_writes_nothing_to_settled_objects(settled: Site) -> None:
    settled.operator.stop()
    since = settled.audit.from_now()
    operator = settled.start_operator()
    time.sleep(5)
    assert settled.writes(since) == []
    assert operator.decisions() == []


def test_a_stopped_operator_ends_well(settled: Site) -> None:
    assert settled.operator.stop() == 0
    settled.start_operator()
