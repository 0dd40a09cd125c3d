"""A real Kubernetes node on a Linux machine without Docker: for the demo, tests and benchmarks."""

from localcluster.cluster import Cluster, down, running, up
from localcluster.errors import LocalClusterError

__all__ = ["Cluster", "LocalClusterError", "down", "running", "up"]
