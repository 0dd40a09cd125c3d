"""What tests of the operator on a real API server share: its account, and a site each."""

import secrets
import time
from collections.abc import Iterator

import pytest

from localcluster import Cluster
from tests.agents import prompt
from tests.factories import GATEWAY_TRAFFIC
from tests.installation import define, furnished, operator_account
from tests.site import Account, Furnish, SettledSite, Site

FROM_IMAGE = {"prompt": {"version": "v1", "files": None, "fromImage": True}}


@pytest.fixture(scope="session")
def account(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Account:
    """Define what the operator works with and log in as the operator."""
    define(control_plane, gateway_api=True)
    return operator_account(control_plane, tmp_path_factory.mktemp("account"))


@pytest.fixture(scope="session")
def settled(control_plane: Cluster, account: Account) -> Iterator[SettledSite]:
    """Settle one agent of each mode, and one that was rolled back."""
    with furnished(control_plane, account) as place:
        place.counters.bad_shares["bad"] = {"error": 0.6}
        place.apply(GATEWAY_TRAFFIC, name="by-gateway")
        place.apply(name="by-replicas")
        place.apply(FROM_IMAGE, name="from-image")
        place.settle(name="rolled-back")
        place.apply(prompt("bad"), name="rolled-back")
        place.until_phase("RolledBack", name="rolled-back")
        place.until_true(lambda: len(place.objects.every("deployments")) == 4)
        for name in ("by-gateway", "by-replicas", "from-image"):
            place.until_phase("Stable", name=name)
        yield SettledSite(place, log=place.until_quiet(), since=time.monotonic())


@pytest.fixture(scope="session")
def furnish(settled: SettledSite, control_plane: Cluster, account: Account) -> Furnish:
    """Return what makes a site of its own for a test or a module.

    The settled site comes first: its quiet minute passes while other tests run.
    """
    return lambda: furnished(control_plane, account)


@pytest.fixture
def place(furnish: Furnish) -> Iterator[Site]:
    """Furnish a site for one test."""
    with furnish() as furnished_site:
        yield furnished_site


@pytest.fixture(scope="module")
def shared_place(furnish: Furnish) -> Iterator[Site]:
    """Furnish a site for the tests of one module, each with an agent of its own."""
    with furnish() as furnished_site:
        yield furnished_site


@pytest.fixture
def name() -> str:
    """Return a name that no other agent has."""
    return f"agent-{secrets.token_hex(3)}"
