"""Wrong values are refused by name before anything is installed."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.helm import Chart

_WRONG: list[tuple[dict[str, Any], str]] = [
    ({"replicaCount": 2}, "additional properties 'replicaCount' not allowed"),
    ({"image": {"name": "x"}}, "at '/image': additional properties 'name' not allowed"),
    ({"image": {"pullPolicy": "Sometimes"}}, "at '/image/pullPolicy'"),
    ({"image": {"digest": "sha256:abc"}}, "at '/image/digest'"),
    ({"image": {"tag": 1.5}}, "at '/image/tag': got number, want string"),
    ({"imagePullSecrets": ["registry"]}, "at '/imagePullSecrets/0': got string, want object"),
    ({"crds": {"enabled": "yes"}}, "at '/crds/enabled': got string, want boolean"),
    ({"serviceAccount": {"name": "Mine"}}, "at '/serviceAccount/name'"),
    ({"watch": {"namespaces": "shop"}}, "at '/watch/namespaces': got string, want array"),
    ({"watch": {"namespaces": ["shop", "shop"]}}, "at '/watch/namespaces'"),
    ({"watch": {"namespaces": ["a,b"]}}, "at '/watch/namespaces/0'"),
    ({"prometheus": {"url": "prometheus:9090"}}, "at '/prometheus/url'"),
    ({"prometheus": {"url": "http://user:secret@prometheus"}}, "at '/prometheus/url'"),
    ({"prometheus": {"url": "http://prometheus/?x=1"}}, "at '/prometheus/url'"),
    ({"prometheus": {"authentication": "digest"}}, "at '/prometheus/authentication'"),
    ({"prometheus": {"timeoutSeconds": 0}}, "at '/prometheus/timeoutSeconds'"),
    ({"prometheus": {"scrapeInterval": 15}}, "at '/prometheus/scrapeInterval'"),
    ({"prometheus": {"scrapeInterval": "0s"}}, "at '/prometheus/scrapeInterval'"),
    ({"prometheus": {"scrapeInterval": "301s"}}, "at '/prometheus/scrapeInterval'"),
    ({"prometheus": {"queryLag": "1m"}}, "at '/prometheus/queryLag'"),
    ({"prometheus": {"headers": {"X-Team": "a,b"}}}, "at '/prometheus/headers/X-Team'"),
    ({"prometheus": {"headers": {"X Team": "a"}}}, "properties 'X Team' not allowed"),
    ({"prometheus": {"headers": {"X-Team": "a\nb"}}}, "at '/prometheus/headers/X-Team'"),
    ({"resyncSeconds": 1}, "at '/resyncSeconds'"),
    ({"tickSeconds": "1s"}, "at '/tickSeconds': got string, want number"),
    ({"workers": 1.5}, "at '/workers'"),
    ({"logging": {"level": "trace"}}, "at '/logging/level'"),
    ({"resources": {"limits": {"memory": "lots"}}}, "at '/resources/limits/memory'"),
    ({"resources": {"claims": []}}, "at '/resources'"),
    ({"nodeSelector": {"gpu": True}}, "at '/nodeSelector/gpu': got boolean, want string"),
    ({"tolerations": {}}, "at '/tolerations': got object, want array"),
    ({"affinity": {"nodeAfinity": {}}}, "at '/affinity'"),
    ({"commonLabels": {"team": "a b"}}, "at '/commonLabels/team'"),
]


@pytest.mark.parametrize(("values", "message"), _WRONG, ids=lambda one: str(one)[:60])
def test_a_wrong_value_is_refused_by_its_name(
    chart: Chart, values: dict[str, Any], message: str
) -> None:
    assert message in chart.refusal(values)


def test_a_missing_prometheus_is_asked_for_with_an_example(chart: Chart) -> None:
    done = chart.template({})
    assert done.returncode != 0
    assert "prometheus.url is required, as in --set prometheus.url=http" in done.stderr


def _closed(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, bool]]:
    if "properties" in schema:
        yield path, schema.get("additionalProperties") is False
        for name, child in schema["properties"].items():
            yield from _closed(child, f"{path}/{name}")


def test_every_object_of_the_schema_is_closed(chart: Chart) -> None:
    schema = json.loads((chart.folder / "values.schema.json").read_text())
    assert [path for path, is_closed in _closed(schema) if not is_closed] == []


def test_the_schema_knows_exactly_the_values_that_have_defaults(chart: Chart) -> None:
    schema = json.loads((chart.folder / "values.schema.json").read_text())
    defaults = yaml.safe_load((chart.folder / "values.yaml").read_text())
    known = {name: one for name, one in schema["properties"].items() if name != "global"}
    assert known.keys() == defaults.keys()
    for name, one in known.items():
        if "properties" in one and name not in ("resources", "affinity"):
            assert one["properties"].keys() == defaults[name].keys(), name


def test_every_value_is_used_by_a_template(chart: Chart) -> None:
    templates = "".join(path.read_text() for path in (chart.folder / "templates").iterdir())
    defaults = yaml.safe_load((chart.folder / "values.yaml").read_text())
    names = [
        f".Values.{section}.{name}" if isinstance(given, dict) and section != "resources" else ""
        for section, given in defaults.items()
        for name in (given if isinstance(given, dict) else ())
    ] + [f".Values.{section}" for section in defaults]
    assert [name for name in names if name not in templates] == []


def test_the_chart_refuses_a_kubernetes_that_is_too_old(chart: Chart) -> None:
    done: subprocess.CompletedProcess[str] = chart.run(
        *("template", "agentdeploy", str(chart.folder), "--kube-version", "1.29.9"),
        values={"prometheus": {"url": "http://prometheus"}},
    )
    assert done.returncode != 0
    assert ">=1.30.0-0" in done.stderr
