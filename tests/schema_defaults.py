"""What the API server does to an object before its rules see it."""

from typing import Any


def with_defaults(value: Any, schema: dict[str, Any]) -> Any:
    """Do to a value what the API server does with the defaults of its schema."""
    if isinstance(value, list):
        return [with_defaults(item, schema["items"]) for item in value]
    if not isinstance(value, dict):
        return value
    properties = schema.get("properties", {})
    missing = {
        name: child["default"]
        for name, child in properties.items()
        if name not in value and "default" in child
    }
    return {
        name: with_defaults(child, properties.get(name) or schema.get("additionalProperties", {}))
        for name, child in (value | missing).items()
    }
