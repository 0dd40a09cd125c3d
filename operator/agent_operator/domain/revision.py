"""Revisions: what makes one, what it is called, and how it is frozen and read back.

The reconciler snapshots a revision when the spec asks for one it has not seen; from then on every
object of the revision is built from the snapshot, never from the spec again.
"""

import re
from collections.abc import Mapping
from typing import Any

from agent_operator.api.v1alpha1 import AgentDeployment, AgentDeploymentSpec, PodSpec
from agent_operator.domain.canonical import (
    canonical_json,
    canonical_quantity,
    content_hash,
    plain_number,
    pruned,
)
from agent_operator.domain.manifest import Kind, Manifest
from agent_operator.domain.naming import LABEL_NAME, LABEL_REVISION
from agent_operator.domain.resources.pod_template import pod_template
from agent_operator.domain.serving import Snapshot

REVISION_LENGTH = 10
AXES = ("image", "model", "prompt", "tools", "pod")
MAX_PROMPT_BYTES = 900 * 1024
# etcd takes 1.5 MiB with the metadata. The API server stores the snapshot as JSON, in which some
# characters are six bytes long.
MAX_STORED_BYTES = 1408 * 1024
MAX_FILE_NAME_LENGTH = 246  # a ConfigMap key has 253 characters, 7 of which are our prefix

_FILE_NAME = re.compile(r"(?!\.\.)[-._a-zA-Z0-9]+")
_ESCAPED = re.compile(rb"[<>&]|\xe2\x80[\xa8\xa9]")


def axes(spec: AgentDeploymentSpec, files: Mapping[str, str]) -> dict[str, Any]:
    """Return the revisioned part of a spec as canonical JSON data.

    `files` is the prompt's content by file name, empty when the image holds it. Absent fields are
    left out: one that a later API adds does not rename the revisions of those who do not use it.
    Raises ValueError when the prompt cannot be stored.
    """
    prompt: dict[str, Any] = {"version": spec.prompt.version}
    if not spec.prompt.from_image:
        _check_files(files)
        prompt["sha256"] = content_hash(files)
    model = spec.model.to_manifest() | {"temperature": plain_number(spec.model.temperature)}
    pod = _pod_axis(spec.pod)
    if spec.session_store is not None:
        pod["sessionStore"] = spec.session_store.to_manifest()
    return {
        "image": spec.image,
        "model": {key: value for key, value in model.items() if value != ""},
        "prompt": prompt,
        "pod": pod,
    }


def revision_of(axes: Mapping[str, Any]) -> str:
    """Return the revision's name: ten hex digits that never change for the same axes."""
    return content_hash(axes)[:REVISION_LENGTH]


def changed_axes(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the axes that differ, in the order of `AXES`."""
    return tuple(axis for axis in AXES if old.get(axis) != new.get(axis))


def snapshot(agent: AgentDeployment, files: Mapping[str, str]) -> Snapshot:
    """Freeze the revision that the spec asks for; raises ValueError when it cannot be stored."""
    frozen = axes(agent.spec, files)
    revision = revision_of(frozen)
    kept = {} if agent.spec.prompt.from_image else dict(sorted(files.items()))
    template = pod_template(agent, revision, axes=frozen, file_names=tuple(kept))
    _check_stored_size({"axes": frozen, "template": template, "files": kept})
    return Snapshot(revision=revision, axes=frozen, template=template, files=kept)


def snapshot_from(controller_revision: Manifest) -> Snapshot:
    """Read a snapshot back; raises ValueError when the object is not one, or was tampered with."""
    kind = Kind.CONTROLLER_REVISION.value
    if (controller_revision.get("apiVersion"), controller_revision.get("kind")) != kind[:2]:
        raise _no_snapshot("it is no ControllerRevision")
    data = _mapping(controller_revision, "data")
    frozen, template, files = (_mapping(data, key) for key in ("axes", "template", "files"))
    revision = revision_of(frozen)
    if not _is_named_after(controller_revision, revision):
        raise _no_snapshot("its name or labels do not fit its content")
    if not all(isinstance(text, str) for text in files.values()):
        raise _no_snapshot("a file is no text")
    if _mapping(frozen, "prompt").get("sha256") != (content_hash(files) if files else None):
        raise _no_snapshot("its files do not fit their hash")
    number = controller_revision.get("revision")
    if not isinstance(number, int) or number < 0:
        raise _no_snapshot("it has no number")
    return Snapshot(revision, frozen, template, files, number)


def _is_named_after(controller_revision: Manifest, revision: str) -> bool:
    metadata = _mapping(controller_revision, "metadata")
    labels = _mapping(metadata, "labels")
    name = f"{labels.get(LABEL_NAME)}-{revision}"
    return labels.get(LABEL_REVISION) == revision and metadata.get("name") == name


def _pod_axis(pod: PodSpec) -> dict[str, Any]:
    manifest = pod.to_manifest()
    manifest["resources"] = {
        list_name: {name: canonical_quantity(amount) for name, amount in amounts.items()}
        for list_name, amounts in manifest["resources"].items()
    }
    for env in manifest["env"]:
        if env.get("value") == "":
            del env["value"]
    manifest["tolerations"] = [
        {key: value for key, value in toleration.items() if value != ""}
        for toleration in manifest["tolerations"]
    ]
    return {key: value for key, value in pruned(manifest).items() if value != ""}


def _check_files(files: Mapping[str, str]) -> None:
    if not files:
        raise ValueError("prompt has no files")
    for name in files:
        if len(name) > MAX_FILE_NAME_LENGTH or _FILE_NAME.fullmatch(name) is None:
            raise ValueError(
                f"prompt file name {name[:64]!r} is not allowed: use letters, digits, '-', '_' and"
                f" '.', at most {MAX_FILE_NAME_LENGTH} of them, not beginning with '..'"
            )
    size = sum(len(name.encode()) + len(text.encode()) for name, text in files.items())
    if size > MAX_PROMPT_BYTES:
        raise ValueError(
            f"prompt files are {size} bytes together, more than the {MAX_PROMPT_BYTES} that fit"
            " into one object; shorten them or put them into the image (prompt.fromImage)"
        )


def _check_stored_size(data: Mapping[str, Any]) -> None:
    encoded = canonical_json(data)
    size = len(encoded) + 5 * len(_ESCAPED.findall(encoded))
    if size > MAX_STORED_BYTES:
        raise ValueError(
            f"the revision takes {size} bytes as JSON, more than the {MAX_STORED_BYTES} that fit"
            " into one object; shorten prompt, pod.env or pod.annotations, or put the prompt into"
            " the image (prompt.fromImage)"
        )


def _mapping(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    if not isinstance(value, Mapping):
        raise _no_snapshot(f"{key} is missing or no object")
    return value


def _no_snapshot(problem: str) -> ValueError:
    return ValueError(f"no snapshot of a revision: {problem}")
