"""Helm on the chart as users call it: lint, template, install."""

from pathlib import Path

import pytest

from localcluster.binaries import binary
from tests.helm import Chart

_CHART = Path(__file__).parents[2] / "charts" / "agent-operator"


@pytest.fixture(scope="session")
def chart() -> Chart:
    return Chart(binary("helm"), _CHART)
