"""Which /16 a cluster gets, and the addresses inside it."""

from ipaddress import IPv4Network

import pytest

from localcluster import network
from localcluster.errors import LocalClusterError
from localcluster.network import CANDIDATES, Network, is_free, reserve_slot


@pytest.fixture(autouse=True)
def empty_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    # The machine's own routes would make these tests depend on what else runs.
    monkeypatch.setattr(network, "machine_networks", list)


def test_a_network_that_overlaps_a_route_is_not_free() -> None:
    candidate = IPv4Network("10.64.0.0/16")
    assert not is_free(candidate, [IPv4Network("10.64.9.0/24")])
    assert not is_free(candidate, [IPv4Network("10.0.0.0/8")])


def test_the_default_route_and_other_networks_leave_a_network_free() -> None:
    taken = [IPv4Network("0.0.0.0/0"), IPv4Network("10.65.0.0/16"), IPv4Network("172.16.0.0/12")]
    assert is_free(IPv4Network("10.64.0.0/16"), taken)


def test_addresses_of_host_node_pods_and_services_do_not_overlap() -> None:
    made = Network(IPv4Network("10.70.0.0/16"))
    assert (made.host, made.node) == ("10.70.0.1", "10.70.0.2")
    assert (made.pods, made.services) == ("10.70.64.0/18", "10.70.128.0/17")
    assert made.api_service == "10.70.128.1"


def test_two_slots_at_once_have_different_networks_and_stores() -> None:
    first = reserve_slot(control_plane_only=False)
    second = reserve_slot(control_plane_only=False)
    with first.lock, second.lock:
        assert first.network != second.network
        assert first.store != second.store


def test_a_slot_is_free_again_when_its_lock_is_closed() -> None:
    first = reserve_slot(control_plane_only=False)
    first.lock.close()
    second = reserve_slot(control_plane_only=False)
    with second.lock:
        assert second.network == first.network


def test_a_control_plane_leaves_the_first_stores_to_nodes() -> None:
    alone = reserve_slot(control_plane_only=True)
    node = reserve_slot(control_plane_only=False)
    with alone.lock, node.lock:
        assert alone.network.range == CANDIDATES[-1]
        assert node.network.range == CANDIDATES[0]


def test_when_every_network_is_taken_the_error_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(network, "machine_networks", lambda: [IPv4Network("10.0.0.0/8")])
    with pytest.raises(LocalClusterError, match=r"no free network.*take one down"):
        reserve_slot(control_plane_only=False)
