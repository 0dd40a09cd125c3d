"""The CustomResourceDefinition that a release installs."""

from pathlib import Path
from typing import Any

import yaml

from tests.helm import Chart, of_kind, only

_COMMITTED = Path(__file__).parents[2] / "crds" / "agentdeployments.agentdeploy.dev.yaml"
_KEEP = "helm.sh/resource-policy"


def _committed() -> dict[str, Any]:
    manifest: dict[str, Any] = yaml.safe_load(_COMMITTED.read_text(encoding="utf-8"))
    return manifest


def test_it_is_the_committed_one(chart: Chart) -> None:
    found, committed = only(chart.manifests(), "CustomResourceDefinition"), _committed()
    assert found["spec"] == committed["spec"]
    assert found["metadata"]["name"] == committed["metadata"]["name"]


def test_it_stays_when_the_release_goes(chart: Chart) -> None:
    found = only(chart.manifests(), "CustomResourceDefinition")
    assert found["metadata"]["annotations"] == {_KEEP: "keep"}


def test_it_goes_with_the_release_when_asked_to(chart: Chart) -> None:
    found = only(chart.manifests({"crds": {"keep": False}}), "CustomResourceDefinition")
    assert _KEEP not in found["metadata"].get("annotations", {})
    assert found["spec"] == _committed()["spec"]


def test_it_can_be_left_to_others(chart: Chart) -> None:
    assert not of_kind(chart.manifests({"crds": {"enabled": False}}), "CustomResourceDefinition")
