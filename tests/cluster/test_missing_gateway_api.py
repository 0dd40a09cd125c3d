"""A cluster without the Gateway API: what needs it says so, all the rest works."""

from collections.abc import Iterator

import pytest

from localcluster import down, up
from localcluster.pytest_plugin import own_state
from tests.factories import GATEWAY_TRAFFIC
from tests.installation import define, furnished, operator_account
from tests.site import Site

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def bare_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Furnish a site on a control plane of its own that knows no routes."""
    folder = own_state("bare")
    try:
        control_plane = up(folder, control_plane_only=True)
        define(control_plane, gateway_api=False)
        account = operator_account(control_plane, tmp_path_factory.mktemp("bare-account"))
        with furnished(control_plane, account) as place:
            yield place
    finally:
        down(folder, everything=True)


def test_an_agent_with_traffic_names_what_is_missing_and_has_all_the_rest(
    bare_place: Site,
) -> None:
    bare_place.apply(GATEWAY_TRAFFIC)
    missing = ("True", "MissingApi")
    bare_place.until(lambda _: bare_place.condition("Reconciling") == missing)
    bare_place.until(lambda _: bare_place.condition("Available") == ("True", "StableServes"))
    message = next(c.message for c in bare_place.status().conditions if c.type == "Reconciling")
    assert "spec.traffic" in message
    assert "httproutes.gateway.networking.k8s.io" in message
    kinds = {kind for kind, _ in bare_place.children()}
    assert kinds >= {"deployments", "services", "horizontalpodautoscalers", "secrets"}


def test_an_agent_without_traffic_does_not_miss_it(bare_place: Site) -> None:
    bare_place.settle(name="by-replicas")
