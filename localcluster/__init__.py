"""A real Kubernetes node on a Linux machine without Docker: for the demo, tests and benchmarks."""

from localcluster.any_cluster import AnyCluster, ForeignCluster
from localcluster.cluster import Cluster, down, running, up
from localcluster.errors import LocalClusterError

__all__ = ["AnyCluster", "Cluster", "ForeignCluster", "LocalClusterError", "down", "running", "up"]
