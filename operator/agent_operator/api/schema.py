"""From pydantic models to the structural schema that a CustomResourceDefinition takes.

The API server refuses references, anyOf, titles and null defaults, and prunes what has no type; see
"Specifying a structural schema" in the Kubernetes documentation.
"""

from __future__ import annotations

import json
from typing import Any

from agent_operator.api.model import ApiModel

Schema = dict[str, Any]

_KEPT = (
    "type",
    "format",
    "description",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minimum",
    "maximum",
)


def structural_schema(model: type[ApiModel], *, defaults: bool) -> Schema:
    """Return the model's schema with everything inlined; without `defaults` for a status."""
    raw = model.model_json_schema(by_alias=True)
    return _Inliner(definitions=raw.pop("$defs", {}), defaults=defaults).node(raw)


class _Inliner:
    """One walk over a pydantic schema; `definitions` are what its references point to."""

    def __init__(self, *, definitions: Schema, defaults: bool) -> None:
        self._definitions = definitions
        self._defaults = defaults

    def node(self, raw: Schema) -> Schema:
        """Return the structural form of one node and of all below it."""
        raw = self._resolved(raw)
        schema = {key: raw[key] for key in _KEPT if key in raw}
        schema |= _exclusive_bounds(raw)
        if "const" in raw:
            schema["enum"] = [raw["const"]]
        if "description" in raw:
            schema["description"] = _flowing(raw["description"])
        schema |= {key: value for key, value in raw.items() if key.startswith("x-kubernetes-")}
        children = self._children(raw)
        if self._defaults and _says_something(raw.get("default"), children):
            schema["default"] = _minimal_default(raw["default"], children)
            schema["description"] = _with_default(schema)
        return schema | children

    def _resolved(self, raw: Schema) -> Schema:
        """Follow references, and take null out of unions: null is an absent field."""
        if "$ref" in raw:
            target = self._definitions[raw["$ref"].removeprefix("#/$defs/")]
            return self._resolved({**target, **{k: v for k, v in raw.items() if k != "$ref"}})
        if "anyOf" not in raw:
            return raw
        if raw.get("default") is not None:
            raise TypeError("null beside a default: a merge patch with null restores the default")
        choices = [choice for choice in raw["anyOf"] if choice != {"type": "null"}]
        if len(choices) != 1:
            raise TypeError(f"a union has no structural schema: {raw['anyOf']}")
        outer = {key: value for key, value in raw.items() if key != "anyOf"}
        return self._resolved({**choices[0], **outer})

    def _children(self, raw: Schema) -> Schema:
        if "properties" in raw:
            children = {name: self.node(child) for name, child in raw["properties"].items()}
            required = {"required": raw["required"]} if raw.get("required") else {}
            return {**required, "properties": children}
        if "items" in raw:
            return {"items": self.node(raw["items"])}
        if "x-kubernetes-preserve-unknown-fields" not in raw and raw.get("additionalProperties"):
            return {"additionalProperties": self.node(raw["additionalProperties"])}
        return {}


def _exclusive_bounds(raw: Schema) -> Schema:
    """Turn numeric exclusive bounds into OpenAPI 3.0's bound plus flag."""
    bounds: Schema = {}
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if exclusive in raw:
            bounds |= {bound: raw[exclusive], exclusive: True}
    return bounds


def _flowing(text: str) -> str:
    """Join the lines of each paragraph; `kubectl explain` wraps them itself."""
    paragraphs = text.strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _with_default(schema: Schema) -> str:
    """Say the default of a value in its description, since `kubectl explain` does not show it."""
    default, description = schema["default"], str(schema.get("description", ""))
    if isinstance(default, dict):
        return description
    shown = default if isinstance(default, str) else json.dumps(default)
    return f"{description} Default: {shown}."


def _says_something(default: Any, schema: Schema) -> bool:
    """Tell whether a stored default helps: absent means the same as null, "", [] and an empty map.

    An empty object with properties does help: the defaults of its properties hang on it.
    """
    return default not in (None, "", [], {}) or (default == {} and "properties" in schema)


def _minimal_default(default: Any, schema: Schema) -> Any:
    """Leave out of an object's default what the defaults of its properties say already."""
    if "properties" not in schema:
        return default
    properties = schema["properties"]
    minimal = {
        name: _minimal_default(value, properties[name])
        for name, value in default.items()
        if value not in (None, "", [], {})
    }
    return {
        name: value
        for name, value in minimal.items()
        if value != properties[name].get("default", object())
    }
