"""What all tests share: the cluster fixtures."""

pytest_plugins = ["localcluster.pytest_plugin"]
