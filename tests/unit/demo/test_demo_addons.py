"""What the demo installs into a cluster of somebody else, and what it refuses to replace."""

from pathlib import Path

import pytest

from demo.addons import missing_addons
from demo.errors import DemoError
from localcluster import AnyCluster
from localcluster.images import Archive

GATEWAY_API = "crd/gateways.gateway.networking.k8s.io"
GATEWAY = "gateways.gateway.networking.k8s.io/public"
PROMETHEUS = "service/prometheus"
SERVICES = {PROMETHEUS, "service/redis", "service/llm"}
ADAPTER = "apiservice/v1beta2.custom.metrics.k8s.io"


class Theirs(AnyCluster):
    """A cluster that has these objects."""

    def __init__(self, *objects: str) -> None:
        self._objects = objects

    @property
    def kubeconfig(self) -> Path:
        return Path("theirs")

    @property
    def folder(self) -> Path:
        return Path("ours")

    def load_image(self, archive: Archive) -> str:
        return archive.name

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        _, kind, name, *_ = arguments
        return f"{kind}/{name}" if f"{kind}/{name}" in self._objects else ""


def test_an_empty_cluster_gets_everything() -> None:
    everything = ["gateway", "prometheus", "redis", "llm", "metrics-adapter"]
    assert missing_addons(Theirs()) == everything


def test_a_complete_cluster_gets_nothing() -> None:
    assert missing_addons(Theirs(GATEWAY_API, GATEWAY, ADAPTER, *SERVICES)) == []


def test_only_what_is_missing_is_installed() -> None:
    there = Theirs(GATEWAY_API, GATEWAY, ADAPTER, PROMETHEUS, "service/redis")
    assert missing_addons(there) == ["llm"]


def test_a_gateway_api_without_our_gateway_is_refused_not_replaced() -> None:
    with pytest.raises(DemoError, match="no Gateway `public` in namespace `gateways`"):
        missing_addons(Theirs(GATEWAY_API, ADAPTER, *SERVICES))


def test_their_prometheus_is_not_replaced_for_the_sake_of_our_adapter() -> None:
    assert missing_addons(Theirs(GATEWAY_API, GATEWAY, *SERVICES)) == []
