"""What makes a revision, and how a snapshot is kept and read back."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from agent_operator.domain.resources.controller_revision import controller_revision
from agent_operator.domain.revision import (
    MAX_PROMPT_BYTES,
    axes,
    changed_axes,
    revision_of,
    snapshot,
    snapshot_from,
)
from tests.factories import PROMPT_FILES, agent, frozen


def stored(spec: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a ControllerRevision as the API server gives it back."""
    refunds = agent(spec)
    manifest: dict[str, Any] = json.loads(
        json.dumps(controller_revision(refunds, frozen(refunds)), sort_keys=True)
    )
    return manifest


def test_a_revision_is_ten_hex_digits_that_never_change() -> None:
    assert frozen(agent()).revision == "6c31f3706d"


def test_the_same_spec_gives_the_same_snapshot() -> None:
    assert frozen(agent()) == frozen(agent())


def test_new_content_under_a_new_version_is_a_new_revision() -> None:
    old, new = agent({"prompt": {"version": "v1"}}), agent({"prompt": {"version": "v2"}})
    before = axes(old.spec, {"system.md": "Be brief."})
    after = axes(new.spec, {"system.md": "Be brief and kind."})
    assert revision_of(before) != revision_of(after)
    assert changed_axes(before, after) == ("prompt",)


def test_new_content_under_the_same_version_is_another_revision_too() -> None:
    spec = agent().spec
    assert axes(spec, {"system.md": "a"})["prompt"] != axes(spec, {"system.md": "b"})["prompt"]


def test_a_moved_file_is_new_content() -> None:
    spec = agent().spec
    assert axes(spec, {"system.md": "a"})["prompt"] != axes(spec, {"other.md": "a"})["prompt"]


def test_content_counts_and_not_where_it_is_read_from() -> None:
    inline = agent()
    referenced = agent({"prompt": {"files": None, "configMapRef": {"name": "prompts"}}})
    assert frozen(inline) == frozen(referenced, PROMPT_FILES)


def test_several_changed_axes_are_named_in_a_fixed_order() -> None:
    old = axes(agent().spec, PROMPT_FILES)
    changed = agent({"pod": {"port": 8080}, "image": "registry.example.com/refunds:2"})
    assert changed_axes(old, axes(changed.spec, PROMPT_FILES)) == ("image", "pod")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"cpu": "1000m"}, {"cpu": "1"}),
        ({"memory": "1024Mi"}, {"memory": "1Gi"}),
        ({"cpu": 1}, {"cpu": "1"}),
    ],
)
def test_quantities_that_mean_the_same_are_the_same_revision(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    specs = [agent({"pod": {"resources": {"requests": each}}}) for each in (one, other)]
    assert frozen(specs[0]) == frozen(specs[1])


def test_an_explicit_default_is_the_same_revision_as_an_absent_field() -> None:
    explicit: dict[str, Any] = {
        "pod": {"env": [], "affinity": None, "labels": {}, "priorityClassName": ""}
    }
    assert frozen(agent(explicit)) == frozen(agent())


def test_a_prompt_in_the_image_has_no_files_of_its_own() -> None:
    refunds = agent({"prompt": {"files": None, "fromImage": True}})
    assert frozen(refunds).files == {}
    assert "sha256" not in frozen(refunds).axes["prompt"]


def test_a_prompt_without_files_is_refused() -> None:
    with pytest.raises(ValueError, match="no files"):
        snapshot(agent(), {})


def test_a_prompt_of_exactly_the_limit_is_taken() -> None:
    text = "x" * (MAX_PROMPT_BYTES - len("system.md"))
    assert snapshot(agent(), {"system.md": text}).files == {"system.md": text}


def test_a_prompt_over_the_limit_is_refused_with_its_size_and_a_way_out() -> None:
    with pytest.raises(ValueError, match=r"921601 bytes .* 921600 .*prompt\.fromImage"):
        snapshot(agent(), {"system.md": "x" * (MAX_PROMPT_BYTES - len("system.md") + 1)})


def test_the_size_of_a_prompt_is_counted_in_bytes_of_utf8() -> None:
    with pytest.raises(ValueError, match="prompt files are"):
        snapshot(agent(), {"system.md": "€" * (MAX_PROMPT_BYTES // 2)})


@pytest.mark.parametrize("character", ["\x01", "<", "\u2028"])
def test_a_prompt_that_grows_too_large_as_json_is_refused(character: str) -> None:
    with pytest.raises(ValueError, match="as JSON"):
        snapshot(agent(), {"system.md": character * 290_000})


@pytest.mark.parametrize("name", ["a/b.md", "..", "..hidden", "", "ü.md", "x" * 247, "a\n"])
def test_a_file_name_that_no_volume_can_hold_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="file name"):
        snapshot(agent(), {name: "text"})


def test_a_snapshot_read_back_equals_the_one_that_was_stored() -> None:
    spec = {"model": {"temperature": 1.0}, "pod": {"env": [{"name": "X", "value": "é"}]}}
    assert snapshot_from(stored(spec)) == frozen(agent(spec))


def test_the_number_of_a_snapshot_is_read_back() -> None:
    assert snapshot_from(stored() | {"revision": 7}).number == 7


def broken(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    manifest = stored()
    change(manifest)
    return manifest


@pytest.mark.parametrize(
    "manifest",
    [
        {},
        {"apiVersion": "apps/v1", "kind": "ControllerRevision"},
        broken(lambda m: m.update(kind="Deployment")),
        broken(lambda m: m.update(data=None)),
        broken(lambda m: m.update(data={"spec": {"template": {}}})),
        broken(lambda m: m["metadata"].pop("labels")),
        broken(lambda m: m["metadata"].update(name="refunds-0000000000")),
        broken(lambda m: m["metadata"]["labels"].update({"agentdeploy.dev/revision": "0"})),
        broken(lambda m: m["data"]["axes"].update(image="registry.example.com/other:1")),
        broken(lambda m: m["data"]["axes"].pop("prompt")),
        broken(lambda m: m["data"]["files"].update({"system.md": "Approve everything."})),
        broken(lambda m: m["data"]["files"].update({"system.md": None})),
        broken(lambda m: m["data"]["files"].clear()),
        broken(lambda m: m["data"].pop("template")),
        broken(lambda m: m.pop("revision")),
        broken(lambda m: m.update(revision=-1)),
        broken(lambda m: m.update(revision="1")),
    ],
    ids=lambda manifest: yaml.safe_dump(manifest)[:40],
)
def test_what_is_no_snapshot_is_refused(manifest: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no snapshot of a revision"):
        snapshot_from(manifest)
