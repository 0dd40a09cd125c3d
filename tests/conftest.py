"""What all tests share: the cluster fixtures."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["localcluster.pytest_plugin"]

# A slow machine is no bug: properties are judged by what they find, not by how long it takes.
# The parent is what Hypothesis chose itself: in CI the same examples every time.
settings.register_profile(
    "project", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("project")
