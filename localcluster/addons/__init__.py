"""What the demo and the tests need beside the cluster itself, each as pods."""

from localcluster.addons.install import install
from localcluster.addons.registry import ADDONS

__all__ = ["ADDONS", "install"]
