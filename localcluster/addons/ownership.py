"""Apply objects, labelled as ours; what somebody else installed is left alone."""

from __future__ import annotations

import json
from typing import Any

import yaml

from localcluster.any_cluster import AnyCluster
from localcluster.progress import say

KEY, VALUE = "app.kubernetes.io/part-of", "localcluster"
PART = f"{KEY}={VALUE}"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast on definitions

Manifest = dict[str, Any]


def documents(text: str) -> list[Manifest]:
    """Read the objects of a YAML text, each with our label."""
    found = [each for each in yaml.load_all(text, Loader=_LOADER) if each]
    for each in found:
        each["metadata"].setdefault("labels", {})[KEY] = VALUE
    return found


def apply(cluster: AnyCluster, wanted: list[Manifest]) -> list[Manifest]:
    """Apply those objects that are not there or ours; return them, and say which are not."""
    theirs = _theirs(cluster, wanted)
    for each in wanted:
        if _identity(each) in theirs:
            say(f"{each['kind']} {each['metadata']['name']} is of somebody else: left alone")
    ours = [each for each in wanted if _identity(each) not in theirs]
    if ours:
        options = ("--server-side", "--force-conflicts", "--field-manager=localcluster")
        cluster.kubectl("apply", *options, "-f", "-", text=_list(ours))
    return ours


def _theirs(cluster: AnyCluster, wanted: list[Manifest]) -> set[tuple[str, ...]]:
    """Find which of these objects exist without our label."""
    options = ("--ignore-not-found", "-o", "json")
    found = cluster.kubectl("get", "-f", "-", *options, text=_list(wanted)) or "{}"
    content = json.loads(found)
    existing = content.get("items", [content] if content else [])
    return {_identity(each) for each in existing if not _is_ours(each)}


def _is_ours(existing: Manifest) -> bool:
    return bool(existing["metadata"].get("labels", {}).get(KEY) == VALUE)


def _identity(each: Manifest) -> tuple[str, ...]:
    metadata = each["metadata"]
    return each["apiVersion"], each["kind"], metadata.get("namespace", ""), metadata["name"]


def _list(items: list[Manifest]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
