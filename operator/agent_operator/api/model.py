"""What all API models share: camelCase names, immutability, rules over several fields."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition over several fields, said twice: for the API server and for objects read from it.

    `cel` sees the model as `self`, before its defaults when it is a default itself; `holds` sees
    the parsed model. `field`, a JSON path below the model as in `.image`, is where the API server
    reports the problem.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool]
    field: str | None = None


class ApiModel(BaseModel):
    """A frozen part of the API object; unknown fields are ignored, the API server prunes them."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        serialize_by_alias=True,
        use_attribute_docstrings=True,
    )

    rules: ClassVar[tuple[Rule, ...]] = ()

    @classmethod
    def validations(cls) -> list[dict[str, str]]:
        """Return the rules as `x-kubernetes-validations` of a CustomResourceDefinition."""
        return [
            {"rule": rule.cel, "message": rule.message}
            | ({"fieldPath": rule.field} if rule.field else {})
            for rule in cls.rules
        ]

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler(core_schema)
        if cls.rules:
            handler.resolve_ref_schema(schema)["x-kubernetes-validations"] = cls.validations()
        return schema

    @model_validator(mode="after")
    def _obey_rules(self) -> Self:
        broken = [rule.message for rule in self.rules if not rule.holds(self)]
        if broken:
            raise ValueError("; ".join(broken))
        return self

    def to_manifest(self) -> dict[str, Any]:
        """Return the camelCase JSON form; fields that are None are left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def map_list(*keys: str) -> dict[str, Any]:
    """Return the schema keywords of a list whose items are told apart by these fields."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def parse_duration(text: str) -> timedelta:
    """Read `15s`, `2m` or `1m30s`."""
    match = re.fullmatch(r"(?:(\d{1,3})m)?(?:(\d{1,3})s)?", text)
    if not text or match is None:
        raise ValueError(f"{text!r} is no duration; write it as 15s, 2m or 1m30s")
    return timedelta(minutes=int(match[1] or 0), seconds=int(match[2] or 0))


def _clipper(limit: int) -> Callable[[Any], Any]:
    def clip(value: Any) -> Any:
        if isinstance(value, str) and len(value) > limit:
            return value[: limit - 1] + "…"
        return value

    return clip


def _rfc3339(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"

Timestamp = Annotated[AwareDatetime, PlainSerializer(_rfc3339, return_type=str, when_used="json")]
ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN)]
Revision = Annotated[str, Field(max_length=64)]
Reason = Annotated[str, Field(max_length=128)]
# Cut, not refused: a long message must never make the API server refuse a whole status.
Message = Annotated[str, Field(max_length=1024), BeforeValidator(_clipper(1024))]
