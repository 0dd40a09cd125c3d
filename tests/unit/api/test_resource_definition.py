"""The generated CustomResourceDefinition as a whole: structural, bounded, described, up to date."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent_operator.api import crd
from agent_operator.api.v1alpha1 import AgentDeploymentStatus
from tests.factories import agent, agent_manifest
from tests.schema_defaults import with_defaults

_ROOT = Path(__file__).parents[3]
_SCHEMA = crd.definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
_FORBIDDEN = {
    "$ref",
    "$defs",
    "anyOf",
    "oneOf",
    "allOf",
    "title",
    "const",
    "uniqueItems",
    "nullable",
}


def _nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from _nodes(child, f"{path}.{name}")
    if "items" in schema:
        yield from _nodes(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from _nodes(schema["additionalProperties"], f"{path}{{}}")


_NODES = {
    path: node
    for path, node in _nodes(_SCHEMA)
    if path.startswith((".spec", ".status")) or path == ""
}
_SPEC = {path: node for path, node in _NODES.items() if path.startswith(".spec")}


def _without_empty(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    cleaned = {name: _without_empty(child) for name, child in value.items()}
    return {name: child for name, child in cleaned.items() if child not in ("", [], {})}


@pytest.mark.parametrize("path", crd.copies(_ROOT), ids=lambda path: str(path.relative_to(_ROOT)))
def test_the_committed_copy_is_what_the_models_say(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == crd.copies(_ROOT)[path]


def test_the_written_yaml_is_read_as_the_definition() -> None:
    assert yaml.safe_load(crd.yaml_text(crd.definition())) == crd.definition()


def test_the_charts_copy_outlives_an_uninstall() -> None:
    text = (_ROOT / "charts/agent-operator/crd-bases/agentdeployments.yaml").read_text()
    annotations = yaml.safe_load(text)["metadata"].pop("annotations")
    assert annotations == {"helm.sh/resource-policy": "keep"}


def test_no_node_has_what_a_structural_schema_forbids() -> None:
    assert {path: node.keys() & _FORBIDDEN for path, node in _NODES.items()} == {
        path: set() for path in _NODES
    }


def test_every_node_has_a_type() -> None:
    untyped = [
        path
        for path, node in _NODES.items()
        if "type" not in node and not node.get("x-kubernetes-int-or-string")
    ]
    assert untyped == []


def test_every_object_says_what_is_in_it() -> None:
    described = ("properties", "additionalProperties", "x-kubernetes-preserve-unknown-fields")
    vague = [
        path
        for path, node in _NODES.items()
        if node.get("type") == "object" and not any(key in node for key in described)
    ]
    assert vague == []


def test_only_the_evidence_is_opaque() -> None:
    opaque = [
        path for path, node in _NODES.items() if "x-kubernetes-preserve-unknown-fields" in node
    ]
    assert opaque == [".status.evidence"]


def test_every_text_list_and_map_is_bounded() -> None:
    unbounded = [
        path
        for path, node in _NODES.items()
        if (node.get("type") == "string" and not node.keys() & {"maxLength", "enum", "format"})
        or (node.get("type") == "array" and "maxItems" not in node)
        or ("additionalProperties" in node and "maxProperties" not in node)
    ]
    assert unbounded == []


def test_every_number_of_the_spec_is_bounded_on_both_sides() -> None:
    unbounded = [
        path
        for path, node in _SPEC.items()
        if node.get("type") in {"integer", "number"} and not {"minimum", "maximum"} <= node.keys()
    ]
    assert unbounded == []


def test_no_lower_bound_is_a_fraction() -> None:
    # The API server cuts a bound to a whole number when the value is one: 0 passes `minimum: 0.1`.
    fractions = [path for path, node in _NODES.items() if node.get("minimum", 0) % 1]
    assert fractions == []


def test_every_field_is_described_by_a_sentence() -> None:
    silent = [
        path
        for path, node in _NODES.items()
        if not path.endswith(("[]", "{}")) and not node.get("description", "").endswith(".")
    ]
    assert silent == []


def test_every_rule_names_its_field_and_ends_without_a_full_stop() -> None:
    rules = [rule for node in _NODES.values() for rule in node.get("x-kubernetes-validations", [])]
    assert rules
    for rule in rules:
        field = rule.get("fieldPath", "").lstrip(".")
        assert field in rule["message"]
        assert not rule["message"].endswith(".")
        assert len(rule["message"]) <= 160


def test_defaults_of_schema_and_code_are_the_same() -> None:
    stored = with_defaults(agent_manifest()["spec"], _SCHEMA["properties"]["spec"])
    assert stored == _without_empty(agent().spec.to_manifest())


def test_reading_a_defaulted_object_changes_nothing() -> None:
    stored = with_defaults(agent_manifest()["spec"], _SCHEMA["properties"]["spec"])
    assert agent(stored) == agent()


def test_the_status_has_no_defaults() -> None:
    assert [path for path, node in _NODES.items() if ".status" in path and "default" in node] == []


def test_a_status_that_code_can_write_fits_the_schema() -> None:
    allowed = _SCHEMA["properties"]["status"]["properties"].keys()
    assert AgentDeploymentStatus().to_manifest().keys() <= allowed


def test_columns_point_to_fields_that_exist() -> None:
    columns = crd.definition()["spec"]["versions"][0]["additionalPrinterColumns"]
    paths = [column["jsonPath"] for column in columns]
    assert [path for path in paths if not path.startswith(".metadata") and path not in _NODES] == []
    assert [column["name"] for column in columns] == [
        *("Phase", "Weight", "Stable", "Candidate", "Verdict", "Model", "Prompt", "Age", "Image"),
    ]


def test_names_are_those_people_type() -> None:
    names = crd.definition()["spec"]["names"]
    assert (names["plural"], names["shortNames"], names["categories"]) == (
        "agentdeployments",
        ["agd"],
        ["agents"],
    )


def test_writing_makes_both_copies_current(tmp_path: Path) -> None:
    assert crd.main(["--root", str(tmp_path)]) == 0
    assert crd.main(["--root", str(tmp_path), "--check"]) == 0


def test_the_check_names_an_outdated_copy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crd.main(["--root", str(tmp_path)])
    copy = tmp_path / "crds/agentdeployments.agentdeploy.dev.yaml"
    copy.write_text(copy.read_text().replace("agd", "agent"))
    assert crd.main(["--root", str(tmp_path), "--check"]) == 1
    assert str(copy) in capsys.readouterr().err
    assert "agent" in copy.read_text()


def test_the_definition_stays_small_enough_for_kubectl_apply() -> None:
    # kubectl keeps the whole object in an annotation, and annotations end at 256 KiB.
    assert all(len(text.encode()) < 200_000 for text in crd.copies(_ROOT).values())
