"""The first revision of an agent: everything it needs, no analysis."""

import pytest

from tests.agents import AGENT
from tests.factories import GATEWAY_TRAFFIC
from tests.site import Site

pytestmark = pytest.mark.cluster


def test_the_first_revision_serves_as_soon_as_its_pods_are_available(place: Site) -> None:
    stable = place.settle(GATEWAY_TRAFFIC)
    assert place.condition("Ready") == ("True", "Stable")
    child = f"{AGENT}-{stable}"
    assert place.children() == {
        ("controllerrevisions", child),
        ("configmaps", child),
        ("services", child),
        ("deployments", child),
        ("horizontalpodautoscalers", child),
        ("poddisruptionbudgets", child),
        ("services", AGENT),
        ("httproutes", AGENT),
        ("configmaps", f"{AGENT}-policy"),
        ("secrets", f"{AGENT}-keys"),
    }
