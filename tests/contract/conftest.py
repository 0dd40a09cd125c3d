"""Contract tests speak to real servers and to the runtime as its own process."""

from pathlib import Path

import pytest

from localcluster import Cluster
from tests.fakes.pytest_redis import redis_server

__all__ = ["redis_server"]

_CRDS = Path(__file__).resolve().parents[2] / "crds"


@pytest.fixture(scope="session")
def agents_known(control_plane: Cluster) -> Cluster:
    """Return an API server that knows AgentDeployments."""
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(_CRDS))
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
    return control_plane
